"""What CPUID says: a processor's identity as data (SDM Vol. 2, "CPUID").

A monitor gives its virtual processors the physical identity less VMX and SVM; this one has neither.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vizapp.isa.registers import CR4_DE, CR4_OSFXSR, CR4_PAE, CR4_PGE, CR4_PSE, CR4_TSD, CR4_VIRTUALIZABLE

# Leaf 1, EDX.
FEATURE_FPU = 1 << 0
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
FEATURE_FXSR = 1 << 24


class Registers(NamedTuple):
    """What one leaf answers."""

    eax: int
    ebx: int
    ecx: int
    edx: int


class Identity(NamedTuple):
    """CPUID leaves by number, and which bits of CR4 exist.

    A leaf that is not there answers as the highest basic one does, as on processors by Intel.
    """

    leaves: dict[int, Registers]
    cr4_bits: int

    @property
    def has_fpu(self) -> bool:
        """Whether escapes to the x87 reach one."""
        return bool(self.leaves[1].edx & FEATURE_FPU)

    @property
    def has_fxsr(self) -> bool:
        """Whether FXSAVE and FXRSTOR exist."""
        return bool(self.leaves[1].edx & FEATURE_FXSR)

    def leaf(self, number: int) -> Registers:
        """The answer to CPUID with EAX = ``number``."""
        found = self.leaves.get(number)
        return self.leaves[self.leaves[0].eax] if found is None else found

    def with_features(self, features: int) -> Identity:
        """The same with further bits of leaf 1, EDX."""
        first = self.leaves[1]
        return self._replace(leaves={**self.leaves, 1: first._replace(edx=first.edx | features)})


def with_fpu(identity: Identity) -> Identity:
    """The same processor with its floating-point unit, and FXSAVE to switch it between tasks."""
    one = identity.leaves[1]
    leaves = identity.leaves | {1: one._replace(edx=one.edx | FEATURE_FPU | FEATURE_FXSR)}
    return Identity(leaves, identity.cr4_bits | CR4_OSFXSR)


def with_large_pages(identity: Identity) -> Identity:
    """The same processor with 4 MB pages and with PAE: for a machine whose memory no monitor manages."""
    one = identity.leaves[1]
    leaves = identity.leaves | {1: one._replace(edx=one.edx | FEATURE_PSE | FEATURE_PAE)}
    return Identity(leaves, identity.cr4_bits | CR4_PSE | CR4_PAE)


def _text(text: str) -> list[int]:
    data = text.encode("ascii")
    return [int.from_bytes(data[index : index + 4], "little") for index in range(0, len(data), 4)]


def _leaves(vendor: str, brand: str, signature: int, features: int) -> dict[int, Registers]:
    ebx, edx, ecx = _text(vendor)
    words = _text(brand.rjust(47) + "\0")
    leaves = {
        0: Registers(1, ebx, ecx, edx),
        1: Registers(signature, 0, 0, features),
        0x8000_0000: Registers(0x8000_0004, 0, 0, 0),
        0x8000_0001: Registers(0, 0, 0, 0),
    }
    for index in range(3):
        leaves[0x8000_0002 + index] = Registers(*words[4 * index : 4 * index + 4])
    return leaves


# Family 15, model 4, stepping 3: the Prescott 2M core of the Pentium 4 6xx.
PENTIUM_4_LEAVES: Final = _leaves(
    "GenuineIntel",
    "Intel(R) Pentium(R) 4 CPU 3.80GHz",
    0x0F43,
    FEATURE_DE | FEATURE_TSC | FEATURE_MSR | FEATURE_CX8 | FEATURE_SEP | FEATURE_PGE | FEATURE_CMOV,
)
PENTIUM_4: Final = Identity(PENTIUM_4_LEAVES, CR4_TSD | CR4_DE | CR4_PGE)
PENTIUM_4_VIRTUALIZABLE: Final = Identity(PENTIUM_4_LEAVES, PENTIUM_4.cr4_bits | CR4_VIRTUALIZABLE)
