"""Published ports to a paravirtual interface: how many lines each took, beside which our own are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt

from vizapp.errors import DataError
from vizapp.messages import N_, Message
from vizapp.resources import assets
from vizapp.schema import read

if TYPE_CHECKING:
    from pathlib import Path


class PublishedPort(BaseModel):
    """One system's port.

    ``lines`` were modified or added, by part; ``total`` is their sum, and ``share`` (0 to 1) what that is of
    the system's code for the x86.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    lines: dict[str, NonNegativeInt]
    total: PositiveInt
    share: Annotated[float, Field(ge=0, le=1)]
    source: str


class _Ports(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    ports: tuple[PublishedPort, ...]


def published_ports(path: Path | None = None) -> tuple[PublishedPort, ...]:
    """The published ports.

    Raises:
        DataError: the file says something wrong.
    """
    document = read(path or assets() / "published" / "porting.yaml", _Ports)
    problems = [
        document.problem(
            ("ports", number, "total"),
            Message(N_("the parts make {sum} lines"), {"sum": sum(port.lines.values())}),
        )
        for number, port in enumerate(document.value.ports)
        if sum(port.lines.values()) != port.total
    ]
    if problems:
        raise DataError(tuple(problems))
    return document.value.ports
