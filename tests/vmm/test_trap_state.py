"""The two truths at every step, and the monitor's state as plain data for checkpoints."""

import copy

import pytest
from vmm_support import Run, image_of, library_image, small_image

from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.isa.registers import CS, DS, EFLAGS_IF
from vizapp.machine.places import VMM
from vizapp.vmm.native import Native

BODY = "PAGING; sti; USER; int 0x80"


@pytest.mark.parametrize("virtualizable", [False, True])
def test_a_run_taken_up_at_any_step_ends_the_same(virtualizable):
    image = small_image("mov ecx, 20; spin: loop spin; USER; int 0x80")
    whole = Run(image, virtualizable=virtualizable).run()
    run, other = Run(image, virtualizable=virtualizable), Run(image, virtualizable=virtualizable)
    while not run.pc.stopped:
        run.pc.run(max_steps=37)
        saved = run.pc.save()
        frozen = copy.deepcopy(saved["monitor"])
        other.pc.run(max_steps=11)
        other.pc.load(saved)
        assert saved["monitor"] == frozen
        run.pc.step()
        other.pc.step()
        assert other.monitor.guest_view() == run.monitor.guest_view()
    assert run.ending() == whole.ending()
    other.run()
    assert other.ending() == whole.ending()
    assert other.pc.meter.cycles == whole.pc.meter.cycles


def test_rewinding_a_ticking_guest_and_running_on_gives_the_same():
    image = library_image("popf")
    run = Run(image, virtualizable=True)
    run.pc.run(max_steps=4000)
    saved = run.pc.save()
    run.run()
    first = run.ending(), run.pc.meter.cycles, run.serial
    run.pc.load(saved)
    run.run()
    assert (run.ending(), run.pc.meter.cycles, run.serial) == first


def test_saving_in_the_middle_of_a_chain_of_phases():
    image = small_image("PAGING; mov eax, [0x200000]")
    phases = set()
    run = Run(image)
    while not run.pc.stopped:
        run.pc.step()
        if run.pc.phase is not None and run.pc.phase not in phases:
            phases.add(run.pc.phase)
            saved = run.pc.save()
            twin = Run(image)
            twin.pc.load(saved)
            assert twin.run().ending() == Run(image).run().ending()
    assert phases >= {"decode", "emulate", "resume", "fill_shadow", "flush_shadow"}


def test_the_guest_s_view_does_not_move_while_the_monitor_enters_and_leaves():
    """Between two retirements the guest sees one state, or the next one: never the monitor's."""
    image = small_image("mov ebx, 0x1234; mov ecx, 0x5678; cli; nop")
    native = Run(image, Native())
    states = []
    while not native.pc.stopped:
        view = native.monitor.guest_view()
        states.append((view.general, view.eip, view.selectors, view.cpl, view.control, view.gdtr))
        native.pc.step()
    run = Run(image, virtualizable=True)
    at = 0
    while not run.pc.stopped:
        run.pc.step()
        view = run.monitor.guest_view()
        state = (view.general, view.eip, view.selectors, view.cpl, view.control, view.gdtr)
        if run.pc.phase is None and run.pc.meter.place.component == VMM:
            assert state == states[at], (hex(run.pc.cpu.eip), run.pc.position)
        if at + 1 < len(states) and state == states[at + 1]:
            at += 1
    assert at == len(states) - 1


def test_where_both_truths_differ():
    run = Run(image_of(bytes.fromhex("90 90 90 ebfe")))
    run.pc.run(until_instruction=2)
    guest, real = run.monitor.guest_view(), run.monitor.processor_view()
    assert (guest.cpl, real.cpl) == (0, 1)
    assert (guest.eflags & EFLAGS_IF, real.eflags & EFLAGS_IF) == (0, EFLAGS_IF)
    assert guest.selectors[CS] == 8
    assert guest.limits[DS] == 0xFFFF_FFFF
    assert real.limits[DS] == 0xFFBF_FFFF
    assert guest.control[0] != real.control[0]
    assert guest.control[3] == 0
    assert guest.gdtr != real.gdtr
    assert (guest.eip, guest.general) == (real.eip, real.general)


def test_while_the_monitor_runs_the_processor_s_truth_is_in_the_trap_frame():
    run = Run(small_image("mov eax, 0x1234; cli"))
    while run.pc.phase != "emulate" or run.monitor.guest_view().general[0] != 0x1234:
        run.pc.step()
    real = run.monitor.processor_view()
    assert (real.cpl, real.general[0]) == (1, 0x1234)
    assert real.selectors[CS] & 3 == 1
    assert real.limits[DS] == 0xFFBF_FFFF
    assert "stack" in real.where.in_english()


def test_addresses_on_both_sides():
    run = Run(small_image("PAGING; mov dword [PTE(0x200000)], 0x201007; mov dword [0x200010], 0x1234")).run()
    monitor = run.monitor
    assert monitor.guest_translate(Linear(0x20_0010)) == 0x20_1010
    host = monitor.guest_physical(GuestPhysical(0x20_1010))
    assert monitor.processor_translate(Linear(0x20_0010)) == host
    assert monitor.guest_read(Linear(0x20_0010), 4) == b"\x34\x12\0\0"
    assert monitor.guest_translate(Linear(0x40_0000)) is None
    assert monitor.guest_read(Linear(0x40_0000), 4) is None


def test_the_stage_has_the_monitor_innermost():
    (world,) = Run(small_image("")).monitor.stage()
    assert [(item.id, item.ring, item.vm) for item in world.components] == [
        ("vmm", 0, -1), ("guest-kernel", 1, 0), ("application", 3, 0),
    ]  # fmt: skip
