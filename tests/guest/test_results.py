"""Every guest under every technique: it ends by itself, and those that claim equivalence print one result."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import pytest

from tests.goldens.make import result_of, results
from vizapp.cost.processors import processor_names
from vizapp.experiment.compare import techniques_for
from vizapp.guest import library
from vizapp.guest.catalogue import GUESTS
from vizapp.session.builder import Machine, build
from vizapp.session.scenario import Scenario
from vizapp.vmm.registry import TECHNIQUES

MOST_STEPS = 400_000

build_guest = cache(library.build_guest)


class Ended(NamedTuple):
    """What is left of a run: why it ended, what it printed and what stood on the screen."""

    reason: str
    sentence: str
    output: str
    rows: tuple[str, ...]


def run(name: str, technique: str, *, virtualizable: bool = False) -> Ended:
    return ended_once(name, technique, virtualizable)


@cache
def ended_once(name: str, technique: str, virtualizable: bool) -> Ended:
    image = build_guest(name, TECHNIQUES[technique]().build)
    return end_of(build(Scenario(image, technique=technique, virtualizable=virtualizable)))


def end_of(machine: Machine) -> Ended:
    machine.pc.run(max_steps=MOST_STEPS)
    assert machine.pc.stopped is not None
    reason, sentence = machine.pc.stopped
    devices = machine.monitor.devices
    output = bytes(devices.uart.output).decode("ascii")
    return Ended(reason, sentence.in_english(), output, tuple(devices.screen.rows()))


# What leaks at ring 3 under direct execution is what this guest prints.
LEAKS = ("red-pill", "binary-translation")


def has_devices(name: str) -> bool:
    """Whether a guest drives a disk or a network: under Xen that takes another domain."""
    return GUESTS[name].needs_disk or GUESTS[name].needs_network


NATIVE = [name for name, guest in GUESTS.items() if "native" in guest.builds]
CASES = [
    (name, technique)
    for name in NATIVE
    for technique in techniques_for(name)
    if (name, technique) != LEAKS and not (technique == "paravirtual" and has_devices(name))
]


def ending(name: str, technique: str) -> str:
    """How a guest ends: Xen finds what would be a shutdown before the processor does."""
    if name != "crash":
        return "halted"
    return "crashed" if technique == "paravirtual" else "shutdown"


@pytest.mark.parametrize(("name", "technique"), CASES)
def test_guest_prints_its_result(name: str, technique: str) -> None:
    ended = run(name, technique, virtualizable=technique == "trap-and-emulate")
    assert ended.reason == ending(name, technique), ended.sentence
    assert result_of(ended.output) == results()[name], ended.output


@pytest.mark.parametrize("name", NATIVE)
def test_guest_ends_even_where_its_kernel_is_betrayed(name: str) -> None:
    ended = run(name, "trap-and-emulate")
    assert ended.reason == ending(name, "trap-and-emulate")
    wrong = result_of(ended.output) != results()[name]
    assert wrong == (name in ("popf", "sensitive", "red-pill"))


def test_red_pill_finds_a_monitor_that_deprivileges_and_nothing_on_the_bare_machine() -> None:
    found = [run("red-pill", technique).output for technique in ("native", "trap-and-emulate", LEAKS[1])]
    assert "nothing stands below this kernel\n" in found[0]
    assert "a monitor stands below this kernel\n" in found[1]
    assert "a monitor stands below this kernel\n" in found[2]
    assert "IDTR base  loaded 001001C0, read 001001C0\n" in found[0]
    assert "IDTR base  loaded 001001C0, read 001001C0\n" not in found[1]


def test_every_privileged_instruction_is_refused_in_ring_3() -> None:
    lines = run("privileged-app", "native").output.splitlines()
    vectors = {line[:14].rstrip(): line[14:].strip() for line in lines[:-1]}
    assert vectors.pop("UD2") == "exception 6"
    assert set(vectors.values()) == {"exception 13"}
    assert len(vectors) == 26


# Adams and Agesen 2006, section 6.3, on the Pentium 4; of SYSENTER also the count and STI, 36 cycles.
@pytest.mark.parametrize(
    ("name", "cycles"),
    [
        ("in", 3209),
        ("call-ret", 11),
        ("divide-error", 889),
        ("pte-modify", 1),
        ("tpr-write", 140),
        ("syscall", 242 + 36),
    ],
)
def test_what_an_operation_costs_on_the_bare_machine_was_published(name: str, cycles: int) -> None:
    lines = run(name, "native").output.splitlines()
    measured = [int(line.rpartition(" ")[2]) for line in lines[:-1]]
    assert measured[-1] == pytest.approx(cycles, abs=4)


def test_system_calls_by_sysenter_are_measured_where_there_is_one() -> None:
    assert "200 by SYSENTER, cycles each: " in run("syscall", "native").output
    assert "SYSENTER" not in run("syscall", "paravirtual").output


@cache
def cycles_of_one(name: str, technique: str) -> int:
    image = library.build_guest(name, TECHNIQUES[technique]().build, iterations=5)
    output = end_of(build(Scenario(image, technique=technique))).output
    return int(output.splitlines()[0].rpartition(" ")[2])


# Barham et al. 2003, tables 3 to 5: what Xen is between, and where it loses nothing.
@pytest.mark.parametrize("name", ["context-switch", "fork", "exec", "mmap", "protection-fault"])
def test_xen_is_slower_than_the_bare_machine_and_faster_than_vmware(name: str) -> None:
    native, xen, vmware = (
        cycles_of_one(name, technique) for technique in ("native", "paravirtual", "binary-translation")
    )
    assert native < xen < vmware


def test_a_null_call_costs_the_same_under_xen() -> None:
    assert cycles_of_one("null-call", "paravirtual") == pytest.approx(
        cycles_of_one("null-call", "native"), abs=20
    )


@pytest.mark.parametrize("processor", processor_names())
@pytest.mark.parametrize("technique", ["native", "trap-and-emulate", "paravirtual"])
def test_results_are_the_same_on_every_processor(processor: str, technique: str) -> None:
    image = build_guest("syscall", TECHNIQUES[technique]().build)
    machine = build(Scenario(image, technique=technique, processor=processor))
    assert result_of(end_of(machine).output) == results()["syscall"]
    # No technique but VT-x and AMD-V shows the guest either.
    assert machine.pc.cpu.identity.virtualization == frozenset()


def test_popf_says_what_it_expected_and_what_it_got() -> None:
    lines = run("popf", "trap-and-emulate").output.splitlines()
    assert lines[:2] == ["IF masked: expected 0, got 1", "tick masked: expected 0, got 1"]
    assert lines[4] == "the interrupt flag does not obey"


def test_minikernel_gets_ticks_and_is_preempted_on_the_bare_machine() -> None:
    output = run("minikernel", "native").output
    assert ", ticks 0," not in output
    assert ", preemptions 0\n" not in output


def test_minikernel_without_ticks_still_comes_to_its_end() -> None:
    assert ", ticks 0," in run("minikernel", "trap-and-emulate").output


def test_hello_shows_its_greeting_on_the_text_screen() -> None:
    assert run("hello", "native").rows[0].startswith("Hello from the kernel")
