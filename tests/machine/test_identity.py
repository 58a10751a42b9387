"""CPUID: the bits that the manuals give to VMX and SVM, and what is left without them."""

from __future__ import annotations

import pytest

from vizapp.isa.registers import CR4_VMXE
from vizapp.machine.identity import (
    AMD,
    FEATURE_APIC,
    INTEL,
    PENTIUM_4,
    Registers,
    make_identity,
    with_fpu,
    with_large_pages,
)

FIRST = {"tsc", "msr", "sysenter"}


@pytest.fixture
def intel():
    return make_identity(INTEL, "An Intel", 0x106A5, FIRST | {"vt-x", "ept"})


@pytest.fixture
def amd():
    return make_identity(AMD, "An AMD", 0x100F23, FIRST | {"svm", "npt", "next-rip"})


def brand(identity) -> bytes:
    words = [word for leaf in range(0x8000_0002, 0x8000_0005) for word in identity.leaf(leaf)]
    return b"".join(word.to_bytes(4, "little") for word in words)


def test_vendor_is_spread_over_three_registers(intel, amd):
    # SDM Vol. 2, "CPUID": GenuineIntel is 756E6547h, 49656E69h, 6C65746Eh in EBX, EDX, ECX.
    assert intel.leaf(0) == (1, 0x756E6547, 0x6C65746E, 0x49656E69)
    # APM Vol. 3, "CPUID": AuthenticAMD is 68747541h, 69746E65h, 444D4163h.
    assert amd.leaf(0) == (1, 0x68747541, 0x444D4163, 0x69746E65)
    assert (intel.vendor, amd.vendor) == (INTEL, AMD)
    assert amd.leaf(0x8000_0000) == (0x8000_000A, *amd.leaf(0)[1:])


def test_vmx_is_bit_5_of_leaf_1_and_svm_bit_2_of_the_extended_one(intel, amd):
    assert intel.leaf(1).ecx == 1 << 5
    assert intel.cr4_bits & CR4_VMXE
    assert intel.leaf(0x8000_0001).ecx == 0
    assert amd.leaf(1).ecx == 0
    assert not amd.cr4_bits & CR4_VMXE
    assert amd.leaf(0x8000_0001).ecx == 1 << 2
    assert amd.leaf(0x8000_000A) == (1, 64, 0, 0b1001)


def test_without_virtualization_nothing_else_is_lost(intel, amd):
    for identity in (intel, amd):
        hidden = identity.without_virtualization()
        assert hidden.virtualization == frozenset()
        assert hidden.leaf(1)._replace(ecx=identity.leaf(1).ecx) == identity.leaf(1)
        assert hidden.leaf(1).ecx == hidden.leaf(0x8000_0001).ecx == 0
        assert not hidden.cr4_bits & CR4_VMXE
        assert brand(hidden) == brand(identity)
        assert hidden.without_virtualization() == hidden
    assert amd.without_virtualization().leaf(0x8000_000A) == (0, 0, 0, 0)


def test_a_leaf_beyond_the_last_is_the_highest_basic_one_or_zeros(intel, amd):
    assert intel.leaf(0x4000_0000) == intel.leaf(1)
    assert amd.leaf(0x4000_0000) == Registers(0, 0, 0, 0)


def test_brand_is_right_or_left_in_its_48_bytes(intel, amd):
    assert brand(intel) == b"An Intel".rjust(47) + b"\0"
    assert brand(amd) == b"An AMD".ljust(48, b"\0")


def test_further_features_are_repeated_by_amd_alone(intel, amd):
    for identity in (intel, amd):
        full = with_fpu(with_large_pages(identity.with_features(FEATURE_APIC)))
        # FPU, PSE, PAE, APIC and FXSR are at the same bits of both leaves; SEP is not.
        repeated = full.leaf(1).edx & ~(1 << 11) if identity is amd else 0
        assert full.leaf(0x8000_0001).edx == repeated
        assert full.virtualization == identity.virtualization


def test_the_default_is_a_pentium_4_that_hides_vt_x():
    assert PENTIUM_4.leaf(1).ecx == 0
    assert PENTIUM_4.leaf(1).eax == 0x0F43
