"""The same guest under several techniques, each against the bare machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vizapp.experiment.execution import UNBOUNDED, Bounds, Run, execute
from vizapp.experiment.scenarios import make_scenario
from vizapp.experiment.techniques import technique
from vizapp.guest.library import GUESTS
from vizapp.vmm.registry import TECHNIQUES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizapp.session.scenario import Scenario

YARDSTICK = "native"


def techniques_for(guest: str, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """The techniques that a comparison runs, the bare machine first.

    Without a wish: every technique of this version for which the guest has a build.
    """
    if wanted:
        return tuple(dict.fromkeys((YARDSTICK, *(technique(name).name for name in wanted))))
    builds = GUESTS[guest].builds if guest in GUESTS else ("native",)
    return tuple(name for name in TECHNIQUES if technique(name).build in builds)


def compare(
    guest: str,
    techniques: Sequence[str] = (),
    *,
    virtualizable: bool = True,
    bounds: Bounds = UNBOUNDED,
    started: Callable[[str], None] | None = None,
    **choices: Any,
) -> list[Run]:
    """Run ``guest`` under each technique and score it; ``started`` is told each technique's name in turn.

    A run that is not equivalent has no overhead: it did something else.

    Raises:
        VizappError: as ``make_scenario``.
    """
    # Every name and file is checked before the first long run.
    scenarios = [
        make_scenario(
            guest, technique_name=name, virtualizable=virtualizable and name != YARDSTICK, **choices
        )
        for name in techniques_for(guest, techniques)
    ]
    runs: list[Run] = []
    for scenario in scenarios:
        if started is not None:
            started(scenario.technique)
        runs.append(execute(scenario, bounds=bounds, score=True))
    return with_overhead(runs)


def race(guest: str, like: Scenario) -> list[Scenario]:
    """The scenarios that run beside one for its overhead graph: the same choices under each technique."""
    return [
        make_scenario(
            guest,
            technique_name=name,
            processor=like.processor,
            virtualizable=name != YARDSTICK,
            memory=like.memory,
            overrides=like.overrides,
        )
        for name in techniques_for(guest)
    ]


def with_overhead(runs: Sequence[Run]) -> list[Run]:
    """The runs with their overhead over the first, the bare machine's."""
    base = runs[0]
    return [replace(run, overhead=_overhead(run, base)) for run in runs]


def _overhead(run: Run, base: Run) -> float | None:
    ended = {run.stopped, base.stopped} == {"halted"}
    if not ended or run.scorecard["equivalence"]["holds"] is not True or not base.cycles.total:
        return None
    return run.cycles.total / base.cycles.total
