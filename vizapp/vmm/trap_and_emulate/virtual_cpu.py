"""The virtual CPU: what the guest believes its processor to be, taken off the real one and put back on it.

While the guest runs, the processor holds most of the virtual CPU's state: the general registers, EIP and the
arithmetic flags as they are, the segment registers deprivileged. ``capture`` reads it out of the trap frame,
``commit`` writes it there again. Everything else never reaches the processor: IF and IOPL, the control
registers, the descriptor-table registers, LDTR and TR.

A segment register is put into the processor in one of two ways. If the shadow of the guest's table holds, at
the guest's own selector, just the descriptor that the register has in its hidden part, the selector itself is
loaded. Otherwise (the guest has changed or unloaded the table since) the descriptor goes to a slot that the
monitor keeps for that register, and the guest, if it looks with an instruction that does not trap, finds that
slot's selector.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SIZE, Linear
from vizapp.isa.descriptors import (
    DESCRIPTOR_BYTES,
    SELECTOR_LDT,
    SELECTOR_RPL,
    TYPE_ACCESSED,
    is_null,
    pack,
    to_bytes,
    unpack,
)
from vizapp.isa.registers import (
    CS,
    EFLAGS_IF,
    EFLAGS_IOPL,
    EFLAGS_RF,
    EFLAGS_VM,
    FS,
    GS,
    SS,
)
from vizapp.machine.cpu import Cpu
from vizapp.machine.cpu_state import load_cpu, save_cpu
from vizapp.machine.faults import Fault
from vizapp.machine.segments import SegmentState, TableRegister, state_of
from vizapp.machine.virtual_interrupts import is_pending
from vizapp.vmm import deprivilege, stubs
from vizapp.vmm.host_tables import FIRST_RESERVED, GDT, LDT
from vizapp.vmm.processor_view import set_general

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.guest_mmu import GuestMmu
    from vizapp.vmm.host_tables import HostTables
    from vizapp.vmm.trap_frame import TrapFrame

FIRST_SLOT: Final = FIRST_RESERVED + 16  # the monitor's descriptors for ES CS SS DS FS GS
TOP_ENTRIES: Final = 8192
# What the guest has only on its virtual CPU; while it runs the processor has IF = 1, IOPL = 0. VIF and VIP
# are the guest's in both: the processor's CR4 has neither VME nor PVI, so nothing but PUSHFD knows of them.
VIRTUAL_FLAGS: Final = EFLAGS_IF | EFLAGS_IOPL | EFLAGS_VM


class VirtualCpu:
    """One virtual CPU and its descriptor-table shadows.

    Attributes:
        cpu: the machine's processor class on the guest's memory and the guest's ports.
        selectors: ES CS SS DS FS GS as last put into the processor.
        reload: FS and GS of the processor are another guest's.
    """

    def __init__(
        self,
        cpu: Cpu,
        mmu: GuestMmu,
        memory: PhysicalMemory,
        tables: HostTables,
        charge: Callable[[str, int], None],
    ) -> None:
        self.cpu = cpu
        self._mmu = mmu
        self._tables = tables
        self._charge = charge
        top = tables.base
        self.gdt = deprivilege.DescriptorShadow(memory, tables.physical(GDT), FIRST_RESERVED, top)
        self.ldt = deprivilege.DescriptorShadow(memory, tables.physical(LDT), TOP_ENTRIES, top)
        self.selectors: tuple[int, ...] = (0,) * 6
        self._descriptors: tuple[bytes, ...] = (b"",) * 6
        self.reload = False
        self._shadowed_at = -1  # eip behind an instruction that holds interrupts off for one more

    def capture(self, frame: TrapFrame) -> None:
        """Take the guest's state out of the frame of a trap that came from the guest."""
        cpu = self.cpu
        saved = frame.read()
        set_general(cpu, saved.general)
        cpu.eip = saved.eip
        # RF in the frame was set by the delivery of a fault, not by the guest.
        cpu.eflags = saved.eflags & ~(VIRTUAL_FLAGS | EFLAGS_RF) | cpu.eflags & VIRTUAL_FLAGS
        self._propagate_accessed()
        held = saved.selectors
        if held != self.selectors:
            self._reload(held)
        cpu.shadow = cpu.eip == self._shadowed_at
        cpu.halted = cpu.single_step = False

    def _reload(self, held: tuple[int, ...]) -> None:
        """Follow the guest in what it has loaded into segment registers by itself."""
        cpu = self.cpu
        if held[CS] != self.selectors[CS]:
            real = held[CS] & SELECTOR_RPL
            # Virtual rings 0 and 1 share a ring; the guest cannot move between them without a trap.
            cpl = real if real > 1 else min(cpu.cpl, 1)
            cpu.set_code_segment(self.loaded(held[CS] & ~SELECTOR_RPL | cpl), cpl)
        for index, selector in enumerate(held):
            if index != CS and selector != self.selectors[index]:
                if index == SS:
                    selector = selector & ~SELECTOR_RPL | cpu.cpl
                cpu.set_segment(index, self.loaded(selector))

    def commit(self, frame: TrapFrame) -> int:
        """Put the guest's state into the frame; the exit of ``stubs`` that it needs."""
        cpu = self.cpu
        self.refresh()
        placed = [self._place(index, state) for index, state in enumerate(cpu.segments)]
        selectors = tuple(selector for selector, _ in placed)
        descriptors = tuple(descriptor for _, descriptor in placed)
        saved = frame.read()
        held = saved.selectors
        reload = self.reload or any(
            selectors[index] != held[index] or descriptors[index] != self._descriptors[index]
            for index in (FS, GS)
        )
        es, cs, ss, ds, fs, gs = selectors
        frame.write(
            saved._replace(
                eax=cpu.eax, ecx=cpu.ecx, edx=cpu.edx, ebx=cpu.ebx, ebp=cpu.ebp, esi=cpu.esi, edi=cpu.edi,
                eip=cpu.eip, esp=cpu.esp, eflags=cpu.eflags & ~VIRTUAL_FLAGS | EFLAGS_IF,
                es=es, cs=cs, ss=ss, ds=ds, fs=fs, gs=gs,
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

    @property
    def reachable(self) -> bool:
        """Whether IRET can go to EIP: it lies within what the processor has of the guest's code segment.

        Nor can it go to where a virtual interrupt is due, which only the guest's CR4 makes a fault.
        """
        cpu = self.cpu
        return cpu.eip <= _deprivileged(cpu.segments[CS], self._tables.base).limit and not is_pending(cpu)

    def refresh(self) -> None:
        """Bring the shadows of the guest's descriptor tables in step with its memory."""
        self._refresh(self.gdt, self.cpu.gdtr)
        ldtr = self.cpu.ldtr
        self._refresh(self.ldt, TableRegister(ldtr.base, ldtr.limit) if ldtr.usable else TableRegister(0, -1))

    def physical_descriptor(self, selector: int) -> bytes:
        """The eight bytes that the processor finds at a selector."""
        if selector & SELECTOR_LDT:
            return self.ldt.entry(selector >> 3) or bytes(DESCRIPTOR_BYTES)
        return self._tables.raw_descriptor(selector >> 3)

    def save(self) -> Any:
        """Everything outside machine memory, as plain data."""
        return (
            save_cpu(self.cpu),
            self.gdt.save(),
            self.ldt.save(),
            self.selectors,
            self._descriptors,
            self._shadowed_at,
            self.reload,
        )

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        state, gdt, ldt, self.selectors, self._descriptors, self._shadowed_at, self.reload = saved
        load_cpu(self.cpu, state)
        self.gdt.load(gdt)
        self.ldt.load(ldt)

    def loaded(self, selector: int) -> SegmentState:
        """What the guest has after loading a selector by itself: what its shadow was made from."""
        if is_null(selector):
            return SegmentState(selector)
        table = self.ldt if selector & SELECTOR_LDT else self.gdt
        raw = table.source(selector >> 3)
        if raw is None:  # it found one of the monitor's slots, which no limit keeps it from
            raw = self.physical_descriptor(selector)
        low, high = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little")
        return state_of(selector, unpack(low, high))

    def shadowed(self, selector: int) -> bytes | None:
        """The shadow of the guest's descriptor at a selector; None where its table has none."""
        table = self.ldt if selector & SELECTOR_LDT else self.gdt
        return None if is_null(selector) else table.entry(selector >> 3)

    def held_descriptor(self, state: SegmentState) -> bytes:
        """The eight bytes with which the processor holds the hidden part of a segment register."""
        return _deprivileged(state, self._tables.base).raw

    def _place(self, index: int, state: SegmentState) -> tuple[int, bytes]:
        """(selector, descriptor) with which the processor holds a segment register of the guest."""
        if not state.usable:
            return state.selector, b""
        wanted = _deprivileged(state, self._tables.base).raw
        selector = state.selector
        if index in (CS, SS):
            selector = deprivilege.selector(selector, self.cpu.cpl)
        if self.shadowed(selector) == wanted:
            return selector, wanted
        slot = FIRST_SLOT + index
        if wanted != self._descriptors[index]:
            self._charge("mon_memory_reference", 2)
        self._tables.set_raw_descriptor(slot, wanted)
        return slot << 3 | selector & SELECTOR_RPL, wanted

    def _refresh(self, shadow: deprivilege.DescriptorShadow, table: TableRegister) -> None:
        count = min(table.limit + 1, TOP_ENTRIES * DESCRIPTOR_BYTES) & ~(DESCRIPTOR_BYTES - 1)
        written = shadow.refresh(self._peek(table.base, count))
        self._charge("mon_memory_reference", 2 * written)

    def _peek(self, linear: int, count: int) -> bytes:
        """Guest memory read by the monitor for itself: zeros where nothing is mapped."""
        parts: list[bytes] = []
        while count > 0:
            length = min(count, PAGE_SIZE - (linear & PAGE_MASK))
            at = self._mmu.probe(linear & M32)
            parts.append(bytes(length) if at is None else self._mmu.memory.dump(at, length))
            linear, count = linear + length, count - length
        return b"".join(parts)

    def _propagate_accessed(self) -> None:
        """Set the accessed bits in the guest's tables that the processor has set in their shadows."""
        for shadow, base in ((self.gdt, self.cpu.gdtr.base), (self.ldt, self.cpu.ldtr.base)):
            for index in shadow.accessed():
                address = base + index * DESCRIPTOR_BYTES + 5 & M32
                try:
                    rights = self._mmu.read(address, 1, False)
                    self._mmu.write(address, 1, rights | TYPE_ACCESSED, False)
                except Fault:
                    continue  # the guest has unmapped its table: there is nothing to mark
                shadow.note_accessed(index)


class _Held(NamedTuple):
    """A descriptor as the processor holds it: its eight bytes and its limit."""

    raw: bytes
    limit: int


@lru_cache
def _deprivileged(state: SegmentState, top: Linear) -> _Held:
    """What becomes of a segment register's hidden part."""
    descriptor = deprivilege.segment(state.descriptor, top)
    return _Held(to_bytes(pack(descriptor)), descriptor.limit)
