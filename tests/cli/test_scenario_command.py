"""`vizapp run scenario.yaml`: several guests on one PC, and one message with its place for every bad file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vizapp.cli.main import main
from vizapp.session.scoring import result_line

Capture = pytest.CaptureFixture[str]
SHIPPED = Path(__file__).parents[2] / "assets" / "scenarios"

GOOD = """\
format: 1
pcs:
  - technique: trap-and-emulate
    virtualizable: true
    slice: 20us
    vms:
      - {name: one, guest: syscall, memory: 8M}
      - {guest: compute, memory: 4M, weight: 512, iterations: 10}
"""


def run_json(capsys: Capture, *words: str) -> dict:
    assert main(["run", *words, "--json", "--lang", "en"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def refused(capsys: Capture, *words: str) -> str:
    assert main([*words, "--lang", "en"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


def write(directory: Path, text: str) -> str:
    file = directory / "scenario.yaml"
    file.write_text(text)
    return str(file)


def test_each_machine_has_an_object_of_its_own(capsys: Capture, tmp_path: Path) -> None:
    report = run_json(capsys, write(tmp_path, GOOD), "--scorecard")
    assert report["stopped"]["reason"] == "halted"
    assert [(vm["name"], vm["guest"], vm["weight"]) for vm in report["vms"]] == [
        ("one", "syscall", 256),
        ("compute-1", "compute", 512),
    ]
    for vm in report["vms"]:
        alone = run_json(capsys, vm["guest"], *(("--iterations", "10") if vm["guest"] == "compute" else ()))
        assert result_line(vm["serial"]) == result_line(alone["serial"])
        assert vm["scorecard"]["equivalence"]["holds"] is True
        assert vm["scorecard"]["resource_control"]["let_through"] == 0
    assert report["events"]["vm-switch"] >= 2


def test_the_shipped_scenario_does_what_it_says(capsys: Capture) -> None:
    report = run_json(capsys, str(SHIPPED / "three-guests.yaml"), "--scorecard", "--expect-clean")
    assert report["scorecard"]["equivalence"]["holds"] is True
    assert [vm["stopped"]["detail"] for vm in report["vms"]][2] == "the virtual machine was killed"
    assert [bool(result_line(vm["serial"])) for vm in report["vms"]] == [True, True, False]


def test_the_shipped_domains_do_what_they_say(capsys: Capture) -> None:
    report = run_json(capsys, str(SHIPPED / "domains.yaml"), "--expect-clean")
    assert [vm["name"] for vm in report["vms"]] == ["domain-0", "computing", "sending", "ballooned"]
    assert all(result_line(vm["serial"]) for vm in report["vms"])
    assert "pages now 2048, given back 512, taken 512" in report["vms"][3]["serial"]
    assert "domain 3 shall have 6144 KB" in report["vms"][0]["serial"]
    assert [vm["scorecard"]["resource_control"]["let_through"] for vm in report["vms"]] == [0] * 4


def test_the_shipped_overcommitment_pages_and_changes_no_result(capsys: Capture) -> None:
    report = run_json(capsys, str(SHIPPED / "overcommitted.yaml"), "--expect-clean")
    assert report["events"]["page-swapped-out"] > report["events"]["page-swapped-in"] > 0
    for vm in report["vms"]:
        alone = run_json(capsys, vm["guest"])
        assert result_line(vm["serial"]) == result_line(alone["serial"])


def test_people_see_each_machine(capsys: Capture, tmp_path: Path) -> None:
    assert main(["run", write(tmp_path, GOOD), "--lang", "en"]) == 0
    printed = capsys.readouterr().out
    assert "one · syscall" in printed
    assert "compute-1 · compute" in printed


def test_run_can_stop_where_the_processor_changes_hands(capsys: Capture, tmp_path: Path) -> None:
    report = run_json(capsys, write(tmp_path, GOOD), "--until", "vm-switch")
    assert report["stopped"] == {"reason": "until", "detail": "vm-switch:compute-1"}


def test_a_paused_machine_goes_on_when_it_is_resumed(capsys: Capture, tmp_path: Path) -> None:
    actions = "actions:\n  - {at: 50us, pause: one}\n  - {at: 900us, resume: one}\n"
    report = run_json(capsys, write(tmp_path, GOOD + actions), "--scorecard")
    assert report["scorecard"]["equivalence"]["holds"] is True
    assert all(result_line(vm["serial"]) for vm in report["vms"])


def test_one_that_nobody_resumes_ends_the_run(capsys: Capture, tmp_path: Path) -> None:
    report = run_json(capsys, write(tmp_path, GOOD + "actions: [{at: 50us, pause: one}]\n"))
    assert "nothing is left that resumes it" in report["vms"][0]["stopped"]["detail"]
    assert result_line(report["vms"][1]["serial"])


def test_guests_and_disks_stand_beside_the_file(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "own.asm").write_text("bits 32\norg 0x100000\nmov eax, 42\ncli\nhlt\n")
    text = GOOD.replace("guest: syscall, memory: 8M", "guest: own.asm, memory: 8M")
    report = run_json(capsys, write(tmp_path, text))
    assert report["vms"][0]["guest"] == "own.asm"
    assert report["vms"][0]["registers"]["eax"] == 42


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


BAD = {
    "unknown key": (changed("weight:", "wieght:"), ":8:", "did you mean weight"),
    "no machines": (
        "format: 1\npcs: [{technique: trap-and-emulate, vms: []}]\n",
        ":2:",
        "a list of at least 1",
    ),
    "no pcs": ("format: 1\npcs: []\n", ":2:", "a list of at least 1"),
    "nothing": ("", ":1:1", "format is missing"),
    "other format": (changed("format: 1", "format: 2"), ":1:9", "one of 1"),
    "memory": (changed("8M", "lots"), ":7:", "text of the form"),
    "memory too small": (changed("8M", "1M"), ":7:", "4 MB to 1 GB"),
    "weight": (changed("512", "0"), ":8:", "1 or more"),
    "unknown guest": (changed("syscall", "syscal"), ":7:", "did you mean syscall"),
    "no such file": (changed("syscall", "none.asm"), ":7:", "there is no file"),
    "unknown technique": (changed("trap-and-emulate", "trap"), ":7:", "no technique named trap"),
    "two monitors": (
        changed("guest: compute,", "guest: compute, technique: vt-x,"),
        ":8:",
        "a PC has one monitor: vt-x here, and trap-and-emulate before",
    ),
    "native with two": (changed("technique: trap-and-emulate", "technique: native"), "", "runs one guest"),
    "two PCs": (
        GOOD + "  - {vms: [{guest: hello}]}\n",
        ":9:5",
        "this scenario has 2 PCs, and one is all that runs at a time",
    ),
    "switches": (GOOD + "switches: [lan]\n", ":9:1", "no switch"),
    "names": (
        changed("{guest: compute,", "{name: one, guest: compute,"),
        ":8:",
        "two virtual machines are named",
    ),
    "snapshot": (GOOD + "actions: [{at: 1ms, snapshot: one}]\n", ":9:", "cannot snapshot a virtual machine"),
    "migrate": (GOOD + "actions: [{at: 1ms, migrate: one}]\n", ":9:", "cannot migrate a virtual machine"),
    "action on nobody": (GOOD + "actions: [{at: 1ms, kill: two}]\n", ":9:", "there are: one, compute-1"),
    "two in one action": (GOOD + "actions: [{at: 1ms, kill: one, pause: one}]\n", ":9:", "names one machine"),
    "no time": (GOOD + "actions: [{kill: one}]\n", ":9:", "at is missing"),
    "time": (GOOD + "actions: [{at: soon, kill: one}]\n", ":9:", "text of the form"),
    "created first": (GOOD + "actions: [{at: 1ms, create: one}]\n", ":9:", "there from the start"),
    "twice": (changed("slice: 20us", "slice: 20us\n    slice: 30us"), ":6:", "given twice"),
    "no YAML": ("format: [1\n", ":2:", "this is not YAML"),
    "an alias": ("format: &a 1\npcs: *a\n", ":2:", "aliases"),
    "no disk": (changed("guest: syscall,", "guest: syscall, disks: [none.img],"), ":7:", "there is no file"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_one_message_with_its_place(name: str, capsys: Capture, tmp_path: Path) -> None:
    text, place, expected = BAD[name]
    message = refused(capsys, "run", write(tmp_path, text))
    assert expected in message
    assert place == "" or f"scenario.yaml{place}" in message


def test_a_file_that_is_not_there(capsys: Capture, tmp_path: Path) -> None:
    assert "cannot be read" in refused(capsys, "run", str(tmp_path / "none.yaml"))


def test_options_that_the_file_has_no_room_for(capsys: Capture, tmp_path: Path) -> None:
    file = write(tmp_path, GOOD)
    message = refused(capsys, "run", file, "--technique", "native", "--memory", "8M")
    assert "leave --technique, --memory out" in message
    assert "is a scenario" in refused(capsys, "compare", file)
    assert "is a scenario" in refused(capsys, "disasm", file)
