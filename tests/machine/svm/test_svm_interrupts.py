"""Interrupts under SVM: the global interrupt flag, intercepts, virtual interrupts, shadows, injection."""

from __future__ import annotations

import pytest

from tests.machine.bench import HANDLERS
from tests.machine.svm.bench import GUEST, GUEST_STACK, SHANGHAI, SvmBench
from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.machine import events
from vizapp.machine.svm import codes

V_IRQ, V_IGN_TPR, V_INTR_MASKING = 1 << 8, 1 << 20, 1 << 24
PRIORITY = 1 << 16
TIMER = 0x20


def with_interrupt(bench: SvmBench) -> SvmBench:
    """The timer's line is up and its vector is TIMER."""
    pic = bench.pc.pic
    for value, port in ((0x11, 0x20), (TIMER, 0x21), (4, 0x21), (1, 0x21), (0, 0x21)):
        bench.pc.board.ports.write(port, 1, value)
    pic.raise_irq(0)
    assert pic.intr
    return bench


def delivered(bench: SvmBench) -> list[int]:
    kinds = (events.INTERRUPT_DELIVERED, events.EXCEPTION_DELIVERED)
    return [int(event.payload["vector"]) for event in bench.events if event.kind in kinds]


def test_interrupts_wait_for_the_global_flag():
    bench = with_interrupt(SvmBench(host="clgi\nsti\nnop\nnop\nstgi\nnop"))
    bench.step(4)
    assert delivered(bench) == []
    bench.step(2)
    assert delivered(bench) == [TIMER]


def test_nmi_waits_too():
    bench = SvmBench(host="clgi\nnop\nnop\nstgi\nnop")
    bench.step()
    bench.cpu.nmi_pending = True
    bench.step(2)
    assert delivered(bench) == []
    bench.step(2)
    assert delivered(bench) == [vectors.NMI]


def test_an_exit_clears_the_flag_and_vmrun_sets_it():
    bench = SvmBench("vmmcall", "vmmcall", host="clgi\nvmrun")
    bench.step(2)
    assert bench.unit.gif
    bench.step()
    assert not bench.unit.gif


@pytest.mark.parametrize(
    ("masking", "host_if", "guest_if", "leaves"),
    [(False, 0, 1, True), (False, 1, 0, False), (True, 1, 0, True), (True, 0, 1, False)],
)
def test_whose_if_decides_about_an_interrupt(masking, host_if, guest_if, leaves):
    for intercepted in (True, False):
        bench = SvmBench("spin: jmp spin", *(["intr"] if intercepted else []))
        bench.cpu.eflags |= host_if << 9
        bench["rflags"] |= guest_if << 9
        bench["v_intr"] = V_INTR_MASKING if masking else 0
        bench.step()
        with_interrupt(bench)
        bench.step(1 if leaves else 3)
        if intercepted:
            assert [event.cause for event in bench.exits] == ["intr"] * leaves
            assert bench.pc.pic.intr
        else:
            assert delivered(bench) == [TIMER] * leaves


def test_an_intercepted_nmi_stays_pending():
    bench = SvmBench("nop\nnop", "nmi")
    bench.step()
    bench.cpu.nmi_pending = True
    assert bench.run() == codes.NMI
    assert bench.cpu.nmi_pending


def test_a_halted_guest_is_left_for_an_interrupt():
    bench = SvmBench("hlt", "intr")
    bench.cpu.eflags |= r.EFLAGS_IF
    bench["v_intr"] = V_INTR_MASKING
    bench.step(2)
    assert bench.cpu.halted
    with_interrupt(bench)
    bench.step()
    assert [event.cause for event in bench.exits] == ["intr"]
    assert not bench.cpu.halted
    assert bench["rip"] == GUEST + 1


def test_a_halted_guest_that_nothing_can_wake_ends_the_run():
    bench = SvmBench("hlt")
    bench["v_intr"] = V_INTR_MASKING
    bench.pc.run(max_steps=10)
    assert bench.pc.stopped is not None
    assert bench.pc.stopped[0] == "halted"


def virtual(word: int, guest: str = "nop\nsti\nnop\nnop\nvmmcall", *names: str) -> SvmBench:
    bench = SvmBench(guest, "vmmcall", *names)
    bench["v_intr"], bench["v_intr_vector"] = word | PRIORITY, 0x55
    bench.assemble("vmmcall", HANDLERS + 16 * 0x55)
    return bench


def test_a_virtual_interrupt_is_taken_after_the_shadow():
    bench = virtual(V_IRQ)
    bench.run()
    assert bench["rip"] == HANDLERS + 16 * 0x55
    assert bench.memory.read(GUEST_STACK - 12, 4) == GUEST + 3
    assert not bench["v_intr"] & V_IRQ
    assert delivered(bench) == [0x55]


@pytest.mark.parametrize(("word", "taken"), [(V_IRQ | 1, False), (V_IRQ | V_IGN_TPR | 1, True), (0, False)])
def test_its_priority_must_be_above_the_tpr(word, taken):
    bench = virtual(word)
    bench.run()
    assert delivered(bench) == [0x55] * taken
    assert bool(bench["v_intr"] & V_IRQ) is (bool(word & V_IRQ) and not taken)


def test_a_window_leaves_before_the_interrupt_is_taken():
    bench = virtual(V_IRQ, "nop\nsti\nnop\nnop", "vintr")
    assert bench.run() == codes.VINTR
    assert bench["rip"] == GUEST + 3
    assert bench["v_intr"] & V_IRQ


def test_the_shadow_is_told_and_taken_up():
    bench = SvmBench("sti\ncpuid", "cpuid")
    bench.run()
    assert bench["interrupt_shadow"] == 1
    bench = virtual(V_IRQ, "nop\nnop")
    bench["rflags"] |= r.EFLAGS_IF
    bench["interrupt_shadow"] = 1
    bench.run()
    assert bench.memory.read(GUEST_STACK - 12, 4) == GUEST + 1


def injecting(word: int, error: int = 0, **more: object) -> SvmBench:
    bench = SvmBench("nop", "vmmcall", **more)
    bench["eventinj"] = error << 32 | 1 << 31 | word
    for vector in (vectors.NMI, vectors.BP, vectors.GP, 0x30, 0x80):
        bench.assemble("vmmcall", HANDLERS + 16 * vector)
    return bench


@pytest.mark.parametrize(
    ("word", "error", "frame"),
    [
        (0x030, 0, [GUEST, 8, 2]),
        (0x200, 0, [GUEST, 8, 2]),
        (0x480, 0, [GUEST, 8, 2]),
        (0xB0D, 0x18, [0x18, GUEST, 8, 0x10002]),
        (0x303, 0, [GUEST, 8, 2]),
    ],
)
def test_an_event_is_injected(word, error, frame):
    bench = injecting(word, error)
    assert bench.run() == codes.VMMCALL
    vector = vectors.NMI if word == 0x200 else word & 0xFF
    assert bench["rip"] == HANDLERS + 16 * vector
    bottom = GUEST_STACK - 4 * len(frame)
    assert [bench.memory.read(bottom + 4 * index, 4) for index in range(len(frame))] == frame
    assert bench["eventinj"] == 0
    assert bench["exitintinfo"] == 0


def test_int_n_returns_to_the_next_rip_where_there_is_one():
    bench = injecting(0x480, identity=SHANGHAI)
    bench["nrip"] = 0x1234
    bench.run()
    assert bench.memory.read(GUEST_STACK - 12, 4) == 0x1234


def test_the_monitor_is_not_asked_of_what_it_injects():
    bench = injecting(0xB0D)
    bench.intercept("exception-gp")
    assert bench.run() == codes.VMMCALL


@pytest.mark.parametrize(
    ("word", "error", "told"),
    [(0x0BD, None, 0x8000_00BD), (0xB0D, 7, 0x7_8000_0B0D), (0x480, None, 0x8000_0480)],
)
def test_an_exit_on_the_way_tells_what_was_injected(word, error, told):
    bench = injecting(word, error or 0)
    bench["idtr.limit"] = 7
    bench.intercept("exception-gp")
    assert bench.run() == codes.EXCEPTION + vectors.GP
    assert bench["exitintinfo"] == told
    external = int(word != 0x480)
    assert bench["exitinfo1"] == (word & 0xFF) * 8 + 2 + external


def test_a_double_fault_is_made_of_exceptions_that_are_not_intercepted():
    bench = injecting(0xB0D)
    bench["idtr.limit"] = 8 * vectors.DF + 7
    bench.intercept("exception-df")
    assert bench.run() == codes.EXCEPTION + vectors.DF


@pytest.mark.parametrize(
    ("guest", "told"), [("int 0x81", 0x8000_0481), ("int3", 0x8000_0303), ("ud2", 0x8000_0306)]
)
def test_exitintinfo_names_the_guest_s_own_event(guest, told):
    bench = SvmBench(guest, "exception-gp")
    bench["idtr.limit"] = 7
    bench.run()
    assert bench["exitcode"] == codes.EXCEPTION + vectors.GP
    assert bench["exitintinfo"] == told
