"""Events: masked, pending, delivered on the way out, slept for; and the timers that send most of them."""

from __future__ import annotations

import pytest
from xen_support import Run, kernel, started

from vizapp.machine import events
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.timekeeping import time_scale

MASK, PENDING = "byte [shared_info + 1]", "byte [shared_info]"
BIND = """
        mov dword [bind], {virq}
        XEN 32, {command}, bind
"""
IPI = BIND.format(virq=0, command=7)
TIMER = BIND.format(virq=0, command=1)
SEND = "mov dword [bind], 1\nXEN 32, 4, bind\n"
# Counts in ``results`` and returns by the iret hypercall; the port and its selector are cleared.
COUNT = """
upcall: push eax
        mov byte [shared_info], 0
        mov dword [shared_info + 4], 0
        mov dword [shared_info + 2048], 0
        inc dword [results]
        mov al, [shared_info + 1]
        mov [results + 4], al
        {more}
        pop eax
        jmp hypercall_page + 32 * 23
"""


def counting(body: str, more: str = "", **options) -> Run:
    return Run(kernel(body + "\nSTOP\n" + COUNT.format(more=more), before="%define UPCALL", **options))


def test_an_event_enters_its_callback_on_the_way_out_of_the_hypercall():
    run = Run(kernel(IPI + "mov byte [shared_info + 1], 0\n" + SEND + "after:")).run()
    assert run.word("vector") == 0x100
    eip, cs, flags = run.words(run.word("stopped_at"), 3)
    # The result of the hypercall is in EAX, and EIP behind INT 0x82 in the hypercall page.
    assert eip == run.at("hypercall_page") + 32 * 32 + 7
    assert (cs, flags & 0x200) == (abi.FLAT_RING1_CS, 0x200)
    assert run.xen.shared.masked
    told = {events.EVENT_SENT, events.UPCALL_DELIVERED}
    kinds = [event.kind for event in run.events if event.kind in told]
    assert kinds == [events.EVENT_SENT, events.UPCALL_DELIVERED]


def test_a_masked_event_waits_until_a_hypercall_finds_it_unmasked():
    body = IPI + SEND + "mov eax, [results]\nmov [results + 8], eax\n"
    run = counting(body + "mov byte [shared_info + 1], 0\nXEN 17, 0, 0")
    run.run()
    assert run.reason == "halted"
    count, mask_inside, before = run.words("results", 3)
    assert (count, mask_inside & 1, before) == (1, 1, 0)
    assert not run.xen.shared.masked


def test_many_sends_are_one_event():
    run = counting(IPI + SEND * 3 + "mov byte [shared_info + 1], 0\nXEN 17, 0, 0").run()
    assert run.word("results") == 1
    assert len(run.kinds(events.EVENT_SENT)) == 3


def test_a_masked_port_rings_only_when_it_is_unmasked():
    body = IPI + "mov dword [shared_info + 2176], 2\nmov byte [shared_info + 1], 0\n" + SEND
    body += "mov eax, [results]\nmov [results + 8], eax\nmov dword [bind], 1\nXEN 32, 9, bind"
    run = counting(body).run()
    count, _, before = run.words("results", 3)
    assert (count, before) == (1, 0)


def test_an_event_that_comes_before_the_return_enters_before_the_next_instruction():
    # The return unmasks while an event is pending: the callback runs before what was returned to.
    body = (
        IPI
        + SEND
        + """
        push dword 0x202
        push dword 0xE019
        push dword there
        jmp hypercall_page + 32 * 23
there:  mov eax, [results]
        mov [results + 8], eax
    """
    )
    run = counting(body, more="mov ebx, [esp + 4]\nmov [results + 12], ebx").run()
    count, _, before_there, interrupted = run.words("results", 4)
    assert (count, before_there, interrupted) == (1, 1, run.at("there"))


def test_an_event_interrupts_an_application_on_the_kernel_stack():
    body = IPI + SEND
    run = Run(kernel(body, application="here: jmp here")).run(3000)
    assert run.word("vector") == 0x100
    assert run.words(run.word("stopped_at"), 5) == (
        run.at("application"), abi.FLAT_RING3_CS, 0x202, run.at("application") + 4096, abi.FLAT_RING3_DS,
    )  # fmt: skip


def test_without_a_callback_a_due_event_ends_the_domain():
    run = Run(kernel(IPI + "XEN 4, 0, 0, 0, 0\nmov byte [shared_info + 1], 0\n" + SEND)).run()
    assert run.reason == "crashed"
    assert run.sentence == "an event is due, and the guest has registered no event callback"


# time


ARM = "XEN 15, {low:#x}, {high}\n"


def test_blocking_sleeps_until_the_timer_and_takes_its_event():
    run = counting(TIMER + ARM.format(low=2_000_000, high=0) + "XEN 29, 1, 0").run()
    assert run.reason == "halted"
    assert run.word("results") == 1
    assert run.pc.meter.by_purpose()["idle"] > run.pc.hertz // 1000
    (rung,) = run.kinds(events.EVENT_SENT)
    late = rung.cycle - run.pc.hertz * 2 // 1000
    assert 0 <= late < 3 * run.pc.hertz // 1_193_182 + 20_000
    assert len(run.kinds(events.VIRTUAL_CPU_HALTED)) == 1


def test_blocking_with_an_event_pending_does_not_sleep():
    run = counting(IPI + SEND + "XEN 29, 1, 0").run()
    assert run.word("results") == 1
    assert not run.kinds(events.VIRTUAL_CPU_HALTED)


@pytest.mark.parametrize(
    "body",
    ["", IPI, TIMER + "mov dword [shared_info + 2176], 2\n", TIMER + "mov dword [shared_info + 2048], 2\n"],
)
def test_waiting_for_what_cannot_come_ends_the_run(body):
    run = counting(body + ARM.format(low=1000, high=0).replace("XEN", "XEN") + "XEN 29, 1, 0")
    run.run(200_000)
    assert (run.reason, run.sentence) == ("halted", "the domain waits for an event, and none can come")


def test_the_periodic_timer_ticks_a_hundred_times_a_second():
    run = counting(TIMER + "again: XEN 29, 1, 0\ncmp dword [results], 3\njb again").run()
    assert run.word("results") == 3
    ticks = [event.cycle for event in run.kinds(events.EVENT_SENT)]
    period = run.pc.hertz // 100
    for number, cycle in enumerate(ticks, 1):
        assert cycle == pytest.approx(number * period, abs=period // 1000)


def test_a_domain_that_begins_to_listen_late_has_not_missed_anything():
    run = started("here: jmp here")
    run.pc.meter.charge("idle_cycle", run.pc.hertz // 10)
    assert run.call("event_channel_op", 1, run.put("results", bytes(12))) == 0
    assert run.pc.meter.cycles < run.xen.domain.tick <= run.pc.meter.cycles + run.pc.hertz // 100
    assert not run.xen.shared.pending


def test_the_timer_interrupts_a_busy_application():
    run = Run(kernel(TIMER + ARM.format(low=30_000, high=0), application="here: jmp here")).run()
    assert run.word("vector") == 0x100
    assert run.word(run.word("stopped_at") + 4) == abi.FLAT_RING3_CS


def test_the_time_record_agrees_with_the_clock():
    run = counting(TIMER + ARM.format(low=1_000_000, high=0) + "XEN 29, 1, 0").run()
    shared = run.xen.shared
    version = shared.read(abi.VCPU_TIME, 4)
    stamp, system = shared.read(abi.VCPU_TIME + 8, 8), shared.read(abi.VCPU_TIME + 16, 8)
    scale, shift = shared.read(abi.VCPU_TIME + 24, 4), shared.read(abi.VCPU_TIME + 28, 1)
    shift -= (shift & 0x80) << 1
    assert version
    assert version % 2 == 0
    assert system == stamp * abi.NANOSECONDS // run.pc.hertz
    delta = run.pc.hertz  # a second later
    scaled = delta << shift if shift >= 0 else delta >> -shift
    assert scaled * scale >> 32 == pytest.approx(abi.NANOSECONDS, rel=1e-8)


@pytest.mark.parametrize("hertz", [1_000_000, 2_400_000_000, 3_800_000_000, 999_999_999, 5_000_000_000])
def test_time_scale_uses_all_32_bits(hertz):
    shift, scale = time_scale(hertz)
    assert 1 << 31 <= scale < 1 << 32
    cycles = hertz * 7
    scaled = cycles << shift if shift >= 0 else cycles >> -shift
    assert scaled * scale >> 32 == pytest.approx(7 * abi.NANOSECONDS, rel=1e-8)
