"""Several virtual machines in one session: nobody's result changes, nobody reaches what is another's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.session.conftest import image
from vizapp.errors import ScenarioError, SessionError
from vizapp.guest.library import build_guest
from vizapp.machine.events import MARK_PASSED, VM_SCHEDULED
from vizapp.session.protocol import SelectVm
from vizapp.session.scenario import Scenario, VmAction, VmScenario
from vizapp.session.scoring import result_line
from vizapp.session.session import Session
from vizapp.vmm.base import cache_owner, segment_owner

SLICE = 20e-6  # seconds: guests this short would not be switched otherwise


def several(*guests: str, slice_seconds: float | None = SLICE) -> Scenario:
    first, *others = guests
    return Scenario(
        image(first, "native"),
        "trap-and-emulate",
        virtualizable=True,
        name=f"{first}-0",
        others=tuple(
            VmScenario(image(other, "native"), memory=8 << 20, name=f"{other}-{number}")
            for number, other in enumerate(others, 1)
        ),
        slice_seconds=slice_seconds,
    )


def native_result(guest: str) -> str:
    session = Session(Scenario(image(guest, "native")))
    session.advance()
    return result_line(session.final_serial)


@pytest.mark.parametrize(
    "guests",
    [("syscall", "popf"), ("compute", "rings", "page-fault", "syscall"), ("minikernel", "minikernel")],
)
def test_equivalence_and_resource_control_hold_for_each(guests: tuple[str, ...]) -> None:
    session = Session(several(*guests), lockstep=True)
    session.advance()
    report = session.report()
    assert report["stopped"]["reason"] == "halted"
    assert report["events"]["vm-switch"] > len(guests)
    assert report["scorecard"]["equivalence"]["holds"] is True
    assert report["scorecard"]["resource_control"]["let_through"] == 0
    for number, (guest, vm) in enumerate(zip(guests, report["vms"], strict=True)):
        assert vm["name"] == f"{guest}-{number}"
        assert vm["guest"] == guest
        assert result_line(vm["serial"]) == native_result(guest)
        assert vm["scorecard"]["equivalence"]["holds"] is True
        assert vm["scorecard"]["equivalence"]["compared"] == vm["instructions"]["guest"]
        assert vm["scorecard"]["resource_control"]["let_through"] == 0
        assert vm["stopped"]["reason"] == "halted"


def test_on_esx_a_kernel_without_a_host_shares_the_machine_out() -> None:
    """One VMM a virtual machine; the VMkernel has adapter and disk, and no port is a guest's."""
    scenario = Scenario(
        build_guest("network-send", iterations=4),
        "binary-translation",
        name="sends",
        others=(VmScenario(build_guest("disk-write", iterations=1), memory=8 << 20, name="writes"),),
        slice_seconds=SLICE,
    )
    session = Session(scenario, lockstep=True)
    session.advance()
    report, monitor = session.report(), session.machine.monitor
    assert report["events"]["vm-switch"] >= 2
    assert [vm["scorecard"]["equivalence"]["holds"] for vm in report["vms"]] == [True, True]
    assert report["scorecard"]["resource_control"]["let_through"] == 0
    assert "the station has received 4," in report["vms"][0]["serial"]
    assert "doublewords wrong 0" in report["vms"][1]["serial"]
    assert {owner for *_, owner in monitor.ownership().ports} == {"vmm", "vmkernel"}
    owners = {owner for _, _, owner in monitor.ownership().frames}
    assert {segment_owner(0), segment_owner(1), cache_owner(0), cache_owner(1), "vmkernel"} <= owners


def test_the_objects_of_the_machines_add_up_to_the_whole() -> None:
    session = Session(several("syscall", "rings"))
    session.advance()
    report = session.report()
    for part in ("guest", "user"):
        whole = report["instructions"][part]
        assert sum(vm["instructions"][part] for vm in report["vms"]) == whole
    assert sum(vm["cycles"]["total"] for vm in report["vms"]) <= report["cycles"]["total"]
    assert sum(vm["cycles"]["by_purpose"]["guest"] for vm in report["vms"]) == pytest.approx(
        report["cycles"]["by_purpose"]["guest"], rel=0.001
    )
    for kind in ("emulate", "vm-stop", "vm-switch"):
        assert sum(vm["events"].get(kind, 0) for vm in report["vms"]) == report["events"][kind]
    assert set(report["vms"][0]) == (set(report) | {"name", "weight"}) - {"vms", "start"}


def test_scored_afterwards_it_says_the_same() -> None:
    session = Session(several("popf", "syscall"))
    session.advance()
    assert session.report()["vms"][1]["scorecard"]["equivalence"]["holds"] is None
    assert session.score().holds
    assert [vm["scorecard"]["equivalence"]["holds"] for vm in session.report()["vms"]] == [True, True]


def test_stock_processors_break_each_guest_where_it_breaks_alone() -> None:
    session = Session(replace(several("popf", "syscall"), virtualizable=False), lockstep=True)
    session.advance()
    frame = session.frame()
    assert frame.stopped is not None
    assert frame.stopped.reason == "diverged"
    assert "popf-0" in frame.stopped.detail.in_english()


def test_stepped_run_and_rewound_it_is_the_same() -> None:
    scenario = several("rings", "popf")
    first, second = Session(scenario), Session(scenario)
    first.advance()
    while not second.timeline.at_end:
        second.advance(max_steps=7919)
        end = second.timeline.end
        second.seek(end // 2)
        second.seek(end)
    assert second.events() == first.events()
    first.seek(1000)
    assert first.seek(5000) == second.seek(5000)


def test_what_is_shown_can_be_chosen() -> None:
    session = Session(several("syscall", "rings"))
    session.next_event({VM_SCHEDULED})
    frame = session.frame()
    assert frame.vm == 1  # follows the processor
    assert [vm.name for vm in frame.vms] == ["syscall-0", "rings-1"]
    assert [vm.state for vm in frame.vms] == ["ready", "running"]
    assert session.begin(SelectVm(0)) is None
    shown = session.frame()
    assert shown.vm == 0
    assert shown.guest == "syscall"
    assert shown.guest_registers != frame.guest_registers
    assert shown.sentence == frame.sentence
    with pytest.raises(SessionError, match="no virtual machine 2"):
        session.begin(SelectVm(2))


def test_a_mark_is_its_own_guests() -> None:
    session = Session(several("syscall", "rings"))
    session.advance()
    marks = [event for event in session.events().events if event.kind == MARK_PASSED]
    for number, guest in enumerate(("syscall", "rings")):
        alone = Session(Scenario(image(guest, "native")))
        alone.advance()
        expected = [event.cause for event in alone.events().events if event.kind == MARK_PASSED]
        assert [event.cause for event in marks if event.payload["vm"] == number] == expected


@pytest.mark.parametrize("lockstep", [False, True])
def test_the_heat_of_code_is_its_own_guest_s(lockstep: bool) -> None:
    session = Session(several("compute", "syscall"), lockstep=lockstep)
    session.advance()
    for number, guest in enumerate(("compute", "syscall")):
        alone = Session(several(guest), lockstep=lockstep)
        alone.advance()
        session.select(number)
        expected = {line.address: line.heat for line in alone.frame().code}
        found = {line.address: line.heat for line in session.frame().code}
        assert found == expected
        assert any(found.values())


@pytest.mark.parametrize(
    ("technique", "build", "why"),
    [("native", "native", "runs one guest"), ("paravirtual", "xen", "is not domain 0")],
)
def test_what_runs_one_guest_says_so(technique: str, build: str, why: str) -> None:
    scenario = Scenario(image("hello", build), technique, others=(VmScenario(image("hello", build)),))
    with pytest.raises(ScenarioError, match=why):
        Session(scenario)


@pytest.mark.parametrize(
    ("technique", "processor", "paging"),
    [("vt-x", "pentium-4-672", "shadow"), ("vt-x", "nehalem", "nested"), ("amd-v", "barcelona", "nested")],
)
def test_hardware_runs_several_as_well(technique: str, processor: str, paging: str) -> None:
    guests = ("syscall", "minikernel", "rings", "page-fault")
    scenario = replace(
        several(*guests), technique=technique, processor=processor, paging=paging, virtualizable=False
    )
    session = Session(
        replace(scenario, actions=(VmAction(1e-4, "pause", 1), VmAction(2e-4, "resume", 1))), lockstep=True
    )
    session.advance()
    report = session.report()
    assert report["events"]["vm-switch"] > len(guests)
    for guest, vm in zip(guests, report["vms"], strict=True):
        assert vm["scorecard"]["equivalence"]["holds"] is True
        assert vm["scorecard"]["resource_control"]["let_through"] == 0
        assert result_line(vm["serial"]) == native_result(guest)
