"""Replay by count: interrupts in the middle of a repeated instruction, and what the yardstick refuses."""

from pathlib import Path

import pytest

from vizapp.guest.catalogue import guest_directory
from vizapp.guest.source import assemble_image
from vizapp.machine.events import INTERRUPT_INJECTED
from vizapp.machine.image import Image
from vizapp.session.builder import build
from vizapp.session.replay import Injection, ReplayLog, Yardstick
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session
from vizapp.session.trace import Trace

# A tick comes due while one instruction stores 20,000 bytes.
LONG_STORE = """
%include "abi.inc"
_start:
        START_KERNEL
        call    timer_start
        INTERRUPTS_ON
        mov     edi, buffer
        mov     ecx, 20000
        mov     al, 7
        rep     stosb
        INTERRUPTS_OFF
mark_done:
        SHUT_DOWN
timer_interrupt:
        pushad
        TIMER_ACKNOWLEDGE
        inc     dword [ticks]
        popad
        RETURN_FROM_INTERRUPT
        align   4
ticks:  dd      0
TRAPS
        TIMER_TRAP timer_interrupt
END_TRAPS
%include "timer.inc"
%include "support.inc"
        align   PAGE
buffer: times 20480 db 0
image_end:
"""


@pytest.fixture
def long_store(tmp_path: Path) -> Image:
    source = tmp_path / "long-store.asm"
    source.write_text(LONG_STORE)
    return assemble_image(source, "long-store", "native", {}, (guest_directory(),))


def test_an_interrupt_in_the_middle_of_a_rep_is_replayed_in_the_same_iteration(long_store: Image) -> None:
    session = Session(Scenario(long_store, "trap-and-emulate", virtualizable=True), lockstep=True)
    counters = []
    while not session.timeline.at_end:
        frame = session.next_event({INTERRUPT_INJECTED})
        if frame.event is not None and frame.event.kind == INTERRUPT_INJECTED:
            counters.append(frame.guest_registers["ecx"])
    assert any(0 < count < 20_000 for count in counters)
    card = session.scorecard()
    assert card.first_difference is None
    assert card.holds


def test_the_bare_machine_refuses_an_interrupt_while_it_has_them_masked(long_store: Image) -> None:
    bare = build(Scenario(long_store)).pc
    log = ReplayLog(injections=[Injection(3, 0, 0x20)])
    yardstick = Yardstick(bare, log)
    yardstick.follow(Trace(0), 10)
    assert yardstick.difference is not None
    assert yardstick.difference.instruction == 3
    assert yardstick.difference.reason is not None
    assert "interrupts masked" in yardstick.difference.reason.in_english()


def test_the_bare_machine_does_not_let_time_pass_by_itself(long_store: Image) -> None:
    bare = build(Scenario(long_store)).pc
    Yardstick(bare, ReplayLog()).follow(Trace(0), 1_000_000)
    assert bare.memory.read(long_store.symbols["ticks"], 4) == 0
    assert bare.cpu.halted


def test_a_difference_in_the_trace_is_found_at_its_instruction(long_store: Image) -> None:
    first, second = build(Scenario(long_store)).pc, build(Scenario(long_store)).pc
    trace = Trace(0)
    first.on_retired = lambda: trace.retired(first)
    first.run(until_instruction=50)
    trace.digests[33] ^= 1
    yardstick = Yardstick(second, ReplayLog())
    yardstick.follow(trace, 50)
    assert yardstick.difference == (33, None)
    assert second.instructions == 34
