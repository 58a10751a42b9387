"""What a generation of VT-x allows, as its capability MSRs tell it (SDM Vol. 3, "VMX Capability Reporting").

control MSR    63:32  may be 1       31:0  must be 1

2005  pin, primary, exit and entry controls alone. Loads and stores of CR3 always exit, as does whatever
      else the first definition fixed to 1
2008  secondary controls with EPT and VPIDs, virtual NMIs, and the TRUE MSRs, by which software learns
      that CR3 accesses need not exit
then  unrestricted guests
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.addresses import M32
from vizapp.isa.registers import CR0_NE, CR0_PE, CR0_PG, CR4_VMXE
from vizapp.machine.inputs import EPT, UNRESTRICTED_GUEST, VPID
from vizapp.machine.vmx import controls as c
from vizapp.machine.vmx import fields as f
from vizapp.machine.vmx.region import REGION_BYTES, REVISION

if TYPE_CHECKING:
    from vizapp.machine.identity import Identity

FEATURE_CONTROL: Final = 0x3A
LOCKED: Final = 1 << 0
OUTSIDE_SMX: Final = 1 << 2

BASIC: Final = 0x480
PIN, PRIMARY, EXIT, ENTRY = 0x481, 0x482, 0x483, 0x484
MISC: Final = 0x485
CR0_FIXED0, CR0_FIXED1, CR4_FIXED0, CR4_FIXED1 = 0x486, 0x487, 0x488, 0x489
VMCS_ENUM: Final = 0x48A
SECONDARY: Final = 0x48B
EPT_VPID: Final = 0x48C
TRUE_PIN, TRUE_PRIMARY, TRUE_EXIT, TRUE_ENTRY = 0x48D, 0x48E, 0x48F, 0x490

# Reserved controls whose fixed value is 1 (SDM Vol. 3, "Default Settings"), and the few of these that have
# since got a meaning.
_DEFAULT1: Final = {PIN: 0x16, PRIMARY: 0x0401_E172, EXIT: 0x3_6DFF, ENTRY: 0x11FF}
_FREED: Final = {
    PIN: 0,
    PRIMARY: c.CR3_LOAD_EXITING | c.CR3_STORE_EXITING,
    EXIT: c.SAVE_DEBUG,
    ENTRY: c.LOAD_DEBUG,
}
_TRUE: Final = {PIN: TRUE_PIN, PRIMARY: TRUE_PRIMARY, EXIT: TRUE_EXIT, ENTRY: TRUE_ENTRY}
_FIELD: Final = {
    PIN: f.PIN_CONTROLS,
    PRIMARY: f.PRIMARY_CONTROLS,
    EXIT: f.EXIT_CONTROLS,
    ENTRY: f.ENTRY_CONTROLS,
}

_CR0_FIXED: Final = CR0_PE | CR0_NE | CR0_PG
_ADDRESSES_OF_32_BITS: Final = 1 << 48
_WRITE_BACK: Final = 6 << 50
_TELLS_INS_OUTS: Final = 1 << 54
_HAS_TRUE: Final = 1 << 55
_HLT_STATE: Final = 1 << 6
CR3_TARGETS: Final = 4
MOST_MSRS: Final = 512

# IA32_VMX_EPT_VPID_CAP.
_WALK_OF_4: Final = 1 << 6
_UNCACHED, _CACHED = 1 << 8, 1 << 14
_PAGES_2M: Final = 1 << 16
_INVEPT: Final = 1 << 20 | 3 << 25
_INVVPID: Final = 1 << 32 | 0xF << 40


class Allowed(NamedTuple):
    """What a control field may hold: the bits that must be 1, and those that may be."""

    ones: int
    may: int

    def accepts(self, value: int) -> bool:
        """Whether no reserved bit is wrong."""
        return value & self.ones == self.ones and not value & ~self.may


class Capabilities(NamedTuple):
    """One processor's VMX.

    Attributes:
        features: of ``machine.inputs``.
        msrs: the capability MSRs by number.
        allowed: by the encoding of a control field, what VM entry accepts.
        cr0_fixed, cr4_fixed: bits that must be 1 in VMX operation.
        cr4_bits: bits of CR4 that exist.
        passed: settings of the controls that have passed the checks of VM entry before.
    """

    features: frozenset[str]
    msrs: Mapping[int, int]
    allowed: Mapping[int, Allowed]
    cr0_fixed: int
    cr4_fixed: int
    cr4_bits: int
    passed: set[tuple[int, ...]]

    @property
    def tells_ins_outs(self) -> bool:
        """Whether exits for INS and OUTS have instruction information."""
        return bool(self.msrs[BASIC] & _TELLS_INS_OUTS)

    def guest_cr0_fixed(self, secondary: int) -> int:
        """Bits of a guest's CR0 that must be 1 under these secondary controls."""
        return self.cr0_fixed & ~(CR0_PE | CR0_PG if secondary & c.UNRESTRICTED else 0)


def _may(number: int, modern: bool) -> int:
    """The bits that may be 1 in a control field."""
    may = 0
    for bit in c.BITS[_FIELD[number]]:
        may |= bit.mask
    if not modern:
        may &= ~{PIN: c.VIRTUAL_NMIS, PRIMARY: c.NMI_WINDOW | c.ACTIVATE_SECONDARY}.get(number, 0)
    # There is no 64-bit mode to come from or to go to.
    return may & ~(c.HOST_64_BITS if number in (EXIT, ENTRY) else 0)


def _secondary(features: frozenset[str]) -> int:
    may = c.DESCRIPTOR_TABLE_EXITING | c.WBINVD_EXITING
    for feature, bit in (
        (EPT, c.ENABLE_EPT),
        (VPID, c.ENABLE_VPID),
        (UNRESTRICTED_GUEST, c.UNRESTRICTED),
    ):
        may |= bit if feature in features else 0
    return may


def capabilities(identity: Identity) -> Capabilities:
    """The VMX of a processor that has VT-x."""
    features = identity.virtualization
    modern = f.exists(f.BY_NAME["secondary_controls"], features)
    cr4_bits = identity.cr4_bits | CR4_VMXE
    basic = REVISION | REGION_BYTES << 32 | _ADDRESSES_OF_32_BITS | _WRITE_BACK
    msrs = {
        BASIC: basic | (_TELLS_INS_OUTS | _HAS_TRUE if modern else 0),
        MISC: _HLT_STATE | CR3_TARGETS << 16,
        CR0_FIXED0: _CR0_FIXED,
        CR0_FIXED1: M32,
        CR4_FIXED0: CR4_VMXE,
        CR4_FIXED1: cr4_bits,
        VMCS_ENUM: max(field.encoding & 0x3FE for field in f.FIELDS),
    }
    allowed = {}
    for number, ones in _DEFAULT1.items():
        may = _may(number, modern) | ones
        msrs[number] = may << 32 | ones
        true_ones = ones & ~_FREED[number] if modern else ones
        if modern:
            msrs[_TRUE[number]] = may << 32 | true_ones
        allowed[_FIELD[number]] = Allowed(true_ones, may)
    if modern:
        secondary = _secondary(features)
        msrs[SECONDARY] = secondary << 32
        allowed[f.SECONDARY_CONTROLS] = Allowed(0, secondary)
        ept = _WALK_OF_4 | _UNCACHED | _CACHED | _PAGES_2M | _INVEPT
        msrs[EPT_VPID] = (ept if EPT in features else 0) | (_INVVPID if VPID in features else 0)
    return Capabilities(features, msrs, allowed, _CR0_FIXED, CR4_VMXE, cr4_bits, set())
