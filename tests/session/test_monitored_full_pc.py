"""A multiboot kernel under a monitor: APIC, disk and keyboard as on the bare machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.goldens.boot import BOOT_TESTS, binary_of, disk_contents
from tests.session.conftest import image
from vizapp.experiment.hosted import with_io
from vizapp.guest.loader import load_guest
from vizapp.session.scenario import Scenario, VmScenario
from vizapp.session.session import Session

KERNEL = next(test for test in BOOT_TESTS if test.name == "kernel-elf")


def scenario(technique: str) -> Scenario:
    return Scenario(
        load_guest(str(binary_of(KERNEL))),
        technique,
        virtualizable=technique == "trap-and-emulate",
        disks=(disk_contents(KERNEL),),
    )


def run(session: Session) -> str:
    """What the kernel prints; its keys come when it has asked for the disk."""
    keys = [(name, down) for key in KERNEL.keys for down in (True, False) for name in key[1:]]
    while not session.timeline.at_end and "disk " not in session.final_serial:
        session.advance(max_steps=4_000)
    for name, down in keys:
        session.feed("keyboard", name, down)
    session.advance(seconds=120)
    return session.final_serial


@pytest.fixture(scope="module")
def expected() -> str:
    return run(Session(scenario("native")))


@pytest.mark.parametrize(
    ("technique", "io"),
    [("trap-and-emulate", None), ("binary-translation", None), ("binary-translation", "hosted")],
)
def test_it_prints_the_same_and_does_the_same(technique: str, io: str | None, expected: str) -> None:
    session = Session(with_io(scenario(technique), io, {}), lockstep=True)
    assert run(session) == expected
    assert session.timeline.stopped is not None
    assert session.timeline.stopped.reason == "halted"
    card = session.scorecard()
    assert card.first_difference is None
    assert card.holds
    assert card.let_through == 0


def test_beside_a_small_guest_both_hold() -> None:
    both = replace(
        scenario("trap-and-emulate"),
        others=(VmScenario(image("rings", "native"), 4 << 20),),
        slice_seconds=2e-5,
    )
    session = Session(both, lockstep=True)
    run(session)
    assert [vm["scorecard"]["equivalence"]["holds"] for vm in session.report()["vms"]] == [True, True]


@pytest.mark.parametrize("technique", ["native", "trap-and-emulate"])
def test_its_end_can_be_rewound(technique: str) -> None:
    session = Session(scenario(technique))
    run(session)
    end = session.frame()
    session.seek(end.position // 2)
    assert session.seek(end.position) == end
