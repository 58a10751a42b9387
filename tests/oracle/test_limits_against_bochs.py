"""Segment limits: what Bochs, which checks them all, and this processor do with the same ROM.

``make oracle`` runs every case on both. The ordinary run takes a sample, and where Bochs is absent compares
it with what Bochs told when ``make goldens`` kept it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lengths import FULL
from tests.oracle import bochs, limits
from tests.oracle.bochs_goldens import LIMITS
from tests.oracle.probe import Case, Outcome, Tables, outcomes, rom, run_here

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.oracle

PARTS = 10


def _wraps_flat(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """An operand that goes round the end of a segment of 4 GB."""
    return (
        ours.vector in (12, 13) and ours.error == 0 and theirs.vector != ours.vector and _near_the_end(case)
    )


def _near_the_end(case: Case) -> bool:
    return any(value >= 0xFFFF_FFF0 for value in case.registers.values())


def _stored_a_part(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """Both fault alike, but Bochs has stored the first part of an operand or a frame by then."""
    return ours.vector in (12, 13) and ours._replace(watched=()) == theirs._replace(watched=())


def _stack_of_zero(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """A far call whose frame goes round from SP = 0 to the top of 64 KB."""
    round_the_end = case.registers["esp"] & 0xFFFF < 8 and ours.vector != theirs.vector == 12
    return case.name.startswith("call") and ":" in case.name and round_the_end


def _reads_flash(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """A string instruction whose flat segment leads to the ROM at the end of the address space."""
    same = ours._replace(general=(), eflags=0) == theirs._replace(general=(), eflags=0)
    return same and "through" in case.name and _near_the_end(case)


def _checked_too_late(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """An IRETD to beyond the limit faults, but Bochs does it first."""
    refused = ours.vector == 13 and ours.error == 0 and ours.eip == limits.START
    return (case.name.startswith("iretd") and refused and theirs.selectors[1] != ours.selectors[1]) or (
        case.name.startswith("iretd") and refused and theirs.eip > 0xFFFF
    )


def _frame_as_a_whole(case: Case, ours: Outcome, theirs: Outcome) -> bool:
    """POPA and IRET across the end of a stack: Bochs looks at all of the frame, the skipped SP too."""
    across = case.registers["esp"] & 0xFFFF > 0xFFEF
    return case.name.startswith(("popa", "iretd")) and theirs.vector == 12 and across


# What differs rightly, or is wrong in Bochs.
KNOWN = (
    (
        _wraps_flat,
        'SDM Vol. 3, "Limit Checking": with a limit of 4 GB these may fault or not; Bochs does not',
    ),
    (_stored_a_part, "nothing may be left behind that a fault interrupts: SGDT, CALL beyond a limit, ENTER"),
    (
        _stack_of_zero,
        "a frame that goes round the end of a 16-bit stack fits, as the same pushes do on Bochs",
    ),
    (_reads_flash, "Bochs takes the ROM for flash memory, whose contents a store changes"),
    (_frame_as_a_whole, "SDM Vol. 2, POPA: the slot of SP is skipped; IRET: CS is refused before SS is read"),
    (_checked_too_late, "SDM Vol. 2, IRET in virtual-8086 mode: #GP(0) of IRET if EIP is beyond the limit"),
)


def differences(cases: list[Case], here: list[Outcome], there: list[Outcome]) -> list[str]:
    """What differs and is not known to."""
    assert len(here) == len(there) == len(cases)
    return [
        f"{case.name}:\n  here  {ours}\n  there {theirs}"
        for case, ours, theirs in zip(cases, here, there, strict=True)
        if ours != theirs and not any(known(case, ours, theirs) for known, _ in KNOWN)
    ]


def test_a_sample_of_accesses_at_the_limits_is_what_bochs_does() -> None:
    tables, cases = LIMITS.sample()
    here = outcomes(run_here(rom(tables, cases)))
    assert differences(cases, here, LIMITS.told()) == []
    assert {outcome.vector for outcome in here} >= {12, 13, 32}


@pytest.mark.skipif(not bochs.available, reason="needs bochs")
def test_bochs_tells_of_the_sample_what_it_told(tmp_path: Path) -> None:
    tables, cases = LIMITS.sample()
    assert outcomes(bochs.run(rom(tables, cases), tmp_path)) == LIMITS.told()


@pytest.mark.skipif(not FULL or not bochs.available, reason="needs bochs and make oracle")
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_access_at_the_limits_is_what_bochs_does(part: int, tmp_path: Path) -> None:
    tables = Tables()
    cases = limits.cases(tables)[part::PARTS]
    image = rom(tables, cases)
    assert differences(cases, outcomes(run_here(image)), outcomes(bochs.run(image, tmp_path))) == []
