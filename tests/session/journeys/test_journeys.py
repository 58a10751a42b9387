"""Packets and blocks followed: every stage where the machine really passed it, in the order of the way."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from zlib import crc32

import pytest

from tests.lengths import AT_LENGTH, at_length
from vizapp.experiment.scenarios import make_scenario
from vizapp.isa.addresses import HostPhysical, Linear
from vizapp.machine import events as ev
from vizapp.session.details import PATH
from vizapp.session.details.path import Followed, Paths
from vizapp.session.journeys.journey import Journeys, Stop, check_sequence
from vizapp.session.journeys.routes import ROUTES
from vizapp.session.session import Session


@cache
def recorded(guest: str, technique: str, io: str | None = None) -> Session:
    session = Session(make_scenario(guest, technique_name=technique, iterations=2, io=io))
    session.run()
    return session


def paths(session: Session, position: int | None = None) -> Paths:
    session.watch_details({PATH})
    where = session.timeline.end if position is None else position
    found = session.seek(where).details[PATH]
    assert isinstance(found, Paths)
    return found


def stages(followed: Followed) -> list[str]:
    return [stop.stage for stop in followed.stops]


def stop_of(followed: Followed, stage: str) -> Stop:
    return next(stop for stop in followed.stops if stop.stage == stage)


def test_a_frame_goes_from_its_front_end_through_ring_event_and_bridge_to_the_line_and_is_answered() -> None:
    session = recorded("network-send", "paravirtual")
    found = paths(session)
    first, second, *_ = found.shown
    assert (first.route, first.vm) == ("split-send", 1)
    way = [stage.key for stage in ROUTES["split-send"].stages]
    assert stages(first) == way[1:]  # no application takes part: the guest's kernel makes the frames
    # The second lies in the ring already when domain 0 comes: no event is needed for it.
    assert stages(second) == [stage for stage in way[1:] if stage not in ("event", "woken", "line")] or (
        stages(second) == [stage for stage in way[1:] if stage not in ("event", "woken")]
    )
    put = dict(stop_of(first, "put").facts)
    copied = dict(stop_of(first, "copied").facts)
    assert put["reference"] == copied["reference"]
    assert (put["slot"], put["req_prod"], put["rsp_prod"]) == (0, 1, 0)
    assert dict(stop_of(first, "answered").facts)["rsp_prod"] >= 1
    assert copied["bytes"] == 1514
    assert dict(stop_of(first, "line").facts)["check"] == copied["check"]


def test_every_stage_is_an_event_at_that_step_and_cycle() -> None:
    session = recorded("network-send", "paravirtual")
    first = paths(session).shown[0]
    kinds = {
        "event": ev.EVENT_SENT, "woken": ev.VM_SCHEDULED, "copied": ev.GRANT_COPIED, "line": ev.FRAME_SENT,
        "notified": ev.EVENT_SENT, "heard": ev.UPCALL_DELIVERED,
    }  # fmt: skip
    for stage, kind in kinds.items():
        stop = stop_of(first, stage)
        there = [session.store[index] for index in session.store.at(stop.position)]
        assert any(event.kind == kind and event.cycle == stop.cycle for event in there), stage
    positions = [stop.position for stop in first.stops]
    assert all(a <= b for a, b in pairwise(positions))


def test_the_slot_that_the_drawing_names_holds_that_request_at_that_step() -> None:
    session = recorded("network-send", "paravirtual")
    stop = stop_of(paths(session).shown[0], "put")
    session.seek(stop.position + 1)
    facts = dict(stop.facts)
    symbols = session.scenario.image.symbols
    entry = session.machine.monitor.guest_read(Linear(symbols["backs"] + 24), 4, 0)
    assert entry is not None
    page = int.from_bytes(entry, "little")
    raw = session.machine.monitor.guest_read(Linear(page), 64 + 12, 0)
    assert raw is not None
    assert int.from_bytes(raw[:4], "little") == facts["req_prod"]
    assert int.from_bytes(raw[64:68], "little") == facts["reference"]


def test_a_frame_that_comes_in_is_followed_into_the_domain_that_it_is_for() -> None:
    received = [one for one in paths(recorded("network-send", "paravirtual")).shown if "receive" in one.route]
    assert [(one.route, one.vm) for one in received] == [("split-receive", 1)]
    assert stages(received[0]) == [stage.key for stage in ROUTES["split-receive"].stages]


@pytest.mark.parametrize(
    ("guest", "route"),
    [
        pytest.param("disk-read", "split-read", marks=AT_LENGTH),
        ("disk-write", "split-write"),
    ],
)
def test_a_block_goes_to_the_drive_and_its_page_is_given_back(guest: str, route: str) -> None:
    session = recorded(guest, "paravirtual")
    first = paths(session).shown[0]
    assert (first.route, first.vm) == (route, 1)
    assert stages(first) == [stage.key for stage in ROUTES[route].stages][1:]
    asked = dict(stop_of(first, "asked").facts)
    assert (asked["block"], asked["count"]) == (dict(first.facts)["sector"], 8)
    assert dict(first.facts)["bytes"] == 4096


@at_length
def test_an_unmodified_kernel_with_front_ends_hears_of_answers_by_an_interrupt() -> None:
    session = Session(
        make_scenario("network-send", technique_name="paravirtual", iterations=2, guests="hvm", build="hvm")
    )
    session.run()
    first = paths(session).shown[0]
    assert stages(first)[0] == "put"
    assert {"copied", "line", "notified", "heard"} <= set(stages(first))
    heard = stop_of(first, "heard")
    there = [session.store[index].kind for index in session.store.at(heard.position)]
    assert ev.INTERRUPT_INJECTED in there


def test_what_lies_behind_the_cursor_is_not_the_one_in_hand() -> None:
    session = recorded("network-send", "paravirtual")
    everything = paths(session)
    first, second, third, received = everything.shown
    assert paths(session, 0).current == -1
    assert paths(session, stop_of(first, "event").position + 1).current == first.number
    assert paths(session, stop_of(second, "put").position + 1).current == second.number
    assert paths(session, stop_of(third, "copied").position + 1).current == third.number
    assert everything.current in (third.number, received.number)
    assert everything.names == ("domain-0", "network-send")


def test_a_hosted_guests_frame_crosses_the_worlds_and_is_written_by_vmapp() -> None:
    session = recorded("network-send", "binary-translation", "hosted")
    found = paths(session)
    first, second, *_ = found.shown
    assert stages(first) == [stage.key for stage in ROUTES["hosted-send"].stages]
    # Combined: both frames wait for the same world switch.
    assert stop_of(first, "switch") == stop_of(second, "switch")
    assert stop_of(first, "out").position < stop_of(second, "out").position
    switch = stop_of(first, "switch")
    there = [session.store[index] for index in session.store.at(switch.position)]
    assert [event.kind for event in there] == [ev.WORLD_SWITCHED]
    assert dict(stop_of(first, "write").facts) == {
        "bytes": 1514, "check": dict(stop_of(first, "line").facts)["check"],
    }  # fmt: skip
    received = [one for one in found.shown if one.route == "hosted-receive"]
    assert received
    assert {"line", "served", "vmapp", "read", "back", "injected"} <= set(stages(received[0]))


def test_a_modelled_adapter_takes_each_frame_after_the_guests_out() -> None:
    found = paths(recorded("network-send", "trap-and-emulate")).shown
    sent = [one for one in found if one.route == "emulated-send"]
    assert len(sent) == 3
    for one in sent:
        assert stages(one) == ["out", "taken", "line", "injected"]
        assert dict(stop_of(one, "out").facts)["address"] == dict(stop_of(one, "taken").facts)["address"]
    assert [one.route for one in found].count("emulated-receive") == 1


@pytest.mark.parametrize("technique", ["binary-translation", "vt-x"])
def test_on_bare_metal_a_frame_goes_by_the_vmkernels_switch_and_driver(technique: str) -> None:
    session = recorded("network-send", technique)
    found = paths(session).shown
    sent = [one for one in found if one.route == "kernel-send"]
    way = [stage.key for stage in ROUTES["kernel-send"].stages]
    assert len(sent) == 3  # two frames, and the question for the station's report
    for one in sent:
        assert sorted(stages(one)) == sorted(way)
        assert stages(one)[:4] == way[:4]
        assert dict(stop_of(one, "out").facts)["address"] == dict(stop_of(one, "taken").facts)["address"]
        assert dict(stop_of(one, "taken").facts)["check"] == dict(stop_of(one, "line").facts)["check"]
    (received,) = [one for one in found if one.route == "kernel-receive"]
    assert stages(received) == [stage.key for stage in ROUTES["kernel-receive"].stages]
    assert received.vm == 0


@pytest.mark.parametrize(("guest", "route"), [("disk-read", "kernel-read"), ("disk-write", "kernel-write")])
def test_on_esx_a_block_is_one_of_the_guests_extent(guest: str, route: str) -> None:
    found = [one for one in paths(recorded(guest, "binary-translation")).shown if one.route == route]
    assert len(found) == 2
    for one in found:
        assert stages(one) == [stage.key for stage in ROUTES[route].stages]
        asked, request = (dict(stop_of(one, stage).facts) for stage in ("asked", "request"))
        assert request["block"] == asked["block"] + 8  # where the first extent begins


def test_on_the_bare_machine_the_driver_tells_the_adapter_itself() -> None:
    found = paths(recorded("network-send", "native")).shown
    assert [stages(one) for one in found if one.route == "direct-send"] == [["out", "line", "injected"]] * 3


def test_a_frame_has_the_check_sequence_that_the_line_gives_it() -> None:
    session = recorded("network-send", "native")
    sent = next(event for event in session.store.batch(0).events if event.kind == ev.FRAME_SENT)
    session.seek(sent.position + 1)
    frame = session.machine.pc.memory.dump(HostPhysical(int(sent.payload["address"])), 1514)
    assert sent.payload["check"] == crc32(frame)
    assert check_sequence(b"short") == crc32(b"short".ljust(60, b"\0"))


def test_journeys_that_did_not_happen_are_forgotten() -> None:
    journeys = Journeys()
    journeys.open("direct-send", 0).stops.append(Stop("out", 10, 100))
    later = journeys.open("direct-send", 0)
    later.stops.append(Stop("out", 20, 200))
    journeys.drop_after(15)
    assert [journey.number for journey in journeys.all] == [0]
    assert not journeys.active


def test_every_stage_of_a_route_leads_from_a_node_to_a_node() -> None:
    for route in ROUTES.values():
        keys = {node.key for node in route.nodes}
        assert {key for stage in route.stages for key in (stage.source, stage.target)} <= keys
        assert len({stage.key for stage in route.stages}) == len(route.stages)
        assert all(node.row + node.rows <= len(route.rows) for node in (*route.nodes, *route.groups))
        assert ("ring" in keys) == bool(route.ring)
