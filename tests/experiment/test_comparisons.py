"""Comparisons, presets and exports, and the same through the Python interface."""

from __future__ import annotations

import csv
import io
import json

import pytest

import vizapp
from tests.lengths import AT_LENGTH
from vizapp.errors import DataError, ScenarioError, UnknownNameError
from vizapp.experiment.compare import compare, techniques_for, with_overhead
from vizapp.experiment.execution import Bounds, Run, execute
from vizapp.experiment.export import as_csv, as_json, json_lines, perfetto
from vizapp.experiment.presets import presets
from vizapp.experiment.scenarios import make_scenario
from vizapp.experiment.until import parse_until
from vizapp.guest.catalogue import GUESTS

NATIVE = [name for name, guest in GUESTS.items() if "native" in guest.builds]
# These share one kernel of processes with ``fork`` and ``mmap``, or a driver with ``disk-read``; or are long.
ALIKE = ("null-call", "context-switch", "exec", "protection-fault", "disk-write", "host")
PORTED = [name for name in NATIVE if "xen" in GUESTS[name].builds]


def last_word(run: Run) -> str:
    """The last line that the guest printed: on domain 0's console, where that has its devices."""
    serial = run.report["vms"][1]["serial"] if "vms" in run.report else run.serial
    return str(serial.strip().splitlines()[-1])


@pytest.mark.parametrize(
    "guest", [pytest.param(name, marks=AT_LENGTH) if name in ALIKE else name for name in NATIVE]
)
def test_every_guest_ends_with_the_same_result_wherever_equivalence_is_claimed(guest: str) -> None:
    # Direct execution leaks SIDT to an application, and this one looks.
    leaks = "binary-translation" if guest == "red-pill" else ""
    names = [name for name in techniques_for(guest) if name != leaks]
    runs = compare(guest, names, iterations=3 if GUESTS[guest].iterations and guest != "compute" else None)
    results = {last_word(run) for run in runs}
    assert len(results) == 1
    assert next(iter(results)).startswith("result: ")
    for run in runs:
        assert run.scorecard["equivalence"]["holds"] is True, run.technique
        assert run.scorecard["resource_control"]["let_through"] == 0
        assert run.cycles.total == sum(run.cycles.by_purpose.values())
        assert (run.overhead is None) == (guest == "crash")  # which never comes to an end to be timed


def test_the_red_pill_finds_binary_translation_by_what_direct_execution_leaks() -> None:
    run = compare("red-pill", ["binary-translation"])[1]
    assert run.scorecard["equivalence"]["holds"] is False
    assert (
        "the last sensitive instruction before it was sidt"
        in run.scorecard["equivalence"]["first_difference"]
    )
    assert run.overhead is None


def test_native_comes_first_and_once() -> None:
    assert techniques_for("popf", ["trap-and-emulate", "native"]) == ("native", "trap-and-emulate")


def test_a_guest_that_was_not_ported_is_compared_without_xen() -> None:
    assert techniques_for("sensitive") == ("native", "trap-and-emulate", "binary-translation", "vt-x")


def test_a_run_that_was_cut_short_has_no_overhead() -> None:
    runs = compare("compute", ["trap-and-emulate"], bounds=Bounds(instructions=500))
    assert [run.overhead for run in runs] == [None, None]


def test_prices_can_be_overridden() -> None:
    usual = execute(make_scenario("rings"))
    dear = execute(make_scenario("rings", overrides={"alu": 1000}))
    assert dear.cycles.total > usual.cycles.total
    assert dear.instructions == usual.instructions


def test_the_python_interface_is_that_of_the_readme() -> None:
    run = vizapp.run("syscall", technique="trap-and-emulate", virtualizable=True, iterations=3)
    assert run.cycles.total > 0
    assert run.events["trap"] > 0
    assert vizapp.compare("rings", ["trap-and-emulate"])[1].overhead is not None


def test_presets_say_what_they_simplify() -> None:
    known = presets()
    assert {"cp-67", "vm-370"} <= set(known)
    assert all("not" in item.description for item in known.values())


def test_a_preset_with_a_misspelt_key_is_refused(tmp_path) -> None:
    file = tmp_path / "presets.yaml"
    file.write_text("presets:\n  x:\n    title: X\n    tecnique: native\n    description: d\n")
    with pytest.raises(DataError) as caught:
        presets(file)
    assert any(problem.line == 4 for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("choices", "error"),
    [
        ({"technique_name": "vt-x", "processor": "k8-rev-f"}, ScenarioError),
        ({"technique_name": "nothing"}, UnknownNameError),
        ({"preset": "nothing"}, UnknownNameError),
        ({"memory": 5000}, ScenarioError),
        ({"paging": "nested"}, ScenarioError),
    ],
)
def test_what_cannot_be_is_refused(choices: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        make_scenario("rings", **choices)


def test_until_names_a_kind_and_perhaps_a_cause() -> None:
    assert parse_until("trap:#GP").cause == "#GP"
    assert parse_until("instruction:0x10").address == 16


def test_csv_and_traces_hold_what_was_run() -> None:
    runs = compare("rings", ["trap-and-emulate"])
    rows = list(csv.DictReader(io.StringIO(as_csv(runs))))
    assert [row["technique"] for row in rows] == ["native", "trap-and-emulate"]
    assert int(rows[1]["cycles"]) == runs[1].cycles.total
    lines = [json.loads(line) for line in json_lines(runs[1].recorded)]
    assert len(lines) == len(runs[1].recorded)
    trace = perfetto(runs[1].recorded, 3_800_000_000, runs[1].cycles.total)
    stays = [record for record in trace["traceEvents"] if record["ph"] == "X"]
    assert sum(record["dur"] for record in stays) == pytest.approx(runs[1].cycles.total / 3800, rel=1e-6)


@pytest.mark.parametrize(
    ("technique", "choices"),
    [("paravirtual", {"io": "split"}), ("binary-translation", {"io": "hosted"}), ("binary-translation", {})],
)
def test_overhead_begins_with_the_guests_own_first_instruction(technique: str, choices: dict) -> None:
    native = execute(make_scenario("rings"), score=True)
    run = execute(make_scenario("rings", technique_name=technique, **choices), score=True)
    first = int("vms" in run.report)
    begins = next(e.cycle for e in run.recorded if e.target.is_guest and e.target.vm >= first)
    assert run.start == (begins if choices else 0)
    spent, before = run.cycles.by_purpose, run.report["start"]["by_purpose"]
    assert sum(before.values()) == run.start
    assert all(before[purpose] <= spent[purpose] for purpose in spent)
    overhead = with_overhead([native, run])[1].overhead
    assert overhead == (run.cycles.total - run.start) / native.cycles.total
    assert as_json([native, run])[1]["start"]["cycles"] == run.start
