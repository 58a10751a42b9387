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

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT
from vizapp.isa.instruction import Immediate
from vizapp.isa.registers import (
    CR0_AM,
    CR0_PE,
    CR4_VIRTUALIZABLE,
    CS,
    DS,
    EFLAGS_AC,
    EFLAGS_DF,
    EFLAGS_ID,
    EFLAGS_IF,
    EFLAGS_IOPL,
    EFLAGS_NT,
    EFLAGS_TF,
    EFLAGS_VIF,
    EFLAGS_VIP,
    EFLAGS_VM,
    ES,
    FS,
    GS,
    IOPL_SHIFT,
    SS,
)
from vizapp.machine import events
from vizapp.machine.events import make_event
from vizapp.machine.fast_maps import NO_RING
from vizapp.machine.flags import EFLAGS_SYSTEM
from vizapp.machine.interrupts import SOFTWARE_CAUSES
from vizapp.machine.passages import FRAME_BYTES, MISS, entry_key, load_frame, load_stack, store_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.isa.instruction import Instruction
    from vizapp.machine.events import Payload
    from vizapp.machine.hardware import Hardware
    from vizapp.machine.linked_blocks import View
    from vizapp.machine.passages import Entry, Piece, Return
    from vizapp.machine.segments import SegmentState, TableRegister

    Arrival: TypeAlias = Callable[[Payload], View]
    # Does the instruction and is at the other end; None, and nothing done, where the long way has to look.
    Crossing: TypeAlias = Callable[[], View | None]
    # The passage, its parts that are looked at, and by EIP the details of the events that have told of it.
    Way: TypeAlias = tuple[
        Return, TableRegister, SegmentState, int, tuple[Piece, ...], Arrival, dict[int, Payload]
    ]
    # By the selectors of CS and SS on the stack, as in ``Passages.returns``.
    Ways: TypeAlias = dict[int, Way]

_MOST_WAYS: Final = 64  # back from one IRETD
_MOST_PAYLOADS: Final = 64  # of one way
# With VIP there may be a virtual interrupt at the other end.
_NOT_PLAIN: Final = EFLAGS_NT | EFLAGS_VM | EFLAGS_VIP
_TRAPPING: Final = EFLAGS_TF | EFLAGS_VM | EFLAGS_VIP
_RETURNED: Final = EFLAGS_TF | EFLAGS_DF | EFLAGS_NT | EFLAGS_AC | EFLAGS_ID
_OF_RING_0: Final = EFLAGS_IF | EFLAGS_IOPL | EFLAGS_VIF | EFLAGS_VIP
_DATA: Final = (ES, DS, FS, GS)


class Crossings:
    """Makes those of one PC."""

    def __init__(self, pc: Hardware) -> None:
        self._pc = pc

    def learn(self, view: View, eip: int, instruction: Instruction) -> None:
        """The processor has executed INT n or IRETD at ``eip`` under ``view``, and is where that led to."""
        cpu = self._pc.cpu
        passages = cpu.passages
        stack, code = cpu.segments[SS], cpu.segments[CS]
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
        if registers[SS].stack_mask != M32 or any(registers[index].outermost < cpl for index in _DATA):
            return
        ways = view.returns.setdefault(eip, {})
        if key not in ways or ways[key][0] is not way:
            if len(ways) >= _MOST_WAYS:
                ways.clear()
            arrive = self._arriving(view, "iret_outer", events.RETURNED, "iret")
            ways[key] = way, way.gdtr, way.ldtr, way.code.limit, way.pieces, arrive, {}
            view.crossings[eip] = self._returning(view, ways)

    def _entering(self, view: View, eip: int, vector: int, length: int, entry: Entry) -> Crossing:
        """INT ``vector`` at ``eip``, of ``length`` bytes. What leads inwards is not in real mode."""
        cpu, mmu = self._pc.cpu, self._pc.mmu
        readable, writable = mmu.readable[NO_RING], mmu.writable[NO_RING]
        idtr, gdtr, ldtr, tr, pieces, stack_page, stack_offset, stack, _, _, offset, kept = entry
        # The gate, and most often a code segment that the stack's is beside.
        (page, start, end, raw), *rest = pieces
        base, top, stack_selector = stack.base, stack.writable_to, stack.selector
        selector, old_ss = view.code.selector, view.registers[SS].selector
        after, payload = eip + length & M32, {"vector": vector, "address": eip}
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
                or flags & EFLAGS_VM
                or cpu.cr4 & CR4_VIRTUALIZABLE
                or cpu.guest_mode is not None
            ):
                return None
            try:
                if readable[page][start:end] != raw:
                    return None
                for other, first, last, those in rest:
                    if readable[other][first:last] != those:
                        return None
                esp, ss = load_stack(readable[stack_page], stack_offset)
                if ss != stack_selector or esp < FRAME_BYTES or esp - 1 > top:
                    return None
                esp -= FRAME_BYTES
                linear = base + esp & M32
                store_frame(
                    writable[linear >> PAGE_SHIFT],
                    linear & PAGE_MASK,
                    after,
                    selector,
                    flags | cpu.flag_kind.bits(cpu.flag_result, cpu.flag_x, cpu.flag_y),
                    cpu.esp,
                    old_ss,
                )
            except MISS:
                return None
            cpu.system_flags = flags & kept
            cpu.eip = offset
            cpu.esp = esp
            return arrive(payload)

        return enter

    def _returning(self, view: View, ways: Ways) -> Crossing:
        """An IRETD that goes one of ``ways``. In real mode CS would be another than that of ``view``."""
        cpu, mmu, board = self._pc.cpu, self._pc.mmu, self._pc.board
        readable, ring, interrupts = mmu.readable[NO_RING], view.ring, board.interrupts
        base, top = view.registers[SS].base, view.registers[SS].readable_to - FRAME_BYTES + 1
        changes = (_RETURNED if ring else _RETURNED | _OF_RING_0) & EFLAGS_SYSTEM
        open_changes = changes | EFLAGS_IF

        def leave() -> View | None:
            system_flags, esp = cpu.system_flags, cpu.esp
            if (
                system_flags & _NOT_PLAIN
                or not cpu.cr0 & CR0_PE
                or (ring and cpu.cr4 & CR4_VIRTUALIZABLE)
                or cpu.guest_mode is not None
                or cpu.nmi_pending
                or interrupts.intr
                or esp > top
            ):
                return None
            linear = base + esp & M32
            try:
                eip, selector, flags, outer, ss = load_frame(
                    cpu.readable[linear >> PAGE_SHIFT], linear & PAGE_MASK
                )
                _, gdtr, ldtr, limit, pieces, arrive, payloads = ways[selector & 0xFFFF | (ss & 0xFFFF) << 16]
                if (
                    gdtr is not cpu.gdtr
                    or ldtr is not cpu.ldtr
                    or flags & _TRAPPING
                    or (flags & EFLAGS_AC and cpu.cr0 & CR0_AM)
                    or eip > limit
                ):
                    return None
                for page, start, end, raw in pieces:
                    if readable[page][start:end] != raw:
                        return None
            except MISS:
                return None
            cpu.nmi_blocked = False
            if ring <= system_flags >> IOPL_SHIFT & 3:
                cpu.system_flags = system_flags & ~open_changes | flags & open_changes
            else:
                cpu.system_flags = system_flags & ~changes | flags & changes
            cpu.set_arithmetic(flags)
            cpu.eip = eip
            cpu.esp = outer
            payload = payloads.get(eip)
            if payload is None:
                if len(payloads) >= _MOST_PAYLOADS:
                    payloads.clear()
                payload = payloads[eip] = {"selector": selector & 0xFFFF, "address": eip}
            return arrive(payload)

        return leave

    def _arriving(self, view: View, name: str, kind: str, cause: str) -> Arrival:
        """What is left to do: the other ring's segments and view of memory, charges and event.

        It leads to where the processor is now, if the monitor does not say otherwise then.
        """
        pc = self._pc
        cpu, mmu, meter, code, blocks = pc.cpu, pc.mmu, pc.meter, pc.code, pc.blocks
        target, hot, place_of = blocks.view(cpu), code.hot, pc.place_of
        place_then, ceiling, cpl, ceilings = place_of(cpu), target.ceiling, target.ring, mmu.ceilings
        stack, code_segment = cpu.segments[SS], cpu.segments[CS]
        readable, writable = mmu.readable[cpl], mmu.writable[cpl]
        index, row = meter.account(view.place, name)
        price, alone = meter.prices[index], ((name, 1),)

        def arrive(payload: Payload) -> View:
            segments = cpu.segments
            segments[SS], segments[CS] = stack, code_segment
            cpu.stack_mask = M32
            cpu.cpl = mmu.ring = cpl
            cpu.readable, cpu.writable = readable, writable
            row[index] += 1
            meter.cycles += price
            code.hot = hot
            here, place = meter.place, place_of(cpu)
            if place is not here and place != here:
                meter.enter(place)
            if place is place_then:
                if ceilings[cpl] != ceiling:
                    mmu.set_ceiling(cpl, ceiling)
                found = target
            else:
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
