"""Trap-and-emulate as a technique: lays out the machine, loads the guest, and leaves at the first exit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.addresses import PAGE_SHIFT, HostPhysical, Linear
from vizapp.isa.registers import CR4_VIRTUALIZABLE
from vizapp.machine.cpu import Cpu
from vizapp.machine.devices.uart import COM1_PORTS
from vizapp.machine.memory import PhysicalMemory
from vizapp.machine.places import Place
from vizapp.messages import N_, Message
from vizapp.vmm import ring0
from vizapp.vmm.base import Options, VmOptions
from vizapp.vmm.frame_allocator import FrameAllocator
from vizapp.vmm.guest_memory import GuestMemory
from vizapp.vmm.guest_mmu import GuestMmu
from vizapp.vmm.guest_start import TOP, load_any_image, load_image, start_cpu
from vizapp.vmm.host_paging import HostPager, guest_frames
from vizapp.vmm.host_tables import HostTables
from vizapp.vmm.shadow import Shadow
from vizapp.vmm.trap_and_emulate.monitor import OWNER, TrapAndEmulateMonitor
from vizapp.vmm.trap_and_emulate.virtual_cpu import VirtualCpu
from vizapp.vmm.trap_and_emulate.vm import MONITOR, Host, Parts, Vm, places_of
from vizapp.vmm.virtual_devices import VirtualDevices
from vizapp.vmm.virtual_machine import owner_of
from vizapp.vmm.virtual_machines import VirtualMachines

if TYPE_CHECKING:
    from vizapp.machine.image import Image
    from vizapp.machine.pc import Pc

BASE: Final = Linear(0xFFC0_0000)  # the monitor's 4 MB, at the top of every address space
FIRST_FRAME: Final = 0x100  # the first megabyte stays with the PC's own devices and firmware
MONITOR_PAGES: Final = 0x100  # a megabyte for the monitor's tables, stack, code, shadow and ROM of each guest


class TrapAndEmulate:
    """The classical monitor, on a processor with or without the option ``virtualizable``."""

    name = "trap-and-emulate"
    title = Message(N_("Trap-and-emulate"))
    build = "native"
    claims_equivalence = True

    def host_memory(self, options: Options) -> int:
        """The guests' memory, a megabyte for the monitor's work on each, and the first one."""
        return machine_memory(options, self._own_pages(options))

    @staticmethod
    def _own_pages(options: Options) -> int:
        return FIRST_FRAME + (1 + len(options.others)) * MONITOR_PAGES

    def start(self, pc: Pc, image: Image, options: Options) -> TrapAndEmulateMonitor:
        """Set the monitor up in ring 0 and the guests to start in ring 1."""
        host = make_host(pc, options, self._own_pages(options))
        vms = tuple(make_vm(host, index, machine) for index, machine in enumerate(options.machines(image)))
        host.machines = VirtualMachines(pc, vms, MONITOR, options.slice_cycles, options.actions)
        monitor = TrapAndEmulateMonitor(host)
        exit_stub, *_ = [vm.virtual.commit(vm.tables.frame) for vm in vms]
        first = monitor.vm
        cr4 = CR4_VIRTUALIZABLE if options.virtualizable else 0
        ring0.enter_protected(pc, first.tables, first.shadow.directory, cr4)
        host.timer.initialize()
        pc.monitor = monitor
        pc.place_of = monitor.place_of
        pc.give_input = host.machines.take_input
        pc.awaited_inputs = host.machines.awaited_inputs
        for vm in vms:
            vm.mmu.flush_requested = False
            ring0.open_doors(pc, vm.tables, guest="arrive", nested="nested", idle="wait")
        host.machines.start()
        host.start_paging()
        first.held = False
        if len(vms) > 1 or options.actions:
            # Somebody has to bring the monitor in when the first slice is over, or something is to be done.
            host.timer.arm(host.machines.deadline())
        ring0.jump(pc, first.tables, exit_stub)
        return monitor


def machine_memory(options: Options, own_pages: int) -> int:
    """Bytes of physical memory for the guests beside a monitor's own pages.

    Where they have to share less than they believe to have, the swap area stands behind it.
    """
    if guest_frames(options, own_pages) is not None:
        assert options.host_memory is not None
        return options.host_memory + options.all_memory
    return options.host_memory or options.all_memory + (own_pages << PAGE_SHIFT)


def make_host(pc: Pc, options: Options, own_pages: int) -> Host:
    """What the virtual machines of one monitor share."""
    shared = guest_frames(options, own_pages)
    if shared is None:
        return Host(pc, options.paths, FrameAllocator(FIRST_FRAME, pc.memory.frames))
    area = pc.memory.frames - (options.all_memory >> PAGE_SHIFT)
    host = Host(pc, options.paths, FrameAllocator(FIRST_FRAME, area))
    host.pager = HostPager(pc, host.frames, host.bill, MONITOR, shared, area)
    return host


class Kinds(NamedTuple):
    """What a virtual machine is made of; another monitor's have parts of their own in these places.

    ``real_mode``: guests may start in real mode. ``roots`` are the address spaces that a shadow keeps.
    """

    memory: Callable[[PhysicalMemory, tuple[int, ...]], GuestMemory] = GuestMemory
    virtual: type[VirtualCpu] = VirtualCpu
    vm: type[Vm] = Vm
    places: Callable[[int], tuple[Place, ...]] = places_of
    real_mode: bool = False
    roots: int = 1


CLASSICAL: Final = Kinds()


def make_vm(host: Host, index: int, options: VmOptions, kinds: Kinds = CLASSICAL) -> Vm:
    """Virtual machine number ``index``, in the host memory that is free, with its guest ready to start."""
    pc, frames, bill = host.pc, host.frames, host.bill
    tables = HostTables(pc.memory, frames, BASE, OWNER)
    shadow = Shadow(
        pc.memory,
        frames,
        bill.charge,
        monitor_base=BASE,
        monitor_entry=tables.directory_entry,
        owner=OWNER,
        roots=kinds.roots,
    )
    pages = options.memory >> PAGE_SHIFT
    if host.pager is not None:
        memory = kinds.memory(pc.memory, (0,) * pages)
        host.pager.adopt(memory)
    else:
        # Adjacent host frames, but not those that the guest believes it has.
        first = frames.allocate(owner_of(index), pages)
        memory = kinds.memory(pc.memory, tuple(range(first, first + pages)))
    mmu = GuestMmu(memory, bill.charge)
    places = kinds.places(index)

    def guest_time(source: str, value: int) -> int:
        return value if pc.read_time is None else pc.read_time(source, value)

    def guest_place() -> Place:
        return places[cpu.cpl or 1]

    features = host.equip(options.features)
    devices = VirtualDevices(memory, pc.hertz, lambda: pc.meter.cycles, guest_place, guest_time, features)
    # The virtual serial port is connected to the machine's own: what the guest prints goes out there.
    devices.uart.on_sent = lambda byte: ring0.outb(pc, COM1_PORTS.start, byte)
    identity = devices.identity(pc.cpu.identity)
    # The option is the processor's and the monitor's; a virtual CPU has no such bit.
    identity = identity._replace(cr4_bits=identity.cr4_bits & ~CR4_VIRTUALIZABLE)
    cpu = Cpu(
        mmu, devices, identity=identity, tsc=lambda: guest_time("tsc", pc.meter.cycles + devices.offset)
    )
    cpu.mode_changed = lambda: mmu.configure(cpu.cr0, cpu.cr3)
    virtual = kinds.virtual(cpu, mmu, pc.memory, tables, bill.charge)
    vm = kinds.vm(host, index, options, memory, devices, Parts(tables, mmu, shadow, virtual))
    if host.pager is not None:
        host.pager.on_leaving(index, vm.frame_leaves)
    devices.on_a20 = mmu.reshape
    if kinds.real_mode:
        load_any_image(memory, options.image)
        _add_rom(host, vm, options.image.rom)
    else:
        load_image(memory.load, options.memory, options.image)
    start_cpu(cpu, options.image)
    return vm


def _add_rom(host: Host, vm: Vm, rom: bytes) -> None:
    """Let the guest find its ROM at the top of its address space, where a reset leads."""
    if rom:
        pages = len(rom) >> PAGE_SHIFT
        first = host.frames.allocate(vm.owner, pages)
        host.pc.memory.load(HostPhysical(first << PAGE_SHIFT), rom)
        vm.memory.add_rom(TOP - len(rom) >> PAGE_SHIFT, tuple(range(first, first + pages)))
