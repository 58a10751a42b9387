"""Writes runs and events for other programs: CSV, JSON lines, and traces for the Perfetto viewer."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from vizapp.machine.meter import Purpose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vizapp.experiment.execution import Run
    from vizapp.machine.events import Event
    from vizapp.machine.places import Place


def as_json(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The list that ``compare --json`` prints."""
    return [{**run.report, "overhead": run.overhead} for run in runs]


def as_csv(runs: Sequence[Run]) -> str:
    """One line a technique: cycles in all and by purpose, those before the guest's start, overhead."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    purposes = [purpose.value for purpose in Purpose]
    writer.writerow(["technique", "stopped", "instructions", "cycles", "overhead", *purposes, "start"])
    for run in runs:
        cycles = run.cycles
        overhead = "" if run.overhead is None else f"{run.overhead:.4f}"
        row = [run.technique, run.stopped, run.instructions["guest"], cycles.total, overhead]
        spent = (cycles.by_purpose.get(purpose, 0) for purpose in purposes)
        writer.writerow([*row, *spent, run.start])
    return text.getvalue()


def json_lines(events: Iterable[Event]) -> Iterator[str]:
    """One JSON object an event."""
    for event in events:
        yield json.dumps(
            {
                "position": event.position,
                "cycle": event.cycle,
                "kind": event.kind,
                "from": event.source._asdict(),
                "to": event.target._asdict(),
                "cause": event.cause,
                "payload": dict(event.payload),
                "charges": [list(charge) for charge in event.charges],
            }
        )


def _track(place: Place) -> str:
    vm = "" if place.vm < 0 else f" vm{place.vm}"
    return f"{place.world}{vm} ring {place.ring}"


def perfetto(events: Sequence[Event], hertz: int, last_cycle: int) -> dict[str, Any]:
    """A Chrome trace: a track per world, VM and ring, a slice for every stay, and the events in between."""
    tracks: dict[str, int] = {}
    records: list[dict[str, Any]] = []

    def microseconds(cycle: int) -> float:
        return cycle * 1e6 / hertz

    def track(place: Place) -> int:
        return tracks.setdefault(_track(place), len(tracks) + 1)

    since = 0
    place = events[0].source if events else None
    for event in events:
        records.append(
            {"name": f"{event.kind} {event.cause}".strip(), "ph": "i", "s": "t", "pid": event.source.pc,
             "tid": track(event.target), "ts": microseconds(event.cycle), "args": dict(event.payload)}
        )  # fmt: skip
        if place is not None and event.target != place:
            records.append(_stay(place, track(place), microseconds(since), microseconds(event.cycle)))
            place, since = event.target, event.cycle
    if place is not None:
        records.append(_stay(place, track(place), microseconds(since), microseconds(last_cycle)))
    names = [
        {"name": "thread_name", "ph": "M", "pid": 0, "tid": number, "args": {"name": name}}
        for name, number in tracks.items()
    ]
    return {"traceEvents": names + records, "displayTimeUnit": "ns"}


def _stay(place: Place, track: int, start: float, end: float) -> dict[str, Any]:
    return {
        "name": place.component,
        "ph": "X",
        "pid": place.pc,
        "tid": track,
        "ts": start,
        "dur": end - start,
    }
