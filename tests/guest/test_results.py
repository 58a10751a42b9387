"""Every guest under every technique: it ends by itself, and those that claim equivalence print one result."""

from __future__ import annotations

from functools import cache

import pytest

from tests.goldens.make import result_of, results
from vizapp.guest import library
from vizapp.guest.library import GUESTS
from vizapp.session.builder import Machine, build
from vizapp.session.scenario import Scenario
from vizapp.vmm.registry import TECHNIQUES

MOST_STEPS = 400_000

build_guest = cache(library.build_guest)


def run(name: str, technique: str, *, virtualizable: bool = False) -> Machine:
    image = build_guest(name, TECHNIQUES[technique]().build)
    machine = build(Scenario(image, technique=technique, virtualizable=virtualizable))
    machine.pc.run(max_steps=MOST_STEPS)
    return machine


def output_of(machine: Machine) -> str:
    return bytes(machine.monitor.devices.uart.output).decode("ascii")


CASES = [
    (guest.name, technique)
    for technique in TECHNIQUES
    for guest in GUESTS.values()
    if TECHNIQUES[technique]().build in guest.builds
]


@pytest.mark.parametrize(("name", "technique"), CASES)
def test_guest_prints_its_result(name: str, technique: str) -> None:
    machine = run(name, technique, virtualizable=technique == "trap-and-emulate")
    assert machine.pc.stopped is not None
    assert machine.pc.stopped[0] == "halted", machine.pc.stopped[1].in_english()
    assert result_of(output_of(machine)) == results()[name], output_of(machine)


@pytest.mark.parametrize("name", GUESTS)
def test_guest_ends_even_where_its_kernel_is_betrayed(name: str) -> None:
    machine = run(name, "trap-and-emulate")
    assert machine.pc.stopped is not None
    assert machine.pc.stopped[0] == "halted"
    wrong = result_of(output_of(machine)) != results()[name]
    assert wrong == (name in ("popf", "sensitive"))


def test_popf_says_what_it_expected_and_what_it_got() -> None:
    lines = output_of(run("popf", "trap-and-emulate")).splitlines()
    assert lines[:2] == ["IF masked: expected 0, got 1", "tick masked: expected 0, got 1"]
    assert lines[4] == "the interrupt flag does not obey"


def test_minikernel_gets_ticks_and_is_preempted_on_the_bare_machine() -> None:
    output = output_of(run("minikernel", "native"))
    assert ", ticks 0," not in output
    assert ", preemptions 0\n" not in output


def test_minikernel_without_ticks_still_comes_to_its_end() -> None:
    assert ", ticks 0," in output_of(run("minikernel", "trap-and-emulate"))


def test_hello_shows_its_greeting_on_the_text_screen() -> None:
    machine = run("hello", "native")
    assert machine.monitor.devices.screen.rows()[0].startswith("Hello from the kernel")
