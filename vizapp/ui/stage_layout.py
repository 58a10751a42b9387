"""The stage as ring systems: rings, labels, pills, parking slots of the bead, paths between them.

Pure geometry over ``frames.Stage``: any number of worlds side by side, any components in any ring. Labels
stand at the top of their band, pills at the bottom; a rectangle takes the first of its candidate places that
meets no rectangle placed before it. Where there is none the components of virtual machines go by the names of
these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSizeF
from PySide6.QtGui import QPainterPath, QTransform

from vizapp.machine.places import VMM
from vizapp.messages import N_, Message
from vizapp.ui.stage_arrangement import Arrangement, Pill, around

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vizapp.machine.places import Place
    from vizapp.session.frames import Stage
    from vizapp.ui.stage_arrangement import Measure
    from vizapp.vmm.stage import StageComponent, StageWorld

RINGS = (3, 2, 1, 0)
# Outer radius of each ring as a share of ring 3's: the middle is the largest, it holds words.
SHARE = {0: 0.34, 1: 0.56, 2: 0.78, 3: 1.0}
LABELLED_RADIUS = 84  # below it (at 100 %) a ring system shows no words inside
_LABEL, _PILL_PADDING, _GAP = "label", 11, 5


@dataclass(frozen=True, slots=True)
class RingSystem:
    """One world: concentric rings around ``center``; ``radius`` is ring 3's."""

    world: str
    center: QPointF
    radius: float
    used: frozenset[int]

    def outer(self, ring: int) -> float:
        """Outer radius of a ring."""
        return self.radius * SHARE[ring]

    def middle(self, ring: int) -> float:
        """Radius of the middle of a ring's band; of ring 0, where a bead stands beside the words."""
        if ring == 0:
            return self.radius * SHARE[0] * 0.74
        return self.radius * (SHARE[ring] + SHARE[ring - 1]) / 2

    def at(self, radius: float, degrees: float) -> QPointF:
        """A point around the centre; 0 is right, 90 is down."""
        angle = math.radians(degrees)
        return self.center + QPointF(radius * math.cos(angle), radius * math.sin(angle))


class StageLayout(Arrangement):
    """A stage laid out in a rectangle as concentric rings.

    Its texts are ring labels, names in the middle and titles of worlds; its pills the components outside the
    middle.

    Attributes:
        systems: a ring system a world, in the order of the stage.
    """

    def __init__(
        self, stage: Stage, area: QRectF, measure: Measure, render: Callable[[Message], str], px: float
    ) -> None:
        super().__init__(area, measure, render, px)
        self._crowded = False  # whether something had no place
        self.systems: list[RingSystem] = []
        count = max(1, len(stage.worlds))
        title = 24 * px if count > 1 else 0.0
        room = QSizeF(area.width() / count, area.height() - title)
        radius = max(10.0, min(room.width(), room.height()) / 2 - 6 * px)
        self.roomy = radius >= LABELLED_RADIUS * px
        for index, world in enumerate(stage.worlds):
            center = QPointF(area.left() + room.width() * (index + 0.5), area.top() + room.height() / 2)
            used = frozenset(component.ring for component in world.components)
            system = RingSystem(world.id, center, radius, used)
            self.systems.append(system)
            self._place_words(system, world)
            if count > 1:
                self._title(system, self._render(world.title))

    @property
    def bead_radius(self) -> float:
        """Radius of the processor's bead."""
        radius = self.systems[0].radius if self.systems else 100.0
        return max(4 * self._px, min(8 * self._px, radius * 0.05))

    # Words.

    def _place_words(self, system: RingSystem, world: StageWorld) -> None:
        if not self.roomy:
            return
        before = len(self.texts), len(self.pills), len(self._taken)
        self._crowded = False
        self._place_components(system, world)
        if self._crowded:
            texts, pills, taken = before
            del self.texts[texts:], self.pills[pills:], self._taken[taken:]
            self._place_components(system, _shortened(world))

    def _place_components(self, system: RingSystem, world: StageWorld) -> None:
        for ring in RINGS[:-1]:
            self._label(system, ring)
        self._middle(system, [component for component in world.components if component.ring == 0])
        for ring in (1, 2, 3):
            group = [component for component in world.components if component.ring == ring]
            for component, preferred in zip(group, _spread(len(group), ring), strict=True):
                self._pill(system, component, preferred)
        for component in [component for component in world.components if component.ring == 0][1:]:
            self._pill(system, component, 90)

    def _label(self, system: RingSystem, ring: int) -> None:
        """The name of a ring at the top of its band, as long as the band holds it."""
        used = ring in system.used
        font = _LABEL if used else "small"
        texts = [N_("ring {ring}")] if used else [N_("ring {ring} · unused"), N_("ring {ring}")]
        for text in texts:
            words = self._render(Message(text, {"ring": ring}))
            size = self._measure(words, font)
            corner = math.hypot(size.width() / 2, system.middle(ring) + size.height() / 2 - 3 * self._px)
            if corner <= system.outer(ring) or text == texts[-1]:
                rect = around(system.at(system.middle(ring), -90), size)
                self._add_text(rect, words, font, f"ring{ring}_text" if used else "text_muted")
                return

    def _middle(self, system: RingSystem, components: list[StageComponent]) -> None:
        """The first component of ring 0 in large letters, and the ring's name under it."""
        ring = self._render(Message(N_("ring {ring}"), {"ring": 0}))
        ring_size = self._measure(ring, "small")
        lines: list[str] = []
        font = "name"
        if components:
            name = self._render(_named(components[0]))
            if components[0].id == VMM and len(name.split()) > 2:
                name = self._render(Message(N_("VMM")))
            wide = system.outer(0) * 1.5
            for font in ("name", "label"):
                lines = [name] if self._measure(name, font).width() <= wide else name.split()
                if max(self._measure(line, font).width() for line in lines) <= wide:
                    break
        height = sum(self._measure(line, font).height() for line in lines) + ring_size.height()
        y = system.center.y() - height / 2 + (self._px * 4 if lines else 0)
        for line in lines:
            size = self._measure(line, font)
            self._add_text(
                around(QPointF(system.center.x(), y + size.height() / 2), size), line, font, "ring0_text"
            )
            y += size.height()
        color = "ring0_text" if components else "text_muted"
        self._add_text(
            around(QPointF(system.center.x(), y + ring_size.height() / 2), ring_size), ring, "small", color
        )

    def _pill(self, system: RingSystem, component: StageComponent, preferred: float) -> None:
        text = self._render(_named(component))
        size = self._measure(text, _LABEL) + QSizeF(2 * _PILL_PADDING * self._px, 9 * self._px)
        radius = system.middle(component.ring) if component.ring else system.outer(0)
        offsets = [sign * step for step in range(0, 181, 6) for sign in (1, -1)]
        places = [around(system.at(radius, preferred + offset), size) for offset in offsets]
        rect = self._first_free(places)
        self.pills.append(Pill(system.world, component, rect, text))
        self._taken.append(rect)

    def _title(self, system: RingSystem, text: str) -> None:
        size = self._measure(text, _LABEL)
        center = system.center + QPointF(0, system.radius + 6 * self._px + size.height() / 2)
        self._add_text(around(center, size), text, _LABEL, "text")

    def _first_free(self, places: Iterable[QRectF]) -> QRectF:
        gap = _GAP * self._px
        first = None
        for place in places:
            first = first or place
            wide = place.adjusted(-gap, -gap, gap, gap)
            if self.area.contains(place) and not any(wide.intersects(other) for other in self._taken):
                return place
        self._crowded = True
        return first or QRectF()

    # The bead.

    def system(self, world: str) -> RingSystem | None:
        """The ring system of a world; the first where it is not on the stage."""
        for system in self.systems:
            if system.world == world:
                return system
        return self.systems[0] if self.systems else None

    def _find_slot(self, place: Place) -> QPointF:
        system = self.system(place.world)
        if system is None:
            return self.area.center()
        pill = self.pill_of(place)
        radius = system.middle(place.ring)
        if pill is not None and place.ring:
            center = pill.rect.center() - system.center
            start = math.degrees(math.atan2(center.y(), center.x()))
        else:
            start = -42 if place.ring == 0 else 52
        bead = self.bead_radius * 1.5
        # Walk along the band, away from the pill, until the bead is clear of every word.
        for step in range(0, 182, 2):
            for sign in (-1, 1):
                point = system.at(radius, start + sign * step)
                box = QRectF(point.x() - bead, point.y() - bead, 2 * bead, 2 * bead)
                if not any(box.intersects(other) for other in self._taken):
                    return point
        return system.at(radius, start)

    # Paths.

    def path(self, source: Place, target: Place) -> QPainterPath:
        """The way of the bead: inwards bulging more than outwards; to another world above, back below."""
        start, end = self.slot(source), self.slot(target)
        first, last = self.system(source.world), self.system(target.world)
        if first is None or last is None:
            return QPainterPath(start)
        if first is not last:
            return self._between(source, target, first, last)
        path = QPainterPath(start)
        if start == end:
            return path
        inwards = target.ring <= source.ring
        middle = (start + end) / 2
        away = middle - first.center
        length = math.hypot(away.x(), away.y()) or 1.0
        bulge = 0.42 if inwards else 0.10
        reach = math.hypot((end - start).x(), (end - start).y()) * bulge + (10 if inwards else 0) * self._px
        control = middle + away * (reach / length) * 1.6
        path.quadTo(control, end)
        return path

    def returns(self, source: Place, target: Place) -> bool:
        """Whether a passage leads back to the guest: to an outer ring, or to a world further left."""
        first, last = self.system(source.world), self.system(target.world)
        if first is None or last is None or first is last:
            return target.ring > source.ring
        return self.systems.index(last) < self.systems.index(first)

    def flow_path(self, source: Place, target: Place) -> QPainterPath:
        """The way of many passages: inwards on the right, outwards mirrored on the left."""
        first, last = self.system(source.world), self.system(target.world)
        if first is None or first is not last or target.ring <= source.ring:
            return self.path(source, target)
        inwards = self.path(target, source)
        mirror = QTransform().translate(2 * first.center.x(), 0).scale(-1, 1)
        return mirror.map(inwards).toReversed()

    def _between(self, source: Place, target: Place, first: RingSystem, last: RingSystem) -> QPainterPath:
        """Above on the way to a world further right, below on the way back; clear of the middle's words."""
        back = self.returns(source, target)
        start, end = self.slot(source), self.slot(target)
        if back and source.ring == 0:
            start = first.at(first.middle(0), 138)
        path = QPainterPath(start)
        edge = first.center.y() + (0.72 if back else -0.72) * first.radius
        near, far = start.x() * 0.75 + end.x() * 0.25, start.x() * 0.25 + end.x() * 0.75
        path.cubicTo(QPointF(near, edge), QPointF(far, edge), end)
        return path

    def _surroundings(self, point: QPointF) -> tuple[float, float]:
        system = min(self.systems, key=lambda s: math.hypot(*(s.center - point).toTuple()), default=None)
        return (point.x(), 100.0) if system is None else (system.center.x(), system.radius)


def _spread(count: int, ring: int) -> list[float]:
    """Preferred angles of ``count`` pills around the bottom of a ring."""
    step = {1: 75.0, 2: 55.0, 3: 44.0}[ring]
    return [90 - (index - (count - 1) / 2) * step for index in range(count)]  # from left to right


def _shortened(world: StageWorld) -> StageWorld:
    """The same with machines' names for titles, and the guest kernels of one ring 0 as one."""
    outer = tuple(
        component._replace(title=Message("{name}", {"name": component.owner}), owner="")
        if component.owner
        else component
        for component in world.components
        if component.ring
    )
    inner = tuple(component for component in world.components if not component.ring)
    if len(inner) > 1:
        inner = (inner[0]._replace(title=Message(N_("guest kernels")), owner=""),)
    return world._replace(components=(*inner, *outer))


def _named(component: StageComponent) -> Message:
    """What a component is, and whose where there are several."""
    if not component.owner:
        return component.title
    return Message(N_("{name}: {component}"), {"name": component.owner, "component": component.title})
