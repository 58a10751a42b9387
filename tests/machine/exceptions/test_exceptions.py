"""Every exception of every form of every instruction, in every mode, and which of two comes first.

The ordinary run has the pairs that are next to each other in the table, ``make oracle`` all.
"""

from __future__ import annotations

from functools import cache

import pytest

from tests.lengths import FULL
from tests.machine.exceptions.conditions import Check, checks_of
from tests.machine.exceptions.machine import MODES, Form, Machine, Mode, forms
from tests.machine.exceptions.table import RULES
from vizapp.isa.decode import DecodeError, decode
from vizapp.isa.opcodes import OPCODES
from vizapp.isa.vectors import DB, UD
from vizapp.machine.semantics import INSTRUCTIONS
from vizapp.machine.system import HANDLERS

# Before they fault they may have written where they will write again.
RESTARTABLE = frozenset(("enter", "pusha"))
BY_OPERATION = {name: [opcode for opcode in OPCODES if opcode.operation == name] for name in sorted(RULES)}
machine = cache(Machine)


def tried(pc: Machine, form: Form, failing: tuple[Check, ...]) -> tuple[int, int | None] | None:
    """Execute with some checks made to fail; whatever faults must have changed nothing."""
    pc.begin(form)
    for check in failing:
        if check.fail is not None:
            check.fail()
    pc.cpu.mode_changed()
    before = pc.state()
    found = pc.step()
    if found is not None and found[0] != DB:  # DR6 and DR7 tell of a #DB
        after = pc.state()
        assert after[0] == before[0], (form, failing)
        assert after[1] == before[1] or form.opcode.operation in RESTARTABLE, (form, failing)
    return found


def first(checks: list[Check], failing: tuple[Check, ...]) -> tuple[int, int | None] | None:
    return next((check.expected for check in checks if check in failing or check.fail is None), None)


def test_the_table_has_every_operation_and_no_other() -> None:
    assert set(RULES) == {opcode.operation for opcode in OPCODES} | {"esc"}
    assert set(RULES) <= set(INSTRUCTIONS) | set(HANDLERS)


@pytest.mark.oracle
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("operation", BY_OPERATION)
def test_the_exceptions_of_an_operation_come_in_the_manuals_order(operation: str, mode: Mode) -> None:
    pc = machine(mode)
    for opcode in BY_OPERATION[operation]:
        for form in forms(opcode, mode):
            checks = checks_of(pc, form)
            assert tried(pc, form, ()) == first(checks, ()), (form, "with nothing wrong")
            for number, check in enumerate(checks):
                wanted = first(checks, (check,))
                assert tried(pc, form, (check,)) == wanted, (form, check.name)
                for other in checks[number + 1 : None if FULL else number + 2]:
                    assert tried(pc, form, (check, other)) == first(checks, (check, other)), (
                        form,
                        check.name,
                        other.name,
                    )


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_lock_is_refused_before_all_else_where_it_means_nothing(mode: Mode) -> None:
    pc = machine(mode)
    for opcode in OPCODES:
        for form in forms(opcode, mode):
            raw = b"\xf0" + form.instruction.raw
            try:
                decode(raw, form.instruction.address, mode.bits)
            except DecodeError:
                pc.begin(form)
                for check in checks_of(pc, form):
                    if check.fail is not None:
                        check.fail()
                pc.place(raw)
                assert pc.step() == (UD, None), form
            else:
                assert opcode.lockable, form
