"""Paths laid out: without Qt, for every route, at the sizes that a panel has."""

from itertools import combinations
from math import dist

import pytest

from vizapp.session.details.path import Followed, Paths
from vizapp.session.journeys.journey import Stop
from vizapp.session.journeys.routes import ROUTES
from vizapp.ui.path_layout import (
    DONE,
    NOW,
    TO_COME,
    UNSEEN,
    chosen,
    lay_out,
    ring_facts,
    ring_slots,
    stage_rows,
)

INDICES = (("index", 6), ("req_prod", 8), ("req_event", 7), ("rsp_prod", 5), ("rsp_event", 6), ("taken", 7))
FOLLOWED = Followed(
    3,
    "split-send",
    1,
    (("bytes", 1514),),
    (
        Stop("put", 100, 1000, INDICES),
        Stop("copied", 200, 1500),
        Stop("driver", 300, 2500),
        Stop("answered", 400, 2600, (*INDICES[:3], ("rsp_prod", 7), *INDICES[4:])),
    ),
)


@pytest.mark.parametrize("size", [(600, 200), (530, 190), (860, 260), (560, 520)])
@pytest.mark.parametrize("route", ROUTES.values(), ids=list(ROUTES))
def test_boxes_do_not_overlap_and_no_number_hides_another(route, size):
    drawing = lay_out(route, *size, labels=62, gap=9, apart=23)
    for (_, one), (_, other) in combinations(drawing.nodes, 2):
        apart = one.right <= other.left or other.right <= one.left
        assert apart or one.bottom <= other.top or other.bottom <= one.top
    for node, area in drawing.nodes:
        assert 62 <= area.left < area.right <= size[0]
        assert 0 <= area.top < area.bottom <= size[1]
        assert area.bottom - area.top >= 14, node.key
    badges = [arrow.badge for arrow in drawing.arrows]
    assert len(badges) == len(route.stages)
    assert all(dist(a, b) >= 16 for a, b in combinations(badges, 2))


def test_an_arrow_goes_from_the_side_of_its_source_to_the_side_of_its_target():
    route = ROUTES["split-send"]
    drawing = lay_out(route, 600, 240, labels=62, gap=9, apart=23)
    areas = {node.key: area for node, area in drawing.nodes}
    for stage, arrow in zip(route.stages, drawing.arrows, strict=True):
        for (x, y), key in ((arrow.start, stage.source), (arrow.end, stage.target)):
            area = areas[key]
            assert area.left - 1 <= x <= area.right + 1
            assert (
                min(abs(y - area.top), abs(y - area.bottom), abs(x - area.left), abs(x - area.right)) < 1e-6
            )


def test_stages_are_passed_here_to_come_or_not_seen_as_the_cursor_stands():
    rows = {row.key: row for row in stage_rows(ROUTES["split-send"], FOLLOWED, 201)}
    states = {key: row.state for key, row in rows.items()}
    assert [states[key] for key in ("put", "copied", "driver", "heard")] == [DONE, NOW, TO_COME, UNSEEN]
    assert [rows[key].since for key in ("put", "copied", "driver", "heard")] == [None, 500, 1000, None]
    assert [row.number for row in rows.values()] == list(range(1, len(rows) + 1))
    # A stop is in the past of a cursor behind its step, not of one that stands before it.
    assert stage_rows(ROUTES["split-send"], FOLLOWED, 100)[1].state == TO_COME


def test_the_one_in_hand_is_shown_unless_another_was_chosen():
    later = FOLLOWED._replace(number=4)
    paths = Paths(5, (FOLLOWED, later), 4, 500, ("domain-0", "sender"))
    assert chosen(paths, None) is later
    assert chosen(paths, 3) is FOLLOWED
    assert chosen(paths, 99) is None
    assert chosen(paths._replace(current=-1), None) is FOLLOWED
    assert chosen(Paths(0, (), -1, 0, ()), None) is None


def test_the_ring_is_as_it_was_when_the_journey_was_last_seen_there():
    route = ROUTES["split-send"]
    assert ring_facts(stage_rows(route, FOLLOWED, 100)) == {}
    facts = ring_facts(stage_rows(route, FOLLOWED, 350))
    assert (facts["req_prod"], facts["rsp_prod"]) == (8, 5)
    assert ring_facts(stage_rows(route, FOLLOWED, 401))["rsp_prod"] == 7
    slots = ring_slots(facts, 256, 7)
    assert [number for number, _, _ in slots] == [3, 4, 5, 6, 7, 8, 9]
    kinds = ["answer", "answer", "taken", "taken", "request", "free", "free"]
    assert [kind for _, kind, _ in slots] == kinds
    assert [number for number, _, own in slots if own] == [6]


def test_a_journeys_own_slot_is_seen_though_answers_lag_far_behind():
    facts = dict(INDICES) | {"index": 40, "req_prod": 41, "rsp_prod": 2}
    slots = ring_slots(facts, 32, 5)
    assert slots[-1] == (40 % 32, "request", True)
