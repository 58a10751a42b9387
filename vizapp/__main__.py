"""`python -m vizapp`, the same as the command `vizapp`."""

from __future__ import annotations

import sys

from vizapp.cli.main import main as _main


def main() -> None:
    """Run the command line and leave with its exit status."""
    sys.exit(_main())


# The guard matters: session processes are spawned, and import this module again.
if __name__ == "__main__":
    main()
