"""What CPUID says: a processor's identity as data (SDM Vol. 2, "CPUID"; APM Vol. 3, "CPUID").

A monitor gives its virtual processors the physical identity less VMX and SVM, and a bare machine that such a
guest is compared with hides the same bits: ``Identity.without_virtualization``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from vizapp.isa.registers import (
    CR4_DE,
    CR4_OSFXSR,
    CR4_PAE,
    CR4_PGE,
    CR4_PSE,
    CR4_PVI,
    CR4_TSD,
    CR4_VIRTUALIZABLE,
    CR4_VME,
    CR4_VMXE,
)
from vizapp.machine.inputs import (
    EPT,
    MSR,
    NEXT_RIP,
    NPT,
    SVM,
    SYSENTER,
    TSC,
    UNRESTRICTED_GUEST,
    VPID,
    VT_X,
)

# Leaf 1, EDX.
FEATURE_FPU = 1 << 0
FEATURE_VME = 1 << 1
FEATURE_DE = 1 << 2
FEATURE_PSE = 1 << 3
FEATURE_TSC = 1 << 4
FEATURE_MSR = 1 << 5
FEATURE_PAE = 1 << 6
FEATURE_CX8 = 1 << 8
FEATURE_APIC = 1 << 9
FEATURE_SEP = 1 << 11
FEATURE_PGE = 1 << 13
FEATURE_CMOV = 1 << 15
FEATURE_PSE36 = 1 << 17
FEATURE_FXSR = 1 << 24
# Leaf 1, ECX.
FEATURE_VMX = 1 << 5
# Leaf 8000_0001h, ECX, and leaf 8000_000Ah, EDX.
FEATURE_SVM = 1 << 2
FEATURE_NP = 1 << 0
FEATURE_NRIPS = 1 << 3

EXTENDED = 0x8000_0000
EXTENDED_FEATURES = 0x8000_0001
SVM_LEAF = 0x8000_000A

INTEL = "GenuineIntel"
AMD = "AuthenticAMD"

_LARGE_PAGES = FEATURE_PSE | FEATURE_PAE | FEATURE_PSE36
_SVM_REVISION = 1
_ASIDS = 64
# Processors by AMD repeat these bits of leaf 1, EDX in leaf 8000_0001h, EDX.
_REPEATED = 0x0183_F3FF
_VIRTUALIZATION = frozenset({VT_X, EPT, VPID, UNRESTRICTED_GUEST, SVM, NPT, NEXT_RIP})
_BY_FEATURE = {TSC: FEATURE_TSC, MSR: FEATURE_MSR, SYSENTER: FEATURE_SEP}


class Registers(NamedTuple):
    """What one leaf answers."""

    eax: int
    ebx: int
    ecx: int
    edx: int


class Identity(NamedTuple):
    """CPUID leaves by number, and which bits of CR4 exist.

    ``virtualization``: those features of ``machine.inputs`` that are VT-x's or SVM's, which CPUID tells in
    part only (capability MSRs say which VT-x it is).

    A leaf that is not there answers as the highest basic one does on processors by Intel, and with zeros on
    those by AMD.
    """

    leaves: dict[int, Registers]
    cr4_bits: int
    virtualization: frozenset[str] = frozenset()

    @property
    def vendor(self) -> str:
        """The twelve characters of leaf 0."""
        _, ebx, ecx, edx = self.leaves[0]
        return b"".join(word.to_bytes(4, "little") for word in (ebx, edx, ecx)).decode("ascii")

    @property
    def has_fpu(self) -> bool:
        """Whether escapes to the x87 reach one."""
        return bool(self.leaves[1].edx & FEATURE_FPU)

    @property
    def has_fxsr(self) -> bool:
        """Whether FXSAVE and FXRSTOR exist."""
        return bool(self.leaves[1].edx & FEATURE_FXSR)

    @property
    def has_pse36(self) -> bool:
        """Whether the frames of 4 MB pages have 36 bits."""
        return bool(self.leaves[1].edx & FEATURE_PSE36)

    def leaf(self, number: int) -> Registers:
        """The answer to CPUID with EAX = ``number``."""
        found = self.leaves.get(number)
        if found is not None:
            return found
        return Registers(0, 0, 0, 0) if self.vendor == AMD else self.leaves[self.leaves[0].eax]

    def with_features(self, features: int) -> Identity:
        """The same with further bits of leaf 1, EDX."""
        first, extended = self.leaves[1], self.leaves[EXTENDED_FEATURES]
        changed = {1: first._replace(edx=first.edx | features)}
        if self.vendor == AMD:
            changed[EXTENDED_FEATURES] = extended._replace(edx=extended.edx | features & _REPEATED)
        return self._replace(leaves=self.leaves | changed)

    def without_virtualization(self) -> Identity:
        """The same less VMX and SVM: what guests see below a monitor, and on the bare machine beside it."""
        first, extended = self.leaves[1], self.leaves[EXTENDED_FEATURES]
        changed = {
            1: first._replace(ecx=first.ecx & ~FEATURE_VMX),
            EXTENDED_FEATURES: extended._replace(ecx=extended.ecx & ~FEATURE_SVM),
        }
        leaves = {number: leaf for number, leaf in self.leaves.items() if number != SVM_LEAF} | changed
        return Identity(leaves, self.cr4_bits & ~CR4_VMXE)


def make_identity(vendor: str, brand: str, signature: int, features: Iterable[str]) -> Identity:
    """The identity of a processor.

    Args:
        vendor: ``INTEL`` or ``AMD``.
        brand: its name, up to 47 characters.
        signature: type, family, model and stepping, as leaf 1 has them in EAX.
        features: of ``machine.inputs``.
    """
    features = frozenset(features)
    ebx, edx, ecx = _words(vendor)
    bits = FEATURE_VME | FEATURE_DE | FEATURE_CX8 | FEATURE_PGE | FEATURE_CMOV
    for name, bit in _BY_FEATURE.items():
        bits |= bit if name in features else 0
    leaves = {
        0: Registers(1, ebx, ecx, edx),
        1: Registers(signature, 0, FEATURE_VMX if VT_X in features else 0, bits),
        EXTENDED: Registers(EXTENDED + 4, 0, 0, 0),
        EXTENDED_FEATURES: Registers(0, 0, 0, 0),
    }
    if vendor == AMD:
        svm = FEATURE_SVM if SVM in features else 0
        leaves[EXTENDED] = Registers(SVM_LEAF, ebx, ecx, edx)
        leaves[EXTENDED_FEATURES] = Registers(signature, 0, svm, bits & _REPEATED)
    if SVM in features:
        known = (FEATURE_NP if NPT in features else 0) | (FEATURE_NRIPS if NEXT_RIP in features else 0)
        leaves[SVM_LEAF] = Registers(_SVM_REVISION, _ASIDS, 0, known)
    # Intel sets the name flush right, AMD flush left.
    words = _words(brand.ljust(48, "\0") if vendor == AMD else brand.rjust(47) + "\0")
    for index in range(3):
        leaves[EXTENDED + 2 + index] = Registers(*words[4 * index : 4 * index + 4])
    cr4_bits = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PGE | (CR4_VMXE if VT_X in features else 0)
    return Identity(leaves, cr4_bits, features & _VIRTUALIZATION)


def with_fpu(identity: Identity) -> Identity:
    """The same processor with its floating-point unit, and FXSAVE to switch it between tasks."""
    identity = identity.with_features(FEATURE_FPU | FEATURE_FXSR)
    return identity._replace(cr4_bits=identity.cr4_bits | CR4_OSFXSR)


def with_large_pages(identity: Identity) -> Identity:
    """The same processor with 4 MB pages and with PAE: for a machine whose memory no monitor manages."""
    identity = identity.with_features(_LARGE_PAGES)
    return identity._replace(cr4_bits=identity.cr4_bits | CR4_PSE | CR4_PAE)


def without_large_pages(identity: Identity) -> Identity:
    """The same processor with neither: what a guest sees that is not to know of them."""
    leaves = dict(identity.leaves)
    leaves[1] = leaves[1]._replace(edx=leaves[1].edx & ~_LARGE_PAGES)
    if identity.vendor == AMD:
        extended = leaves[EXTENDED_FEATURES]
        leaves[EXTENDED_FEATURES] = extended._replace(edx=extended.edx & ~_LARGE_PAGES)
    return identity._replace(leaves=leaves, cr4_bits=identity.cr4_bits & ~(CR4_PSE | CR4_PAE))


def with_virtualizable(identity: Identity) -> Identity:
    """The same processor with the bit of CR4 that makes every sensitive instruction privileged."""
    return identity._replace(cr4_bits=identity.cr4_bits | CR4_VIRTUALIZABLE)


def _words(text: str) -> list[int]:
    data = text.encode("ascii")
    return [int.from_bytes(data[index : index + 4], "little") for index in range(0, len(data), 4)]


# Family 15, model 4, stepping 3: the Prescott 2M core of the Pentium 4 6xx, without VT-x.
PENTIUM_4: Final = make_identity(INTEL, "Intel(R) Pentium(R) 4 CPU 3.80GHz", 0x0F43, (TSC, MSR, SYSENTER))
PENTIUM_4_VIRTUALIZABLE: Final = with_virtualizable(PENTIUM_4)
