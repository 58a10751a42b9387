"""Whichever page an instruction misses, its own or the processor's, it can be tried again as if new.

Operands and stack lie across the ends of pages, so that each access has a page of its own to miss; accessed
and dirty bits tell which pages an instruction reads and writes when it can.
"""

from __future__ import annotations

from functools import cache

import pytest

from tests.machine.exceptions.machine import ACROSS, CODE, MODES, TABLE, TABLES, Form, Machine, Mode, forms
from tests.machine.exceptions.test_exceptions import BY_OPERATION, FULL, RESTARTABLE
from vizapp.isa.vectors import PF

ACCESSED, DIRTY = 0x20, 0x40
ABSENT, READ_ONLY = 6, 5
PAGED = [mode for mode in MODES if not mode.real and (FULL or mode.virtual or mode.bits == 32)]
machine = cache(Machine)


def touched(pc: Machine) -> dict[int, bool]:
    """Pages that the last instruction used, and whether it wrote to them."""
    entries = [(page, pc.pc.memory.read(TABLE + 4 * page, 4)) for page in range(pc.pc.memory.frames)]
    skipped = {*TABLES, CODE >> 12}
    return {page: bool(entry & DIRTY) for page, entry in entries if entry & ACCESSED and page not in skipped}


def check(pc: Machine, form: Form) -> None:
    pc.begin(form, ACROSS)
    if pc.step() is not None:
        return
    after = pc.state()
    for page, written in touched(pc).items():
        for flags in (ABSENT, READ_ONLY) if written else (ABSENT,):
            pc.begin(form, ACROSS)
            pc.page(page << 12, flags)
            before = pc.state()
            assert (pc.step() or (None,))[0] == PF, (form, hex(page << 12), flags)
            now = pc.state()
            assert now[0] == before[0], (form, hex(page << 12), flags)
            assert now[1] == before[1] or form.opcode.operation in RESTARTABLE, (form, hex(page << 12), flags)
            pc.page(page << 12, 7)
            pc.pc.stopped, pc.pc.fault = None, None
            assert pc.step() is None
            assert pc.state() == after, (form, hex(page << 12), flags)


@pytest.mark.oracle
@pytest.mark.parametrize("mode", PAGED, ids=lambda mode: mode.name)
@pytest.mark.parametrize("operation", BY_OPERATION)
def test_a_page_that_is_missed_changes_nothing(operation: str, mode: Mode) -> None:
    pc = machine(mode)
    for opcode in BY_OPERATION[operation]:
        for form in forms(opcode, mode):
            check(pc, form)
