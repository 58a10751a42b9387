"""Domain 0 as guest code: it builds the others, hears their consoles, and does to them what is asked."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.goldens.make import result_of, results
from tests.lengths import at_length
from vizapp.errors import DataError, ScenarioError
from vizapp.experiment.execution import Run, execute
from vizapp.experiment.scenarios import make_scenario
from vizapp.session.session import Session

if TYPE_CHECKING:
    from pathlib import Path

SEVERAL = """
format: 1
pcs:
  - technique: paravirtual
    vms:
      - {name: paused, guest: minikernel, memory: 8M}
      - {name: heavy, guest: compute, memory: 8M, weight: 512}
      - {name: ballooned, guest: balloon, memory: 8M}
      - {name: killed, guest: syscall, memory: 8M, iterations: 20000}
      - {name: late, guest: rings, memory: 8M}
actions:
  - {at: 300us, kill: killed}
  - {at: 100us, pause: paused}
  - {at: 500us, resume: paused}
  - {at: 600us, create: late}
  - {at: 6ms, balloon: ballooned, memory: 6M}
  - {at: 9ms, balloon: ballooned, memory: 8M}
"""


@cache
def several(directory: Path) -> Run:
    file = directory / "several.yaml"
    file.write_text(SEVERAL)
    return execute(make_scenario(str(file)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return several(tmp_path_factory.getbasetemp())


def test_alone_it_asks_its_own_xenstore_and_ends() -> None:
    run = execute(make_scenario("dom0"))
    assert re.search(r"^\d+ requests to xenstore, wrong answers: 0$", run.serial, re.MULTILINE)
    assert result_of(run.serial)
    assert run.stopped == "halted"


def test_domains_that_it_builds_print_what_the_bare_machine_prints(run: Run) -> None:
    assert run.stopped == "halted"
    vms = {vm["name"]: vm for vm in run.report["vms"]}
    assert list(vms) == ["domain-0", "paused", "heavy", "ballooned", "killed", "late"]
    for name, guest in (("paused", "minikernel"), ("heavy", "compute"), ("late", "rings")):
        assert result_of(vms[name]["serial"]) == results()[guest], vms[name]["serial"]
        assert vms[name]["stopped"]["reason"] == "halted"
        assert vms[name]["scorecard"]["resource_control"]["let_through"] == 0
    assert vms["paused"]["weight"] == 256
    assert vms["heavy"]["weight"] == 512


def test_a_destroyed_domain_is_gone_and_disturbs_nobody(run: Run) -> None:
    killed = run.report["vms"][4]
    assert result_of(killed["serial"]) == ""
    assert killed["stopped"]["detail"] == "domain 0 destroyed the domain"
    assert run.events["domain-destroy"] == 5  # the others after they had shut down
    assert "domain 4 has ended, reason 255" in run.serial


def test_balloon_changes_the_memory_of_a_running_domain(run: Run) -> None:
    lines = run.report["vms"][3]["serial"].splitlines()
    assert lines[:3] == [
        "memory: 2048 pages",
        "pages now 1536, given back 512, taken 0",
        "pages now 2048, given back 512, taken 512",
    ]
    assert result_of("\n".join(lines) + "\n")


def test_balloon_pages_change_hands_as_the_domain_gives_and_takes_them() -> None:
    session = Session(make_scenario("balloon"))
    session.run()
    serial = session.final_serial
    assert "given back 64, taken 64" in serial


def test_going_back_to_where_domains_were_built_comes_to_the_same_end(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(
        "format: 1\npcs: [{technique: paravirtual, vms: [{guest: hello, memory: 8M},"
        "{guest: rings, memory: 8M}]}]\n"
    )
    session = Session(make_scenario(str(file)))
    session.run()
    end, serial = session.timeline.end, session.final_serial
    session.seek(end // 2)
    session.seek(end)
    assert session.final_serial == serial
    assert session.timeline.end == end


def test_balloon_needs_a_memory_and_a_technique_that_has_it(tmp_path: Path) -> None:
    for old, new, why in (
        (", memory: 6M}", "}", "how much the machine shall have"),
        ("pause: paused}", "pause: paused, memory: 6M}", "a balloon, and nothing else, has a memory"),
        ("technique: paravirtual", "technique: trap-and-emulate", "has a Xen build only"),
    ):
        file = tmp_path / "bad.yaml"
        file.write_text(SEVERAL.replace(old, new))
        with pytest.raises(DataError, match=why):
            make_scenario(str(file))
    file.write_text(SEVERAL.replace("paravirtual", "vt-x").replace("guest: balloon", "guest: rings"))
    with pytest.raises(DataError, match="only under paravirtual has a virtual machine a balloon"):
        make_scenario(str(file))


def test_devices_are_split_under_paravirtual_only() -> None:
    with pytest.raises(ScenarioError, match="only under paravirtual"):
        make_scenario("hello", technique_name="vt-x", io="split")
    scenario = make_scenario("hello", technique_name="paravirtual", io="split")
    assert [vm.name for vm in scenario.machines] == ["domain-0", "hello"]


@pytest.mark.parametrize("guest", ["disk-read", "disk-write", "network-send", "network-receive"])
def test_split_devices_give_what_the_bare_machine_gives(guest: str) -> None:
    run = execute(make_scenario(guest, technique_name="paravirtual", iterations=2), score=True)
    native = execute(make_scenario(guest, iterations=2))
    assert result_of(native.serial)
    domain = run.report["vms"][1]
    assert result_of(domain["serial"]) == result_of(native.serial), run.serial
    assert domain["scorecard"]["resource_control"]["let_through"] == 0
    assert run.report["vms"][0]["scorecard"]["resource_control"]["let_through"] == 0
    assert run.report["io"] == "split"
    assert run.scorecard["equivalence"]["holds"] is True
    assert [vm["scorecard"]["equivalence"]["holds"] for vm in run.report["vms"]] == [None, True]


SHARED = """
format: 1
pcs:
  - technique: paravirtual
    vms:
      - {name: first, guest: network-send, memory: 8M, iterations: 3}
      - {name: second, guest: network-receive, memory: 8M, iterations: 4}
      - {name: talker, guest: network-send, memory: 8M, iterations: 5000}
      - {name: reader, guest: disk-read, memory: 8M, iterations: 5000}
actions:
  - {at: 15ms, kill: talker}
  - {at: 16ms, kill: reader}
"""


@at_length
def test_domains_share_the_wire_and_one_that_is_destroyed_at_work_does_not_disturb(tmp_path: Path) -> None:
    file = tmp_path / "shared.yaml"
    file.write_text(SHARED)
    run = execute(make_scenario(str(file)), score=True)
    assert run.stopped == "halted", run.serial
    vms = {vm["name"]: vm for vm in run.report["vms"]}
    for name in ("first", "second"):
        assert vms[name]["scorecard"]["equivalence"]["holds"] is True, run.serial
    for name in ("talker", "reader"):
        assert result_of(vms[name]["serial"]) == ""
        assert vms[name]["stopped"]["detail"] == "domain 0 destroyed the domain"
    assert run.scorecard["resource_control"]["let_through"] == 0
    assert run.events["grant-unmap"] == run.events["grant-map"]
