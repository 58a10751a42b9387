"""What Bochs told of a sample of the cases at segment limits; `make goldens` keeps it where Bochs is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.oracle import bochs, limits
from tests.oracle.probe import Case, Tables, rom

SAMPLE = 100  # one in so many


def golden() -> Path:
    """Where it stands."""
    return Path(__file__).resolve().parent.parent / "goldens" / "limits.txt"


def sample() -> tuple[Tables, list[Case]]:
    """The cases of the sample, with their tables."""
    tables = Tables()
    return tables, limits.cases(tables)[::SAMPLE]


def main() -> None:
    """Make it anew."""
    with tempfile.TemporaryDirectory() as directory:
        told = bochs.run(rom(*sample()), Path(directory))
    lines = [line.rstrip() for line in told.splitlines() if line.startswith("@")]
    golden().write_text("\n".join(lines) + "\n", encoding="ascii")


if __name__ == "__main__":
    main()
