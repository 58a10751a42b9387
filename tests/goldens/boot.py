"""Makes the goldens of what boots: NASM's bytes of the BIOS and of the test images, and what QEMU printed.

nasm/boot/NAME.bin      bytes            boot/NAME.txt      COM1 on qemu-system-i386
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.oracle import boot_machine
from vizapp.guest.firmware import firmware_directory

GOLDENS = Path(__file__).resolve().parent
IMAGES = GOLDENS.parent / "guest" / "images"
SECTOR = 512


class BootTest(NamedTuple):
    """A test image: its source and macros, the sectors of its disk, and the keys that are typed.

    ``kind`` is how it starts: ``disk``, ``rom`` or ``kernel``. A key is its name for ``sendkey``, and the
    names of the same keys of our keyboard, in the order in which they go down.
    """

    name: str
    source: str
    kind: str
    sectors: int = 0
    keys: tuple[tuple[str, ...], ...] = ()
    define: str = ""


KEYS = (
    ("a", "a"), ("shift-b", "shift", "b"), ("left", "left"), ("ctrl-c", "control", "c"), ("ret", "enter"),
)  # fmt: skip
BOOT_TESTS = (
    BootTest("services-disk", "services", "disk", 20 * 16 * 63, KEYS),
    BootTest("services-diskette", "services", "disk", 2880, KEYS),
    BootTest("modes", "modes", "disk", 2016),
    BootTest("rom", "rom", "rom"),
    BootTest("kernel-elf", "kernel", "kernel", 2016, (KEYS[0], KEYS[-1])),
    BootTest("kernel-flat", "kernel", "kernel", 2016, (KEYS[0], KEYS[-1]), "FLAT"),
)
TEACHING = BootTest("teaching", "teaching", "kernel")
"""A kernel as somebody brings one from a course: millions of instructions, of which few are privileged."""


def binary_of(test: BootTest) -> Path:
    """Where NASM's bytes of an image stand."""
    return GOLDENS / "nasm" / "boot" / f"{test.source}{'-' + test.define.lower() if test.define else ''}.bin"


def bios_golden() -> Path:
    """Where NASM's bytes of the BIOS stand."""
    return GOLDENS / "nasm" / "boot" / "bios.bin"


def printed(test: BootTest) -> Path:
    """Where the text that QEMU printed stands."""
    return GOLDENS / "boot" / f"{test.name}.txt"


def disk_contents(test: BootTest) -> bytes:
    """The disk of a test: the image itself, or for a kernel one with a mark in two of its sectors."""
    size = test.sectors * SECTOR
    if test.kind == "disk":
        return binary_of(test).read_bytes().ljust(size, b"\0")
    contents = bytearray(size)
    contents[508:512] = b"1st."
    contents[300 * SECTOR : 300 * SECTOR + 4] = b"300."
    return bytes(contents)


def run_on_qemu(test: BootTest, directory: Path) -> bytes:
    """What a test prints on QEMU."""
    options = []
    if test.sectors:
        disk = directory / "disk.img"
        disk.write_bytes(disk_contents(test))
        options = boot_machine.disk_options(disk)
    if test.kind == "kernel":
        options += [*boot_machine.KERNEL, "-kernel", str(binary_of(test))]
    elif test.kind == "rom":
        options += [*boot_machine.DISK, "-bios", str(binary_of(test))]
    else:
        rom = boot_machine.whole_rom(bios_golden().read_bytes(), directory)
        options += [*boot_machine.DISK, "-bios", str(rom)]
    return boot_machine.boot(options, directory, tuple(key[0] for key in test.keys))


def assemble_with_nasm(source: Path, output: Path, define: str = "") -> None:
    """Assemble a file; a warning is an error."""
    options = ["-w+all", "-w+error", "-f", "bin", "-i", f"{source.parent}/"]
    defines = [f"-D{define}"] if define else []
    subprocess.run(["nasm", *options, *defines, "-o", output, source], check=True)


def main() -> None:
    """Make these goldens anew."""
    bios_golden().parent.mkdir(parents=True, exist_ok=True)
    assemble_with_nasm(firmware_directory() / "bios.asm", bios_golden())
    tests = (*BOOT_TESTS, TEACHING)
    for test in tests:
        assemble_with_nasm(IMAGES / f"{test.source}.asm", binary_of(test), test.define)
    for test in tests:
        with tempfile.TemporaryDirectory() as directory:
            output = run_on_qemu(test, Path(directory))
        printed(test).parent.mkdir(exist_ok=True)
        printed(test).write_bytes(output)


if __name__ == "__main__":
    main()
