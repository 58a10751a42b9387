"""Lays a route out in a rectangle: bands, frames, boxes, and an arrow with a number for every stage.

Nothing here draws. Arrows between boxes one above the other stand upright where the boxes have a stretch in
common, arrows between neighbours lie level; each keeps away from those that were placed before it.
"""

from __future__ import annotations

from itertools import accumulate
from math import dist
from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa.addresses import M32
from vizapp.session.journeys.route import LABELS
from vizapp.ui.rings_layout import BEFORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vizapp.session.details.path import Followed, Paths
    from vizapp.session.journeys.journey import Stop
    from vizapp.session.journeys.route import Group, Node, Route, Row

_CANDIDATES = 9  # places that an arrow may take along a side
DONE, NOW, TO_COME, UNSEEN = "done", "now", "to come", "unseen"


class Area(NamedTuple):
    """A rectangle."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def center(self) -> tuple[float, float]:
        """Its middle."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


class Arrow(NamedTuple):
    """The way of a stage, from a side of one box to a side of another; its number stands at ``badge``."""

    start: tuple[float, float]
    end: tuple[float, float]

    @property
    def badge(self) -> tuple[float, float]:
        """The middle of the way."""
        return (self.start[0] + self.end[0]) / 2, (self.start[1] + self.end[1]) / 2


class Drawing(NamedTuple):
    """Where everything of a route is; ``arrows`` are in the order of its stages."""

    rows: tuple[tuple[Row, Area], ...]
    groups: tuple[tuple[Group, Area], ...]
    nodes: tuple[tuple[Node, Area], ...]
    arrows: tuple[Arrow, ...]


class StageRow(NamedTuple):
    """A stage of a journey as it is listed.

    ``state`` says whether it was reached before the cursor (``NOW``: last of all), is known to come, or was
    not seen. ``since`` are the cycles since the stage before, in the order of time; None where there is none.
    """

    number: int
    key: str
    title: str
    about: str
    state: str
    stop: Stop | None
    since: int | None


def lay_out(route: Route, width: float, height: float, *, labels: float, gap: float, apart: float) -> Drawing:
    """The drawing of a route.

    ``labels`` is the width for the titles of rows, ``gap`` is between bands, ``apart`` what arrows keep
    between them.
    """
    total = sum(row.weight for row in route.rows)
    room = height - gap * (len(route.rows) - 1)
    edges = [0.0, *accumulate(room * row.weight / total + gap for row in route.rows)]
    bands = [Area(0, edges[i], width, edges[i + 1] - gap) for i in range(len(route.rows))]

    def across(share: float) -> float:
        return labels + (width - labels) * (share - LABELS) / (1 - LABELS)

    def area(item: Node | Group, inset: float) -> Area:
        last = bands[item.row + item.rows - 1]
        top, bottom = bands[item.row].top + inset, last.bottom - inset
        return Area(across(item.left), top, across(item.right), bottom)

    nodes = {node.key: area(node, gap * 0.5) for node in route.nodes}
    # Frames have their title above their boxes, so that those are lower.
    titled = {node.key for node in route.nodes for group in route.groups if _first_in(group, node)}
    for key in titled:
        nodes[key] = nodes[key]._replace(top=nodes[key].top + 1.5 * gap)
    arrows = _arrows([(nodes[stage.source], nodes[stage.target]) for stage in route.stages], apart)
    return Drawing(
        tuple(zip(route.rows, bands, strict=True)),
        tuple((group, area(group, gap * 0.2)) for group in route.groups),
        tuple((node, nodes[node.key]) for node in route.nodes),
        arrows,
    )


def _first_in(group: Group, node: Node) -> bool:
    inside = group.left <= node.left and node.right <= group.right
    return inside and node.row == group.row


def _arrows(ways: Sequence[tuple[Area, Area]], apart: float) -> tuple[Arrow, ...]:
    placed: dict[int, Arrow] = {}
    pairs: dict[frozenset[Area], list[int]] = {}
    for index, way in enumerate(ways):
        pairs.setdefault(frozenset(way), []).append(index)
    # Several between the same boxes share what these have in common; one alone looks for room.
    for several in pairs.values():
        for place, index in enumerate(several if len(several) > 1 else ()):
            possible = _possible(*ways[index])
            placed[index] = possible[round(place * (len(possible) - 1) / (len(several) - 1))]
    alone = [several[0] for several in pairs.values() if len(several) == 1]
    for index in sorted(alone, key=lambda number: _freedom(*ways[number])):
        placed[index] = _best(_possible(*ways[index]), placed.values(), apart)
    return tuple(placed[index] for index in range(len(ways)))


def _shared(source: Area, target: Area) -> tuple[float, float, bool]:
    """The stretch that two boxes have in common, and whether they lie side by side."""
    top, bottom = max(source.top, target.top), min(source.bottom, target.bottom)
    if bottom > top:
        return top, bottom, True
    return max(source.left, target.left), min(source.right, target.right), False


def _freedom(source: Area, target: Area) -> float:
    low, high, _ = _shared(source, target)
    return max(0.0, high - low)


def _possible(source: Area, target: Area) -> list[Arrow]:
    """The ways that an arrow may take."""
    low, high, level = _shared(source, target)
    found = []
    for number in range(1, _CANDIDATES + 1):
        share = number / (_CANDIDATES + 1)
        at = low + (high - low) * share
        if level:
            right = source.center[0] < target.center[0]
            ends = (source.right, target.left) if right else (source.left, target.right)
            found.append(Arrow((ends[0], at), (ends[1], at)))
        else:
            down = source.center[1] < target.center[1]
            ends = (source.bottom, target.top) if down else (source.top, target.bottom)
            if high > low:
                found.append(Arrow((at, ends[0]), (at, ends[1])))
            else:
                here = source.left + (source.right - source.left) * share
                there = target.left + (target.right - target.left) * share
                found.append(Arrow((here, ends[0]), (there, ends[1])))
    return found


def _best(possible: list[Arrow], others: Iterable[Arrow], apart: float) -> Arrow:
    """The way that keeps away from the others; of several the one nearest to where no frame has its title."""
    taken = list(others)
    wanted = round(0.8 * (len(possible) - 1))

    def room(arrow: Arrow) -> float:
        return min((_distance(arrow, other) for other in taken), default=apart)

    def rank(number: int) -> tuple[float, float]:
        return -min(apart, room(possible[number])), abs(number - wanted)

    return possible[min(range(len(possible)), key=rank)]


def _distance(one: Arrow, other: Arrow) -> float:
    """How far apart the nearest of some points of two arrows are."""
    return min(dist(a, b) for a in _points(one) for b in _points(other))


def _points(arrow: Arrow) -> list[tuple[float, float]]:
    (x, y), (to_x, to_y) = arrow
    return [(x + (to_x - x) * share, y + (to_y - y) * share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]


def stage_rows(route: Route, followed: Followed, position: int) -> tuple[StageRow, ...]:
    """The stages of a journey as a cursor at ``position`` sees them."""
    stops = {stop.stage: stop for stop in followed.stops}
    reached = [stop for stop in followed.stops if stop.position < position]
    last = reached[-1].stage if reached else ""
    order = [stop.stage for stop in followed.stops]
    rows = []
    for number, stage in enumerate(route.stages, 1):
        stop, since, state = stops.get(stage.key), None, UNSEEN
        if stop is not None:
            before = order.index(stage.key) - 1
            since = stop.cycle - followed.stops[before].cycle if before >= 0 else None
            state = NOW if stage.key == last else DONE if stop.position < position else TO_COME
        rows.append(StageRow(number, stage.key, stage.title, stage.about, state, stop, since))
    return tuple(rows)


def chosen(paths: Paths, number: int | None) -> Followed | None:
    """The journey of a number; None: the one in hand at the cursor, or the first that is to come."""
    wanted = paths.current if number is None else number
    found = next((item for item in paths.shown if item.number == wanted), None)
    if found is None and number is None:
        return paths.shown[0] if paths.shown else None
    return found


def ring_facts(rows: Sequence[StageRow]) -> Mapping[str, int]:
    """The ring's indices when the journey was last seen at it before the cursor; empty: it was not yet."""
    seen = [dict(row.stop.facts) for row in rows if row.stop is not None and row.state in (DONE, NOW)]
    return next((facts for facts in reversed(seen) if "req_prod" in facts), {})


def ring_slots(facts: Mapping[str, int], slots: int, count: int) -> list[tuple[int, str, bool]]:
    """``count`` slots around the journey's own: number in the ring, what it holds, whether it is its own."""
    own = facts["index"]
    start = max(0, min(own, facts["rsp_prod"]) - BEFORE)
    if own >= start + count:
        start = own - count + 1
    found = []
    for index in range(start, start + min(count, slots)):
        kind = "free"
        if _before(index, facts["rsp_prod"]):
            kind = "answer"
        elif _before(index, facts["req_prod"]):
            kind = "taken" if _before(index, facts["taken"]) else "request"
        found.append((index % slots, kind, index == own))
    return found


def _before(index: int, other: int) -> bool:
    """Whether an index comes before another; they wrap at 32 bits."""
    return (index - other & M32) >= 1 << 31
