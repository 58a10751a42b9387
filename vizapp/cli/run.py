"""`vizapp run`: one scenario, where it ended and what it cost."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizapp.cli.output import check_suffix, number
from vizapp.cost.processors import load_processor
from vizapp.errors import ScenarioError
from vizapp.experiment.execution import Bounds, execute
from vizapp.experiment.export import json_lines, perfetto
from vizapp.experiment.scenarios import make_scenario
from vizapp.experiment.techniques import TITLES
from vizapp.experiment.until import parse_until
from vizapp.isa.registers import GENERAL
from vizapp.machine.meter import Purpose
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    import argparse

    from vizapp.cli.output import Output
    from vizapp.experiment.execution import Run
    from vizapp.experiment.until import Until
    from vizapp.machine.pc import Pc
    from vizapp.session.scenario import Scenario
    from vizapp.session.session import Session

TRACES = (".jsonl", ".perfetto.json")
CRASHED = ("crashed", "shutdown", "diverged")
PURPOSES = {
    Purpose.GUEST: N_("guest work"),
    Purpose.TRANSITION: N_("transitions"),
    Purpose.MONITOR: N_("monitor"),
    Purpose.TRANSLATION: N_("translation"),
    Purpose.MEMORY: N_("memory virtualization"),
    Purpose.IO: N_("devices"),
    Purpose.IDLE: N_("idle"),
}


def machine_choices(options: argparse.Namespace) -> dict[str, Any]:
    """What the options say of guest and machine, whatever the technique."""
    names = ("build", "processor", "paging", "memory", "iterations", "load", "entry", "bits", "disks")
    return {**{name: getattr(options, name) for name in names}, "overrides": dict(options.overrides)}


def scenario_from(
    options: argparse.Namespace,
    *,
    serial_input: bytes = b"",
    exit_port: int | None = None,
    log_ports: tuple[int, ...] = (),
) -> Scenario:
    """The scenario that the options of a command describe."""
    return make_scenario(
        options.guest,
        technique_name=options.technique,
        preset=options.preset,
        virtualizable=options.virtualizable,
        intercepts=dict(options.intercept),
        io=options.io,
        hosted=dict(options.hosted),
        host_memory=options.host_memory,
        lazy=options.shadow_sync == "lazy",
        guests=options.guests,
        **machine_choices(options),
        serial_input=serial_input,
        exit_port=exit_port,
        log_ports=log_ports,
        ramdisk=getattr(options, "ramdisk", None),
        command_line=getattr(options, "command_line", ""),
    )


def until_from(options: argparse.Namespace, scenario: Scenario) -> Until | None:
    """The event of ``--until``, as the scenario's technique names it."""
    return None if options.until is None else parse_until(options.until, scenario.technique)


def bounds_from(options: argparse.Namespace) -> Bounds:
    """The bounds of a run.

    Raises:
        ScenarioError: one of them is not positive.
    """
    for name, value in (
        ("--max-instructions", options.max_instructions),
        ("--max-seconds", options.max_seconds),
    ):
        if value is not None and value <= 0:
            raise ScenarioError(
                Message(N_("{option} is more than 0, not {value}"), {"option": name, "value": value})
            )
    return Bounds(options.max_instructions, options.max_seconds)


def run(options: argparse.Namespace, out: Output) -> int:
    """Run one scenario and tell about it; a run that the exit port ended gives the status written there."""
    typed = (
        b"" if sys.stdin is None or sys.stdin.isatty() or options.serial is None else sys.stdin.buffer.read()
    )
    _check_ports(options)
    scenario = scenario_from(
        options,
        serial_input=typed,
        exit_port=options.exit_port,
        log_ports=tuple(port for port, _ in options.port_log),
    )
    until, bounds = until_from(options, scenario), bounds_from(options)
    if options.trace:
        check_suffix(options.trace, TRACES)
    with ExitStack() as files:
        registers = None
        if options.registers:
            registers = files.enter_context(Path(options.registers).open("w", encoding="utf-8"))
        # A file that cannot be written should cost no run.
        serial = None if options.serial == "-" else options.serial
        for path in (options.trace, serial, *(path for _, path in options.port_log)):
            if path:
                files.enter_context(Path(path).open("w", encoding="utf-8"))

        def attach(session: Session) -> None:
            session.watch(lambda pc: print(json.dumps(_architectural(pc)), file=registers))

        with out.progress(f"{scenario.image.name} · {scenario.technique}"):
            result = execute(
                scenario,
                until=until,
                bounds=bounds,
                score=options.scorecard,
                prepare=attach if registers is not None else None,
            )
    _write_files(options, scenario, result)
    if out.as_json:
        out.json(result.report)
    else:
        _print(out, result)
    if result.exit_status is not None:
        return result.exit_status & 0xFF  # a process has no wider one
    clean = result.stopped not in CRASHED
    return 0 if clean or not options.expect_clean else 1


def _check_ports(options: argparse.Namespace) -> None:
    for name, ports in (
        ("--exit-port", [options.exit_port]),
        ("--port-log", [p for p, _ in options.port_log]),
    ):
        for port in ports:
            if port is not None and not 0 <= port <= 0xFFFF:
                sentence = N_("{option}: a port is 0 to 0xffff, not {port}")
                raise ScenarioError(Message(sentence, {"option": name, "port": f"{port:#x}"}))


def _architectural(pc: Pc) -> dict[str, int]:
    cpu = pc.cpu
    record = {name: getattr(cpu, name) for name in GENERAL}
    whose = {"vm": pc.meter.place.vm} if pc.marks_by_vm else {}
    state = {"instruction": pc.instructions, "eip": cpu.eip, "eflags": cpu.eflags, "cpl": cpu.cpl}
    return {**whose, **state, **record}


def _write_files(options: argparse.Namespace, scenario: Scenario, result: Run) -> None:
    if options.serial == "-":
        sys.stdout.write(result.serial)
        sys.stdout.flush()
    elif options.serial:
        Path(options.serial).write_text(result.serial, encoding="utf-8")
    for port, path in options.port_log:
        Path(path).write_bytes(result.port_logs[port])
    if not options.trace:
        return
    path = Path(options.trace)
    if path.name.endswith(".perfetto.json"):
        hertz = load_processor(scenario.processor).hertz
        path.write_text(json.dumps(perfetto(result.recorded, hertz, result.cycles.total)), encoding="utf-8")
    else:
        path.write_text("".join(f"{line}\n" for line in json_lines(result.recorded)), encoding="utf-8")


def _print(out: Output, result: Run) -> None:
    report = result.report
    stopped = report["stopped"]
    out.line(f"{report['guest']} · {out.text(TITLES[result.technique])} · {report['processor']}")
    detail = out.render(result.why)
    reason = f"{stopped['reason']}: {detail}" if detail else stopped["reason"]
    facts = [(N_("stopped"), reason)]
    counts = result.instructions
    instructions = f"{number(counts['guest'])} ({number(counts['user'])} {out.text(N_('in ring 3'))})"
    facts.append((N_("guest instructions"), instructions))
    facts.append((N_("cycles"), number(result.cycles.total)))
    facts += [
        (f"  {out.text(title)}", _share(result.cycles.by_purpose.get(purpose, 0), result.cycles.total))
        for purpose, title in PURPOSES.items()
        if result.cycles.by_purpose.get(purpose, 0)
    ]
    facts.append((N_("events"), _events(report["events"])))
    facts += _scorecard(out, result.scorecard, result.first_difference)
    width = max(len(out.text(name)) for name, _ in facts)
    for name, value in facts:
        out.line(f"{out.text(name):<{width}}  {value}")
    if "vms" in report:
        _print_machines(out, report["vms"])
    elif result.serial and out.as_json is False:
        out.line()
        out.line(result.serial.rstrip("\n"))


def _print_machines(out: Output, machines: list[dict[str, Any]]) -> None:
    """Each of several virtual machines: what it did, and what it said."""
    for vm in machines:
        out.line()
        out.line(f"{vm['name']} · {vm['guest']}")
        facts = [
            (N_("stopped"), f"{vm['stopped']['reason']}: {vm['stopped']['detail']}"),
            (N_("guest instructions"), number(vm["instructions"]["guest"])),
            (N_("cycles"), number(vm["cycles"]["total"])),
            *_scorecard(out, vm["scorecard"], None),
        ]
        width = max(len(out.text(name)) for name, _ in facts)
        for name, value in facts:
            out.line(f"  {out.text(name):<{width}}  {value}")
        for line in vm["serial"].rstrip("\n").splitlines():
            out.line(f"  | {line}")


def _share(cycles: int, total: int) -> str:
    return f"{number(cycles)} ({100 * cycles / total:.1f} %)" if total else number(cycles)


def _events(events: dict[str, Any]) -> str:
    parts = []
    for name, count in events.items():
        if isinstance(count, dict):
            parts.append(f"{name} {sum(count.values())} ({', '.join(f'{k} {v}' for k, v in count.items())})")
        else:
            parts.append(f"{name} {count}")
    return ", ".join(parts)


def _scorecard(out: Output, card: dict[str, Any], first_difference: Message | None) -> list[tuple[str, str]]:
    equivalence, control, efficiency = card["equivalence"], card["resource_control"], card["efficiency"]
    facts = []
    if equivalence["holds"] is not None:
        verdict = out.text(N_("holds") if equivalence["holds"] else N_("broken"))
        detail = f"{number(equivalence['compared'])} {out.text(N_('compared'))}"
        if first_difference is not None:
            detail = out.render(first_difference)
        facts.append((N_("equivalence"), f"{verdict}: {detail}"))
    text = out.text(N_("refused {refused}, let through {let_through}")).format(**control)
    facts.append((N_("resource control"), text))
    text = N_("{direct} ran directly, {emulated} were emulated")
    if efficiency["cache"]:
        text = N_("{direct} ran directly, {cache} from the translation cache, {emulated} were emulated")
    told = out.text(text).format(**{name: number(value) for name, value in efficiency.items()})
    facts.append((N_("efficiency"), told))
    return facts
