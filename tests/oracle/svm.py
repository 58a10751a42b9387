"""Runs `svm.asm`, a host with small guests under SVM, on qemu-system-i386; `make goldens` keeps its output.

Left out of the program, as faults of QEMU 7.2:

- INVD leaves the guest as WBINVD, ICEBP as nothing at all, INT3 and INTO as INT n;
- VMRUN forgets the interrupt shadow and takes what is in the upper halves of DR6 and DR7;
- the error code of an exception that an injected interrupt meets has no EXT bit;
- VMLOAD of a TR whose type is a busy TSS ends QEMU when a guest comes back from ring 3.

And the program itself clears what QEMU does not do as the manual says: IOIO's address size, RF in the frame
of an exception, EXITINTINFO without its V bit, the upper half of EXITCODE.
"""

from __future__ import annotations

from pathlib import Path

from tests.oracle import bare_machine
from tests.oracle.sources import HERE, nasm

SOURCE = HERE / "svm.asm"
GOLDEN = SOURCE.parent.parent / "goldens" / "svm.txt"


def run(directory: Path, source: str | None = None) -> str:
    """What the host prints on QEMU; ``source``: another host than SOURCE."""
    binary, text = directory / "svm.bin", directory / "svm.asm"
    text.write_text(SOURCE.read_text(encoding="ascii") if source is None else source, encoding="ascii")
    nasm(text, binary)
    return bare_machine.run_guest(binary, directory, cpu="qemu32,+svm,-apic")


def by_case(text: str) -> dict[str, str]:
    """The lines by the four letters that they begin with."""
    return {
        line[:4]: line[4:].strip() for line in text.splitlines() if line and not line.startswith("result")
    }
