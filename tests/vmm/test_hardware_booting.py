"""Disks, ROMs and kernels under VT-x and AMD-V: they print what they print on QEMU.

Real mode is the processor's own under AMD-V and with unrestricted guests; otherwise a virtual-8086 task
stands for it where it can, and the monitor runs the rest.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from test_hardware_guests import SETTINGS

from tests.goldens.boot import BOOT_TESTS, TEACHING, BootTest, printed
from tests.guest.test_boot import scenario_of
from vizapp.session.builder import Machine, build
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session

MOST_STEPS = 3_000_000
MOST_STEPS_OF_A_COURSE = 12_000_000
TESTS = {test.name: test for test in BOOT_TESTS}


def scenario(test: BootTest, setting: str, directory: Path) -> Scenario:
    technique, paging, processor = SETTINGS[setting]
    return replace(scenario_of(test, directory), technique=technique, paging=paging, processor=processor)


def press(machine: Machine, *names: str) -> None:
    for down, keys in ((True, names), (False, names[::-1])):
        for name in keys:
            machine.pc.feed("keyboard", name, down)


def run(machine: Machine, test: BootTest) -> str:
    """COM1's output up to the end of the run, with the line ends of text; keys are typed where it asks."""
    pc, uart = machine.pc, machine.monitor.devices.uart
    waiting = [key[1:] for key in test.keys]
    prompt = b"disk " if test.kind == "kernel" else b"type "
    while pc.stopped is None and pc.position < MOST_STEPS:
        pc.run(max_steps=500 if test.kind == "kernel" else 20_000)
        while waiting and prompt in uart.output:
            press(machine, *waiting.pop(0))
            if test.kind == "disk":
                pc.run(max_steps=20_000)
    return uart.output.decode("latin-1").replace("\r\n", "\n")


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", ["modes", "rom", "kernel-elf"])
def test_prints_what_qemu_prints(name: str, setting: str, tmp_path: Path) -> None:
    test = TESTS[name]
    machine = build(scenario(test, setting, tmp_path))
    assert run(machine, test) == printed(test).read_text(encoding="latin-1")


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_kernel_of_a_course_prints_what_qemu_prints(setting: str, tmp_path: Path) -> None:
    machine = build(scenario(TEACHING, setting, tmp_path))
    machine.pc.run(max_steps=MOST_STEPS_OF_A_COURSE)
    assert machine.monitor.devices.uart.output == printed(TEACHING).read_bytes()


@pytest.mark.parametrize("setting", ["vt-x-shadow", "npt"])
def test_the_bios_serves_a_diskette(setting: str, tmp_path: Path) -> None:
    test = TESTS["services-diskette"]
    machine = build(scenario(test, setting, tmp_path))
    assert run(machine, test) == printed(test).read_text(encoding="latin-1")


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_change_of_mode_is_as_on_the_bare_machine(setting: str, tmp_path: Path) -> None:
    session = Session(scenario(TESTS["modes"], setting, tmp_path), lockstep=True)
    session.advance()
    card = session.scorecard()
    assert card.first_difference is None
    assert card.compared == session.timeline.end_instruction
    assert card.let_through == 0
