"""A guest that halts until a key or a character comes: it waits where somebody is there to give one."""

from __future__ import annotations

import time

import pytest

from tests.controllers import START_CONTROLLER
from vizapp.guest.assembler import assemble
from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.machine.image import Image
from vizapp.session import protocol as p
from vizapp.session.frames import Frame
from vizapp.session.process import SessionProcess
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session

BASE = 0x10_0000
SOURCE = (
    """
        bits 32
        org 0x100000
        lgdt [gdt_pointer]
        jmp dword 8:flat
flat:   mov ax, 0x10
        mov ds, ax
        mov ss, ax
        mov esp, 0x108000
        mov eax, handler
        mov [0x104000 + 8 * IRQ_VECTOR], ax
        mov word [0x104000 + 8 * IRQ_VECTOR + 2], 8
        shr eax, 16
        mov word [0x104000 + 8 * IRQ_VECTOR + 4], 0x8E00
        mov [0x104000 + 8 * IRQ_VECTOR + 6], ax
        lidt [idt_pointer]
"""
    + START_CONTROLLER
    + """
        mov al, IRQ_MASK
        out 0x21, al
        mov dx, 0x3F9
        mov al, 1
        out dx, al
        mov dx, 0x3FC
        mov al, 8
        out dx, al
        xor ebx, ebx
        sti
again:  hlt
        cmp ebx, 2
        jb again
        cli
        hlt
handler:
        push eax
        push edx
        mov dx, IRQ_PORT
        in al, dx
        mov [0x103000 + ebx], al
        inc ebx
        mov al, 0x20
        out 0x20, al
        pop edx
        pop eax
        iretd
gdt:    dd 0, 0, 0x0000FFFF, 0x00CF9A00, 0x0000FFFF, 0x00CF9200
gdt_pointer:
        dw 23
        dd gdt
idt_pointer:
        dw 0x7FF
        dd 0x104000
"""
)
KEY, CHARACTER = ("keyboard", "a", True), ("serial", b"!")
TECHNIQUES = [
    ("native", "pentium-4-672"),
    ("trap-and-emulate", "pentium-4-672"),
    ("vt-x", "nehalem"),
    ("amd-v", "barcelona"),
]


def scenario(technique: str, processor: str, *, line: int = 1, full: bool = True) -> Scenario:
    numbers = {"IRQ_VECTOR": 0x20 + line, "IRQ_MASK": 0xFF & ~(1 << line)}
    numbers["IRQ_PORT"] = 0x60 if line == 1 else 0x3F8
    code = assemble(SOURCE, "waiting.asm", numbers).data
    image = Image("waiting", "native", ((GuestPhysical(BASE), code),), Linear(BASE), needs_pc=full)
    return Scenario(image, technique, processor=processor, virtualizable=technique == "trap-and-emulate")


def attended(found: Scenario, *, lockstep: bool = False) -> Session:
    session = Session(found, lockstep=lockstep)
    session.attended = True
    return session


@pytest.mark.parametrize(("technique", "processor"), TECHNIQUES)
@pytest.mark.parametrize(("line", "given"), [(1, KEY), (4, CHARACTER)])
def test_it_waits_and_goes_on_with_what_it_waits_for(technique, processor, line, given) -> None:
    session = attended(scenario(technique, processor, line=line))
    for count in range(2):
        frame = session.run()
        assert frame.stopped is None
        assert frame.waiting is not None
        assert frame.sentence == frame.waiting
        assert ("key" in str(frame.waiting.text)) == (line == 1)
        assert frame.guest_registers["ebx"] == count
        again = session.run()
        assert (again.position, again.waiting) == (frame.position, frame.waiting)
        session.feed(*given)
    frame = session.run()
    assert frame.stopped is not None
    assert frame.stopped.reason == "halted"
    assert frame.waiting is None
    assert frame.guest_registers["ebx"] == 2
    session.seek(frame.position // 2)
    assert session.seek(frame.position) == frame


@pytest.mark.parametrize(("technique", "processor"), TECHNIQUES)
def test_what_cannot_wake_it_does_not(technique, processor) -> None:
    session = attended(scenario(technique, processor))
    waits = session.run()
    session.feed(*CHARACTER)
    frame = session.run()
    assert frame.waiting == waits.waiting
    assert frame.guest_registers["ebx"] == 0


@pytest.mark.parametrize(("technique", "processor"), TECHNIQUES)
def test_with_nobody_there_it_has_halted(technique, processor) -> None:
    frame = Session(scenario(technique, processor)).run()
    assert frame.waiting is None
    assert frame.stopped is not None
    assert frame.stopped.reason == "halted"


@pytest.mark.parametrize(("technique", "processor"), TECHNIQUES)
def test_without_a_key_that_could_reach_it_it_has_halted(technique, processor) -> None:
    frame = attended(scenario(technique, processor, line=3)).run()
    assert frame.waiting is None
    assert frame.stopped is not None


@pytest.mark.parametrize(
    "command", [p.Step(9_999_999), p.NextEvent(frozenset({"none"})), p.RunTo(5), p.Over()]
)
def test_every_movement_ends_where_it_waits(command) -> None:
    session = attended(scenario("native", "pentium-4-672"))
    waits = session.run().position
    session.seek(waits - 1)
    motion = session.begin(command)
    for _ in range(100):
        if motion.advance():
            break
    else:
        pytest.fail("it goes on and on")
    assert session.frame().position == waits


@pytest.mark.parametrize(("technique", "processor"), TECHNIQUES[1:])
def test_the_bare_machine_waits_as_long(technique, processor) -> None:
    session = attended(scenario(technique, processor), lockstep=technique == "trap-and-emulate")
    for _ in range(2):
        session.run()
        assert session.score().holds is not False
        session.feed(*KEY)
    session.run()
    assert session.score().holds


def settled(process: SessionProcess) -> Frame:
    """The frame where a movement has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        reply = process.receive(1.0)
        if isinstance(reply, Frame) and not reply.moving:
            return reply
    raise AssertionError("it does not settle")


def test_a_run_in_a_process_goes_on_with_a_key() -> None:
    with SessionProcess(scenario("native", "pentium-4-672"), lockstep=False) as process:
        settled(process)
        process.send(p.Run())
        assert settled(process).waiting is not None
        process.send(p.Feed(*KEY[:1], KEY[1:]))
        assert settled(process).waiting is not None
        process.send(p.Back())
        assert settled(process).waiting is None
        process.send(p.Feed(*KEY[:1], KEY[1:]))
        told = settled(process)
        assert (told.waiting, told.stopped) == (None, None)
        process.send(p.Run(attended=False))
        assert settled(process).stopped is not None
