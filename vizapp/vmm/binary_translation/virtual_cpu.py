"""The virtual CPU of a translating monitor: on the processor for applications, in the cache for a kernel.

In direct execution the processor holds it as under trap-and-emulate. In the translation cache CS and GS are
the monitor's and EIP is the cache's; the virtual IF is in the monitor segment, and the spot of the cache's
instruction says what else is not in its register.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SIZE
from vizapp.isa.descriptors import AR_P, DESCRIPTOR_BYTES, SELECTOR_RPL, TYPE_EXPAND_DOWN, unpack
from vizapp.isa.registers import (
    CR0_PE,
    CS,
    EFLAGS_IF,
    EFLAGS_RF,
    EFLAGS_VM,
    FS,
    GS,
    SS,
)
from vizapp.machine.segments import TableRegister, load_paragraphs
from vizapp.vmm import deprivilege, stubs
from vizapp.vmm.binary_translation.cache import Key
from vizapp.vmm.binary_translation.engine import Choice, choose
from vizapp.vmm.binary_translation.layout import CODE_SELECTOR, DOOR_VECTOR, SEGMENT_SELECTOR
from vizapp.vmm.binary_translation.sequences import DOOR
from vizapp.vmm.binary_translation.spots import Spot
from vizapp.vmm.binary_translation.traced_gates import MOST_GATES, TracedGates
from vizapp.vmm.binary_translation.translator import size_of
from vizapp.vmm.processor_view import set_general
from vizapp.vmm.trap_and_emulate.virtual_cpu import FIRST_SLOT, VIRTUAL_FLAGS, VirtualCpu

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vizapp.machine.cpu import Cpu
    from vizapp.machine.segments import SegmentState
    from vizapp.vmm.binary_translation.cache import TranslationCache
    from vizapp.vmm.binary_translation.monitor_segment import MonitorSegment
    from vizapp.vmm.guest_mmu import GuestMmu
    from vizapp.vmm.trap_frame import SavedRegisters, TrapFrame

_NO_TABLE: Final = TableRegister(0, -1)


class TranslatedCpu(VirtualCpu):
    """One virtual CPU.

    Attributes:
        cache: its translations; ``segment`` is what they see of it.
        spot: where in the cache the last trap came from; None: it came from direct execution.
        unit: the unit that was run last.
        stale: the guest may have changed descriptors since their shadows were made.
        rewritten: shadows have changed since somebody last looked.
        on_tables: told where the guest's descriptor tables lie, as (guest-physical address, count), whenever
            their shadows have been made anew: from now on what is written there has to set ``stale``.
        gates: the copy of the guest's IDT, which is one of those tables.
    """

    cache: TranslationCache
    segment: MonitorSegment
    on_tables: Callable[[tuple[tuple[int, int], ...]], None]
    spot: Spot | None = None
    unit: int = -1
    stale: bool = True
    rewritten: bool = False
    _shadowed_tables: tuple[TableRegister, ...] = ()

    def __init__(self, cpu: Cpu, mmu: GuestMmu, *others: Any) -> None:
        super().__init__(cpu, mmu, *others)
        self.gates = TracedGates(mmu, self._charge)
        cpu.implicit = self.gates

    @property
    def choice(self) -> Choice:
        """How the guest goes on, and why."""
        return choose(self.cpu, lambda: self.reversible)

    @property
    def reversible(self) -> bool:
        """Whether every segment register has what its selector would load again."""
        self.refresh()
        for index, state in enumerate(self.cpu.segments):
            if not state.usable:
                continue
            selector = state.selector
            if index in (CS, SS):
                selector = deprivilege.selector(selector, self.cpu.cpl)
            if self.shadowed(selector) != self.held_descriptor(state):
                return False
        return True

    def is_flat(self, selector: int) -> bool:
        """Whether the processor finds a descriptor of all the guest's linear space there, to be written."""
        raw = self.shadowed(selector)
        if raw is None:
            return False
        found = unpack(int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little"))
        upward = found.is_data and not found.type & TYPE_EXPAND_DOWN
        whole = found.base == 0 and found.limit == self._tables.base - 1
        return bool(upward and whole and found.is_writable and found.access & AR_P)

    @property
    def key(self) -> Key:
        """What the translation of the next instruction goes by."""
        code, stack = self.cpu.segments[CS], self.cpu.segments[SS]
        return Key(self.cpu.eip, code.base, code.limit, size_of(code), size_of(stack))

    def capture(self, frame: TrapFrame) -> None:
        """Take the guest's state out of the frame of a trap, from the cache or from direct execution."""
        saved = frame.read()
        if saved.eflags & EFLAGS_VM:
            self.spot, self.unit = None, -1
            self._capture_virtual_8086(saved)
            return
        if saved.cs != CODE_SELECTOR:
            self.spot, self.unit = None, -1
            super().capture(frame)
            return
        cpu = self.cpu
        spot = self.spot_of(saved.eip, saved.entry_vector)
        set_general(cpu, saved.general)
        cpu.eflags = saved.eflags & ~(VIRTUAL_FLAGS | EFLAGS_RF) | cpu.eflags & VIRTUAL_FLAGS
        self.segment.restore(cpu, spot)
        self._propagate_accessed()
        cpu.shadow = spot.shadow or cpu.eip == self._shadowed_at
        cpu.halted = cpu.single_step = False
        self.spot, self.unit = spot, spot.unit

    def _capture_virtual_8086(self, saved: SavedRegisters) -> None:
        """The same out of virtual-8086 mode, where a segment register is its selector."""
        cpu = self.cpu
        set_general(cpu, saved.general)
        cpu.eip = saved.eip
        cpu.eflags = saved.eflags & ~(VIRTUAL_FLAGS | EFLAGS_RF) | cpu.eflags & VIRTUAL_FLAGS
        load_paragraphs(cpu, saved.selectors, 3)
        cpu.shadow = cpu.eip == self._shadowed_at
        cpu.halted = cpu.single_step = False

    def commit_virtual_8086(self, frame: TrapFrame) -> int:
        """Put the guest's state into the frame, to go on in virtual-8086 mode; the exit to take."""
        cpu = self.cpu
        es, cs, ss, ds, fs, gs = (state.selector for state in cpu.segments)
        frame.write(
            frame.read()._replace(
                eax=cpu.eax, ecx=cpu.ecx, edx=cpu.edx, ebx=cpu.ebx, ebp=cpu.ebp, esi=cpu.esi, edi=cpu.edi,
                eip=cpu.eip, esp=cpu.esp, eflags=cpu.eflags & ~VIRTUAL_FLAGS | EFLAGS_IF | EFLAGS_VM,
                es=es, cs=cs, ss=ss, ds=ds, fs=fs, gs=gs,
            )
        )  # fmt: skip
        self.reload = True  # whoever goes on elsewhere finds FS and GS empty
        self._shadowed_at = cpu.eip if cpu.shadow else -1
        return stubs.NESTED_EXIT

    def spot_of(self, eip: int, vector: int) -> Spot:
        """The spot at which a trap has left ``eip``: the door's instruction is behind it, others before."""
        offset = eip - self.cache.base
        return self.cache.spots[offset - len(DOOR) if vector == DOOR_VECTOR else offset]

    def commit_translated(self, frame: TrapFrame, offset: int, *, pending: bool) -> int:
        """Put the guest's state into the frame, to go on in the cache; the exit of ``stubs`` to take."""
        cpu = self.cpu
        self.refresh()
        self.segment.show(cpu, pending=pending)
        placed = [
            (SEGMENT_SELECTOR, b"") if index == GS else self._hold(index, state)
            for index, state in enumerate(cpu.segments)
        ]
        selectors = tuple(selector for selector, _ in placed)
        descriptors = tuple(descriptor for _, descriptor in placed)
        saved: SavedRegisters = frame.read()
        reload = (
            self.reload
            or saved.gs != SEGMENT_SELECTOR
            or saved.fs != selectors[FS]
            or descriptors[FS] != self._descriptors[FS]
        )
        es, _, ss, ds, fs, gs = selectors
        frame.write(
            saved._replace(
                eax=cpu.eax, ecx=cpu.ecx, edx=cpu.edx, ebx=cpu.ebx, ebp=cpu.ebp, esi=cpu.esi, edi=cpu.edi,
                eip=self.cache.base + offset, esp=cpu.esp, eflags=cpu.eflags & ~VIRTUAL_FLAGS | EFLAGS_IF,
                es=es, cs=CODE_SELECTOR, ss=ss, ds=ds, fs=fs, gs=gs,
            )
        )  # fmt: skip
        self.reload = False
        self.selectors, self._descriptors = selectors, descriptors
        self._shadowed_at = cpu.eip if cpu.shadow else -1
        if not cpu.segments[SS].big:
            self._charge("mon_memory_reference", 4)
            self._tables.set_exit_stack(cpu.esp)
            return stubs.EXIT_16
        return stubs.EXIT_ALL if reload else stubs.EXIT

    def refresh(self) -> None:
        """Bring the shadows of the guest's descriptor tables in step, if there is any reason to.

        In real mode they have nothing.
        """
        cpu = self.cpu
        tables = (_NO_TABLE, _NO_TABLE, _NO_TABLE)
        if cpu.cr0 & CR0_PE:
            local = TableRegister(cpu.ldtr.base, cpu.ldtr.limit) if cpu.ldtr.usable else _NO_TABLE
            count = min(cpu.idtr.limit + 1, MOST_GATES * DESCRIPTOR_BYTES) & -DESCRIPTOR_BYTES
            tables = (cpu.gdtr, local, TableRegister(cpu.idtr.base, count - 1))
        if tables == self._shadowed_tables and not self.stale:
            return
        before = self.gdt.save(), self.ldt.save()
        for shadow, table in zip((self.gdt, self.ldt), tables, strict=False):
            self._refresh(shadow, table)
        gates = tables[2]
        self.gates.refresh(gates, self._peek(gates.base, gates.limit + 1))
        self.rewritten = self.rewritten or before != (self.gdt.save(), self.ldt.save())
        pieces = [piece for table in tables for piece in self._pieces(table)]
        # A table in pages that are not mapped yet says nothing when they are: look again each time.
        self.stale = None in pieces
        self._shadowed_tables = tables
        self.on_tables(tuple(piece for piece in pieces if piece is not None))

    def _pieces(self, table: TableRegister) -> Iterator[tuple[int, int] | None]:
        """Where a table lies in guest-physical memory, page by page; None of a page that is not there."""
        linear, count = table.base, table.limit + 1
        while count > 0:
            length = min(count, PAGE_SIZE - (linear & PAGE_MASK))
            at = self._mmu.probe(linear & M32)
            yield None if at is None else (int(at), length)
            linear, count = linear + length, count - length

    def _hold(self, index: int, state: SegmentState) -> tuple[int, bytes]:
        """(selector, descriptor) with which the cache has a segment register.

        As ``_place``, but what real mode has left in a register is no selector, and its low bits no RPL: one
        that the processor would refuse is not kept. No instruction of the cache reads it.
        """
        if not state.usable:
            return 0, b""
        wanted = self.held_descriptor(state)
        selector = state.selector
        ring = 1 if index == SS or selector & SELECTOR_RPL > state.dpl else selector & SELECTOR_RPL
        if self.cpu.cr0 & CR0_PE and self.shadowed(selector) == wanted:
            return selector & ~SELECTOR_RPL | ring, wanted
        if wanted != self._descriptors[index]:
            self._charge("mon_memory_reference", 2)
        slot = FIRST_SLOT + index
        self._tables.set_raw_descriptor(slot, wanted)
        return slot << 3 | ring, wanted

    def save(self) -> Any:
        """Everything outside machine memory, as plain data."""
        return (
            super().save(), self.spot, self.unit, self.segment.save(), self.cache.save(),
            (self.stale, self.rewritten, self._shadowed_tables), self.gates.save(),
        )  # fmt: skip

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        state, self.spot, self.unit, segment, cache, shadows, gates = saved
        self.stale, self.rewritten, self._shadowed_tables = shadows
        super().load(state)
        self.segment.load(segment)
        self.cache.load(cache)
        self.gates.load(gates)
