"""Finds the data directories, in a checkout or inside an installed wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _data(name: str) -> Path:
    installed = _PACKAGE / "_data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def assets() -> Path:
    """The directory of guests, processors, monitors, published figures, fonts, icons, themes and locale."""
    return _data("assets")


def lessons() -> Path:
    """The directory of lessons, one folder each."""
    return _data("lessons")
