"""The lazy record against the definitions of the flags, computed bit by bit."""

import random

import pytest

from vizapp.isa.registers import (
    EFLAGS_AF,
    EFLAGS_ARITHMETIC,
    EFLAGS_CF,
    EFLAGS_DF,
    EFLAGS_FIXED,
    EFLAGS_IF,
    EFLAGS_IOPL,
    EFLAGS_OF,
    EFLAGS_PF,
    EFLAGS_SF,
    EFLAGS_ZF,
)
from vizapp.machine.flags import EXPLICIT, KINDS, FlagState


def pairs(size: int) -> list[tuple[int, int]]:
    rng = random.Random(size)
    bits = 8 * size
    edges = [0, 1, 15, 16, (1 << bits - 1) - 1, 1 << bits - 1, (1 << bits) - 1]
    values = edges + [rng.getrandbits(bits) for _ in range(10)]
    return [(a, b) for a in values for b in values]


def record(kind: str, result: int, x: int, y: int) -> FlagState:
    state = FlagState()
    state.flag_kind, state.flag_result, state.flag_x, state.flag_y = KINDS[kind], result, x, y
    return state


def bits_of(size: int, result: int, *, cf: bool, of: bool, af: bool) -> int:
    total = EFLAGS_CF * cf | EFLAGS_OF * of | EFLAGS_AF * af
    total |= EFLAGS_ZF * (result == 0) | EFLAGS_SF * (result >> 8 * size - 1)
    return total | EFLAGS_PF * (bin(result & 0xFF).count("1") % 2 == 0)


def signed(value: int, size: int) -> int:
    return value - (1 << 8 * size) if value >> 8 * size - 1 else value


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_sum_has_the_flags_of_the_definition(size):
    top = 1 << 8 * size
    for a, b in pairs(size):
        r = (a + b) % top
        state = record(f"ADD{size}", r, r, a)
        of = signed(a, size) + signed(b, size) != signed(r, size)
        af = (a & 15) + (b & 15) > 15
        assert state.arithmetic_flags == bits_of(size, r, cf=a + b >= top, of=of, af=af), (a, b)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_difference_has_the_flags_of_the_definition(size):
    top = 1 << 8 * size
    for a, b in pairs(size):
        r = (a - b) % top
        state = record(f"SUB{size}", r, a, b)
        of = signed(a, size) - signed(b, size) != signed(r, size)
        assert state.arithmetic_flags == bits_of(size, r, cf=a < b, of=of, af=a & 15 < b & 15), (a, b)
        assert state.flag_kind.less(r, a, b) == (signed(a, size) < signed(b, size)) == (state.sf != state.of)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("carry", [False, True])
def test_inc_and_dec_keep_the_carry(size, carry):
    top = 1 << 8 * size
    for a, _ in pairs(size):
        r = (a + 1) % top
        up = record(f"INC{size}", r, 0, int(carry))
        assert up.arithmetic_flags == bits_of(size, r, cf=carry, of=r == top // 2, af=a & 15 == 15)
        r = (a - 1) % top
        down = record(f"DEC{size}", r, 0, int(carry))
        assert down.arithmetic_flags == bits_of(size, r, cf=carry, of=a == top // 2, af=a & 15 == 0)


def test_explicit_kinds_are_indexed_by_overflow_and_adjust():
    for size, kinds in EXPLICIT.items():
        for index, kind in enumerate(kinds):
            assert kind.overflow(1, 0, 0) == bool(index & 2)
            assert kind.adjust(1, 0, 0) == bool(index & 1)
            assert kind.sign(1 << 8 * size - 1)


def test_every_combination_of_flags_can_be_loaded_and_read_back():
    state = FlagState()
    for value in range(EFLAGS_ARITHMETIC + 1):
        arithmetic = value & EFLAGS_ARITHMETIC
        state.eflags = EFLAGS_IF | arithmetic
        assert state.eflags == EFLAGS_IF | EFLAGS_FIXED | arithmetic
        assert (state.cf, state.zf) == (bool(value & EFLAGS_CF), bool(value & EFLAGS_ZF))
        assert (state.sf, state.pf) == (bool(value & EFLAGS_SF), bool(value & EFLAGS_PF))
        assert (state.of, state.af) == (bool(value & EFLAGS_OF), bool(value & EFLAGS_AF))


def test_bits_that_do_not_exist_stay_clear():
    state = FlagState()
    state.eflags = 0xFFFF_FFFF
    assert state.eflags == 0x003F_7FD7
    state.eflags = 0
    assert state.eflags == EFLAGS_FIXED


def test_changing_some_flags_leaves_the_others():
    state = record("SUB4", 0xFFFF_FFFF, 1, 2)
    state.system_flags |= EFLAGS_IOPL | EFLAGS_DF
    before = state.eflags
    state.change_flags(EFLAGS_CF | EFLAGS_OF, EFLAGS_OF)
    assert state.eflags == before & ~EFLAGS_CF | EFLAGS_OF
