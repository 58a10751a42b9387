"""`vizapp compare`: the same guest under several techniques, side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from vizapp.cli.output import check_suffix, number, times
from vizapp.cli.picture import draw_comparison
from vizapp.cli.run import PURPOSES, bounds_from, machine_choices
from vizapp.experiment.compare import compare
from vizapp.experiment.export import as_csv, as_json
from vizapp.experiment.techniques import TITLES
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from vizapp.cli.output import Output
    from vizapp.experiment.execution import Run

PICTURES = (".png", ".svg", ".pdf")
TEXTS = (".csv", ".json")


def run(options: argparse.Namespace, out: Output) -> int:
    """Compare and print, or write to the file of ``-o``."""
    suffix = Path(options.output).suffix.lower() if options.output else ""
    if options.output:
        check_suffix(options.output, (*PICTURES, *TEXTS))
    with out.progress(f"{options.guest}"):
        runs = compare(
            options.guest,
            options.technique,
            virtualizable=options.virtualizable is not False,
            bounds=bounds_from(options),
            **machine_choices(options),
        )
    if suffix in PICTURES:
        nested = (run.technique for run in runs if run.report["paging"] == "nested")
        draw_comparison(options, next(nested, runs[0].technique), out)
    elif suffix == ".csv":
        Path(options.output).write_text(as_csv(runs), encoding="utf-8")
    elif suffix == ".json":
        text = json.dumps(as_json(runs), ensure_ascii=False, indent=2)
        Path(options.output).write_text(text + "\n", encoding="utf-8")
    if out.as_json:
        out.json(as_json(runs))
    elif options.csv:
        print(as_csv(runs), end="")
    elif not options.output:
        _table(out, runs)
    return 0


def _table(out: Output, runs: Sequence[Run]) -> None:
    # A technique a column: six of them fit a terminal of 80 columns, seven purposes with their names do not.
    rows = [
        [out.text(N_("guest instructions")), *(number(run.instructions["guest"]) for run in runs)],
        [out.text(N_("cycles")), *(number(run.cycles.total) for run in runs)],
    ]
    for purpose, title in PURPOSES.items():
        spent = [run.cycles.by_purpose.get(purpose, 0) for run in runs]
        if any(spent):
            rows.append([f"  {out.text(title)}", *(number(cycles) for cycles in spent)])
    if any(run.start for run in runs):
        rows.append([out.text(N_("before the guest")), *(number(run.start) for run in runs)])
    rows.append([out.text(N_("× native")), *(times(run.overhead) for run in runs)])
    columns = ["", *(TITLES[run.technique] for run in runs)]
    out.table(columns, rows, right=tuple(range(1, len(columns))))
    for run in runs:
        if run.start and run.overhead is not None:
            technique: dict[str, Message | int] = {"technique": Message(TITLES[run.technique])}
            start = N_("domain 0's start: {cycles} cycles under {technique}, which × native leaves out")
            if run.report["io"] == "hosted":
                start = N_("the host's start: {cycles} cycles under {technique}, which × native leaves out")
            out.say(Message(start, {**technique, "cycles": number(run.start)}))
        if run.overhead is None:
            why = run.why if run.first_difference is None else run.first_difference
            parameters = {"technique": Message(TITLES[run.technique]), "reason": why}
            out.say(Message(N_("{technique} has no overhead figure: {reason}"), parameters))
