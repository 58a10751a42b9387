"""VIF and VIP: what Bochs and this processor do with the same ROM.

``make oracle`` runs every case on both. The ordinary run takes a sample, and where Bochs is absent compares
it with what Bochs told when ``make goldens`` kept it. QEMU's own translation knows neither VME nor PVI.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lengths import FULL
from tests.oracle import bochs, virtual_interrupts
from tests.oracle.bochs_goldens import VIRTUAL_INTERRUPTS
from tests.oracle.probe import Case, Outcome, Tables, outcomes, rom, run_here
from vizapp.isa.registers import CR4_PVI, EFLAGS_IOPL, EFLAGS_VIF, EFLAGS_VIP, EFLAGS_VM

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.oracle

PARTS = 3
_BOTH = EFLAGS_VIF | EFLAGS_VIP


def _flags(case: Case) -> int:
    """Those that the code at CPL 3 begins with."""
    return case.registers.get("ecx", case.eflags)


def _ignores_iopl(case: Case, theirs: Outcome) -> bool:
    return _flags(case) & EFLAGS_IOPL == EFLAGS_IOPL


def _takes_pvi_for_vme(case: Case, theirs: Outcome) -> bool:
    return bool(_flags(case) & EFLAGS_VM) and case.cr4 == CR4_PVI


# Where VIF and VIP are both set, Bochs faults before the first instruction.
KNOWN = (
    (_ignores_iopl, 'SDM Vol. 3, "EFLAGS Register", VIP: it is recognized while IOPL is less than 3'),
    (
        _takes_pvi_for_vme,
        'SDM Vol. 3, "EFLAGS Register": VME is for virtual-8086 mode, PVI for protected mode',
    ),
)


def differences(cases: list[Case], here: list[Outcome], there: list[Outcome]) -> list[str]:
    """What differs and is not known to."""
    assert len(here) == len(there) == len(cases)
    return [
        f"{case.name}:\n  here  {ours}\n  there {theirs}"
        for case, ours, theirs in zip(cases, here, there, strict=True)
        if ours != theirs
        and not (
            _flags(case) & _BOTH == _BOTH
            and (theirs.vector, theirs.error) == (13, 0)
            and any(known(case, theirs) for known, _ in KNOWN)
        )
    ]


def test_a_sample_of_virtual_interrupts_is_what_bochs_does() -> None:
    tables, cases = VIRTUAL_INTERRUPTS.sample()
    here = outcomes(run_here(rom(tables, cases)))
    assert differences(cases, here, VIRTUAL_INTERRUPTS.told()) == []
    assert {outcome.vector for outcome in here} == {1, 13, 32}


@pytest.mark.skipif(not bochs.available, reason="needs bochs")
def test_bochs_tells_of_the_sample_what_it_told(tmp_path: Path) -> None:
    image = rom(*VIRTUAL_INTERRUPTS.sample())
    assert outcomes(bochs.run(image, tmp_path)) == VIRTUAL_INTERRUPTS.told()


@pytest.mark.skipif(not FULL or not bochs.available, reason="needs bochs and make oracle")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_every_virtual_interrupt_is_what_bochs_does(part: int, tmp_path: Path) -> None:
    tables = Tables()
    cases = virtual_interrupts.cases(tables)[part::PARTS]
    image = rom(tables, cases)
    assert differences(cases, outcomes(run_here(image)), outcomes(bochs.run(image, tmp_path))) == []
