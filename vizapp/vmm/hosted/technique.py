"""Binary translation beside a host operating system, which owns the machine's devices (VMware Workstation).

    0      1 MB                4 MB                                               end
    |------|-- host: kernel, --|-- VMM: tables, shadow, cache --|-- guest memory --|-- the next VM: ...
           |   VMApps, pages   |

The host boots first, by itself. The world of each virtual machine's VMM is laid out beside it, and lies still
until VMDriver first switches to it; what VMDriver and VMApp have to know of the VM stands in pages that they
share with its VMM.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.paging import PTE_A, PTE_D, PTE_P, PTE_W
from vizapp.isa.registers import CR0_PE, CR0_PG, CR0_WP, EFLAGS_FIXED
from vizapp.machine import places
from vizapp.machine.devices import cmos
from vizapp.machine.devices.disk import SECTOR_BYTES
from vizapp.machine.devices.lance import CHIP, STOP, address_prom
from vizapp.machine.devices.pit import PIT_HERTZ
from vizapp.machine.doors import Door
from vizapp.messages import N_, Message
from vizapp.vmm import stubs
from vizapp.vmm.base import Hosted
from vizapp.vmm.binary_translation.technique import KINDS, BinaryTranslation
from vizapp.vmm.frame_allocator import FrameAllocator
from vizapp.vmm.guest_start import start_bare
from vizapp.vmm.host_tables import (
    CODE_SELECTOR,
    DATA_SELECTOR,
    GDT,
    IDT,
    LDT_SELECTOR,
    TABLE_PAGES,
    TSS_SELECTOR,
)
from vizapp.vmm.hosted import layout
from vizapp.vmm.hosted.machines import HostedMachines
from vizapp.vmm.hosted.monitor import HostedMonitor
from vizapp.vmm.hosted.timer import TICK_COUNTS, TICK_SECONDS
from vizapp.vmm.hosted.vm import HostedHost, HostedVm, places_of
from vizapp.vmm.scheduler import DEFAULT_WEIGHT, slice_of
from vizapp.vmm.trap_and_emulate.technique import MONITOR_PAGES

if TYPE_CHECKING:
    from vizapp.machine.image import Image
    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Options, VmOptions

_WRITABLE: Final = PTE_P | PTE_A | PTE_W | PTE_D
_FIRST_FRAME: Final = layout.HOST_END >> PAGE_SHIFT
_BUS_CONFIGURATION: Final = (5, 5, 2, 0, 0, 0x84, 8, 0x90)
_SHORTEST_SLICE_SECONDS: Final = 20e-6
_LONGEST_SLICE: Final = 0xFFFF_FFFF  # cycles


class HostedTranslation(BinaryTranslation):
    """VMware's technique as Workstation, Server, Player and Fusion had it."""

    title = Message(N_("Binary translation, hosted"))
    kinds = KINDS._replace(vm=HostedVm, places=places_of)

    def host_memory(self, options: Options) -> int:
        """The host's 4 MB, the guests' memory, and a megabyte and the cache for the VMM of each."""
        own = (1 + len(options.others)) * (MONITOR_PAGES + self._pages)
        return options.all_memory + (_FIRST_FRAME + own << PAGE_SHIFT)

    def start(self, pc: Pc, image: Image, options: Options) -> HostedMonitor:
        """Load the host, and lay out the VMMs' worlds beside it."""
        hosted = options.hosted
        assert hosted is not None
        symbols = hosted.host.symbols
        start_bare(pc.memory, pc.cpu, layout.HOST_END, hosted.host)
        cross = HostPhysical(symbols["cross_page"])
        host = HostedHost(
            pc,
            options.paths,
            FrameAllocator(_FIRST_FRAME, pc.memory.frames),
            shared=HostPhysical(symbols["shared_page"]),
            processes=HostPhysical(symbols["processes"]),
            leave=layout.CROSS + symbols["leave_vmm"] - cross,
        )
        machines = options.machines(image)
        vms = tuple(self._make_hosted(host, index, machine) for index, machine in enumerate(machines))
        if len(vms) > 1:
            for vm in vms:
                vm.places = (vm.places[0]._replace(vm=vm.index), *vm.places[1:])
        host.machines = HostedMachines(pc, vms, vms[0].places[0], options.actions)  # type: ignore[assignment]
        extent = len(hosted.host.spare_disk) // SECTOR_BYTES
        for vm, machine in zip(vms, machines, strict=True):
            extent += self._tell_vmapp(vm, hosted, machine, options.slice_cycles, extent)
            self._prepare_world(vm, HostPhysical(cross + vm.index * PAGE_SIZE), symbols)
        first = HostPhysical(symbols["vmm_context"])
        monitor = HostedMonitor(host, first)
        pc.monitor = monitor
        pc.place_of = monitor.place_of
        pc.guest_state = monitor.translated_state
        pc.guest_address = monitor.guest_address
        pc.guest_next = monitor.guest_next
        pc.give_input = host.machines.take_input
        pc.awaited_inputs = host.machines.awaited_inputs
        for vm in vms:
            vm.mmu.flush_requested = False
            for offset, phase in ((stubs.GUEST_DOOR, "arrive"), (stubs.NESTED_DOOR, "nested")):
                pc.doors[vm.tables.door(offset)] = Door(0, phase, places.VMM_WORLD)
            pc.doors[vm.passage.door] = Door(0, "arrive", places.VMM_WORLD)
            entry = HostPhysical(symbols["vmm_door"] + vm.index * PAGE_SIZE)
            pc.doors[entry] = Door(0, "world_entered", places.VMM_WORLD)
        host.machines.start()
        pc.code.translated = vms[0].cache.ends
        return monitor

    def _make_hosted(self, host: HostedHost, index: int, machine: VmOptions) -> HostedVm:
        vm = self._make(host, index, _without_vmapps(machine))
        assert isinstance(vm, HostedVm)
        return vm

    def _tell_vmapp(
        self, vm: HostedVm, hosted: Hosted, machine: VmOptions, slice_cycles: int | None, extent: int
    ) -> int:
        """Write what a user gives VMApp: memory, devices, options.

        Its disk begins at the sector ``extent`` of the host's; returned is how many sectors it has.
        """
        shared, features = vm.shared, machine.features

        def slot(offset: int, value: int, size: int = 4) -> None:
            shared.set_up(offset, value.to_bytes(size, "little"))

        slot(layout.GUEST, vm.memory.size)
        slot(layout.FRAME, vm.memory.p2m[0] << PAGE_SHIFT)
        slot(layout.NOTIFY, int(hosted.notification))
        cycles = _slice(vm, slice_cycles)
        slot(layout.SLICE, cycles)
        slot(layout.TICK, max(1, min(TICK_COUNTS, vm.pc.board.clock.ticks(cycles, PIT_HERTZ))))
        slot(layout.KHZ, vm.pc.hertz // 1000)
        mac = None if features is None else features.mac
        if mac is not None:
            shared.set_up(layout.STATION, mac)
            shared.set_up(layout.PROM, address_prom(mac))
            slot(layout.CSRS, STOP, 2)
            for number, value in CHIP.items():
                slot(layout.CSRS + 2 * number, value, 2)
            for index in range(3):
                shared.set_up(layout.CSRS + 2 * (12 + index), mac[2 * index : 2 * index + 2])
            for index, value in enumerate(_BUS_CONFIGURATION):
                slot(layout.BCRS + 2 * index, value, 2)
        disks = () if features is None else features.disks
        sectors = 0
        if disks:
            sectors = max(1, -(-len(disks[0]) // SECTOR_BYTES))
            slot(layout.DISK_SECTORS, sectors)
            slot(layout.EXTENT, extent)
            for index in (1, 2, 3):
                slot(layout.DISK_REGISTERS + 4 * index, 1)
            slot(layout.DISK_STATUS, 0x50)
            assert vm.devices.peripherals is not None
            vm.devices.peripherals.rtc.store(cmos.FIXED_DISKS, 0xF0)
        vm.connect(hosted, network=mac is not None, disk=bool(disks))
        return sectors

    def _prepare_world(self, vm: HostedVm, cross: HostPhysical, symbols: dict[str, Linear]) -> None:
        """Map the shared pages in the VMM's world, and keep its state as its own way out would have."""
        memory, tables, page_1 = vm.pc.memory, vm.tables, symbols["cross_page"]
        for page, at in enumerate((cross, vm.shared.address, vm.shared.address + PAGE_SIZE)):
            tables.map(Linear(layout.CROSS + page * PAGE_SIZE), at >> PAGE_SHIFT, _WRITABLE)
        context = cross + symbols["vmm_context"] - page_1
        door = layout.CROSS + symbols["vmm_door"] - page_1
        pushed = (0, 0, DATA_SELECTOR, DATA_SELECTOR, *(0,) * 8, EFLAGS_FIXED, door)
        top = vm.tables.frame.address
        for index, value in enumerate(reversed(pushed), 1):
            memory.write(top - 4 * index, 4, value)
        state = (
            (0, 4, vm.pc.cpu.cr0 | CR0_PE | CR0_PG | CR0_WP),
            (4, 4, vm.shadow.directory << PAGE_SHIFT),
            (12, 2, TABLE_PAGES * PAGE_SIZE - 1),
            (14, 4, tables.base + GDT),
            (20, 2, 256 * 8 - 1),
            (22, 4, tables.base + IDT),
            (28, 2, LDT_SELECTOR),
            (30, 2, TSS_SELECTOR),
            (32, 4, tables.frame_linear - 4 * len(pushed)),
            (36, 4, DATA_SELECTOR),
            (40, 4, layout.CROSS + symbols["world_switch.other"] - page_1),
            (44, 4, CODE_SELECTOR),
        )
        for offset, size, value in state:
            memory.write(HostPhysical(context + offset), size, value)


def _slice(vm: HostedVm, cycles: int | None) -> int:
    """For how many cycles its process may run while others can, in proportion to its weight."""
    whole = slice_of(vm.pc.hertz, TICK_SECONDS) if cycles is None else cycles
    least = slice_of(vm.pc.hertz, _SHORTEST_SLICE_SECONDS)
    return max(least, min(_LONGEST_SLICE, whole * vm.weight // DEFAULT_WEIGHT))


def _without_vmapps(machine: VmOptions) -> VmOptions:
    """What the VMM makes of a machine itself: all but the devices that VMApp has."""
    features = machine.features
    if features is None:
        return machine
    return replace(machine, features=features._replace(disks=(), mac=None))
