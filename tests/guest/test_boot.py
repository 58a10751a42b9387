"""What boots here prints what it prints on QEMU: disks through our BIOS, a ROM, and multiboot kernels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.goldens.boot import BOOT_TESTS, IMAGES, TEACHING, BootTest, binary_of, disk_contents, printed
from vizapp.guest.assembler import assemble
from vizapp.guest.loader import load_guest
from vizapp.session.builder import build
from vizapp.session.scenario import Scenario

if TYPE_CHECKING:
    from pathlib import Path

    from vizapp.machine.pc import Pc

MOST_STEPS = 1_000_000
MOST_STEPS_OF_A_COURSE = 10_000_000
CHUNK = 2_000
KERNEL_CHUNK = 50


def scenario_of(test: BootTest, directory: Path) -> Scenario:
    contents = disk_contents(test) if test.sectors else b""
    if test.kind == "disk":
        path = directory / "disk.img"
        path.write_bytes(contents)
        return Scenario(load_guest(str(path)))
    return Scenario(load_guest(str(binary_of(test))), disks=(contents,) if contents else ())


def press(pc: Pc, *names: str) -> None:
    """Hold keys down one after the other, and let them go again."""
    assert pc.board.peripherals is not None
    for down, keys in ((True, names), (False, names[::-1])):
        for name in keys:
            pc.board.peripherals.keyboard.key(name, down)


def run(pc: Pc, test: BootTest) -> str:
    """COM1's output up to the end of the run.

    A kernel has no timer when it waits for its keys, and would wait for ever: it gets them before.
    """
    waiting = [key[1:] for key in test.keys]
    prompt = b"disk " if test.kind == "kernel" else b"type "
    while pc.stopped is None and pc.position < MOST_STEPS:
        pc.run(max_steps=KERNEL_CHUNK if test.kind == "kernel" else CHUNK)
        while waiting and prompt in pc.uart.output:
            press(pc, *waiting.pop(0))
            if test.kind == "disk":
                pc.run(max_steps=CHUNK)
    return pc.uart.output.decode("latin-1")


def run_to_end(pc: Pc) -> None:
    pc.run(max_steps=MOST_STEPS)
    assert pc.stopped is not None


@pytest.mark.parametrize("test", BOOT_TESTS, ids=lambda test: test.name)
def test_prints_what_it_prints_on_qemu(test: BootTest, tmp_path: Path) -> None:
    machine = build(scenario_of(test, tmp_path))
    assert run(machine.pc, test) == printed(test).read_bytes().decode("latin-1")


def test_kernel_of_a_course_prints_what_it_prints_on_qemu(tmp_path: Path) -> None:
    pc = build(scenario_of(TEACHING, tmp_path)).pc
    pc.run(max_steps=MOST_STEPS_OF_A_COURSE)
    assert pc.uart.output == printed(TEACHING).read_bytes()


@pytest.mark.parametrize("test", [*BOOT_TESTS, TEACHING], ids=lambda test: test.name)
def test_image_is_nasms(test: BootTest) -> None:
    source = IMAGES / f"{test.source}.asm"
    assembly = assemble(
        source.read_text(encoding="utf-8"),
        source.name,
        defines={test.define: ""} if test.define else {},
        include=lambda name: (IMAGES / name).read_text(encoding="utf-8"),
    )
    assert assembly.data == binary_of(test).read_bytes()


def test_disk_file_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    # Write the boot sector over the next one: AX 0301h, BX 7C00h, CX 2, DH 0; INT 13h; HLT.
    sector = bytes.fromhex("B8 01 03 BB 00 7C B9 02 00 B6 00 CD 13 FA F4").ljust(510, b"\0") + b"\x55\xaa"
    path.write_bytes(sector + bytes(512))
    machine = build(Scenario(load_guest(str(path))))
    run_to_end(machine.pc)
    assert machine.pc.board.peripherals is not None
    assert machine.pc.board.peripherals.ide is not None
    assert machine.pc.cpu.eax == 0x0001
    assert path.read_bytes() == sector + bytes(512)


def test_disk_that_does_not_boot_says_so(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(510) + b"\x55\xaa" + bytes(512))
    image = load_guest(str(path))
    blank = bytes(len(image.disks[0]))
    pc = build(Scenario(replace(image, disks=(blank,)))).pc
    run_to_end(pc)
    assert pc.stopped is not None
    assert pc.stopped[0] == "halted"
    assert pc.screen.rows()[1].rstrip() == "No disk with a boot sector"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("F6 F1", "Divide error at 0000:7C02"),
        ("0F 0B", "Invalid opcode at 0000:7C02"),
        ("8B 1E FF FF", "Protection fault at 0000:7C02"),
    ],
)
def test_exception_that_nobody_handles_stops_the_machine(tmp_path: Path, code: str, sentence: str) -> None:
    path = tmp_path / "disk.img"
    sector = b"\x31\xc9" + bytes.fromhex(code)
    path.write_bytes(sector.ljust(510, b"\x90") + b"\x55\xaa")
    pc = build(Scenario(load_guest(str(path)))).pc
    run_to_end(pc)
    assert pc.stopped is not None
    assert sentence in [row.rstrip() for row in pc.screen.rows()]


def test_ctrl_alt_del_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"\xf4\xeb\xfd".ljust(510, b"\0") + b"\x55\xaa")  # sleeps for ever
    pc = build(Scenario(load_guest(str(path)))).pc
    pc.run(max_steps=60_000)
    assert pc.memory.read(0x7C00, 1) == 0xF4
    pc.memory.write(0x7C00, 1, 0x90)
    press(pc, "control", "alt", "delete")
    pc.run(max_steps=60_000)
    assert pc.memory.read(0x7C00, 1) == 0xF4
