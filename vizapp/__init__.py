"""vizapp: teaches x86 virtualization by executing real guest machine code.

The command line as functions::

    import vizapp
    run = vizapp.run("syscall", technique="trap-and-emulate", virtualizable=True)
    run.cycles.total, run.events

    for run in vizapp.compare("minikernel"):
        print(run.technique, run.overhead)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizapp.experiment.execution import Run

__all__ = ["compare", "run"]


def run(guest: str, *, technique: str = "native", score: bool = False, **choices: Any) -> Run:
    """Run one guest; ``choices`` are those of ``vizapp.experiment.scenarios.make_scenario``.

    Raises:
        VizappError: a name, file or combination that cannot be, with one message that says why.
    """
    from vizapp.experiment.execution import execute
    from vizapp.experiment.scenarios import make_scenario

    return execute(make_scenario(guest, technique_name=technique, **choices), score=score)


def compare(guest: str, techniques: Sequence[str] = (), **choices: Any) -> list[Run]:
    """The same guest under several techniques (default: all that it was built for), the bare machine first.

    Raises:
        VizappError: as ``run``.
    """
    from vizapp.experiment.compare import compare as compare_runs

    return compare_runs(guest, techniques, **choices)
