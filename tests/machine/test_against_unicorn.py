"""Random instructions of every row of the opcode table, one at a time, against unicorn.

``VIZAPP_ORACLE_CASES`` is the number of cases a row (8 unless set); 2000 of them take some 20 minutes.
"""

import os

import pytest

from tests.machine.oracle_unicorn import UNKNOWN_TO_UNICORN, Comparison
from vizapp.isa.opcodes import OPCODES
from vizapp.machine.semantics import INSTRUCTIONS

CASES = int(os.environ.get("VIZAPP_ORACLE_CASES", "8"))
ROWS = [
    opcode
    for opcode in OPCODES
    if opcode.operation in INSTRUCTIONS and opcode.encoding not in UNKNOWN_TO_UNICORN
]
OPERATIONS = sorted({opcode.operation for opcode in ROWS})


@pytest.mark.timeout(180 + CASES)
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
