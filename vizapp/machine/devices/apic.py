"""A local APIC, memory-mapped at FEE00000h (SDM Vol. 3, "Advanced Programmable Interrupt Controller").

    20 ID       80 TPR   B0 EOI   D0 LDR   100-170 ISR   280 ESR       320 LVT timer   370 LVT error
    30 version  A0 PPR            E0 DFR   180-1F0 TMR   300 ICR low   350 LVT LINT0   380 initial count
                                  F0 SVR   200-270 IRR   310 ICR high  360 LVT LINT1   390 count
                                                                                       3E0 divide

    LVT entry   | 17 periodic | 16 masked | 15 level | 10-8 delivery mode | 7-0 vector |

There is one processor: messages to others are accepted and go nowhere. LINT0 is the 8259s' INT line and LINT1
is NMI, wired through as firmware leaves them ("virtual wire mode").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Protocol

from vizapp.isa.addresses import M32, PAGE_SIZE, HostPhysical
from vizapp.machine.devices.apic_timer import ApicTimer
from vizapp.machine.devices.vector_set import VectorSet

APIC_BASE = HostPhysical(0xFEE0_0000)
APIC_BYTES = PAGE_SIZE
VERSION = 0x0005_0014  # a Pentium 4's; the LVT has entries 0 to 5


class Register(IntEnum):
    """Where the registers are. From ISR to below ESR lie ISR, TMR and IRR, eight words each."""

    ID = 0x20
    VERSION = 0x30
    TPR = 0x80
    APR = 0x90
    PPR = 0xA0
    EOI = 0xB0
    LDR = 0xD0
    DFR = 0xE0
    SVR = 0xF0
    ISR = 0x100
    ESR = 0x280
    ICR = 0x300
    ICR_HIGH = 0x310
    LVT_TIMER = 0x320
    LVT_THERMAL = 0x330
    LVT_COUNTER = 0x340
    LVT_LINT0 = 0x350
    LVT_LINT1 = 0x360
    LVT_ERROR = 0x370
    INITIAL = 0x380
    COUNT = 0x390
    DIVIDE = 0x3E0


_LVT = tuple(register for register in Register if register.name.startswith("LVT"))
_READ_ONLY = (Register.VERSION, Register.APR, Register.PPR, Register.COUNT)

SVR_ENABLE = 1 << 8
LVT_MASKED = 1 << 16
LVT_LEVEL = 1 << 15
_LVT_WRITABLE = 0x0001_A7FF
_TIMER_WRITABLE = 0x0003_00FF
FIXED, LOWEST, SMI, NMI, INIT, STARTUP, EXTINT = 0, 1, 2, 4, 5, 6, 7
ESR_SEND_ACCEPT = 1 << 2
ESR_SEND_VECTOR = 1 << 5
ESR_RECEIVED_VECTOR = 1 << 6
ESR_REGISTER = 1 << 7
_ICR_LOGICAL = 1 << 11
_ICR_ASSERT = 1 << 14
_ICR_WRITABLE = 0x000C_CFFF
NO_SHORTHAND, SELF, ALL, OTHERS = range(4)
LOWEST_VECTOR = 16
_BROADCAST = 0xFF


class ExternalController(Protocol):
    """The 8259s behind LINT0."""

    intr: bool

    def acknowledge(self) -> int:
        """Answer INTA with a vector."""
        ...


def mode_of(entry: int) -> int:
    """The delivery mode in an LVT or redirection entry or in ICR."""
    return entry >> 8 & 7


class LocalApic:
    """The APIC of processor 0. A device of ``MmioSpace``.

    ``nmi`` is called for each NMI that arrives, ``initialize`` for an INIT of this processor, and ``ended``
    with the vector of each level-triggered interrupt that ends, for I/O APICs.
    """

    _STATE = (
        "_tpr", "_ldr", "_dfr", "_svr", "_esr", "_errors", "_icr", "_icr_high", "_identifier", "enabled",
    )  # fmt: skip

    def __init__(
        self,
        external: ExternalController,
        timer: ApicTimer,
        nmi: Callable[[], None],
        initialize: Callable[[], None],
    ) -> None:
        self.ended: Callable[[int], None] | None = None
        self.enabled = True  # globally, as IA32_APIC_BASE says
        self._external = external
        self._timer = timer
        self._nmi = nmi
        self._initialize = initialize
        self._irr, self._isr, self._tmr = VectorSet(), VectorSet(), VectorSet()
        self._identifier = 0
        self._tpr = 0
        self._ldr = 0
        self._dfr = M32
        self._svr = SVR_ENABLE | 0xFF
        self._esr = 0  # as last written out
        self._errors = 0  # since then
        self._icr = self._icr_high = 0
        self._lvt: dict[int, int] = dict.fromkeys(_LVT, LVT_MASKED)
        self._lvt[Register.LVT_LINT0] = LVT_LEVEL | EXTINT << 8
        self._lvt[Register.LVT_LINT1] = LVT_LEVEL | NMI << 8
        timer.expired = self._timer_expired

    @property
    def identifier(self) -> int:
        """The APIC ID, 0 to 255."""
        return self._identifier

    @property
    def intr(self) -> bool:
        """Whether there is an interrupt for the processor to take."""
        return self._pending() is not None or (self._external.intr and self.passes_external)

    @property
    def requested(self) -> bool:
        """Whether any interrupt waits in IRR, whatever the priorities are."""
        return self._irr.highest() is not None

    @property
    def passes_external(self) -> bool:
        """Whether LINT0 lets the 8259s through."""
        entry = self._lvt[Register.LVT_LINT0]
        return not self.enabled or (not entry & LVT_MASKED and mode_of(entry) == EXTINT)

    def acknowledge(self) -> int:
        """The processor takes an interrupt: its vector. The APIC's own go before those of the 8259s."""
        vector = self._pending()
        if vector is not None:
            self._irr.discard(vector)
            self._isr.add(vector)
            return vector
        if self._external.intr and self.passes_external:
            return self._external.acknowledge()
        return self._svr & 0xFF  # spurious

    def accept(self, vector: int, level: bool = False) -> None:
        """An interrupt message has arrived for this processor."""
        if vector < LOWEST_VECTOR:
            self._error(ESR_RECEIVED_VECTOR)
        elif self._svr & SVR_ENABLE and self.enabled:
            self._irr.add(vector)
            (self._tmr.add if level else self._tmr.discard)(vector)

    def deliver(self, mode: int, vector: int, level: bool = False) -> None:
        """A message of any delivery mode has arrived for this processor."""
        if mode in (FIXED, LOWEST):
            self.accept(vector, level)
        elif mode == NMI:
            self._nmi()
        elif mode == INIT:
            self._initialize()

    def addressed(self, destination: int, logical: bool) -> bool:
        """Whether a message to that destination is for this processor."""
        if not logical:
            return destination in (self._identifier, _BROADCAST)
        own = self._ldr >> 24
        if self._dfr >> 28 == 0xF:  # flat
            return bool(own & destination)
        return destination == _BROADCAST or (own >> 4 == destination >> 4 and bool(own & destination & 0x0F))

    def assert_nmi(self) -> None:
        """LINT1 rises."""
        self._local(Register.LVT_LINT1)

    def read(self, offset: int, size: int) -> int:
        """A register; reads narrower than 32 bits give its low bytes."""
        return self._register(offset & ~3) >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register, which takes 32 bits at once."""
        if size != 4 or offset & 3:
            return
        match offset:
            case Register.ID:
                self._identifier = value >> 24
            case Register.TPR:
                self._tpr = value & 0xFF
            case Register.EOI:
                self._end()
            case Register.LDR:
                self._ldr = value & 0xFF00_0000
            case Register.DFR:
                self._dfr = value | 0x0FFF_FFFF
            case Register.SVR:
                self._svr = value & 0x3FF
                if not value & SVR_ENABLE:
                    for entry in _LVT:
                        self._lvt[entry] |= LVT_MASKED
            case Register.ESR:
                self._esr, self._errors = self._errors, 0
            case Register.ICR:
                self._icr = value & _ICR_WRITABLE
                self._send()
            case Register.ICR_HIGH:
                self._icr_high = value & 0xFF00_0000
            case _ if offset in self._lvt:
                self._write_lvt(offset, value)
            case Register.INITIAL:
                self._timer.start(value)
            case Register.DIVIDE:
                self._timer.set_divide(value)
            case _ if offset in _READ_ONLY or Register.ISR <= offset < Register.ESR:
                pass
            case _:
                self._error(ESR_REGISTER)

    def save(self) -> dict[str, object]:
        """All registers, as plain data."""
        return {
            "state": tuple(getattr(self, name) for name in self._STATE),
            "sets": (self._irr.bits, self._isr.bits, self._tmr.bits),
            "lvt": tuple(self._lvt.items()),
            "timer": self._timer.save(),
        }

    def load(self, saved: Mapping[str, object]) -> None:
        """Take up where ``save`` left off; the clock must already show the time of then."""
        state, sets, lvt, timer = (saved[name] for name in ("state", "sets", "lvt", "timer"))
        assert isinstance(state, tuple)
        assert isinstance(sets, tuple)
        assert isinstance(lvt, tuple)
        assert isinstance(timer, tuple)
        for name, value in zip(self._STATE, state, strict=True):
            setattr(self, name, value)
        self._irr, self._isr, self._tmr = (VectorSet(bits) for bits in sets)
        self._lvt = dict(lvt)
        self._timer.load(timer)

    @property
    def _ppr(self) -> int:
        """The class that an interrupt must exceed: the task's, or that of the highest one in service."""
        in_service = self._isr.highest() or 0
        return self._tpr if self._tpr >> 4 >= in_service >> 4 else in_service & 0xF0

    def _pending(self) -> int | None:
        vector = self._irr.highest()
        return vector if vector is not None and vector >> 4 > self._ppr >> 4 else None

    def _register(self, offset: int) -> int:
        if Register.ISR <= offset < Register.ESR:
            vectors = (self._isr, self._tmr, self._irr)[(offset - Register.ISR) >> 7]
            return vectors.word(offset >> 4 & 7)
        match offset:
            case Register.ID:
                return self._identifier << 24
            case Register.VERSION:
                return VERSION
            case Register.TPR:
                return self._tpr
            case Register.PPR:
                return self._ppr
            case Register.LDR:
                return self._ldr
            case Register.DFR:
                return self._dfr
            case Register.SVR:
                return self._svr
            case Register.ESR:
                return self._esr
            case Register.ICR:
                return self._icr
            case Register.ICR_HIGH:
                return self._icr_high
            case Register.INITIAL:
                return self._timer.initial
            case Register.COUNT:
                return self._timer.count()
            case Register.DIVIDE:
                return self._timer.divide
            case _ if offset in self._lvt:
                return self._lvt[offset]
            case Register.APR | Register.EOI:
                return 0
            case _:
                self._error(ESR_REGISTER)
                return 0

    def _write_lvt(self, offset: int, value: int) -> None:
        value &= _TIMER_WRITABLE if offset == Register.LVT_TIMER else _LVT_WRITABLE
        if not self._svr & SVR_ENABLE:
            value |= LVT_MASKED
        self._lvt[offset] = value
        if offset == Register.LVT_TIMER:
            self._timer.set_mode(value)

    def _local(self, offset: int) -> None:
        """A local source has become active."""
        entry = self._lvt[offset]
        if not entry & LVT_MASKED:
            self.deliver(mode_of(entry), entry & 0xFF)

    def _timer_expired(self) -> None:
        self._local(Register.LVT_TIMER)

    def _end(self) -> None:
        vector = self._isr.highest()
        if vector is None:
            return
        self._isr.discard(vector)
        if vector in self._tmr and self.ended is not None:
            self.ended(vector)

    def _send(self) -> None:
        """Send the message in ICR; it arrives at once, so delivery is never pending."""
        mode, shorthand = mode_of(self._icr), self._icr >> 18 & 3
        vector = self._icr & 0xFF
        if mode in (FIXED, LOWEST) and vector < LOWEST_VECTOR:
            self._error(ESR_SEND_VECTOR)
            return
        if mode == INIT and not self._icr & _ICR_ASSERT:
            return  # the de-assertion that synchronizes arbitration on a Pentium
        if shorthand == NO_SHORTHAND:
            here = self.addressed(self._icr_high >> 24, bool(self._icr & _ICR_LOGICAL))
        else:
            here = shorthand in (SELF, ALL)
        if here:
            self.deliver(mode, vector)

    def _error(self, bit: int) -> None:
        known = self._errors & bit
        self._errors |= bit
        if not known:
            self._local(Register.LVT_ERROR)
