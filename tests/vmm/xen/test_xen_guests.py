"""The shipped guests as domains: what they print, what unported ones die of, what nothing may change."""

from __future__ import annotations

import pytest
from xen_support import Run, ending, kernel, library, recount_machine

from tests.goldens.make import results
from vizapp.guest.catalogue import GUESTS
from vizapp.machine import events
from vizapp.machine.inputs import INDEX
from vizapp.machine.places import APPLICATION, GUEST_KERNEL, VMM

PORTED = [guest.name for guest in GUESTS.values() if "xen" in guest.builds]
# With a disk or a network it takes two: tests/session/test_domain_0.py.
ALONE = [
    name
    for name in PORTED
    if "native" in GUESTS[name].builds and not (GUESTS[name].needs_disk or GUESTS[name].needs_network)
]


@pytest.fixture(scope="module")
def ported():
    """Each ported guest, run to its end."""
    done = {}

    def run(name):
        if name not in done:
            done[name] = Run(library(name, "xen")).run()
        return done[name]

    return run


@pytest.mark.parametrize("name", ALONE)
def test_every_ported_guest_comes_to_the_result_of_the_bare_machine(ported, name):
    run = ported(name)
    assert run.pc.stopped is not None
    if name == "crash":
        assert run.reason == "crashed"
        assert "cannot take a trap frame" in run.sentence
    else:
        assert (run.reason, run.sentence) == ("halted", "the guest shut its domain down")
    assert run.serial.splitlines()[-1] == f"result: {results()[name]}"


@pytest.mark.parametrize("name", PORTED)
def test_the_ledger_sums_to_the_clock_and_counts_balance(ported, name):
    pc = ported(name).pc
    assert sum(row.times * pc.meter.prices[INDEX[row.input]] for row in pc.meter.rows()) == pc.meter.cycles
    assert sum(pc.meter.by_purpose().values()) == pc.meter.cycles
    recount_machine(ported(name))


def test_the_kernel_runs_in_ring_1_and_the_application_in_ring_3(ported):
    rings = {
        (place.component, place.ring)
        for event in ported("rings").events
        for place in (event.source, event.target)
    }
    assert rings == {(VMM, 0), (GUEST_KERNEL, 1), (APPLICATION, 3)}


@pytest.mark.parametrize("name", ["hello", "rings", "popf", "minikernel", "sensitive"])
def test_an_unported_kernel_stops_at_the_first_instruction_that_xen_cannot_honour(name):
    run = Run(library(name, "native")).run()
    assert run.reason == "crashed"
    assert run.sentence.startswith("LGDT at 0x001000")
    assert run.sentence.endswith(
        "Xen cannot honour it, for descriptor tables belong to the hypervisor; a ported kernel uses "
        "set_trap_table and set_gdt"
    )
    assert [event.cause for event in run.kinds(events.INSTRUCTION_EMULATED)] == ["cli"]
    assert run.pc.instructions <= 3


@pytest.mark.parametrize("name", ["rings", "popf"])
def test_stepping_and_running_are_the_same(ported, name):
    run = Run(library(name, "xen"))
    while run.pc.stopped is None:
        run.pc.step()
    assert ending(run) == ending(ported(name))


def test_a_run_taken_up_within_any_phase_ends_the_same(ported):
    whole = ported("rings")
    run = Run(library("rings", "xen"))
    phases = set()
    while run.pc.stopped is None:
        run.pc.run(max_steps=1)
        if run.pc.phase in phases or run.pc.phase is None:
            continue
        phases.add(run.pc.phase)
        saved, known = run.pc.save(), len(run.events)
        run.pc.run(max_steps=40)
        run.pc.load(saved)
        del run.events[known:]
    assert phases >= {"hypercall", "exception", "bounce", "events", "resume"}
    assert ending(run) == ending(whole)


def test_rewinding_a_ticking_guest_and_running_on_gives_the_same(ported):
    run = Run(library("minikernel", "xen"))
    run.pc.run(max_steps=30_000)
    saved, known = run.pc.save(), len(run.events)
    run.pc.run(max_steps=20_000)
    run.pc.load(saved)
    del run.events[known:]
    run.run()
    assert ending(run) == ending(ported("minikernel"))


def per_operation(run):
    return int(run.serial.split("each: ")[1].split()[0])


def test_a_system_call_costs_what_it_costs_on_the_bare_machine(ported):
    # Barham et al., table 3: 0.45 and 0.46 microseconds. The gate of INT 0x80 leads straight to ring 1.
    native = Run(library("syscall", "native"), name="native").run()
    assert per_operation(ported("syscall")) == pytest.approx(per_operation(native), rel=0.03)


def test_a_reflected_fault_costs_about_as_much_more_as_published(ported):
    # Barham et al., table 5, protection fault: 1.06 and 1.40 microseconds at 2.4 GHz, one reflection.
    native = Run(library("page-fault", "native"), name="native").run()
    assert per_operation(ported("page-fault")) - per_operation(native) == pytest.approx(816, rel=0.25)


def test_a_fault_and_the_mapping_of_its_page_cost_about_as_much_more_as_published(ported):
    # Barham et al., table 5, page fault: 1.42 and 2.73 microseconds at 2.4 GHz, a reflection and a hypercall.
    native = Run(library("page-fault", "native"), name="native").run()
    reflection = per_operation(ported("page-fault")) - per_operation(native)
    calls = """
        mov edx, [start_info]
        mov edx, [edx + 68]
        mov ecx, scratch - 0xC0000000
        shr ecx, 12
        mov ebp, [edx + ecx * 4]
        shl ebp, 12
        or ebp, 0x63
        mov edi, 50
        rdtsc
        mov [results], eax
again:  XEN 14, scratch, ebp, 0, 2
        dec edi
        jnz again
        rdtsc
        sub eax, [results]
        mov [results], eax
    """
    run = Run(kernel(calls + "STOP")).run()
    assert reflection + run.word("results") / 50 == pytest.approx(3144, rel=0.3)
