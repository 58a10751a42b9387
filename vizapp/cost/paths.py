"""Monitors' path lengths as data: which operations each step of a monitor's code does, and how that is known.

A monitor never charges a price for a handler. It names the step that it takes, the step is so many memory
references, lookups and so on, and the processor prices those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vizapp.errors import DataError, UnknownNameError
from vizapp.machine.inputs import INPUTS, INSTRUCTION, MONITOR
from vizapp.resources import assets
from vizapp.schema import read, suggestion, unknown_name

if TYPE_CHECKING:
    from pathlib import Path

# What a monitor's own code does, among it the instructions that are there for monitors alone.
OPERATIONS = tuple(
    item.name for item in INPUTS if item.group == MONITOR or (item.group == INSTRUCTION and item.features)
)
Text = Annotated[str, Field(min_length=1)]


class Step(BaseModel):
    """One named step: ``operations`` are counts by input, beyond what the monitor charges one by one.

    ``fitted`` names the published figures that the counts were chosen to meet, ``sourced`` what they were
    read from, ``estimate`` the reason for them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: Text
    operations: dict[str, Annotated[int, Field(ge=0)]]
    basis: Literal["fitted", "sourced", "estimate"]
    source: Text | None = None
    reason: Text | None = None
    fitted_to: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _says_where_from(self) -> Self:
        needed = {"fitted": "fitted_to", "sourced": "source", "estimate": "reason"}[self.basis]
        if not getattr(self, needed):
            raise ValueError(f"{self.basis} needs {needed}")
        return self


class MonitorPaths(BaseModel):
    """The steps of one monitor, by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text
    description: Text
    steps: dict[str, Step]

    def operations(self) -> dict[str, dict[str, int]]:
        """Plain data for a monitor: step to (input to count)."""
        return {name: dict(step.operations) for name, step in self.steps.items()}


def monitor_names() -> tuple[str, ...]:
    """Every monitor that has path lengths, sorted."""
    return tuple(sorted(path.stem for path in _directory().glob("*.yaml")))


def load_paths(name: str) -> MonitorPaths:
    """The path lengths of a monitor, by the name of its technique.

    Raises:
        UnknownNameError: there are none.
        DataError: its file is not as it should be.
    """
    names = monitor_names()
    if name not in names:
        raise UnknownNameError("monitor", name, names)
    return read_paths(_directory() / f"{name}.yaml")


def read_paths(path: Path) -> MonitorPaths:
    """The path lengths in a file.

    Raises:
        DataError: not as the schema says, or an operation that is no monitor's.
    """
    document = read(path, MonitorPaths)
    problems = tuple(
        document.problem(
            ("steps", step_name, "operations", name), unknown_name(name, suggestion(name, OPERATIONS))
        )
        for step_name, step in document.value.steps.items()
        for name in step.operations
        if name not in OPERATIONS
    )
    if problems:
        raise DataError(problems)
    return document.value


def _directory() -> Path:
    return assets() / "monitors"
