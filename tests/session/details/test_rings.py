"""The rings of split devices, looked at in domain 0's memory while a frame and a block are on their way."""

from __future__ import annotations

import pytest

from vizapp.experiment.scenarios import make_scenario
from vizapp.machine import events as ev
from vizapp.session.details import RINGS
from vizapp.session.details.rings import ANSWER, Ring
from vizapp.session.session import Session


def rings_at(session: Session, position: int) -> tuple[Ring, ...] | None:
    session.watch_details({RINGS})
    found = session.seek(position).details[RINGS]
    assert found is None or isinstance(found, tuple)
    return found


def recorded(guest: str) -> tuple[Session, dict[str, list[int]]]:
    session = Session(make_scenario(guest, technique_name="paravirtual", iterations=2))
    session.run()
    positions: dict[str, list[int]] = {}
    for event in session.store.batch(0).events:
        positions.setdefault(event.kind, []).append(event.position)
    return session, positions


def test_a_frame_is_in_the_send_ring_until_domain_0_has_copied_it() -> None:
    session, positions = recorded("network-send")
    copied = positions[ev.GRANT_COPIED][0]
    rings = rings_at(session, copied)
    assert rings is not None
    assert [(ring.name, ring.domain, ring.slots) for ring in rings] == [("send", 1, 256), ("receive", 1, 256)]
    send, receive = rings
    assert send.state == "connected"
    assert send.req_prod - send.rsp_prod >= 1
    assert send.taken == send.rsp_prod == send.answered == 0
    first = next(slot for slot in send.used if slot.number == 0)
    assert first.kind == "request"
    assert first.fields["size"] == 1514
    assert first.fields["offset"] == 0
    assert receive.req_prod - receive.rsp_prod == len([slot for slot in receive.used if slot.kind != ANSWER])
    later = rings_at(session, positions[ev.GRANT_COPIED][-1])
    assert later is not None
    assert later[0].rsp_prod >= 2
    assert rings_at(session, 0) == ()


def test_a_block_is_taken_out_of_the_ring_and_answered_in_its_slot() -> None:
    session, positions = recorded("disk-read")
    mapped = positions[ev.GRANT_MAPPED]
    rings = rings_at(session, mapped[1])  # the first is the ring's own page
    assert rings is not None
    (disk,) = rings
    assert (disk.name, disk.slots, disk.taken, disk.rsp_prod) == ("disk", 32, 1, 0)
    (slot,) = disk.used
    assert (slot.number, slot.kind) == (0, "taken")
    wanted = {"operation": 0, "segments": 1, "sector": 0, "first": 0, "last": 7}
    assert {name: slot.fields[name] for name in wanted} == wanted
    rings = rings_at(session, mapped[2])
    assert rings is not None
    answer = rings[0].used[0]
    assert (answer.kind, answer.fields["operation"], answer.fields["status"]) == (ANSWER, 0, 0)


@pytest.mark.parametrize("technique", ["native", "paravirtual"])
def test_without_domain_0_there_are_no_rings(technique: str) -> None:
    session = Session(make_scenario("hello", technique_name=technique))
    session.step()
    assert rings_at(session, 1) is None
