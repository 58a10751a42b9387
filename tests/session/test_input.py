"""Keys typed while a session runs are part of its recording."""

import pytest

from vizapp.errors import SessionError
from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.machine.image import Image
from vizapp.session import protocol as p
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session

# xor ebx, ebx; again: in al, 0x60; movzx eax, al; cmp al, 0x9E; jne again; mov ebx, eax; cli; hlt
READER = Image(
    "keys",
    "native",
    ((GuestPhysical(0x10_0000), bytes.fromhex("31DB E460 0FB6C0 3C9E 75F7 89C3 FA F4")),),
    Linear(0x10_0000),
    needs_pc=True,
)


def test_a_key_is_recorded_and_comes_again() -> None:
    session = Session(Scenario(READER))
    session.run(max_steps=50)
    session.feed("keyboard", "a", True)
    session.run(max_steps=50)
    session.seek(10)
    assert session.begin(p.Feed("keyboard", ("a", False))) is None
    assert session.frame().position == 100
    frame = session.run()
    assert frame.stopped is not None
    assert frame.guest_registers["ebx"] == 0x9E
    session.seek(0)
    assert session.seek(frame.position) == frame


@pytest.mark.parametrize("lockstep", [False, True])
def test_a_key_reaches_a_guest_by_its_monitors_hand(lockstep: bool) -> None:
    session = Session(Scenario(READER, "trap-and-emulate", virtualizable=True), lockstep=lockstep)
    session.run(max_steps=400)
    session.feed("keyboard", "a", True)
    session.run(max_steps=400)
    session.feed("keyboard", "a", False)
    frame = session.run()
    assert frame.stopped is not None
    assert frame.stopped.reason == "halted"
    assert frame.guest_registers["ebx"] == 0x9E
    assert session.score().holds
    session.seek(0)
    assert session.seek(frame.position).guest_registers == frame.guest_registers


def test_what_cannot_be_fed_is_refused_with_a_sentence() -> None:
    session = Session(Scenario(READER))
    with pytest.raises(SessionError, match="no key"):
        session.feed("keyboard", "any", True)
    with pytest.raises(SessionError, match="no virtual machine 1"):
        session.feed("serial", b"x", vm=1)
