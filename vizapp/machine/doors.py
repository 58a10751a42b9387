"""Doors: the addresses in a monitor's own pages that the hardware leads to, and what runs behind them."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from vizapp.machine.places import BARE


class Door(NamedTuple):
    """A way into a monitor: the exact ring and world that must arrive, and the phase that begins."""

    ring: int
    phase: str
    world: str = BARE


class PhaseRunner(Protocol):
    """What a PC asks of its monitor."""

    def run_phase(self, name: str) -> str | None:
        """Run a phase; the next one's name, or None when the processor goes on."""
        ...

    def save(self) -> Any:
        """Its state as plain data."""
        ...

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        ...
