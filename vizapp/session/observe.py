"""Looks at the machine at the cursor without touching it, for sentences and panels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa.addresses import M32, PAGE_MASK, HostPhysical, Linear
from vizapp.isa.descriptors import unpack
from vizapp.isa.registers import DS, ESP
from vizapp.machine.places import TRANSLATION_CACHE
from vizapp.session.listing import LONGEST
from vizapp.session.moment import Moment
from vizapp.session.truths import Pair, register_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizapp.machine.pc import Pc
    from vizapp.session.listing import Disassembler
    from vizapp.vmm.base import CpuView, Monitor

_LOCAL = 1 << 2  # TI: the selector names a descriptor of the LDT
_NULL = 3  # a null selector is 0 with any RPL


class Observation(NamedTuple):
    """What was seen: for sentences, and of virtual machine ``vm`` for panels and the two truths."""

    moment: Moment
    pair: Pair
    vm: int
    shown: Moment


class Observer:
    """Looks at one PC and its monitor; ``disassemblers`` are those of its virtual machines.

    Attributes:
        vm: the virtual machine that panels show; None: whichever has the processor.
    """

    def __init__(self, pc: Pc, monitor: Monitor, disassemblers: Sequence[Disassembler]) -> None:
        self.vm: int | None = None
        self._pc = pc
        self._monitor = monitor
        self._disassemblers = disassemblers

    @property
    def shown(self) -> int:
        """The number of the virtual machine that panels show."""
        return self._monitor.current if self.vm is None else self.vm

    def look(self) -> Observation:
        """The machine as it is now."""
        current, shown = self._monitor.current, self.shown
        moment, pair = self._look(current)
        if shown == current:
            return Observation(moment, pair, shown, moment)
        other, pair = self._look(shown)
        return Observation(moment, pair, shown, other)

    def _look(self, vm: int) -> tuple[Moment, Pair]:
        pc = self._pc
        guest, processor = self._monitor.guest_view(vm), self._monitor.processor_view(vm)
        text, instruction = "", None
        linear = guest.code_base + guest.eip & M32
        code = self.code(linear, vm)
        disassemble = self._disassemblers[vm]
        if code is not None:
            text, instruction = disassemble(linear, code, guest.code_bits)
        phase = pc.phase or self._phase_behind_door()
        top = self.read(guest.general[ESP], 4, vm)
        moment = Moment(
            position=pc.position,
            place=pc.meter.place,
            phase=phase,
            instructions=pc.instructions,
            guest=register_values(guest),
            processor=register_values(processor),
            instruction=instruction,
            text=text,
            linear=linear,
            bits=guest.code_bits,
            top=None if top is None else int.from_bytes(top, "little"),
            own_eip=pc.cpu.eip,
            own_text="" if phase or self._runs_guest_code else self._own_text(pc.cpu.eip),
        )
        live = pc.meter.place.is_guest and vm == self._monitor.current
        real = self._live_limit() if live else self._limit(processor, partial(self._physical, vm=vm))
        same = guest == processor
        return moment, Pair(
            guest, processor, real if same else self._limit(guest, partial(self.read, vm=vm)), real
        )

    @property
    def current(self) -> int:
        """The number of the virtual machine that has the processor, or had it last."""
        return self._monitor.current

    def read(self, linear: int, count: int, vm: int | None = None) -> bytes | None:
        """Guest memory at a linear address; None where the guest has nothing."""
        return self._monitor.guest_read(Linear(linear), count, self.shown if vm is None else vm)

    def code(self, linear: int, vm: int | None = None) -> bytes | None:
        """Up to one instruction's worth of bytes at a linear address."""
        whole = self.read(linear, LONGEST, vm)
        if whole is not None:
            return whole
        return self.read(linear, min(LONGEST, PAGE_MASK + 1 - (linear & PAGE_MASK)), vm)

    @property
    def _runs_guest_code(self) -> bool:
        place = self._pc.meter.place
        return place.is_guest and place.component != TRANSLATION_CACHE

    def _phase_behind_door(self) -> str:
        """The phase that begins when the processor fetches where it stands now."""
        cpu = self._pc.cpu
        address = self._monitor.processor_translate(Linear(cpu.eip), self._monitor.current)
        door = None if address is None else self._pc.doors.get(address)
        return "" if door is None or door.ring != cpu.cpl else door.phase

    def _own_text(self, linear: int) -> str:
        """The processor's own next instruction."""
        for count in (LONGEST, 1):
            code = self._physical(linear, count)
            if code is not None:
                return self._disassemblers[self._monitor.current](linear, code, 32)[0]
        return ""

    def _live_limit(self) -> int | None:
        segment = self._pc.cpu.segments[DS]
        return segment.limit if segment.usable else None

    def _physical(self, linear: int, count: int, vm: int | None = None) -> bytes | None:
        number = self._monitor.current if vm is None else vm
        address = self._monitor.processor_translate(Linear(linear), number)
        return None if address is None else self._pc.memory.dump(HostPhysical(address), count)

    def _limit(self, view: CpuView, read: Callable[[int, int], bytes | None]) -> int | None:
        """The limit of DS by the descriptor that its selector names; None where that cannot be told."""
        selector = view.selectors[DS]
        base, limit = view.gdtr
        if selector <= _NULL or selector & _LOCAL or (selector | 7) > limit or not base:
            return None
        raw = read(base + (selector & ~7), 8)
        if raw is None:
            return None
        descriptor = unpack(int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little"))
        return descriptor.limit if descriptor.present else None
