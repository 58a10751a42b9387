"""Binary translation beside a host operating system, which owns the machine's devices (VMware Workstation).

    0      1 MB                4 MB                                               end
    |------|-- host: kernel, --|-- VMM: tables, shadow, cache --|-- guest memory --|
           |   VMApp, pages    |

The host boots first, by itself. The VMM's world is laid out beside it, and lies still until VMDriver first
switches to it; what VMDriver and VMApp have to know of the VM stands in a page that they share with the VMM.
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
from vizapp.vmm.hosted.monitor import HostedMonitor
from vizapp.vmm.hosted.vm import VMM_PLACE, HostedHost, HostedMachines, HostedVm, places_of
from vizapp.vmm.trap_and_emulate.technique import MONITOR_PAGES

if TYPE_CHECKING:
    from vizapp.machine.features import Features
    from vizapp.machine.image import Image
    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Options, VmOptions

_WRITABLE: Final = PTE_P | PTE_A | PTE_W | PTE_D
_FIRST_FRAME: Final = layout.HOST_END >> PAGE_SHIFT
_BUS_CONFIGURATION: Final = (5, 5, 2, 0, 0, 0x84, 8, 0x90)


class HostedTranslation(BinaryTranslation):
    """VMware's technique as Workstation, Server, Player and Fusion had it."""

    title = Message(N_("Binary translation, hosted"))
    kinds = KINDS._replace(vm=HostedVm, places=places_of)

    def host_memory(self, options: Options) -> int:
        """The host's 4 MB, the guest's memory, and a megabyte and the cache for the VMM."""
        return options.memory + (_FIRST_FRAME + MONITOR_PAGES + self._pages << PAGE_SHIFT)

    def start(self, pc: Pc, image: Image, options: Options) -> HostedMonitor:
        """Load the host, and lay out the VMM's world beside it."""
        hosted = options.hosted
        assert hosted is not None
        symbols = hosted.host.symbols
        start_bare(pc.memory, pc.cpu, layout.HOST_END, hosted.host)
        cross = HostPhysical(symbols["cross_page"])
        host = HostedHost(
            pc,
            options.paths,
            FrameAllocator(_FIRST_FRAME, pc.memory.frames),
            HostPhysical(symbols["shared_page"]),
            layout.CROSS + symbols["leave_vmm"] - cross,
        )
        (machine,) = options.machines(image)
        equipment = machine.features
        vm = self._make(host, 0, _without_vmapps(machine))
        assert isinstance(vm, HostedVm)
        host.machines = HostedMachines(pc, (vm,), VMM_PLACE, None, options.actions)  # type: ignore[assignment]
        self._tell_vmapp(host, vm, hosted, equipment)
        context = HostPhysical(symbols["vmm_context"])
        self._prepare_world(vm, cross, context, symbols)
        monitor = HostedMonitor(host, context)
        pc.monitor = monitor
        pc.place_of = monitor.place_of
        pc.guest_state = monitor.translated_state
        pc.guest_address = monitor.guest_address
        pc.guest_next = monitor.guest_next
        pc.give_input = host.machines.take_input
        pc.awaited_inputs = host.machines.awaited_inputs
        vm.mmu.flush_requested = False
        for offset, phase in ((stubs.GUEST_DOOR, "arrive"), (stubs.NESTED_DOOR, "nested")):
            pc.doors[vm.tables.door(offset)] = Door(0, phase, places.VMM_WORLD)
        pc.doors[vm.passage.door] = Door(0, "arrive", places.VMM_WORLD)
        pc.doors[HostPhysical(symbols["vmm_door"])] = Door(0, "world_entered", places.VMM_WORLD)
        host.machines.start()
        pc.code.translated = vm.cache.ends
        return monitor

    def _tell_vmapp(self, host: HostedHost, vm: HostedVm, hosted: Hosted, features: Features | None) -> None:
        """Write what a user gives VMApp: memory, devices, options."""
        shared = host.shared

        def slot(offset: int, value: int, size: int = 4) -> None:
            shared.set_up(offset, value.to_bytes(size, "little"))

        slot(layout.GUEST, vm.memory.size)
        slot(layout.FRAME, vm.memory.p2m[0] << PAGE_SHIFT)
        slot(layout.NOTIFY, int(hosted.notification))
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
        if disks:
            slot(layout.DISK_SECTORS, max(1, -(-len(disks[0]) // SECTOR_BYTES)))
            slot(layout.DISK_BASE, len(hosted.host.spare_disk) // SECTOR_BYTES)
            for index in (1, 2, 3):
                slot(layout.DISK_REGISTERS + 4 * index, 1)
            slot(layout.DISK_STATUS, 0x50)
            assert vm.devices.peripherals is not None
            vm.devices.peripherals.rtc.store(cmos.FIXED_DISKS, 0xF0)
        vm.connect(hosted, network=mac is not None, disk=bool(disks))

    def _prepare_world(
        self, vm: HostedVm, cross: HostPhysical, context: HostPhysical, symbols: dict[str, Linear]
    ) -> None:
        """Map the shared pages in the VMM's world, and keep its state as its own way out would have."""
        memory, tables = vm.pc.memory, vm.tables
        for page, at in enumerate((cross, vm.host.shared.address, vm.host.shared.address + PAGE_SIZE)):
            tables.map(Linear(layout.CROSS + page * PAGE_SIZE), at >> PAGE_SHIFT, _WRITABLE)
        door = layout.CROSS + symbols["vmm_door"] - cross
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
            (40, 4, layout.CROSS + symbols["world_switch.other"] - cross),
            (44, 4, CODE_SELECTOR),
        )
        for offset, size, value in state:
            memory.write(context + offset, size, value)


def _without_vmapps(machine: VmOptions) -> VmOptions:
    """What the VMM makes of a machine itself: all but the devices that VMApp has."""
    features = machine.features
    if features is None:
        return machine
    return replace(machine, features=features._replace(disks=(), mac=None))
