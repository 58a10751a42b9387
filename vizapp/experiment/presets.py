"""Products of the survey as presets: a choice of technique, processor option, paging and I/O, never code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from vizapp.errors import UnknownNameError
from vizapp.resources import assets
from vizapp.schema import load

if TYPE_CHECKING:
    from pathlib import Path


class Preset(BaseModel):
    """One product; ``description`` says what it simplifies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    technique: str
    description: str
    virtualizable: bool = False
    paging: Literal["shadow", "nested"] = "shadow"
    io: Literal["bare-metal", "hosted", "split"] | None = None
    guests: Literal["ported", "hvm"] = "ported"


class _Presets(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    presets: dict[str, Preset]


def presets(path: Path | None = None) -> dict[str, Preset]:
    """Every preset by name."""
    return load(path or assets() / "presets.yaml", _Presets).presets


def preset(name: str) -> Preset:
    """The preset of a name.

    Raises:
        UnknownNameError: there is none.
    """
    known = presets()
    if name not in known:
        raise UnknownNameError("preset", name, known)
    return known[name]
