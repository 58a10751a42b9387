"""The classes in ``run --json`` add up: translated, run and charged, of every guest that translation runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vizapp.cli.main import main
from vizapp.experiment.scenarios import make_scenario
from vizapp.guest.catalogue import GUESTS
from vizapp.machine.events import INSTRUCTION_EMULATED, SYSTEM_CALL_REFLECTED, UNIT_TRANSLATED
from vizapp.session.builder import build

RUN = [name for name, guest in GUESTS.items() if "native" in guest.builds and guest.group != "hosts"]
HOSTED = ["hello", "minikernel", "network-send", "disk-read"]
CASES = [*((name, "bare-metal") for name in RUN), *((name, "hosted") for name in HOSTED)]


@pytest.mark.parametrize(("name", "io"), CASES)
def test_classes_add_up(name: str, io: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "events.jsonl"
    short = ["--iterations", "3"] if GUESTS[name].iterations else []
    words = ["run", name, "--technique", "binary-translation", "--io", io, *short, "--trace", str(trace)]
    assert main([*words, "--max-instructions", "8000", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    events = [json.loads(line) for line in trace.read_text().splitlines()]

    # What was put into the cache: each unit's instructions, by what became of them.
    units = [event["payload"] for event in events if event["kind"] == UNIT_TRANSLATED]
    assert report["events"]["unit-translated"] == len(units) > 0
    translated = report["translated"]
    assert translated == {kind: sum(unit[kind.replace("-", "_")] for unit in units) for kind in translated}
    assert sum(translated.values()) == sum(unit["instructions"] for unit in units)

    # What has retired: directly, from the cache, by the monitor's hand.
    instructions, efficiency = report["instructions"], report["scorecard"]["efficiency"]
    assert min(efficiency.values()) >= 0
    assert sum(efficiency.values()) == instructions["guest"]
    assert efficiency["cache"] == instructions["monitor_written"]
    assert instructions["user"] + instructions["kernel"] == instructions["guest"]
    by_hand = [
        event["payload"]
        for event in events
        if event["kind"] in (INSTRUCTION_EMULATED, SYSTEM_CALL_REFLECTED) and "again" not in event["payload"]
    ]
    assert efficiency["emulated"] == len(by_hand)
    of_applications = sum(payload["ring"] == 3 for payload in by_hand)
    # The kernel never runs as it is, and nothing of an application runs from the cache.
    assert efficiency["direct"] == instructions["user"] - of_applications
    assert efficiency["cache"] == instructions["kernel"] - (len(by_hand) - of_applications)

    # What it cost.
    assert report["cycles"]["total"] == sum(report["cycles"]["by_purpose"].values())
    assert report["cycles"]["total"] >= max(event["cycle"] for event in events)
    assert report["io"] == io


@pytest.fixture(scope="module", params=["syscall", "rings"])
def counted(request: pytest.FixtureRequest) -> tuple[str, int]:
    """A guest, and how many instructions it retires at CPL 3 on the bare machine, stepped one by one."""
    name = request.param
    machine = build(make_scenario(name, iterations=3 if GUESTS[name].iterations else None))
    pc, count = machine.pc, 0
    while pc.stopped is None:
        before, ring = pc.instructions, pc.cpu.cpl
        pc.step()
        count += ring == 3 and pc.instructions > before
    return name, count


@pytest.mark.parametrize("technique", ["native", "trap-and-emulate", "binary-translation", "vt-x"])
def test_rings_add_up_under_every_technique(
    counted: tuple[str, int], technique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, in_ring_3 = counted
    words = ["run", name, "--technique", technique, "--json"]
    words += ["--virtualizable"] if technique == "trap-and-emulate" else []
    words += ["--iterations", "3"] if GUESTS[name].iterations else []
    assert main(words) == 0
    counts = json.loads(capsys.readouterr().out)["instructions"]
    assert counts["user"] == in_ring_3
    assert counts["user"] + counts["kernel"] == counts["guest"]
