"""Puts a virtual machine together: devices and virtual CPU on its memory, control structure, stack.

tables.base + 04000  stubs of the switch: into a guest and, where an exit leads, out of it
tables.base + 30000  one page a virtual machine: the guest's general registers, as the stub pushes them
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.paging import PTE_A, PTE_D, PTE_P, PTE_W
from vizapp.machine.cpu import Cpu
from vizapp.machine.identity import without_large_pages
from vizapp.vmm.hardware_assisted.control_structure import Controls
from vizapp.vmm.hardware_assisted.virtual_cpu import PUSHED_BYTES, VirtualCpu
from vizapp.vmm.hardware_assisted.vm import Vm
from vizapp.vmm.virtual_devices import VirtualDevices

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from vizapp.machine.places import Place
    from vizapp.vmm.base import VmOptions
    from vizapp.vmm.guest_memory import GuestMemory
    from vizapp.vmm.guest_mmu import GuestMmu
    from vizapp.vmm.hardware_assisted.nested_map import NestedMap
    from vizapp.vmm.hardware_assisted.technique import HardwareAssisted
    from vizapp.vmm.hardware_assisted.vm import Host
    from vizapp.vmm.shadow import Shadow

SWITCH: Final = 0x4000
BLOCKS: Final = 0x3_0000
CODE_FLAGS: Final = PTE_P | PTE_A
_DATA_FLAGS: Final = PTE_P | PTE_A | PTE_W | PTE_D

V = TypeVar("V", bound=Vm)


class Asked(NamedTuple):
    """What a virtual machine is made of besides its memory.

    Attributes:
        paging: (shadow tables, None), or (None, nested tables).
        mmu: the guest's own paging.
        intercepts: controls that are not to be as the monitor would have them, by name.
        board: the class of its devices.
    """

    paging: tuple[Shadow | None, NestedMap | None]
    mmu: GuestMmu
    intercepts: Mapping[str, bool]
    board: type[VirtualDevices] = VirtualDevices


def place_code(technique: HardwareAssisted, host: Host, frame: int) -> None:
    """Put the stubs of the switch into a frame, and map it among the monitor's pages."""
    host.tables.map(Linear(host.tables.base + SWITCH), frame, CODE_FLAGS)
    host.pc.memory.load(HostPhysical(frame << PAGE_SHIFT), technique.code)
    host.switch_code = Linear(host.tables.base + SWITCH)
    host.take_interrupt = technique.take_interrupt


def assemble(
    technique: HardwareAssisted,
    host: Host,
    index: int,
    block: int,
    memory: GuestMemory,
    machine: VmOptions,
    asked: Asked,
    kind: type[V] | Any = Vm,
) -> V:
    """Virtual machine number ``index``; ``block`` is the frame of its registers. It is not started yet."""
    pc, bill = host.pc, host.bill
    page = host.tables.base + BLOCKS + index * PAGE_SIZE
    host.tables.map(Linear(page), block, _DATA_FLAGS)
    mmu, (shadow, nested) = asked.mmu, asked.paging

    def guest_time(source: str, value: int) -> int:
        return value if pc.read_time is None else pc.read_time(source, value)

    def guest_place() -> Place:
        return vm.place(cpu.cpl)

    devices = asked.board(
        memory, pc.hertz, lambda: pc.meter.cycles, guest_place, guest_time, host.equip(machine.features)
    )
    identity = pc.cpu.identity.without_virtualization()
    if machine.features is None or not machine.features.large_pages:
        identity = without_large_pages(identity)
    identity = devices.identity(identity)
    mmu.pse36 = identity.has_pse36
    cpu = Cpu(
        mmu, devices, identity=identity, tsc=lambda: guest_time("tsc", pc.meter.cycles + devices.offset)
    )
    cpu.read_physical = memory.read
    cpu.mode_changed = lambda: mmu.configure(cpu.cr0, cpu.cr3, cpu.cr4, cpu.pointers)
    controls = Controls(
        nested=nested,
        shadow=0 if shadow is None else shadow.directory << PAGE_SHIFT,
        host_cr3=host.directory << PAGE_SHIFT,
        host_esp=page + PAGE_SIZE,
        host_tables=host.tables,
        switch_code=host.switch_code,
        cr4_bits=identity.cr4_bits,
        tag=index + 1,
        intercepts=asked.intercepts,
    )
    structure = technique.structure(host, controls)
    pushed = HostPhysical((block << PAGE_SHIFT) + PAGE_SIZE - PUSHED_BYTES)
    virtual = VirtualCpu(pc, cpu, mmu, structure, pushed, bill.charge)
    stack = Linear(page + PAGE_SIZE - PUSHED_BYTES)
    vm: V = kind(host, index, memory, devices, mmu, virtual, asked.paging, machine, stack)
    technique.place_machine(vm)
    return vm
