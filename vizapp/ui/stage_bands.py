"""The stage as bands: a band a ring, a column a virtual machine, worlds side by side.

┌ ring 3 ┬──────────────┬──────────────┐
│        │ applications │ applications │
├ ring 1 ┼──────────────┼──────────────┤      for several machines, and for more in a ring than a circle holds
│        │    kernel    │    kernel    │
├ ring 0 ┼──────────────┴──────────────┤
│        │             Xen             │
└────────┴─────────────────────────────┘
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSizeF
from PySide6.QtGui import QPainterPath

from vizapp.messages import N_, Message
from vizapp.ui.stage_arrangement import Arrangement, Pill, around

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizapp.machine.places import Place
    from vizapp.session.frames import Stage
    from vizapp.ui.stage_arrangement import Measure
    from vizapp.vmm.stage import StageComponent, StageWorld

HARDWARE = -1  # the ring that components below ring 0 are given: devices
_LABEL, _SMALL = "label", "small"
_MOST_IN_A_RING = 2  # components that a circle has room for; half as many where there are two circles
_LEAST_HEIGHT, _LEAST_WIDTH = 19, 40  # of a component at 100 %; below it there are no words
_ROOMY = 34  # height of a band at 100 % from which on movements have words too
_LEAST_LETTERS = 4  # of a word that is cut


@dataclass(frozen=True, slots=True)
class Band:
    """A ring of one world."""

    world: str
    ring: int
    rect: QRectF


def wants_bands(stage: Stage) -> bool:
    """Whether a ring holds components of several machines, or more of them than a circle has room for."""
    most = _MOST_IN_A_RING // max(1, min(2, len(stage.worlds)))
    for world in stage.worlds:
        for ring in {component.ring for component in world.components}:
            group = [component for component in world.components if component.ring == ring]
            machines = {component.vm for component in group if component.vm >= 0}
            if ring < 0 or len(machines) > 1 or len(group) > most:
                return True
    return False


class BandLayout(Arrangement):
    """A stage laid out in a rectangle as bands; every component is a box in its band.

    Attributes:
        bands: every ring that is used in one of the worlds, outer rings first.
    """

    trails = True

    def __init__(
        self, stage: Stage, area: QRectF, measure: Measure, render: Callable[[Message], str], px: float
    ) -> None:
        super().__init__(area, measure, render, px)
        self.bands: list[Band] = []
        self._narrowest = area.width()  # of the columns
        rings = sorted({c.ring for world in stage.worlds for c in world.components}, reverse=True)
        if not rings:
            return
        gap, line = 6 * px, self._measure("M", _LABEL).height()
        titles = line + gap if len(stage.worlds) > 1 else 0.0
        owners = line + gap if any(_owners(world) for world in stage.worlds) else 0.0
        top = area.top() + titles + owners
        height = (area.bottom() - top - gap * (len(rings) - 1)) / len(rings)
        self.roomy = height >= _ROOMY * px
        self._worded = height >= _LEAST_HEIGHT * px
        labels = [self._render(_ring_name(ring)) for ring in rings]
        gutter = (
            max(self._measure(label, _LABEL).width() for label in labels) + 16 * px if self._worded else 0.0
        )
        shares = [max(1, len(_columns(world))) for world in stage.worlds]
        spare = area.width() - 3 * gap * (len(stage.worlds) - 1) - gutter * len(stage.worlds)
        self._narrowest = spare / sum(shares)
        left = area.left()
        for world, share in zip(stage.worlds, shares, strict=True):
            width = gutter + spare * share / sum(shares)
            rects = {
                ring: QRectF(left, top + (height + gap) * row, width, height)
                for row, ring in enumerate(rings)
            }
            self._place_world(world, rects, gutter, owners)
            if titles:
                self._place_title(self._render(world.title), QRectF(left, area.top(), width, line))
            left += width + 3 * gap

    @property
    def bead_radius(self) -> float:
        """Radius of the processor's bead: so that there is room for words beside or above it."""
        height = min((band.rect.height() for band in self.bands), default=60.0)
        return max(4 * self._px, min(8 * self._px, height * 0.12, self._narrowest * 0.055))

    # Components.

    def _place_world(self, world: StageWorld, rects: dict[int, QRectF], gutter: float, owners: float) -> None:
        used = {component.ring for component in world.components}
        columns = _columns(world)
        inner = next(iter(rects.values())).adjusted(gutter, 0, -6 * self._px, 0)
        for ring, rect in rects.items():
            if ring in used:
                self.bands.append(Band(world.id, ring, rect))
                self._place_label(ring, rect)
        for vm, owner in _owners(world).items():
            column = _column(inner, columns, vm)
            size = self._measure(owner, _LABEL)
            if size.width() <= column.width():
                y = inner.top() - owners / 2
                self._add_text(around(QPointF(column.center().x(), y), size), owner, _LABEL, "text")
        for ring, rect in rects.items():
            group = [component for component in world.components if component.ring == ring]
            row = QRectF(inner.left(), rect.top(), inner.width(), rect.height())
            common = [component for component in group if component.vm < 0]
            if len(common) == len(group):
                self._place_boxes(world.id, common, row, shared=len(columns) > 1)
                continue
            for vm in columns:
                boxes = [component for component in group if component.vm == vm]
                self._place_boxes(world.id, boxes, _column(row, columns, vm))

    def _place_boxes(
        self, world: str, components: Sequence[StageComponent], room: QRectF, *, shared: bool = False
    ) -> None:
        """Boxes side by side in a cell; on top of each other where their names would not fit.

        Those ``shared`` by machines are too: beside one another they would seem to be of a column each.
        """
        if not components:
            return
        gap, count = 5 * self._px, len(components)
        width, height = room.width() / count, room.height() / count
        widest = max(self._measure(self._render(one.title), _LABEL).width() for one in components)
        narrow = shared or widest > width - 2 * gap - 4 * self.bead_radius
        stacked = narrow and height >= _LEAST_HEIGHT * self._px
        for index, component in enumerate(components):
            if stacked:
                box = QRectF(room.left(), room.top() + index * height, room.width(), height)
            else:
                box = QRectF(room.left() + index * width, room.top(), width, room.height())
            edge = min(gap, height / 12)
            box.adjust(gap, edge, -gap, -edge)
            text, font = self._worded_in(box, self._render(component.title))
            self.pills.append(Pill(world, component, box, text, font))
            if text:
                self._taken.append(around(box.center(), self._size(text, font)))

    def _worded_in(self, box: QRectF, title: str) -> tuple[str, str]:
        """What a component is called in its box, and in which font.

        That is its title, in several lines or smaller if need be, or as much of it as fits.
        """
        if not self._worded or box.width() < _LEAST_WIDTH * self._px:
            return "", _LABEL
        lines = title.split(" ")
        wrapped = "\n".join(lines)
        for text in (title, wrapped) if len(lines) > 1 else (title,):
            for font in (_LABEL, _SMALL):
                if self._fits(box, text, font):
                    return text, font
        letters = next(
            (
                n
                for n in range(len(title) - 1, _LEAST_LETTERS - 1, -1)
                if self._fits(box, title[:n] + "…", _SMALL)
            ),
            0,
        )
        return (title[:letters].rstrip() + "…" if letters else ""), _SMALL

    def _fits(self, box: QRectF, text: str, font: str) -> bool:
        """Whether words have room in a box, with the bead beside or above them."""
        size, bead, edge = self._size(text, font), self.bead_radius, 4 * self._px
        if size.height() > box.height():
            return False
        beside = size.width() <= box.width() - 6.8 * bead
        return beside or (size.width() <= box.width() - 2 * edge and self._above(box, size.height()))

    def _above(self, box: QRectF, height: float) -> bool:
        """Whether the bead has room above words of a height."""
        return box.height() >= height + 7 * self.bead_radius

    def _size(self, text: str, font: str) -> QSizeF:
        sizes = [self._measure(line, font) for line in text.split("\n")]
        return QSizeF(max(size.width() for size in sizes), sum(size.height() for size in sizes))

    def _place_label(self, ring: int, rect: QRectF) -> None:
        if not self._worded:
            return
        text = self._render(_ring_name(ring))
        size = self._measure(text, _LABEL)
        down = min(6 * self._px, (rect.height() - size.height()) / 2)
        at = QRectF(QPointF(rect.left() + 8 * self._px, rect.top() + down), size)
        self._add_text(at, text, _LABEL, f"ring{ring}_text" if ring >= 0 else "text_muted")

    def _place_title(self, text: str, room: QRectF) -> None:
        size = self._measure(text, _LABEL)
        self._add_text(around(room.center(), size), text, _LABEL, "text")

    # The bead and its ways.

    def _find_slot(self, place: Place) -> QPointF:
        """Inside of the component's box, at its left, beside the words or above them."""
        pill = self.pill_of(place)
        bead = self.bead_radius
        if pill is None:
            band = self._band(place)
            if band is None:
                return self.area.center()
            return QPointF(band.right() - 2.2 * bead, band.center().y())
        middle = pill.rect.center()
        left = min(pill.rect.left() + 2.2 * bead, middle.x())
        words = around(middle, self._size(pill.text, pill.font))
        if pill.text and left + 1.1 * bead > words.left() and self._above(pill.rect, words.height()):
            return QPointF(left, pill.rect.top() + 2.2 * bead)
        return QPointF(left, middle.y())

    def _band(self, place: Place) -> QRectF | None:
        """The band of a place; that of its ring in another world where its own is not on the stage."""
        fitting = [band for band in self.bands if band.ring == place.ring]
        of_world = [band for band in fitting if band.world == place.world]
        return next((band.rect for band in (*of_world, *fitting)), None)

    def path(self, source: Place, target: Place) -> QPainterPath:
        """Straight down or up where it can be, else leaving and arriving upright; an arc within a band."""
        start, end = self.slot(source), self.slot(target)
        path = QPainterPath(start)
        if start == end:
            return path
        if abs(start.y() - end.y()) < 1:
            lift = min(self._lift(), abs(start.x() - end.x()) * 0.5)
            path.cubicTo(start - QPointF(0, lift), end - QPointF(0, lift), end)
            return path
        middle = (start.y() + end.y()) / 2
        path.cubicTo(QPointF(start.x(), middle), QPointF(end.x(), middle), end)
        return path

    def returns(self, source: Place, target: Place) -> bool:
        """Whether a passage leads back to a guest: to an outer ring, or to a world further left."""
        if source.world != target.world:
            order = [band.world for band in self.bands]
            known = source.world in order and target.world in order
            return known and order.index(target.world) < order.index(source.world)
        return target.ring > source.ring

    def flow_path(self, source: Place, target: Place) -> QPainterPath:
        """The way of many passages: inwards a little to the left, outwards to the right."""
        shift = self.bead_radius * (1.2 if self.returns(source, target) else -1.2)
        return self.path(source, target).translated(shift, 0)

    def _lift(self) -> float:
        return min((band.rect.height() for band in self.bands), default=40.0) * 0.7

    def _surroundings(self, point: QPointF) -> tuple[float, float]:
        return self.area.center().x(), max(80.0 * self._px, self._lift())


def _ring_name(ring: int) -> Message:
    return Message(N_("hardware")) if ring < 0 else Message(N_("ring {ring}"), {"ring": ring})


def _columns(world: StageWorld) -> tuple[int, ...]:
    """The machines of a world, -1 first where something common stands beside what is theirs."""
    machines = sorted({component.vm for component in world.components if component.vm >= 0})
    beside = any(
        component.vm < 0 and any(other.ring == component.ring and other.vm >= 0 for other in world.components)
        for component in world.components
    )
    return (*((-1,) if beside and machines else ()), *machines) or (-1,)


def _column(row: QRectF, columns: Sequence[int], vm: int) -> QRectF:
    width = row.width() / len(columns)
    index = columns.index(vm) if vm in columns else 0
    return QRectF(row.left() + index * width, row.top(), width, row.height())


def _owners(world: StageWorld) -> dict[int, str]:
    """The names of the machines that have one."""
    return {component.vm: component.owner for component in world.components if component.owner}
