"""Guests with drivers under monitors: the bare machine does the same, and DMA reaches only their own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vizapp.experiment.scenarios import make_scenario
from vizapp.guest.library import build_guest
from vizapp.session.scenario import Scenario, VmScenario
from vizapp.session.session import Session

PROCESSORS = {"vt-x": "nehalem", "amd-v": "barcelona"}


def session(guest: str, technique: str, **choices: object) -> Session:
    scenario = Scenario(
        build_guest(guest, iterations=2),
        technique=technique,
        virtualizable=technique == "trap-and-emulate",
        processor=PROCESSORS.get(technique, "pentium-4-672"),
        **choices,
    )
    return Session(scenario, lockstep=technique != "native")


@pytest.mark.parametrize(
    ("guest", "technique"),
    [
        # The other techniques: tests/experiment/test_comparisons.py.
        ("network-receive", "amd-v"),
        ("disk-write", "amd-v"),
    ],
)
def test_a_replay_on_the_bare_machine_does_the_same(guest: str, technique: str) -> None:
    monitored = session(guest, technique)
    monitored.advance(seconds=120)
    card = monitored.scorecard()
    assert card.first_difference is None
    assert card.holds
    assert card.let_through == 0
    bare = session(guest, "native")
    bare.advance(seconds=120)
    assert monitored.final_serial.splitlines()[-1] == bare.final_serial.splitlines()[-1]
    assert "result: " in bare.final_serial


def test_several_have_a_station_each_and_all_hold() -> None:
    both = session(
        "network-receive",
        "vt-x",
        others=(VmScenario(build_guest("network-receive", iterations=3), 4 << 20),),
        slice_seconds=2e-5,
    )
    both.advance(seconds=120)
    assert [vm["scorecard"]["equivalence"]["holds"] for vm in both.report()["vms"]] == [True, True]


def test_a_run_is_the_same_when_rewound_into_a_transfer() -> None:
    run = session("network-receive", "native")
    run.advance(seconds=120)
    end = run.frame()
    run.seek(end.position // 3)
    assert run.seek(end.position) == end


def test_a_disk_of_the_users_takes_the_place_of_the_spare_one() -> None:
    spare, other = session("disk-read", "native"), session("disk-read", "native", disks=(b"mine" * 4096,))
    for run in (spare, other):
        run.advance(seconds=120)
    assert "checksum" in other.final_serial
    assert other.final_serial.splitlines()[-1] != spare.final_serial.splitlines()[-1]


@pytest.mark.parametrize(
    ("guest", "said"),
    [("network-send", "there is no network adapter"), ("disk-read", "there is no disk")],
)
@pytest.mark.parametrize("technique", ["native", "paravirtual"])
def test_a_guest_without_its_device_says_so(guest: str, technique: str, said: str) -> None:
    build = "native" if technique == "native" else "xen"
    image = replace(build_guest(guest, build), needs_pc=False, needs_network=False, spare_disk=b"")
    run = Session(Scenario(image, technique=technique))
    run.advance(seconds=120)
    assert run.final_serial.splitlines() == [said, "result: 811C9DC5"]


def test_a_front_end_waits_for_an_answer_no_longer_than_it_said() -> None:
    scenario = make_scenario("network-receive", technique_name="paravirtual", iterations=1)
    run = Session(replace(scenario, image=replace(scenario.image, needs_network=False)))
    run.advance(seconds=120)
    lines = run.report()["vms"][1]["serial"].splitlines()
    assert lines == ["three seconds have passed, and nothing came", "result: 811C9DC5"]
