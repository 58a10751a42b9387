"""The same guest under several techniques, each against the bare machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vizapp.cost.choice import DEFAULT_PROCESSOR, default_processor, fits, uses_virtualization
from vizapp.cost.processors import load_processor
from vizapp.errors import ScenarioError
from vizapp.experiment.execution import UNBOUNDED, Bounds, Run, execute
from vizapp.experiment.scenario_file import is_scenario_file
from vizapp.experiment.scenarios import HVM, make_scenario
from vizapp.experiment.techniques import technique
from vizapp.guest.catalogue import GUESTS
from vizapp.messages import N_, Message
from vizapp.vmm.registry import TECHNIQUES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizapp.session.scenario import Scenario

YARDSTICK = "native"


def techniques_for(
    guest: str, wanted: Sequence[str] = (), processor: str = DEFAULT_PROCESSOR, paging: str = "shadow"
) -> tuple[str, ...]:
    """The techniques that a comparison runs, the bare machine first.

    Without a wish: every technique of this version for which the guest has a build, and that can be on the
    processor.
    """
    if wanted:
        return tuple(dict.fromkeys((YARDSTICK, *(technique(name).name for name in wanted))))
    builds = GUESTS[guest].builds if guest in GUESTS else ("native",)
    model = load_processor(processor)
    return tuple(name for name in TECHNIQUES if technique(name).build in builds and fits(model, name, paging))


def compare(
    guest: str,
    techniques: Sequence[str] = (),
    *,
    virtualizable: bool = True,
    bounds: Bounds = UNBOUNDED,
    started: Callable[[str], None] | None = None,
    processor: str | None = None,
    paging: str = "shadow",
    **choices: Any,
) -> list[Run]:
    """Run ``guest`` under each technique and score it; ``started`` is told each technique's name in turn.

    All are on one processor: where none is named, the default of the first technique that is in it, and for
    nested paging one that has it.
    ``paging`` is for those techniques. A run that is not equivalent has no overhead: it did something else.

    Raises:
        VizappError: as ``make_scenario``.
    """
    if is_scenario_file(guest):
        sentence = N_("{file} is a scenario: it says itself under what its guests run, so there is no choice")
        raise ScenarioError(Message(sentence, {"file": guest}))
    # Every name and file is checked before the first long run.
    if processor is None:
        hardware = next(filter(uses_virtualization, techniques), "vt-x" if paging == "nested" else YARDSTICK)
        processor = default_processor(hardware, paging)
    scenarios = [
        make_scenario(
            guest,
            technique_name=name,
            virtualizable=virtualizable and name != YARDSTICK,
            processor=processor,
            paging=paging if uses_virtualization(name) else "shadow",
            **choices,
        )
        for name in techniques_for(guest, techniques, processor, paging)
    ]
    runs: list[Run] = []
    for scenario in scenarios:
        if started is not None:
            started(scenario.technique)
        runs.append(execute(scenario, bounds=bounds, score=True))
    return with_overhead(runs)


def race(guest: str, like: Scenario) -> list[Scenario]:
    """The scenarios that run beside one for its overhead graph: the same choices under each technique.

    A scenario file says itself what runs on what, so nothing runs beside it.
    """
    if is_scenario_file(guest):
        return [like]
    hvm = (like.technique,) if like.has_unmodified_domains else ()
    return [
        make_scenario(
            guest,
            technique_name=name,
            processor=like.processor,
            paging=like.paging if uses_virtualization(name) or name in hvm else "shadow",
            virtualizable=name != YARDSTICK,
            memory=like.others[0].memory if like.others else like.memory,
            overrides=like.overrides,
            guests=HVM if name in hvm else None,
            io="hosted" if like.host is not None and name == like.technique else None,
        )
        for name in dict.fromkeys(
            (*techniques_for(guest, processor=like.processor, paging=like.paging), *hvm)
        )
    ]


def with_overhead(runs: Sequence[Run]) -> list[Run]:
    """The runs with their overhead over the first, the bare machine's.

    What a host or a domain 0 takes to start, before the guest's own first instruction, is left out.
    """
    base = runs[0]
    return [replace(run, overhead=_overhead(run, base)) for run in runs]


def _overhead(run: Run, base: Run) -> float | None:
    ended = {run.stopped, base.stopped} == {"halted"}
    if not ended or run.scorecard["equivalence"]["holds"] is not True or not base.cycles.total:
        return None
    return (run.cycles.total - run.start) / base.cycles.total
