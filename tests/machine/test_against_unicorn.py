"""Random instructions of every row of the opcode table, one at a time, against unicorn.

A sample of them in the ordinary run; with ``VIZAPP_ORACLE=full``, as ``make oracle`` sets it, some 700 000.
"""

import pytest

from tests.lengths import FULL
from tests.machine.oracle_unicorn import UNKNOWN_TO_UNICORN, Comparison
from vizapp.isa.opcodes import OPCODES
from vizapp.machine.semantics import INSTRUCTIONS

pytestmark = pytest.mark.oracle

CASES = 2000 if FULL else 8  # for each row
ROWS = [
    opcode
    for opcode in OPCODES
    if opcode.operation in INSTRUCTIONS and opcode.encoding not in UNKNOWN_TO_UNICORN
]
OPERATIONS = sorted({opcode.operation for opcode in ROWS})


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_instruction_does_what_unicorn_does(operation):
    comparison = Comparison(seed=OPERATIONS.index(operation))
    for opcode in ROWS:
        if opcode.operation != operation:
            continue
        done = 0
        for _ in range(30 * CASES):
            problem = comparison.case(opcode)
            assert not problem, problem
            done += problem is not None
            if done == CASES:
                break
        assert done, f"no case of {opcode.mnemonic} {opcode.encoding} could be run"
