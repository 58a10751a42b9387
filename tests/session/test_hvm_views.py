"""A session looks at an HVM domain: its rings, its two truths, its VMCS, and every detail, and goes back."""

from __future__ import annotations

from vizapp.experiment.scenarios import make_scenario
from vizapp.machine import events as ev
from vizapp.machine.places import BARE, VMX_NON_ROOT
from vizapp.session import details
from vizapp.session.session import Session
from vizapp.session.state_hash import state_hash

ASKED = "The guest's access to 0x3f"
NAMES = {value for name, value in vars(details).items() if name.isupper()}


def test_every_view_of_an_hvm_domain_can_be_had_and_going_back_is_exact() -> None:
    session = Session(make_scenario("hello", preset="xen-hvm"))
    session.run()
    end, after = session.timeline.end, state_hash(session.machine.pc)
    first: dict[str, int] = {}
    for event in session.store.batch(0).events:
        first.setdefault(event.kind, event.position)
        first[f"last {event.kind}"] = event.position
    session.watch_details(NAMES)
    seen = set()
    for kind in (ev.VM_ENTERED, ev.VM_EXITED, ev.IO_REQUESTED, ev.IO_ANSWERED, "last " + ev.VM_EXITED):
        for vm in (0, 1):
            session.select(vm)
            frame = session.seek(first[kind])
            assert frame.truths
            seen.add(frame.place.world)
    assert seen == {BARE, VMX_NON_ROOT}
    assert session.seek(first[ev.IO_REQUESTED] + 1).sentence.in_english().startswith(ASKED)
    session.select(1)
    notes = {line.text.split()[0]: line.note for line in session.seek(first[ev.VM_ENTERED]).code if line.note}
    assert notes["cli"].in_english() == "direct"  # in rings of its own, and not as a ported kernel's
    inside, outside = session.stage.worlds
    assert [(c.ring, c.vm) for c in inside.components] == [(0, 1), (3, 1)]
    assert [(c.ring, c.vm) for c in outside.components][1:] == [(1, 0), (3, 0)]
    session.seek(end)
    assert state_hash(session.machine.pc) == after
    assert session.leaks == ()
