"""Makes the goldens of NASM, QEMU and Bochs, programs that we did not write; `make goldens`.

NASM's bytes of every build of every shipped guest, ``nasm/GUEST-BUILD.bin``:

    nasm -w+all -w+error -f bin [-DXEN | -DHVM] -i assets/guests/ -o GUEST-BUILD.bin GUEST.asm

in ``results.json``, the checksum that each guest's native build printed on qemu-system-i386, and in
``devices.txt`` what that machine's devices answer, in ``svm.txt`` and ``svm_random.txt`` how guests leave its
SVM; where Bochs is, in ``vmx.txt`` and ``vmx_random.txt`` how they leave its VMX. With them the BIOS that is
shipped, and what ``boot`` makes.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

from tests.goldens import boot, nasm_forms
from tests.oracle import bare_machine, bochs, bochs_goldens, devices, svm, svm_random, vmx, vmx_random
from vizapp.guest.catalogue import GUESTS, guest_directory
from vizapp.guest.firmware import make_firmware

GOLDENS = Path(__file__).resolve().parent
RESULTS = GOLDENS / "results.json"


def nasm_golden(guest: str, build: str) -> Path:
    """Where NASM's bytes of a build stand."""
    return GOLDENS / "nasm" / f"{guest}-{build}.bin"


def make_guest(guest: str, build: str) -> None:
    """Assemble one build with NASM; a warning is an error."""
    defines = {"xen": ["-DXEN"], "hvm": ["-DHVM"]}.get(build, [])
    source, output = GUESTS[guest].source, nasm_golden(guest, build)
    output.parent.mkdir(exist_ok=True)
    options = ["-w+all", "-w+error", "-f", "bin", *defines, "-i", f"{guest_directory()}/"]
    subprocess.run(["nasm", *options, "-o", output, source], check=True)


def result_of(output: str) -> str:
    """The checksum in what a guest printed, "" if it did not come to its last line."""
    found = re.search(r"^result: ([0-9A-F]{8})\n\Z", output, re.MULTILINE)
    return found[1] if found else ""


def results() -> dict[str, str]:
    """The committed checksums by guest."""
    loaded: dict[str, str] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return loaded


def main() -> None:
    """Make all goldens anew."""
    nasm_forms.main()
    devices.main()
    make_firmware()
    boot.main()
    if bochs.available:
        bochs_goldens.main()
        vmx.main()
        vmx_random.main()
    printed = {}
    with tempfile.TemporaryDirectory() as directory:
        svm.GOLDEN.write_text(svm.run(Path(directory)), encoding="ascii")
        random = svm_random.source(svm_random.SEED, svm_random.COUNT)
        svm_random.GOLDEN.write_text(svm.run(Path(directory), random), encoding="ascii")
        for guest in GUESTS.values():
            for build in guest.builds:
                make_guest(guest.name, build)
            if "native" not in guest.builds:
                continue
            binary = nasm_golden(guest.name, "native")
            printed[guest.name] = result_of(bare_machine.run_library_guest(guest, binary, Path(directory)))
    RESULTS.write_text(json.dumps(printed, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
