"""What every form of the stage has: components in their places, slots of the bead, ways between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSizeF
from PySide6.QtGui import QPainterPath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vizapp.machine.places import Place
    from vizapp.messages import Message
    from vizapp.vmm.stage import StageComponent

    Measure = Callable[[str, str], QSizeF]

_DISTANCES = (0.16, 0.3, 0.5, 0.8, 1.1, 1.4)


@dataclass(frozen=True, slots=True)
class Text:
    """Words in a rectangle; ``font`` is a role of ``Look.font``, ``color`` one of its colours."""

    rect: QRectF
    text: str
    font: str
    color: str


@dataclass(frozen=True, slots=True)
class Pill:
    """A component in its ring; ``font`` is that of its text, which may have several lines."""

    world: str
    component: StageComponent
    rect: QRectF
    text: str
    font: str = "label"


class Arrangement(ABC):
    """A stage laid out in a rectangle.

    Attributes:
        area: the rectangle.
        texts: words that stand still.
        pills: the components that have a shape of their own.
        roomy: there is room for words beside movements.
        trails: it shows the last movements too, numbered.
    """

    trails = False

    def __init__(self, area: QRectF, measure: Measure, render: Callable[[Message], str], px: float) -> None:
        self._measure = measure
        self._render = render
        self._px = px
        self._taken: list[QRectF] = []
        self._slots: dict[tuple[str, int, str, int], QPointF] = {}
        self.area = area
        self.roomy = True
        self.texts: list[Text] = []
        self.pills: list[Pill] = []

    def taken(self) -> tuple[QRectF, ...]:
        """Every rectangle that holds words."""
        return tuple(self._taken)

    # The bead.

    @property
    @abstractmethod
    def bead_radius(self) -> float:
        """Radius of the processor's bead."""

    def slot(self, place: Place) -> QPointF:
        """Where the bead stands while the processor is at a place."""
        key = (place.world, place.ring, place.component, place.vm)
        if key not in self._slots:
            self._slots[key] = self._find_slot(place)
        return self._slots[key]

    @abstractmethod
    def _find_slot(self, place: Place) -> QPointF: ...

    def pill_of(self, place: Place) -> Pill | None:
        """The pill of a place's component, or None where it has none."""
        fitting = [
            pill
            for pill in self.pills
            if pill.world == place.world
            and pill.component.ring == place.ring
            and pill.component.id == place.component
        ]
        for pill in fitting:
            if pill.component.vm == place.vm:
                return pill
        return fitting[0] if fitting else None

    # Ways.

    @abstractmethod
    def path(self, source: Place, target: Place) -> QPainterPath:
        """The way of the bead from one place to another."""

    @abstractmethod
    def returns(self, source: Place, target: Place) -> bool:
        """Whether a passage leads back to a guest."""

    @abstractmethod
    def flow_path(self, source: Place, target: Place) -> QPainterPath:
        """The way of many passages, apart from that of those in the other direction."""

    # Words of a movement.

    @abstractmethod
    def _surroundings(self, point: QPointF) -> tuple[float, float]:
        """Which x is the middle there, and how far words may stand from a path."""

    def callout(self, path: QPainterPath, size: QSizeF, extra: Iterable[QRectF] = ()) -> QRectF:
        """A free rectangle for the words of a transition: beside its path, clear of words and of the path."""
        taken = [*self._taken, *extra]
        middle = path.pointAtPercent(0.5) if path.length() > 0 else path.currentPosition()
        line = [path.pointAtPercent(step / 12) for step in range(13)] if path.length() > 0 else [middle]
        center, reach = self._surroundings(middle)
        steps = [0.0, *(sign * reach * step / 8 for step in range(1, 9) for sign in (-1, 1))]
        best: tuple[float, QRectF] | None = None
        outwards = 1.0 if middle.x() >= center else -1.0
        gap = 7 * self._px
        for side in (1.0, -1.0):
            for distance in _DISTANCES:
                away = distance * reach
                x = middle.x() + away if side > 0 else middle.x() - away - size.width()
                for step in steps:
                    rect = self._inside(QRectF(QPointF(x, middle.y() + step - size.height() / 2), size))
                    wide = rect.adjusted(-gap, -gap, gap, gap)
                    hits = sum(wide.intersects(other) for other in taken) + sum(
                        wide.contains(point) for point in line
                    )
                    cost = hits * 1000 + abs(step) + away + (60 if side != outwards else 0)
                    if best is None or cost < best[0]:
                        best = (cost, rect)
        return best[1] if best else QRectF(middle, size)

    def _inside(self, rect: QRectF) -> QRectF:
        """The rectangle pushed into the area."""
        x = min(max(rect.left(), self.area.left()), self.area.right() - rect.width())
        y = min(max(rect.top(), self.area.top()), self.area.bottom() - rect.height())
        return QRectF(QPointF(x, y), rect.size())

    def _add_text(self, rect: QRectF, text: str, font: str, color: str) -> None:
        self.texts.append(Text(rect, text, font, color))
        self._taken.append(rect)


def around(center: QPointF, size: QSizeF) -> QRectF:
    """A rectangle of a size with its middle at a point."""
    return QRectF(center.x() - size.width() / 2, center.y() - size.height() / 2, size.width(), size.height())
