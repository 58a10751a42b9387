"""What VM entry checks of the guest state; a failure is an exit to the host, with reason 33.

SDM Vol. 3, "Checks on the Guest State Area": control registers, segments, RFLAGS, and what is not a register.

    access rights    16 unusable   15 G   14 D/B   12 AVL   7 P   6:5 DPL   4 S   3:0 type
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa import descriptors as d
from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.isa.addresses import PAGE_MASK
from vizapp.machine.guest_mode import EXTERNAL, HARDWARE_EXCEPTION, NMI
from vizapp.machine.page_tables import are_valid_pointers
from vizapp.machine.vmx import controls as c
from vizapp.machine.vmx import fields as f
from vizapp.machine.vmx.checks import INFO_TYPE_SHIFT, INFO_VALID, secondary_of
from vizapp.machine.vmx.region import REVISION
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.vmx.capabilities import Capabilities
    from vizapp.machine.vmx.checks import Values

# Exit qualifications of a failed entry.
DEFAULT, PDPTES, NMI_INJECTION, LINK = 0, 2, 3, 4

UNUSABLE: Final = 1 << 16
_RIGHTS_RESERVED: Final = 0xFFFE_0F00
_VIRTUAL_RIGHTS: Final = 0xF3
_ES, _CS, _SS, _DS, _FS, _GS, _LDTR, _TR = range(8)

BLOCKED_BY_STI, BLOCKED_BY_MOV_SS, BLOCKED_BY_SMI, BLOCKED_BY_NMI = 1, 2, 4, 8
ACTIVE, HALTED = 0, 1
PENDING_BS: Final = 1 << 14
PENDING_BITS: Final = 0xF | 1 << 12 | PENDING_BS
_RFLAGS_RESERVED: Final = 0xFFC0_8028
_REMEMBERED: Final = 4096
_NO_LINK: Final = (1 << 64) - 1


class Failure(NamedTuple):
    """Why the guest state is refused: the exit qualification, and the sentence."""

    qualification: int
    message: Message


class _Segment(NamedTuple):
    name: str
    selector: int
    base: int
    limit: int
    rights: int

    @property
    def usable(self) -> bool:
        return not self.rights & UNUSABLE

    @property
    def type(self) -> int:
        return self.rights & d.AR_TYPE

    @property
    def dpl(self) -> int:
        return self.rights >> d.AR_DPL_SHIFT & 3

    @property
    def rpl(self) -> int:
        return self.selector & d.SELECTOR_RPL

    @property
    def well_formed(self) -> bool:
        """Present, nothing reserved, and G as the limit needs."""
        granular = bool(self.rights & d.AR_G)
        low = self.limit & 0xFFF == 0xFFF or not granular
        high = not self.limit >> 20 or granular
        return bool(self.rights & d.AR_P and not self.rights & _RIGHTS_RESERVED and low and high)


def check_guest_state(capable: Capabilities, memory: PhysicalMemory, values: Values) -> Failure | None:
    """What is wrong with the guest-state area, but for PDPTEs that are in memory."""
    wrong = (
        _check_control(capable, values)
        or _check_segments(values)
        or _check_flags(values)
        or _check_activity(values)
    )
    if wrong is not None:
        return Failure(DEFAULT, wrong)
    link = values[f.LINK_POINTER]
    if link != _NO_LINK and (link & PAGE_MASK or link >> 32 or memory.read(link, 4) != REVISION):
        return Failure(LINK, Message(N_("vmcs_link_pointer is neither all ones nor the address of a VMCS")))
    paged = values[f.GUEST_CR0] & r.CR0_PG and values[f.GUEST_CR4] & r.CR4_PAE
    in_vmcs = paged and secondary_of(values) & c.ENABLE_EPT
    if in_vmcs and not are_valid_pointers([values[encoding] for encoding in f.GUEST_PDPTES]):
        return Failure(PDPTES, Message(N_("a PDPTE of the guest has a reserved bit set")))
    return None


def _wrong(name: str) -> Message:
    return Message(N_("{field} does not hold what it must"), {"field": name})


def _check_control(capable: Capabilities, values: Values) -> Message | None:
    cr0, cr4 = values[f.GUEST_CR0], values[f.GUEST_CR4]
    fixed = capable.guest_cr0_fixed(secondary_of(values))
    if cr0 & fixed != fixed or (cr0 & r.CR0_PG and not cr0 & r.CR0_PE):
        return _wrong("guest_cr0")
    if cr4 & capable.cr4_fixed != capable.cr4_fixed or cr4 & ~capable.cr4_bits:
        return _wrong("guest_cr4")
    if values[f.ENTRY_CONTROLS] & c.LOAD_DEBUG and values[f.GUEST_DEBUGCTL]:
        return _wrong("guest_ia32_debugctl")
    return None


def _check_segments(values: Values) -> Message | None:
    return _judge(
        _selectors(values),
        _bases(values),
        _limits(values),
        _rights(values),
        unrestricted=bool(secondary_of(values) & c.UNRESTRICTED),
        virtual=bool(values[f.GUEST_RFLAGS] & r.EFLAGS_VM),
        protected=bool(values[f.GUEST_CR0] & r.CR0_PE),
    ) or _check_tables(values)


_selectors = itemgetter(*f.GUEST_SELECTORS)
_bases = itemgetter(*f.GUEST_BASES[:8])
_limits = itemgetter(*f.GUEST_LIMITS[:8])
_rights = itemgetter(*f.GUEST_RIGHTS)


@lru_cache(_REMEMBERED)
def _judge(
    selectors: tuple[int, ...],
    bases: tuple[int, ...],
    limits: tuple[int, ...],
    rights: tuple[int, ...],
    *,
    unrestricted: bool,
    virtual: bool,
    protected: bool,
) -> Message | None:
    """What is wrong with the segment registers; a guest enters with the same ones most of the time."""
    segments = list(map(_Segment, f.SEGMENTS, selectors, bases, limits, rights))
    if virtual:
        wrong = _check_virtual_8086(segments)
    else:
        wrong = (
            _check_code(segments, unrestricted=unrestricted)
            or _check_stack(segments, unrestricted=unrestricted, protected=protected)
            or _check_data(segments, unrestricted=unrestricted)
        )
    return wrong or _check_system(segments)


def _check_virtual_8086(segments: list[_Segment]) -> Message | None:
    for segment in segments[:_LDTR]:
        if (segment.base, segment.limit) != (segment.selector << 4, 0xFFFF):
            return _segment(N_("{segment} is not a segment of virtual-8086 mode"), segment)
        if segment.rights != _VIRTUAL_RIGHTS:
            return _segment(N_("{segment} is not a segment of virtual-8086 mode"), segment)
    return None


def _segment(sentence: str, segment: _Segment) -> Message:
    return Message(sentence, {"segment": segment.name.upper()})


def _check_code(segments: list[_Segment], *, unrestricted: bool) -> Message | None:
    code, stack = segments[_CS], segments[_SS]
    suits = {
        3: unrestricted and code.dpl == 0,
        9: code.dpl == stack.dpl,
        11: code.dpl == stack.dpl,
        13: code.dpl <= stack.dpl,
        15: code.dpl <= stack.dpl,
    }.get(code.type, False)
    if not suits or not code.rights & d.AR_S or not code.well_formed:
        return _segment(N_("{segment} is no code segment for this privilege level"), code)
    return None


def _check_stack(segments: list[_Segment], *, unrestricted: bool, protected: bool) -> Message | None:
    code, stack = segments[_CS], segments[_SS]
    if not unrestricted and (stack.rpl != code.rpl or stack.dpl != stack.rpl):
        return _segment(N_("{segment} is no stack segment for this privilege level"), stack)
    if stack.dpl and (code.type == 3 or not protected):
        return _segment(N_("{segment} is no stack segment for this privilege level"), stack)
    if stack.usable and (stack.type not in (3, 7) or not stack.rights & d.AR_S or not stack.well_formed):
        return _segment(N_("{segment} is no writable data segment"), stack)
    return None


def _check_data(segments: list[_Segment], *, unrestricted: bool) -> Message | None:
    for segment in (segments[_DS], segments[_ES], segments[_FS], segments[_GS]):
        if not segment.usable:
            continue
        readable = not segment.type & d.TYPE_CODE or segment.type & d.TYPE_READABLE
        if (
            not segment.type & d.TYPE_ACCESSED
            or not readable
            or not segment.rights & d.AR_S
            or not segment.well_formed
        ):
            return _segment(N_("{segment} is no readable segment"), segment)
        if not unrestricted and segment.type <= 11 and segment.dpl < segment.rpl:
            return _segment(N_("{segment} has an RPL above its DPL"), segment)
    return None


def _check_system(segments: list[_Segment]) -> Message | None:
    ldtr, tr = segments[_LDTR], segments[_TR]
    if (
        tr.type not in (d.TSS_16_BUSY, d.TSS_32_BUSY)
        or tr.rights & d.AR_S
        or not tr.well_formed
        or not tr.usable
        or tr.selector & d.SELECTOR_LDT
    ):
        return _segment(N_("{segment} is no busy TSS"), tr)
    if ldtr.usable and (
        ldtr.type != d.LDT or ldtr.rights & d.AR_S or not ldtr.well_formed or ldtr.selector & d.SELECTOR_LDT
    ):
        return _segment(N_("{segment} is no LDT"), ldtr)
    return None


def _check_tables(values: Values) -> Message | None:
    for encoding, name in ((f.GDTR_LIMIT, "guest_gdtr_limit"), (f.IDTR_LIMIT, "guest_idtr_limit")):
        if values[encoding] >> 16:
            return _wrong(name)
    return None


def _check_flags(values: Values) -> Message | None:
    flags, info = values[f.GUEST_RFLAGS], values[f.ENTRY_INFO]
    external = info & INFO_VALID and info >> INFO_TYPE_SHIFT & 7 == EXTERNAL
    if (
        flags & _RFLAGS_RESERVED
        or not flags & r.EFLAGS_FIXED
        or (flags & r.EFLAGS_VM and not values[f.GUEST_CR0] & r.CR0_PE)
    ):
        return _wrong("guest_rflags")
    if external and not flags & r.EFLAGS_IF:
        return Message(N_("an external interrupt is injected while the guest's IF is 0"))
    return None


def _check_activity(values: Values) -> Message | None:
    blocked, activity = values[f.INTERRUPTIBILITY], values[f.ACTIVITY]
    flags, info = values[f.GUEST_RFLAGS], values[f.ENTRY_INFO]
    shadow = blocked & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)
    dpl = values[f.GUEST_RIGHTS[_SS]] >> d.AR_DPL_SHIFT & 3
    if activity not in (ACTIVE, HALTED) or (activity == HALTED and (dpl or shadow)):
        return _wrong("guest_activity")
    if (
        blocked & ~(BLOCKED_BY_STI | BLOCKED_BY_MOV_SS | BLOCKED_BY_NMI)
        or shadow == BLOCKED_BY_STI | BLOCKED_BY_MOV_SS
        or (blocked & BLOCKED_BY_STI and not flags & r.EFLAGS_IF)
    ):
        return _wrong("guest_interruptibility")
    if info & INFO_VALID:
        wrong = _check_injection(values, info, shadow, blocked, activity)
        if wrong is not None:
            return wrong
    pending = values[f.PENDING_DEBUG]
    stepping = bool(flags & r.EFLAGS_TF)
    if pending & ~PENDING_BITS or ((shadow or activity == HALTED) and bool(pending & PENDING_BS) != stepping):
        return _wrong("guest_pending_debug_exceptions")
    return None


def _check_injection(values: Values, info: int, shadow: int, blocked: int, activity: int) -> Message | None:
    kind, vector = info >> INFO_TYPE_SHIFT & 7, info & 0xFF
    if kind == EXTERNAL and shadow:
        return Message(N_("an external interrupt is injected into an interrupt shadow"))
    if kind == NMI:
        virtual = values[f.PIN_CONTROLS] & c.VIRTUAL_NMIS
        if blocked & BLOCKED_BY_MOV_SS or (virtual and blocked & BLOCKED_BY_NMI):
            return Message(N_("an NMI is injected while NMIs are blocked"))
    wakes = kind in (EXTERNAL, NMI) or (kind == HARDWARE_EXCEPTION and vector in (vectors.DB, vectors.MC))
    if activity == HALTED and not wakes:
        return _wrong("guest_activity")
    return None
