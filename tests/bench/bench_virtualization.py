"""Boots under VT-x and AMD-V beside the bare machine: what virtualization costs the simulation itself.

The kernels are the multiboot one that the tests boot, and the library's small operating system; the goal is
half of the speed that the same boot has on the bare machine, in the same process. Each figure is the best of
some runs, in turn, with nothing recorded and every template made.
"""

from __future__ import annotations

import time
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from tests.goldens.boot import BOOT_TESTS, binary_of, disk_contents
from vizapp.guest.library import build_guest
from vizapp.guest.loader import load_guest
from vizapp.machine.events import VM_EXITED, Event
from vizapp.session.builder import Machine, build
from vizapp.session.scenario import Scenario

GOAL = 0.5  # of native speed
RUNS = 5
WIDTH = 120  # columns
KERNEL = next(test for test in BOOT_TESTS if test.name == "kernel-elf")
NATIVE = "native"


class Setting(NamedTuple):
    """A technique on a processor; ``native`` on the one before is the yardstick."""

    technique: str
    processor: str
    paging: str


SETTINGS = (
    Setting("vt-x", "pentium-4-672", "shadow"),
    Setting("vt-x", "nehalem", "nested"),
    Setting("vt-x", "sandy-bridge", "nested"),
    Setting("amd-v", "k8-rev-f", "shadow"),
    Setting("amd-v", "barcelona", "nested"),
)


def scenario(kernel: str, setting: Setting) -> Scenario:
    """A boot of one of the two."""
    technique, processor, paging = setting
    if kernel == "minikernel":
        return Scenario(build_guest(kernel, NATIVE), technique, processor, paging)
    image = load_guest(str(binary_of(KERNEL)))
    return Scenario(image, technique, processor, paging, disks=(disk_contents(KERNEL),))


def boot(machine: Machine) -> None:
    """Until it halts for good; the multiboot kernel is given its keys when it has asked for its disk."""
    pc, output = machine.pc, machine.monitor.devices.uart.output
    while pc.stopped is None and b"disk " not in output:
        pc.run(max_steps=4_000)
    if pc.stopped is None:
        for key in KERNEL.keys:
            for down in (True, False):
                for name in key[1:]:
                    pc.feed("keyboard", name, down)
    pc.run()


def measure(made: Scenario) -> float:
    """Instructions a second of process time."""
    machine = build(made)
    began = time.process_time()
    boot(machine)
    return machine.pc.instructions / (time.process_time() - began)


def count_exits(made: Scenario) -> int:
    """How many VM exits there are."""
    machine = build(made)
    counted: list[Event] = []
    machine.pc.listener = lambda event: counted.append(event) if event.kind == VM_EXITED else None
    boot(machine)
    return len(counted)


def main(runs: int = RUNS) -> None:
    """Print the table."""
    table = Table(
        "boot", "technique", "processor", "paging", "exits", "M instructions/s", "of native (goal 0.5)"
    )
    for kernel in ("multiboot kernel", "minikernel"):
        bare = Setting(NATIVE, "sandy-bridge", "shadow")
        best: dict[Setting, float] = dict.fromkeys((bare, *SETTINGS), 0.0)
        scenarios = {setting: scenario(kernel, setting) for setting in best}
        exits = {setting: count_exits(made) for setting, made in scenarios.items()}  # and templates are made
        for _ in range(runs):
            for setting, made in scenarios.items():
                best[setting] = max(best[setting], measure(made))
        for setting, rate in best.items():
            share = rate / best[bare]
            told = "" if setting is bare else f"{share:.2f}" + (" !" if share < GOAL else "")
            table.add_row(kernel, *setting, str(exits[setting]), f"{rate / 1e6:.3f}", told)
    Console(width=WIDTH).print(table)


if __name__ == "__main__":
    main()
