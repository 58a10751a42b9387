"""The command line: what it prints is a promise, and every bad input gets one message and status 2."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vizapp.cli.main import main

Capture = pytest.CaptureFixture[str]


def run_json(capsys: Capture, *words: str) -> dict:
    assert main([*words, "--json", "--lang", "en"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def refused(capsys: Capture, *words: str) -> str:
    assert main([*words, "--lang", "en"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Traceback" not in captured.err
    return captured.err


def test_run_prints_what_was_promised(capsys: Capture) -> None:
    report = run_json(
        capsys, "run", "rings", "--technique", "trap-and-emulate", "--virtualizable", "--scorecard"
    )
    promised = (
        "guest technique processor paging io stopped instructions translated cycles events registers serial "
        "screen scorecard"
    )
    assert set(promised.split()) <= set(report)
    assert set(report["instructions"]) >= {"guest", "user", "kernel", "monitor_written"}
    assert set(report["translated"]) == {"ident", "in-cache", "callout", "chained", "lookup"}
    assert set(report["cycles"]["by_purpose"]) == {
        "guest", "transition", "monitor", "translation", "memory", "io", "idle",
    }  # fmt: skip
    assert report["cycles"]["total"] == sum(report["cycles"]["by_purpose"].values())
    assert report["stopped"]["reason"] == "halted"
    assert report["scorecard"]["equivalence"]["holds"] is True
    assert report["scorecard"]["resource_control"]["let_through"] == 0
    efficiency = report["scorecard"]["efficiency"]
    assert efficiency["direct"] + efficiency["emulated"] == report["instructions"]["guest"]


def test_equivalence_is_null_unless_asked_for(capsys: Capture) -> None:
    report = run_json(capsys, "run", "rings", "--technique", "trap-and-emulate", "--virtualizable")
    assert report["scorecard"]["equivalence"]["holds"] is None


def test_popf_diverges_on_the_stock_processor_and_names_where(capsys: Capture) -> None:
    report = run_json(capsys, "run", "popf", "--technique", "trap-and-emulate", "--scorecard")
    assert report["stopped"]["reason"] == "diverged"
    equivalence = report["scorecard"]["equivalence"]
    assert equivalence["holds"] is False
    assert "pushfd" in equivalence["first_difference"]


@pytest.mark.parametrize("preset", ["cp-67", "vm-370"])
def test_presets_run(capsys: Capture, preset: str) -> None:
    report = run_json(capsys, "run", "popf", "--preset", preset, "--scorecard")
    assert report["technique"] == "trap-and-emulate"
    assert report["scorecard"]["equivalence"]["holds"] is True


def test_compare_puts_every_technique_beside_native(capsys: Capture) -> None:
    assert main(["compare", "popf", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)
    by_technique = {run["technique"]: run for run in runs}
    assert list(by_technique) == [
        "native",
        "trap-and-emulate",
        "binary-translation",
        "vt-x",
        "paravirtual",
    ]
    assert by_technique["native"]["overhead"] == 1.0
    assert by_technique["trap-and-emulate"]["overhead"] is not None
    results = {run["serial"].strip().splitlines()[-1] for run in runs}
    assert len(results) == 1


def test_a_run_that_is_not_equivalent_has_no_overhead(capsys: Capture) -> None:
    assert main(["compare", "popf", "--no-virtualizable", "--technique", "trap-and-emulate", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)
    assert [run["overhead"] for run in runs] == [1.0, None]


def test_until_stops_at_the_first_such_event(capsys: Capture) -> None:
    report = run_json(capsys, "run", "rings", "--until", "trap:#GP")
    assert report["stopped"] == {"reason": "until", "detail": "trap:#GP"}
    assert report["events"]["trap"] == 1


def test_until_an_instruction(capsys: Capture) -> None:
    report = run_json(capsys, "run", "rings", "--until", "instruction:0x100001")
    assert report["stopped"]["reason"] == "until"
    assert report["registers"]["eip"] == 0x100001


def test_a_bound_stops_cleanly(capsys: Capture) -> None:
    report = run_json(capsys, "run", "compute", "--max-instructions", "1000")
    assert report["stopped"]["reason"] == "limit"
    assert report["instructions"]["guest"] == 1000


def test_an_endless_guest_is_stopped_by_time(capsys: Capture, tmp_path: Path) -> None:
    source = tmp_path / "loop.asm"
    source.write_text("again: jmp again\n")
    report = run_json(capsys, "run", str(source), "--max-seconds", "0.3")
    assert report["stopped"]["reason"] == "limit"
    assert report["instructions"]["guest"] > 1000


def test_a_guest_that_jumps_into_nothing_stops_with_a_sentence(capsys: Capture, tmp_path: Path) -> None:
    source = tmp_path / "lost.asm"
    source.write_text("jmp 0x7f000000\n")
    report = run_json(capsys, "run", str(source))
    assert report["stopped"]["reason"] in ("shutdown", "crashed")
    assert "7f000000" in report["stopped"]["detail"].lower()
    assert main(["run", str(source), "--expect-clean", "--json"]) == 1


def test_native_build_under_xen_says_what_cannot_be_honoured(capsys: Capture) -> None:
    report = run_json(capsys, "run", "rings", "--technique", "paravirtual", "--build", "native")
    assert report["stopped"]["reason"] == "crashed"
    assert "Xen cannot honour it" in report["stopped"]["detail"]


def test_a_binary_runs_where_it_is_loaded(capsys: Capture, tmp_path: Path) -> None:
    binary = tmp_path / "code.bin"
    binary.write_bytes(bytes.fromhex("b82a000000 fa f4"))  # mov eax, 42; cli; hlt
    report = run_json(capsys, "run", str(binary), "--load", "0x200000")
    assert report["registers"]["eax"] == 42


def test_serial_output_goes_to_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    target = tmp_path / "serial.txt"
    assert main(["run", "hello", "--serial", str(target)]) == 0
    assert "result:" in target.read_text()


def test_trace_and_registers_are_json_lines(capsys: Capture, tmp_path: Path) -> None:
    trace, registers = tmp_path / "t.jsonl", tmp_path / "r.jsonl"
    assert main(["run", "rings", "--trace", str(trace), "--registers", str(registers)]) == 0
    kinds = [json.loads(line)["kind"] for line in trace.read_text().splitlines()]
    assert "SoftwareInterruptDelivered" in kinds
    records = [json.loads(line) for line in registers.read_text().splitlines()]
    assert records[0]["instruction"] == 1
    assert {"eax", "eip", "eflags", "cpl"} <= set(records[0])


def test_perfetto_trace_has_a_track_a_ring(tmp_path: Path) -> None:
    trace = tmp_path / "t.perfetto.json"
    assert main(["run", "rings", "--trace", str(trace)]) == 0
    records = json.loads(trace.read_text())["traceEvents"]
    names = {record["args"]["name"] for record in records if record["ph"] == "M"}
    assert {"bare ring 0", "bare ring 3"} <= names


@pytest.mark.parametrize("what", ["guests", "techniques", "processors", "presets", "lessons"])
def test_lists_have_names_and_titles(capsys: Capture, what: str) -> None:
    rows = run_json(capsys, "list", what)
    assert rows
    assert all({"name", "title"} <= set(row) for row in rows)


def test_classify_knows_the_three_classes(capsys: Capture) -> None:
    classes = {row["name"]: row["class"] for row in run_json(capsys, "classify")}
    assert classes["add"] == "innocuous"
    assert classes["popf"] == "sensitive"
    assert classes["hlt"] == "privileged"


def test_disasm_lists_a_guest_with_its_source(capsys: Capture) -> None:
    rows = run_json(capsys, "disasm", "rings")
    assert any(row["label"] == "application" for row in rows)
    assert all(len(row["bytes"]) >= 2 for row in rows)


def test_csv_is_one_line_a_technique(capsys: Capture) -> None:
    assert main(["compare", "rings", "--technique", "trap-and-emulate", "--csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("technique,stopped,instructions,cycles,overhead,guest,transition")
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "ring"], "did you mean rings"),
        (["run", "nowhere.asm"], "there is no file"),
        (["run", "rings", "--technique", "vt-y"], "did you mean vt-x"),
        (["run", "rings", "--preset", "cp-68"], "did you mean cp-67"),
        (["run", "rings", "--preset", "cp-67", "--technique", "native"], "leave --technique out"),
        (["run", "rings", "--processor", "pentium"], "processor"),
        (["run", "rings", "--paging", "nested"], "--paging shadow"),
        (["run", "rings", "--memory", "3"], "4 MB to 1 GB"),
        (["run", "rings", "--set", "alu"], "INPUT=VALUE"),
        (["run", "rings", "--set", "aluminium=3"], "aluminium"),
        (["run", "rings", "--until", "rapture"], "there is no event rapture"),
        (["run", "rings", "--until", "instruction:here"], "names no address"),
        (["run", "rings", "--until", "trap:#GQ"], "no trap named #GQ; did you mean #GP"),
        (["run", "rings", "--technique", "vt-x", "--until", "vm-exit:cpuld"], "did you mean cpuid"),
        (["run", "rings", "--technique", "amd-v", "--until", "vm-exit:io-instruction"], "ioio"),
        (["run", "rings", "--until", "hypercall:mmu_uptade"], "did you mean mmu_update"),
        (["picture", "rings", "-o", "x.png", "--until", "vm-entry:now"], "vmlaunch, vmresume, vmrun"),
        (["run", "rings", "--trace", "h.txt"], "h.txt ends with none of .jsonl, .perfetto.json"),
        (["run", "rings", "--max-instructions", "0"], "more than 0"),
        (["run", "rings", "--bits", "16"], "rings"),
        (["run", "sensitive", "--technique", "paravirtual"], "no Xen build"),
        (["run", "rings", "--build", "xen"], "Xen"),
        (["run"], "GUEST"),
        (["compare", "rings", "-o", "out.xyz"], "ends with none of"),
        (["compare", "rings", "--technique", "nothing"], "technique"),
        (["lesson", "play", "rings"], "did you mean rings-and-popf"),
        (["lesson", "play", "rings-and-popf", "--step", "99"], "steps 1 to"),
        (["lesson", "check", "nowhere"], "lesson.yaml"),
        (["picture", "rings", "-o", "x.tiff"], ".png"),
        (["picture", "rings", "-o", "x.png", "--size", "huge"], "WIDTHxHEIGHT"),
        (["classify", "no-such-guest"], "guest"),
    ],
)
def test_bad_words_get_one_message(capsys: Capture, words: list[str], expected: str) -> None:
    message = refused(capsys, *words)
    assert expected in message
    assert len(message.strip().splitlines()) == 1


def test_every_assembly_error_has_its_place(capsys: Capture, tmp_path: Path) -> None:
    source = tmp_path / "wrong.asm"
    source.write_text("mov eax, ebx\nmoov eax, 1\njmp nowhere\n")
    lines = refused(capsys, "run", str(source)).strip().splitlines()
    assert any(line.startswith(f"{source}:2:") or ":2:1:" in line for line in lines)
    assert any("nowhere" in line and ":3:" in line for line in lines)


def test_a_file_that_cannot_be_written_costs_no_run(capsys: Capture, tmp_path: Path) -> None:
    assert "trace.jsonl" in refused(capsys, "run", "rings", "--trace", str(tmp_path / "no" / "trace.jsonl"))


def test_a_directory_and_an_empty_file_are_no_guests(capsys: Capture, tmp_path: Path) -> None:
    refused(capsys, "run", str(tmp_path))
    empty = tmp_path / "empty.bin"
    empty.write_bytes(b"")
    refused(capsys, "run", str(empty), "--load", "0x100000")


def test_without_a_display_the_window_says_so(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert "there is no display" in refused(capsys, "rings")


def test_portuguese_sentences(capsys: Capture) -> None:
    assert main(["run", "ring", "--lang", "pt_BR"]) == 2
    assert "rings" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m vizapp disasm minikernel | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False,
                          cwd=Path(__file__).parents[2], env={**os.environ})  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1


PORT_WRITER = """
_start: mov al, 0x2A
        out 0x80, al
        mov al, 0x2B
        out 0x80, al
        mov al, 7
        out 0xF4, al
        hlt
"""


@pytest.mark.parametrize("technique", ["native", "trap-and-emulate"])
def test_ports_are_logged_into_files_and_one_ends_the_run(tmp_path: Path, technique: str) -> None:
    source, log = tmp_path / "ports.asm", tmp_path / "post.bin"
    source.write_text(PORT_WRITER)
    words = ["run", str(source), "--technique", technique, "--exit-port", "0xF4", "--port-log", f"0x80={log}"]
    assert main(words) == 7
    assert log.read_bytes() == b"\x2a\x2b"


def test_the_report_says_that_the_exit_port_ended_the_run(capsys: Capture, tmp_path: Path) -> None:
    source = tmp_path / "ports.asm"
    source.write_text(PORT_WRITER)
    assert main(["run", str(source), "--exit-port", "0xF4", "--json"]) == 7
    assert json.loads(capsys.readouterr().out)["stopped"]["reason"] == "exit-port"
    assert "0x10000" in refused(capsys, "run", str(source), "--exit-port", "0x10000")


@pytest.mark.parametrize(
    ("words", "drawn"),
    [
        ((), ("native", "shadow")),
        (("--technique", "amd-v", "--technique", "trap-and-emulate", "--processor", "barcelona",
          "--paging", "nested"), ("amd-v", "nested")),
    ],
)  # fmt: skip
def test_a_comparison_is_drawn(
    words: tuple[str, ...], drawn: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scenarios = []
    monkeypatch.setattr(
        "vizapp.cli.picture._draw", lambda _, view, scenario, *rest: scenarios.append(scenario)
    )
    assert main(["compare", "hello", *words, "-o", str(tmp_path / "x.png")]) == 0
    assert [(scenario.technique, scenario.paging) for scenario in scenarios] == [drawn]
