"""What Bochs told of samples of the cases that are compared with it; `make goldens` keeps it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.oracle import bochs, large_pages, limits, virtual_interrupts
from tests.oracle.probe import Case, Outcome, Tables, outcomes, rom

_GOLDENS = Path(__file__).resolve().parent.parent / "goldens"


class Golden(NamedTuple):
    """One of ``every`` so many of the ``cases``, and the file of what Bochs told of them."""

    name: str
    cases: Callable[[Tables], list[Case]]
    every: int

    @property
    def path(self) -> Path:
        """Where it stands."""
        return _GOLDENS / self.name

    def sample(self) -> tuple[Tables, list[Case]]:
        """The cases, with their tables."""
        tables = Tables()
        return tables, self.cases(tables)[:: self.every]

    def told(self) -> list[Outcome]:
        """What Bochs told of them."""
        return outcomes(self.path.read_text(encoding="ascii"))

    def make(self) -> None:
        """Ask Bochs anew."""
        with tempfile.TemporaryDirectory() as directory:
            told = bochs.run(rom(*self.sample()), Path(directory))
        lines = [line.rstrip() for line in told.splitlines() if line.startswith("@")]
        self.path.write_text("\n".join(lines) + "\n", encoding="ascii")


LIMITS = Golden("limits.txt", limits.cases, 100)
LARGE_PAGES = Golden("large_pages.txt", large_pages.cases, 1)
VIRTUAL_INTERRUPTS = Golden("virtual_interrupts.txt", virtual_interrupts.cases, 37)


def main() -> None:
    """Make all of them anew."""
    for golden in (LIMITS, LARGE_PAGES, VIRTUAL_INTERRUPTS):
        golden.make()


if __name__ == "__main__":
    main()
