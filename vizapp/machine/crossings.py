"""Changes of ring between compiled blocks: INT n and IRETD as one function each, for one place in the code.

Where such an instruction was executed the long way, and ``Passages`` remembers what came of it, a crossing is
made that takes for known whatever follows from the instruction's address, the segments and the place: it is
kept by the ``View`` that stands for these.

    block ──▶ INT ──crossing──▶ View of the handler ──▶ block      the common case
              INT ──anything else than then──▶ the long way        which makes the crossing

A crossing does what ``interrupts.enter`` or ``transfers.iret`` does, charges and event included, or nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from vizapp.isa import registers as r
from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT
from vizapp.isa.instruction import Immediate
from vizapp.machine import events
from vizapp.machine.events import make_event
from vizapp.machine.fast_maps import NO_RING
from vizapp.machine.flags import EFLAGS_SYSTEM
from vizapp.machine.interrupts import SOFTWARE_CAUSES
from vizapp.machine.passages import FRAME_BYTES, MISS, entry_key, load32, load_frame, store_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.isa.instruction import Instruction
    from vizapp.machine.events import Payload
    from vizapp.machine.hardware import Hardware
    from vizapp.machine.linked_blocks import View
    from vizapp.machine.passages import Entry, Return

    Arrival: TypeAlias = "Callable[[Payload], View]"
    # Does the instruction and is at the other end; None, and nothing done, where the long way has to look.
    Crossing: TypeAlias = "Callable[[], View | None]"
    # By the selectors of CS and SS on the stack, as in ``Passages.returns``.
    Ways: TypeAlias = "dict[int, tuple[Return, Arrival]]"

_MOST_WAYS: Final = 64  # back from one IRETD
_TRAPPING: Final = r.EFLAGS_TF | r.EFLAGS_VM
_RETURNED: Final = r.EFLAGS_TF | r.EFLAGS_DF | r.EFLAGS_NT | r.EFLAGS_AC | r.EFLAGS_ID
_OF_RING_0: Final = r.EFLAGS_IF | r.EFLAGS_IOPL | r.EFLAGS_VIF | r.EFLAGS_VIP
_DATA: Final = (r.ES, r.DS, r.FS, r.GS)


class Crossings:
    """Makes those of one PC."""

    def __init__(self, pc: Hardware) -> None:
        self._pc = pc

    def learn(self, view: View, eip: int, instruction: Instruction) -> None:
        """The processor has executed INT n or IRETD at ``eip`` under ``view``, and is where that led to."""
        cpu = self._pc.cpu
        passages = cpu.passages
        stack, code = cpu.segments[r.SS], cpu.segments[r.CS]
        if passages is None or cpu.guest_mode is not None or cpu.cpl == view.ring:
            return
        if instruction.opcode.operation == "iret":
            key = code.selector | stack.selector << 16
            way = passages.returns.get(key)
            if way is not None and way.code is code and way.stack is stack:
                self._learn_return(view, eip, key, way)
            return
        operand = instruction.operands[0]
        assert isinstance(operand, Immediate)
        entry = passages.entries.get(entry_key(operand.value, view.ring, software=True, error=False))
        known = view.entered.get(eip) is entry
        if entry is not None and not known and entry.code is code and entry.stack is stack:
            view.entered[eip] = entry
            view.crossings[eip] = self._entering(view, eip, operand.value, instruction.length, entry)

    def _learn_return(self, view: View, eip: int, key: int, way: Return) -> None:
        cpl, registers = self._pc.cpu.cpl, view.registers
        if registers[r.SS].stack_mask != M32 or any(registers[index].outermost < cpl for index in _DATA):
            return
        ways = view.returns.setdefault(eip, {})
        if key not in ways or ways[key][0] is not way:
            if len(ways) >= _MOST_WAYS:
                ways.clear()
            ways[key] = way, self._arriving(view, "iret_outer", events.RETURNED, "iret")
            view.crossings[eip] = self._returning(view, ways)

    def _entering(self, view: View, eip: int, vector: int, length: int, entry: Entry) -> Crossing:
        """INT ``vector`` at ``eip``, of ``length`` bytes."""
        cpu, mmu = self._pc.cpu, self._pc.mmu
        readable, writable = mmu.readable[NO_RING], mmu.writable[NO_RING]
        idtr, gdtr, ldtr, tr, pieces, stack_page, stack_offset, stack, code, cpl, offset, kept = entry
        base, top = stack.base, stack.writable_to
        selector, old_ss, ring = view.code.selector, view.registers[r.SS].selector, view.ring
        after, payload = eip + length & M32, {"vector": vector, "address": eip}
        ring_readable, ring_writable = mmu.readable[cpl], mmu.writable[cpl]
        arrive = self._arriving(
            view, "software_interrupt", events.SOFTWARE_INTERRUPT_DELIVERED, SOFTWARE_CAUSES[vector]
        )

        def enter() -> View | None:
            flags = cpu.system_flags
            if (
                idtr is not cpu.idtr
                or gdtr is not cpu.gdtr
                or ldtr is not cpu.ldtr
                or tr is not cpu.tr
                or flags & r.EFLAGS_VM
                or not cpu.cr0 & r.CR0_PE
                or (ring and cpu.cr4 & r.CR4_VIRTUALIZABLE)
                or cpu.guest_mode is not None
            ):
                return None
            try:
                for page, start, end, raw in pieces:
                    if readable[page][start:end] != raw:
                        return None
                esp: int = load32(readable[stack_page], stack_offset)[0]
                if esp < FRAME_BYTES or esp - 1 > top:
                    return None
                esp -= FRAME_BYTES
                linear = base + esp & M32
                arithmetic = cpu.flag_kind.bits(cpu.flag_result, cpu.flag_x, cpu.flag_y)
                store_frame(
                    writable[linear >> PAGE_SHIFT],
                    linear & PAGE_MASK,
                    after,
                    selector,
                    flags | arithmetic,
                    cpu.esp,
                    old_ss,
                )
            except MISS:
                return None
            cpu.system_flags = flags & kept
            cpu.eip = offset
            cpu.esp = esp
            segments = cpu.segments
            segments[r.SS], segments[r.CS] = stack, code
            cpu.stack_mask = M32
            cpu.cpl = mmu.ring = cpl
            cpu.readable, cpu.writable = ring_readable, ring_writable
            return arrive(payload)

        return enter

    def _returning(self, view: View, ways: Ways) -> Crossing:
        """An IRETD that goes one of ``ways``."""
        cpu, mmu, board = self._pc.cpu, self._pc.mmu, self._pc.board
        readable, ring = mmu.readable[NO_RING], view.ring
        base, top = view.registers[r.SS].base, view.registers[r.SS].readable_to
        changed_here = _RETURNED if ring else _RETURNED | _OF_RING_0

        def leave() -> View | None:
            system_flags, esp = cpu.system_flags, cpu.esp
            if (
                system_flags & (r.EFLAGS_NT | r.EFLAGS_VM)
                or not cpu.cr0 & r.CR0_PE
                or (ring and cpu.cr4 & r.CR4_VIRTUALIZABLE)
                or cpu.guest_mode is not None
                or cpu.nmi_pending
                or board.interrupts.intr
                or esp + FRAME_BYTES - 1 > top
            ):
                return None
            linear = base + esp & M32
            try:
                eip, selector, flags, esp, ss = load_frame(
                    cpu.readable[linear >> PAGE_SHIFT], linear & PAGE_MASK
                )
                (gdtr, ldtr, _, pieces, stack, code), arrive = ways[selector & 0xFFFF | (ss & 0xFFFF) << 16]
                if (
                    gdtr is not cpu.gdtr
                    or ldtr is not cpu.ldtr
                    or flags & _TRAPPING
                    or (flags & r.EFLAGS_AC and cpu.cr0 & r.CR0_AM)
                    or eip > code.limit
                ):
                    return None
                for page, start, end, raw in pieces:
                    if readable[page][start:end] != raw:
                        return None
            except MISS:
                return None
            cpu.nmi_blocked = False
            changed = changed_here
            if ring and ring <= system_flags >> r.IOPL_SHIFT & 3:
                changed |= r.EFLAGS_IF
            cpu.system_flags = (system_flags & ~changed | flags & changed) & EFLAGS_SYSTEM | r.EFLAGS_FIXED
            cpu.set_arithmetic(flags)
            cpu.eip = eip
            cpu.esp = esp
            segments = cpu.segments
            segments[r.SS], segments[r.CS] = stack, code
            cpu.stack_mask = M32
            cpu.cpl = mmu.ring = cpl = code.selector & 3
            cpu.readable, cpu.writable = mmu.readable[cpl], mmu.writable[cpl]
            return arrive({"selector": code.selector, "address": eip})

        return leave

    def _arriving(self, view: View, name: str, kind: str, cause: str) -> Arrival:
        """What is left to do with the processor's registers changed: the memory's view, charges and event.

        It leads to where the processor is now, if the monitor does not say otherwise then.
        """
        pc = self._pc
        cpu, mmu, meter, code, blocks = pc.cpu, pc.mmu, pc.meter, pc.code, pc.blocks
        target, hot, place_of = blocks.view(cpu), code.hot, pc.place_of
        target_place, ceiling, cpl, ceilings = target.place, target.ceiling, target.ring, mmu.ceilings
        index, row = meter.account(view.place, name)
        price, alone = meter.prices[index], ((name, 1),)

        def arrive(payload: Payload) -> View:
            row[index] += 1
            meter.cycles += price
            code.hot = hot
            here, place = meter.place, place_of(cpu)
            if place is target_place:
                if place is not here:
                    meter.enter(place)
                if ceilings[cpl] != ceiling:
                    mmu.set_ceiling(cpl, ceiling)
                found = target
            else:
                if place != here:
                    meter.enter(place)
                found = blocks.view(cpu)
            pending, listener = meter.pending, pc.listener
            if listener is not None:
                if pending:
                    pending[name] = pending.get(name, 0) + 1
                charges = meter.take_charges() if pending else alone
                listener(
                    make_event((
                        pc.position, meter.cycles, kind, here, meter.place, cause, payload, charges
                    ))
                )  # fmt: skip
            elif pending:
                pending.clear()
            return found

        return arrive
