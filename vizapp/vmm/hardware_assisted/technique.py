"""What both vendors' techniques do alike: lay out the host, make the virtual machines, enter the first one.

    base + 00000  the tables of ``host_tables``: stubs, IDT, TSS, stack, GDT
    base + 04000  what ``assembly`` adds: stubs of the switch, a page for each virtual machine

The monitor has an address space of its own, in which the guest's memory is not mapped: what phases do to it,
they do as a monitor does that maps what it needs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final

from vizapp.isa.addresses import PAGE_SHIFT, HostPhysical, Linear
from vizapp.machine.devices.uart import COM1_PORTS
from vizapp.machine.doors import Door
from vizapp.vmm import ring0, stubs
from vizapp.vmm.frame_allocator import FrameAllocator
from vizapp.vmm.guest_memory import GuestMemory
from vizapp.vmm.guest_mmu import GuestMmu
from vizapp.vmm.guest_start import TOP, load_any_image
from vizapp.vmm.hardware_assisted.assembly import Asked, assemble, place_code
from vizapp.vmm.hardware_assisted.monitor import OWNER, HardwareAssistedMonitor
from vizapp.vmm.hardware_assisted.vm import Host, Vm, Worlds
from vizapp.vmm.host_tables import HostTables
from vizapp.vmm.shadow import POOL_PAGES, Shadow
from vizapp.vmm.virtual_machine import owner_of
from vizapp.vmm.virtual_machines import VirtualMachines
from vizapp.vmm.vmkernel.kernel import pages_for

if TYPE_CHECKING:
    from vizapp.machine.image import Image
    from vizapp.machine.pc import Pc
    from vizapp.messages import Message
    from vizapp.vmm.base import Options, VmOptions
    from vizapp.vmm.hardware_assisted.control_structure import Controls, ControlStructure
    from vizapp.vmm.hardware_assisted.nested_map import NestedMap

BASE: Final = Linear(0xFFC0_0000)
FIRST_FRAME: Final = 0x100  # the first megabyte stays with the PC's own devices and firmware
MONITOR_PAGES: Final = 0x40  # tables, stack, code and address space of the monitor
ROM_PAGES: Final = 0x20


class HardwareAssisted(ABC):
    """A technique of one vendor's."""

    name: ClassVar[str]
    title: ClassVar[Message]
    build: ClassVar[str] = "native"
    claims_equivalence: ClassVar[bool] = True
    worlds: ClassVar[Worlds]
    code: ClassVar[bytes]
    """The stubs of the switch, a page at most."""
    doors: ClassVar[dict[int, str]]
    """Phases by the offset of their door in that page."""
    take_interrupt: ClassVar[int]
    """The stub that lets a waiting interrupt in."""
    own_pages: ClassVar[int] = 2
    """Pages for each control structure and what goes with it."""

    # What a vendor has to say.

    @abstractmethod
    def prepare(self, host: Host) -> None:
        """Turn the processor's virtualization on, before the clock runs."""

    @abstractmethod
    def structure(self, host: Host, controls: Controls) -> ControlStructure:
        """A control structure in host memory."""

    @abstractmethod
    def nested_map(self, host: Host, memory: int) -> NestedMap:
        """Empty nested tables for a guest with so many bytes of memory."""

    @abstractmethod
    def nested_pages(self, memory: int) -> int:
        """How many pages they can need."""

    @abstractmethod
    def begin(self, host: Host, vm: Vm) -> None:
        """Put the processor where the monitor is about to run its first phase for a virtual machine."""

    @abstractmethod
    def turn_on(self, host: Host, operands: HostPhysical) -> int:
        """The stub that turns virtualization on and enters nobody, with what it finds at ESP put there."""

    @abstractmethod
    def save_host(self, host: Host, frame: int) -> None:
        """Keep, in a frame, what of the monitor's own registers an exit does not bring back."""

    @abstractmethod
    def restore_host(self, host: Host, frame: int) -> None:
        """Load it: something that needs those registers is to run in the monitor's own world."""

    @abstractmethod
    def place_machine(self, vm: Vm) -> None:
        """Put what the stub needs of a virtual machine on its stack."""

    # The same for both.

    def host_memory(self, options: Options) -> int:
        """The guests' memory, the monitor's for itself and for each of them, and the first megabyte."""
        sizes = (options.memory, *(other.memory for other in options.others))
        pages = sum(self.pages_of(size, nested=options.nested) for size in sizes)
        pages += FIRST_FRAME + MONITOR_PAGES + pages_for(options)
        return options.all_memory + (pages << PAGE_SHIFT)

    def start(self, pc: Pc, image: Image, options: Options) -> HardwareAssistedMonitor:
        """Set the monitor up below the guests, and enter the first."""
        frames = FrameAllocator(FIRST_FRAME, pc.memory.frames)
        tables = HostTables(pc.memory, frames, BASE, OWNER)
        host = Host(pc, options.paths, frames, tables, self.worlds)
        host.start_kernel(host.place, "look_around")
        directory = frames.allocate(OWNER)
        pc.memory.write((directory << PAGE_SHIFT) + (BASE >> 22) * 4, 4, tables.directory_entry)
        code = frames.allocate(OWNER)
        place_code(self, host, code)
        host.directory = directory
        ring0.enter_protected(pc, tables, directory)
        self.prepare(host)
        vms = tuple(
            self._make_vm(host, index, machine, options)
            for index, machine in enumerate(options.machines(image))
        )
        host.machines = VirtualMachines(pc, vms, host.place, options.slice_cycles, options.actions)
        host.serve_machines()
        monitor = HardwareAssistedMonitor(host)
        host.timer.initialize()
        pc.monitor = monitor
        pc.place_of = monitor.place_of
        pc.give_input = host.machines.take_input
        pc.awaited_inputs = host.machines.awaited_inputs
        self._open_doors(host, code)
        host.machines.start()
        self.begin(host, vms[0])
        return monitor

    def _open_doors(self, host: Host, code: int) -> None:
        world = host.place.world
        for offset, phase in self.doors.items():
            host.pc.doors[HostPhysical((code << PAGE_SHIFT) + offset)] = Door(0, phase, world)
        for offset, phase in ((stubs.NESTED_DOOR, "own_interrupt"), (stubs.IDLE_DOOR, "wait")):
            host.pc.doors[host.tables.door(offset)] = Door(0, phase, world)

    def pages_of(self, memory: int, *, nested: bool) -> int:
        """How many of the monitor's own a virtual machine takes, with its ROM."""
        own = self.nested_pages(memory) if nested else POOL_PAGES + 1
        return 1 + self.own_pages + ROM_PAGES + own

    def _make_vm(self, host: Host, index: int, machine: VmOptions, options: Options) -> Vm:
        """Virtual machine number ``index``, in free host memory, with its guest ready to start."""
        pc, frames, bill = host.pc, host.frames, host.bill
        block = frames.allocate(OWNER)
        pages = machine.memory >> PAGE_SHIFT
        # Adjacent host frames, but not those that the guest believes it has.
        first = frames.allocate(owner_of(index), pages)
        memory = GuestMemory(pc.memory, tuple(range(first, first + pages)))
        mmu = GuestMmu(memory, bill.charge)
        shadow = nested = None
        if options.nested:
            nested = self.nested_map(host, machine.memory)
        else:
            shadow = Shadow(pc.memory, frames, bill.charge, owner=OWNER)
        asked = Asked((shadow, nested), mmu, options.intercepts)
        vm: Vm = assemble(self, host, index, block, memory, machine, asked)
        # The virtual serial port is connected to the machine's own: what the guest prints goes out there.
        vm.devices.uart.on_sent = lambda byte: ring0.outb(pc, COM1_PORTS.start, byte)
        vm.devices.on_a20 = vm.memory_changed
        self._load(host, vm, machine)
        vm.power_on()
        mmu.flush_requested = False
        return vm

    def _load(self, host: Host, vm: Vm, machine: VmOptions) -> None:
        load_any_image(vm.memory, machine.image)
        rom = machine.image.rom
        if rom:
            pages = len(rom) >> PAGE_SHIFT
            first = host.frames.allocate(vm.owner, pages)
            host.pc.memory.load(HostPhysical(first << PAGE_SHIFT), rom)
            vm.memory.add_rom(TOP - len(rom) >> PAGE_SHIFT, tuple(range(first, first + pages)))
