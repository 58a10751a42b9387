"""Boots under VT-x and AMD-V beside the bare machine: what virtualization costs the simulation itself.

The kernels are one as a course has it written (memory, processes, the screen; see ``teaching.asm``), the
library's small operating system, and the multiboot one that the tests boot, which does little but ask
devices: an exit every few instructions. The goal is half of the speed that the same boot has on the bare
machine. Bare machine and monitors take turns in one process, with nothing recorded and every template made;
what is told are medians, of the share too, which is taken turn by turn.
"""

from __future__ import annotations

import time
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tests.goldens.boot import BOOT_TESTS, TEACHING, BootTest, binary_of, disk_contents
from vizapp.guest.library import build_guest
from vizapp.guest.loader import load_guest
from vizapp.machine.events import VM_EXITED, Event
from vizapp.session.builder import Machine, build
from vizapp.session.scenario import Scenario

GOAL = 0.5  # of native speed
RUNS = 5
WIDTH = 120  # columns
POLLING = next(test for test in BOOT_TESTS if test.name == "kernel-elf")
NATIVE = "native"


class Setting(NamedTuple):
    """A technique on a processor; ``native`` on the one before is the yardstick."""

    technique: str
    processor: str
    paging: str


BARE = Setting(NATIVE, "sandy-bridge", "shadow")
SETTINGS = (
    BARE,
    Setting("vt-x", "pentium-4-672", "shadow"),
    Setting("vt-x", "nehalem", "nested"),
    Setting("vt-x", "sandy-bridge", "nested"),
    Setting("amd-v", "k8-rev-f", "shadow"),
    Setting("amd-v", "barcelona", "shadow"),
    Setting("amd-v", "barcelona", "nested"),
)
KERNELS: dict[str, BootTest | None] = {"teaching": TEACHING, "minikernel": None, "polling": POLLING}


class Counted(NamedTuple):
    """What a boot comes to."""

    instructions: int
    exits: int


def scenario(kernel: BootTest | None, setting: Setting) -> Scenario:
    """The boot of an image, or (None) of the library's minikernel."""
    technique, processor, paging = setting
    if kernel is None:
        return Scenario(build_guest("minikernel", NATIVE), technique, processor, paging)
    disks = (disk_contents(kernel),) if kernel.sectors else ()
    return Scenario(load_guest(str(binary_of(kernel))), technique, processor, paging, disks=disks)


def boot(machine: Machine, kernel: BootTest | None) -> None:
    """Until it halts for good; it is given its keys, if it wants any, when it has asked for its disk."""
    pc, output = machine.pc, machine.monitor.devices.uart.output
    keys = () if kernel is None else kernel.keys
    while keys and pc.stopped is None and b"disk " not in output:
        pc.run(max_steps=4_000)
    for key in keys if pc.stopped is None else ():
        for down in (True, False):
            for name in key[1:]:
                pc.feed("keyboard", name, down)
    pc.run()


def measure(made: Scenario, kernel: BootTest | None) -> float:
    """Instructions a second of process time."""
    machine = build(made)
    began = time.process_time()
    boot(machine, kernel)
    return machine.pc.instructions / (time.process_time() - began)


def count(made: Scenario, kernel: BootTest | None) -> Counted:
    """How many instructions and VM exits there are."""
    machine = build(made)
    exits: list[Event] = []
    machine.pc.listener = lambda event: exits.append(event) if event.kind == VM_EXITED else None
    boot(machine, kernel)
    return Counted(machine.pc.instructions, len(exits))


def main(runs: int = RUNS) -> None:
    """Print the table."""
    table = Table(
        "boot", "technique", "processor", "paging", "instructions", "exits", "M/s", "of native (goal 0.5)"
    )
    for name, kernel in KERNELS.items():
        made = {setting: scenario(kernel, setting) for setting in SETTINGS}
        counted = {setting: count(one, kernel) for setting, one in made.items()}  # and templates are made
        turns = [{setting: measure(one, kernel) for setting, one in made.items()} for _ in range(runs)]
        for setting in SETTINGS:
            share = median(turn[setting] / turn[BARE] for turn in turns)
            told = "" if setting is BARE else f"{share:.2f}" + (" !" if share < GOAL else "")
            rate = median(turn[setting] for turn in turns)
            numbers = (str(counted[setting].instructions), str(counted[setting].exits), f"{rate / 1e6:.3f}")
            table.add_row(name, *setting, *numbers, told)
    Console(width=WIDTH).print(table)


if __name__ == "__main__":
    main()
