"""How an address is translated, reference by reference: by the guest's tables and by the processor's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, GuestPhysical
from vizapp.isa.registers import CR0_PG, CR4_PAE, CR4_PSE
from vizapp.machine.page_tables import Tables, read_pointers
from vizapp.machine.walks import GUEST, Peek, WalkStep, describe_walk

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc
    from vizapp.machine.walks import Reader
    from vizapp.session.details.registry import Subject
    from vizapp.vmm.base import CpuView, Monitor


class Walk(NamedTuple):
    """The translation of ``linear`` at the cursor.

    ``guest`` is the walk of the guest's own tables as the guest believes it; ``processor`` the walk that the
    processor makes: of the same tables, of a shadow (``shadowed``), or of both dimensions (``nested``).
    ``guest_physical`` and ``host_physical`` are where they end, None where something is missing.
    ``remembered`` says that the TLB would spare the processor all of it.
    """

    linear: int
    guest: tuple[WalkStep, ...]
    guest_physical: int | None
    processor: tuple[WalkStep, ...]
    host_physical: int | None
    nested: bool
    shadowed: bool
    paging: bool
    remembered: bool


class GuestMemory:
    """Guest-physical memory, wherever the monitor keeps it."""

    def __init__(self, pc: Pc, monitor: Monitor, vm: int) -> None:
        self._pc, self._monitor, self._vm = pc, monitor, vm

    def read(self, address: int, size: int) -> int:
        """``size`` bytes within a page; ones where the guest has no memory."""
        host = self._monitor.guest_physical(GuestPhysical(address), self._vm)
        return (1 << 8 * size) - 1 if host is None else self._pc.memory.read(host, size)


def walk(subject: Subject) -> Walk | None:
    """Both walks of the address asked about; without one, of the guest's next instruction."""
    pc, monitor, vm = subject.pc, subject.monitor, subject.vm
    seen, held = monitor.guest_view(vm), monitor.processor_view(vm)
    linear = subject.address
    if linear is None:
        linear = seen.code_base + seen.eip & M32
    nested = monitor.nested_tables(vm)
    processor = describe_walk(pc.memory, nested, tables_of(held, Peek(pc.memory, nested), pc), linear)
    own, guest = None, processor
    if nested is None and not shared_tables(seen, held):
        memory = GuestMemory(pc, monitor, vm)
        own = tables_of(seen, memory, pc)
        guest = describe_walk(memory, None, own, linear)
    entry = pc.mmu.tlb.lookup(linear >> PAGE_SHIFT)
    return Walk(
        linear=linear,
        guest=guest.steps,
        guest_physical=_address(guest.guest_frame, linear),
        processor=processor.steps,
        host_physical=_address(processor.frame, linear),
        nested=nested is not None,
        shadowed=guest is not processor,
        paging=bool(seen.control[0] & CR0_PG),
        remembered=entry is not None and entry.frame == processor.frame,
    )


def shared_tables(seen: CpuView, held: CpuView) -> bool:
    """Whether the processor walks the guest's own tables: on the bare machine, and under Xen."""
    return bool(seen.control[0] & held.control[0] & CR0_PG) and seen.control[3] == held.control[3]


def tables_of(view: CpuView, memory: Reader, pc: Pc) -> Tables | None:
    """Where a walk begins by the control registers of a view; None with paging off."""
    cr0, _, _, cr3, cr4 = view.control
    if not cr0 & CR0_PG:
        return None
    pointers = (read_pointers(memory, cr3) or ()) if cr4 & CR4_PAE else ()
    return Tables(cr3, bool(cr4 & CR4_PSE), pointers, pc.mmu.pse36)


def references(steps: tuple[WalkStep, ...]) -> tuple[int, int]:
    """How many entries of the guest's tables, and how many nested ones, a walk reads."""
    own = sum(1 for step in steps if step.table == GUEST)
    return own, len(steps) - own


def _address(frame: int | None, linear: int) -> int | None:
    return None if frame is None else frame << PAGE_SHIFT | linear & PAGE_MASK
