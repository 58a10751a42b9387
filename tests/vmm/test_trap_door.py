"""The way in and out: gates, stubs and frame by the book, the ring of each step, what the door costs."""

import pytest
from vmm_support import Run, image_of, small_image

from vizapp.isa import vectors
from vizapp.isa.descriptors import unpack_gate
from vizapp.isa.registers import EFLAGS_IF, EFLAGS_IOPL
from vizapp.machine import events
from vizapp.machine.places import APPLICATION, GUEST_KERNEL, VMM
from vizapp.vmm import stubs
from vizapp.vmm.host_tables import CODE_SELECTOR, DATA_SELECTOR, IDT, LDT_SELECTOR, TSS_SELECTOR


def run_to_door(run: Run) -> None:
    while run.pc.phase is None:
        run.pc.step()


@pytest.fixture
def trapped() -> Run:
    """mov eax, 5; cli: the monitor has just been entered for CLI, its first phase has run."""
    run = Run(image_of(bytes.fromhex("b8 05000000 fa f4")))
    for _ in range(2):
        run_to_door(run)
        if run.monitor.vm.tables.frame.entry_vector == vectors.GP:
            return run
        while run.pc.phase is not None:
            run.pc.step()
    raise AssertionError("CLI did not trap")


def test_the_guest_kernel_runs_in_ring_1_with_interrupts_on_and_no_io_privilege(trapped):
    frame = trapped.monitor.vm.tables.frame.read()
    assert frame.cs & 3 == frame.ss & 3 == 1
    assert frame.eflags & (EFLAGS_IF | EFLAGS_IOPL) == EFLAGS_IF


def test_the_processor_and_the_stub_fill_the_frame(trapped):
    frame = trapped.monitor.vm.tables.frame.read()
    assert (frame.entry_vector, frame.error_code) == (vectors.GP, 0)
    assert (frame.eip, frame.eax) == (0x10_0005, 5)
    assert frame.ds & 3 == 0


def test_the_door_opens_in_ring_0_on_the_monitor_s_stack_with_its_segments(trapped):
    cpu, tables = trapped.pc.cpu, trapped.monitor.vm.tables
    assert (cpu.cpl, cpu.eip, cpu.esp) == (0, tables.code(stubs.GUEST_DOOR), tables.frame_linear)
    assert [segment.selector for segment in cpu.segments[:4]] == [
        DATA_SELECTOR, CODE_SELECTOR, DATA_SELECTOR, DATA_SELECTOR,
    ]  # fmt: skip
    assert not cpu.eflags & EFLAGS_IF
    assert (cpu.tr.selector, cpu.ldtr.selector) == (TSS_SELECTOR, LDT_SELECTOR)


def test_every_gate_leads_to_its_own_stub_and_none_is_open_to_int_n(trapped):
    memory, tables = trapped.pc.memory, trapped.monitor.vm.tables
    for vector in range(256):
        address = tables.physical(IDT) + vector * 8
        gate = unpack_gate(memory.read(address, 4), memory.read(address + 4, 4))
        assert (gate.selector, gate.dpl, gate.present) == (CODE_SELECTOR, 0, True)
        assert gate.offset == tables.base + vector * 16


def test_phases_run_one_a_step_and_each_names_the_next(trapped):
    names = []
    while trapped.pc.phase is not None:
        names.append(trapped.pc.phase)
        position = trapped.pc.position
        trapped.pc.step()
        assert trapped.pc.position == position + 1
    assert names == ["decode", "emulate", "resume"]  # after "arrive", with which the door opened


def test_the_way_out_is_real_instructions_ending_in_iret(trapped):
    while trapped.pc.phase is not None:
        trapped.pc.step()
    cpu = trapped.pc.cpu
    rings = []
    while cpu.cpl == 0:
        rings.append(cpu.eip)
        trapped.pc.step()
    code = trapped.monitor.vm.tables.code
    assert rings[0] in (code(stubs.EXIT), code(stubs.EXIT_ALL))
    assert (cpu.cpl, cpu.eip, cpu.eax) == (1, 0x10_0006, 5)
    assert trapped.events[-1].kind == events.RETURNED


def test_places_follow_the_rings():
    run = Run(small_image("USER; cli"))
    seen = set()
    while not run.pc.stopped:
        run.pc.step()
        seen.add((run.pc.meter.place.ring, run.pc.meter.place.component, run.pc.meter.place.vm))
    assert seen == {(0, VMM, -1), (1, GUEST_KERNEL, 0), (3, APPLICATION, 0)}


def test_the_sum_of_charges_is_the_clock():
    run = Run(small_image("PAGING; USER; int 0x80")).run()
    assert sum(row.times for row in run.pc.meter.rows()) == run.pc.meter.cycles  # all prices are 1
    assert sum(run.pc.meter.by_purpose().values()) == run.pc.meter.cycles


def test_a_phase_is_charged_by_its_path():
    image = small_image("mov eax, cr0")
    plain, charged = Run(image).run(), Run(image, paths={"decode": {"mon_branch": 1000}}).run()
    decoded = sum(event.kind == events.INSTRUCTION_EMULATED for event in plain.events)
    assert charged.pc.meter.cycles == plain.pc.meter.cycles + 1000 * decoded


def test_two_runs_give_the_same_events():
    image = small_image("PAGING; USER; int 0x80")
    assert Run(image).run().events == Run(image).run().events


def test_stepping_gives_the_events_of_running():
    image = small_image("USER; int 0x80")
    stepped = Run(image)
    while not stepped.pc.stopped:
        stepped.pc.step()
    assert stepped.events == Run(image).run().events
