"""The two truths at every step: what the guest has is never lost from sight on its way in and out."""

from __future__ import annotations

import pytest
from xen_support import Run, kernel, library, started

from vizapp.isa.registers import CS, EFLAGS_IF, SS
from vizapp.vmm import stubs
from vizapp.vmm.xen import abi

GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")


def live(run: Run) -> tuple:
    cpu = run.pc.cpu
    selectors = tuple(segment.selector for segment in cpu.segments)
    return tuple(getattr(cpu, name) for name in GENERAL), selectors, cpu.cpl


def seen(run: Run) -> tuple:
    view = run.monitor.guest_view()
    return view.general, view.selectors, view.cpl


@pytest.mark.parametrize("name", ["rings", "syscall"])
def test_the_guest_is_seen_unchanged_while_the_stubs_run(name):
    run = Run(library(name, "xen"))
    door, last = run.xen.tables.code(stubs.GUEST_DOOR), None
    entering, leaving = 0, []
    while run.pc.stopped is None and run.pc.position < 4000:
        run.pc.step()
        if run.pc.cpu.cpl:
            # What was seen on the way out is what arrived; IRET to ring 3 alone may drop data segments.
            assert all(view == live(run) for view in leaving)
            last, leaving = live(run), []
        elif run.pc.cpu.eip <= door and last is not None and not (run.pc.phase or run.pc.stopped):
            assert seen(run) == last
            entering += 1
        elif run.pc.phase is None:
            leaving.append(seen(run))
    assert entering > 50


def test_the_interrupt_flag_that_the_guest_sees_is_the_upcall_mask():
    run = started("mov byte [shared_info + 1], 0\nmov byte [shared_info + 1], 1\nhlt")
    seen = []
    for _ in range(3):
        seen.append((run.monitor.guest_view().eflags, run.monitor.processor_view().eflags))
        run.pc.step()
    assert [bool(guest & EFLAGS_IF) for guest, _ in seen] == [False, True, False]
    assert all(real & EFLAGS_IF for _, real in seen)


def test_addresses_are_pseudo_physical_for_the_guest_and_machine_for_the_processor():
    run = started()
    linear = run.at("scratch")
    assert run.monitor.guest_translate(linear + 5) == linear + 5 - 0xC000_0000
    machine = run.monitor.processor_translate(linear + 5)
    assert run.monitor.guest_physical(linear + 5 - 0xC000_0000) == machine
    assert run.monitor.guest_translate(0x1000) is None
    assert run.monitor.guest_translate(abi.M2P_START) is None
    assert run.monitor.guest_physical(1 << 30) is None
    assert run.monitor.guest_read(abi.M2P_START, 4) is not None
    assert run.monitor.guest_read(0x1000, 4) is None


def test_every_segment_of_the_guest_ends_where_the_hypervisor_begins():
    run = Run(kernel("", application="here: jmp here")).until("application")
    view = run.monitor.processor_view()
    assert view.limits[CS] == view.limits[SS] == abi.GUEST_LIMIT == 0xFC3F_FFFF
    assert view.cpl == 3
