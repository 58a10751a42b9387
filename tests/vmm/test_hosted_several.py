"""Several virtual machines beside a host: a VMApp and a world each, and the host's kernel schedules them."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import mean

import pytest

from tests.goldens.make import result_of
from tests.lengths import AT_LENGTH
from tests.session.test_input import READER
from vizapp.cli.main import main
from vizapp.experiment.hosted import with_io
from vizapp.experiment.scenarios import make_scenario
from vizapp.isa.addresses import HostPhysical
from vizapp.isa.paging import PTE_P
from vizapp.machine import events as ev
from vizapp.machine.events import Event
from vizapp.machine.places import VM_APP, VMM
from vizapp.session.builder import Machine, build
from vizapp.session.details import PATH
from vizapp.session.details.path import Paths
from vizapp.session.scenario import Scenario, VmScenario
from vizapp.session.session import Session
from vizapp.session.state_hash import state_hash
from vizapp.vmm.hosted import layout

OFF = "hosted: {ports: false, combining: false, notification: false}"
ALL_OFF = f"{OFF}, "


def scenario(tmp_path: Path, vms: str, more: str = "", actions: str = "") -> Scenario:
    """A PC with the guests ``vms``, a YAML list, beside its host."""
    file = tmp_path / "beside.yaml"
    file.write_text(
        "format: 1\n"
        "pcs:\n"
        f"  - {{technique: binary-translation, io: hosted, {more}vms: {vms}}}\n"
        f"actions: {actions or '[]'}\n"
    )
    return make_scenario(str(file))


@cache
def bare_result(guest: str, iterations: int | None) -> str:
    machine = build(make_scenario(guest, iterations=iterations))
    machine.pc.run()
    return result_of(bytes(machine.monitor.devices.uart.output).decode("ascii"))


def outputs(machine: Machine) -> list[str]:
    return [bytes(vm.hardware.uart.output).decode("ascii") for vm in machine.monitor.vms]


def listened(plan: Scenario) -> tuple[Machine, list[Event]]:
    """A whole run with its events."""
    machine, events = build(plan), []
    machine.pc.listener = events.append
    machine.pc.run()
    return machine, events


@pytest.mark.parametrize(
    ("more", "guests"),
    [
        ("", [("compute", None), ("hello", None)]),
        pytest.param("slice: 200us, ", [("minikernel", None), ("minikernel", None)], marks=AT_LENGTH),
        ("", [("network-send", 4), ("disk-read", 1), ("disk-write", 1), ("network-receive", 4)]),
        (ALL_OFF, [("network-receive", 4), ("disk-write", 1), ("popf", None)]),
        ("slice: 100us, ", [("crash", None), ("rings", None)]),
    ],
)
def test_each_does_what_it_does_on_the_bare_machine(
    tmp_path: Path, more: str, guests: list[tuple[str, int | None]]
) -> None:
    """Each in lockstep with a bare machine of its own, and none touches what is another's."""
    vms = ", ".join(
        f"{{guest: {guest}}}" if count is None else f"{{guest: {guest}, iterations: {count}}}"
        for guest, count in guests
    )
    session = Session(scenario(tmp_path, f"[{vms}]", more), lockstep=True)
    session.run()
    card = session.scorecard()
    assert card.holds is True, card
    assert card.compared == session.timeline.end_instruction
    assert session.leaks == ()
    for (guest, count), output in zip(guests, outputs(session.machine), strict=True):
        assert result_of(output) == bare_result(guest, count)


def test_going_back_and_forward_gives_the_same_state(tmp_path: Path) -> None:
    session = Session(
        scenario(tmp_path, "[{guest: disk-read, iterations: 1}, {guest: popf}]", "slice: 50us, ")
    )
    session.advance()
    end = session.timeline.end
    there = state_hash(session.machine.pc)
    session.seek(end // 2)
    middle = state_hash(session.machine.pc)
    session.seek(end)
    assert state_hash(session.machine.pc) == there
    session.seek(end // 2)
    assert state_hash(session.machine.pc) == middle


def test_every_passage_is_into_the_world_of_the_machine_whose_process_it_is(tmp_path: Path) -> None:
    """The host's kernel loads a VMApp's directory; VMDriver then enters that VM's world, and no other."""
    _, events = listened(
        scenario(tmp_path, "[{guest: rings}, {guest: hello}, {guest: popf}]", "slice: 50us, ")
    )
    scheduled = 0
    turns: list[int] = []
    for event in events:
        if event.kind == ev.VM_SCHEDULED:
            scheduled = int(event.payload["vm"])
            turns.append(scheduled)
        elif event.kind == ev.WORLD_SWITCHED:
            vmm = event.target if event.payload["direction"] == "vmm" else event.source
            assert (vmm.component, vmm.vm) == (VMM, scheduled)
        elif event.source.component == VM_APP:
            assert event.source.vm == scheduled
    assert set(turns) == {0, 1, 2}
    assert len(turns) > 6


def test_the_timer_takes_the_processor_from_a_guest_that_only_computes(tmp_path: Path) -> None:
    """In slices by weight: who has twice the weight has twice as much, as long as both want it."""
    vms = "[{guest: compute, name: one}, {guest: compute, name: two, weight: 512}]"
    _, events = listened(scenario(tmp_path, vms, "slice: 40us, "))
    first = next(event for event in events if event.kind == ev.VM_STOPPED)
    turns = [event for event in events if event.kind == ev.VM_SCHEDULED and event.cycle < first.cycle]
    lengths: dict[int, list[int]] = {0: [], 1: []}
    for begin, end in pairwise(turns):
        lengths[int(begin.payload["vm"])].append(end.cycle - begin.cycle)
    assert first.payload["vm"] == 1
    assert len(turns) >= 5
    assert mean(lengths[1]) / mean(lengths[0]) == pytest.approx(2, rel=0.1)


def test_when_a_guest_dies_its_vmapp_ends_and_the_others_go_on(tmp_path: Path) -> None:
    vms = "[{guest: crash}, {guest: rings}, {guest: hello}]"
    machine, events = listened(scenario(tmp_path, vms, "slice: 50us, "))
    died = next(event for event in events if event.kind == ev.VM_STOPPED and event.payload["vm"] == 0)
    ended = next(event for event in events if event.kind == ev.WORLD_SWITCHED and event.cause == "end")
    assert died.cause == "shutdown"
    assert died.position < ended.position
    after = [event for event in events if event.position > ended.position + 2000]
    assert not any(event.source.vm == 0 or event.target.vm == 0 for event in after)
    assert [bool(result_of(output)) for output in outputs(machine)][1:] == [True, True]
    assert machine.pc.stopped is not None
    assert machine.pc.stopped[0] == "shutdown"
    assert "crash-0" in machine.pc.stopped[1].in_english()


def test_machines_are_created_paused_resumed_and_killed(tmp_path: Path) -> None:
    vms = (
        "[{guest: compute, name: one}, {guest: rings, name: two},"
        " {guest: network-receive, iterations: 4, name: three}]"
    )
    actions = (
        "[{at: 100us, pause: two}, {at: 3ms, resume: two},"
        " {at: 500us, create: three}, {at: 1ms, kill: three}]"
    )
    machine, events = listened(scenario(tmp_path, vms, "slice: 50us, ", actions))
    hertz = machine.pc.hertz
    killed = next(event for event in events if event.kind == ev.VM_STOPPED and event.payload["vm"] == 2)
    of_two = [event.cycle for event in events if event.source.is_guest and event.source.vm == 1]
    of_three = [event.cycle for event in events if event.source.is_guest and event.source.vm == 2]
    assert not [cycle for cycle in of_two if hertz * 3e-4 < cycle < hertz * 3e-3]
    assert max(of_two) > hertz * 3e-3
    assert hertz * 5e-4 <= min(of_three)
    assert max(of_three) < killed.cycle < hertz * 1.1e-3
    assert [bool(result_of(output)) for output in outputs(machine)] == [True, True, False]


def test_a_key_reaches_the_machine_that_it_is_for() -> None:
    other = VmScenario(READER, name="other")
    two = Scenario(READER, "binary-translation", others=(other,), slice_seconds=5e-5)
    session = Session(with_io(two, "hosted", {}), lockstep=True)
    session.run(max_steps=20_000)
    for pressed in (True, False):
        session.feed("keyboard", "a", pressed, vm=1)
        session.run(max_steps=20_000)
    first, second = session.machine.monitor.vms
    assert first.stopped is None
    assert second.stopped is not None
    for pressed in (True, False):
        session.feed("keyboard", "a", pressed, vm=0)
        session.run(max_steps=20_000)
    assert first.stopped is not None
    assert session.scorecard().holds


def test_the_way_of_a_frame_is_its_own_machines(tmp_path: Path) -> None:
    """Stage after stage, of the one that sends as of the one that receives."""
    vms = "[{guest: network-receive, iterations: 2}, {guest: rings}, {guest: network-send, iterations: 2}]"
    session = Session(scenario(tmp_path, vms))
    session.run()
    session.watch_details({PATH})
    found = session.seek(session.timeline.end).details[PATH]
    assert isinstance(found, Paths)
    ways = {(one.route, one.vm): [stop.stage for stop in one.stops] for one in reversed(found.shown)}
    assert set(ways) == {(route, vm) for route in ("hosted-send", "hosted-receive") for vm in (0, 2)}
    for vm in (0, 2):
        assert set(ways["hosted-send", vm]) >= {"out", "switch", "vmapp", "write", "driver", "line"}
        assert set(ways["hosted-receive", vm]) >= {"line", "read", "back", "injected"}


def test_no_process_has_the_pages_of_another_machine(tmp_path: Path) -> None:
    """The directories of the VMApps, as the processor walks them: what one reaches, and another."""
    vms = "[{guest: network-receive, iterations: 4}, {guest: network-send, iterations: 4, memory: 8M}]"
    plan = scenario(tmp_path, vms)
    machine, _ = listened(plan)
    assert plan.host is not None
    memory, symbols = machine.pc.memory, plan.host.symbols

    def entries(frame: int) -> list[int]:
        return [memory.read(HostPhysical((frame & ~0xFFF) + 4 * index), 4) for index in range(1024)]

    def frames(vm: int) -> set[int]:
        slot = symbols["processes"] + vm * layout.SLOT
        tables = entries(memory.read(HostPhysical(slot + layout.SLOT_SPACE), 4))
        private = [table for table in tables[1:] if table & PTE_P]
        return {entry >> 12 for table in private for entry in entries(table) if entry & PTE_P}

    owned = [set(vm.memory.p2m) for vm in machine.monitor.vms]  # type: ignore[attr-defined]
    mine, theirs = frames(0), frames(1)
    assert mine & owned[0]
    assert theirs & owned[1]
    assert not mine & (theirs | owned[1])
    assert not theirs & owned[0]


@pytest.mark.parametrize(
    ("vms", "wrong"),
    [
        (", ".join(["{guest: hello}"] * 5), "beside a host 4 guests run at most, and 5 are asked for"),
        (
            ", ".join(["{guest: hello, memory: 1G}"] * 4),
            "guests have 3072 MB of memory at most, and 4096 MB are asked for",
        ),
    ],
)
def test_what_a_host_has_no_room_for_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], vms: str, wrong: str
) -> None:
    file = tmp_path / "many.yaml"
    file.write_text(f"format: 1\npcs:\n  - {{preset: vmware-workstation, vms: [{vms}]}}\n")
    assert main(["run", str(file)]) == 2
    assert wrong in capsys.readouterr().err
