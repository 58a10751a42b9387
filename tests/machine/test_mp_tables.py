"""The MP tables, read back as xv6 reads them (mp.c) and by the specification's layout."""

from __future__ import annotations

from struct import unpack_from

import pytest

from vizapp.machine.mp_tables import MP_BASE, mp_tables

SIZES = {0: 20, 1: 8, 2: 8, 3: 8, 4: 8}


@pytest.fixture
def tables() -> bytes:
    return mp_tables(MP_BASE, 0x0F43, 0x0183FBFF)


def test_the_floating_pointer_is_found_and_adds_up(tables):
    assert tables[:4] == b"_MP_"
    assert sum(tables[:16]) & 0xFF == 0
    assert unpack_from("<I", tables, 4)[0] == MP_BASE + 16
    assert tables[11] == 0  # a table of its own, none of the default configurations
    assert 0xF0000 <= MP_BASE < 0x100000


def test_the_configuration_adds_up_and_every_entry_is_whole(tables):
    table = tables[16:]
    length, version = unpack_from("<HB", table, 4)
    assert table[:4] == b"PCMP"
    assert version in (1, 4)  # all that xv6 takes
    assert length == len(table)
    assert sum(table) & 0xFF == 0
    offset, count = 44, 0
    while offset < length:
        offset += SIZES[table[offset]]
        count += 1
    assert offset == length
    assert count == unpack_from("<H", table, 34)[0]
    assert unpack_from("<I", table, 36)[0] == 0xFEE0_0000


def test_what_it_says(tables):
    table = tables[16:]
    offset, interrupts = 44, {}
    while offset < len(table):
        kind = table[offset]
        if kind == 0:
            assert unpack_from("<3B", table, offset + 1) == (0, 0x14, 3)
            assert unpack_from("<2I", table, offset + 4) == (0x0F43, 0x0183FBFF)
        elif kind == 2:
            assert unpack_from("<3BI", table, offset + 1) == (1, 0x11, 1, 0xFEC0_0000)
        elif kind == 3:
            interrupts[table[offset + 5]] = table[offset + 7]
        offset += SIZES[kind]
    assert interrupts == {0: 2, 1: 1, **{irq: irq for irq in range(3, 16)}}


def test_the_pointer_lies_on_a_boundary():
    with pytest.raises(ValueError, match="boundary"):
        mp_tables(0xF0008, 0, 0)
