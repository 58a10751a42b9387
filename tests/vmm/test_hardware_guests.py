"""Every guest of the library under VT-x and AMD-V, with shadow and nested paging: as on the bare machine."""

import pytest

from tests.goldens.make import result_of, results
from tests.lengths import AT_LENGTH, FULL
from vizapp.guest.catalogue import GUESTS
from vizapp.guest.library import build_guest
from vizapp.machine.image import Image
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session

SETTINGS = {
    "vt-x-shadow": ("vt-x", "shadow", "pentium-4-672"),
    "ept": ("vt-x", "nested", "nehalem"),
    "unrestricted": ("vt-x", "nested", "sandy-bridge"),
    "amd-v-shadow": ("amd-v", "shadow", "k8-rev-f"),
    "npt": ("amd-v", "nested", "barcelona"),
}
NATIVE = sorted(name for name, guest in GUESTS.items() if "native" in guest.builds)
SAMPLED = ("ept", "amd-v-shadow")
"""Under which guests that share a kernel with others, and long ones, run in a short test."""
TURNS = 24
"""Of a loop that is measured, in a short test: each is as the one before."""
LONG = {name for name in NATIVE if GUESTS[name].group in ("microbenchmarks", "hosts")}
CASES = [
    pytest.param(guest, setting, marks=AT_LENGTH if guest in LONG and setting not in SAMPLED else ())
    for guest in NATIVE
    for setting in SETTINGS
]


def scenario(guest: str, setting: str) -> Scenario:
    technique, paging, processor = SETTINGS[setting]
    return Scenario(image(guest), technique, processor, paging)


def turns(guest: str) -> int | None:
    usual = GUESTS[guest].iterations
    return usual if FULL or usual is None else min(usual, TURNS)


def image(guest: str) -> Image:
    return build_guest(guest, "native", turns(guest))


def bare_result(guest: str, processor: str) -> str:
    """What it prints without a monitor, which is known for as many turns as it takes by itself."""
    if turns(guest) == GUESTS[guest].iterations:
        return results()[guest]
    bare = Session(Scenario(image(guest), "native", processor))
    bare.advance()
    return result_of(bare.final_serial)


@pytest.mark.parametrize(("guest", "setting"), CASES)
def test_equivalent_and_contained(guest: str, setting: str) -> None:
    session = Session(scenario(guest, setting), lockstep=True)
    session.advance()
    card = session.scorecard()
    assert card.first_difference is None
    assert (card.holds, card.compared) == (True, session.timeline.end_instruction)
    assert card.let_through == 0
    _, _, processor = SETTINGS[setting]
    assert result_of(session.final_serial) == bare_result(guest, processor)
