"""Draws the lanes of the scheduler: who had the processor when, who could have, and who waited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QBrush, QPainter, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from vizapp.messages import N_, Message
from vizapp.ui.numbers import compact, grouped, percent, ticks
from vizapp.ui.schedule_layout import PAUSED, READY, RUNS, STOPPED, WAITS, Stay, span, stays, used, zoomed
from vizapp.ui.widgets import Tipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QKeyEvent, QMouseEvent, QPaintEvent, QWheelEvent

    from vizapp.messages import Parameter
    from vizapp.session.details.schedule import Schedule, Share
    from vizapp.ui.look import Look

_LANE, _AXIS, _LEFT, _RIGHT = 34, 22, 112, 128
_STEP: Final = 1.6
STATES: Final = {
    RUNS: ("█", N_("runs")),
    READY: ("▨", N_("could run, and has to wait its turn")),
    WAITS: ("▁", N_("waits for an event")),
    PAUSED: ("┈", N_("paused, or not there yet")),
    STOPPED: ("■", N_("stopped")),
}


class ScheduleView(Tipped):
    """A lane a virtual machine.

    Signals:
        followed: the position of a step whose moment is wanted.
    """

    followed = Signal(int)

    def __init__(self, look: Look, render: Callable[[Message], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._render = render
        self.language = "en"
        self.schedule: Schedule | None = None
        self._lanes: list[list[Stay]] = []
        self._seen: tuple[float, float] | None = None  # None: all of it
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def set_look(self, look: Look, render: Callable[[Message], str]) -> None:
        """Another theme, zoom or language."""
        self._look, self._render = look, render
        self.updateGeometry()
        self.update()

    def set_schedule(self, schedule: Schedule | None) -> None:
        """Show other lanes; None: there are none."""
        self.schedule = schedule
        count = 0 if schedule is None else len(schedule.shares)
        self._lanes = [] if schedule is None else [stays(schedule, vm) for vm in range(count)]
        if schedule is None:
            self._seen = None
        self.setAccessibleDescription(". ".join(self.describe(vm) for vm in range(count)))
        self.update()

    @property
    def visible_range(self) -> tuple[float, float]:
        """The cycles in view."""
        if self.schedule is None:
            return 0.0, 1.0
        low, high = span(self.schedule)
        if self._seen is None:
            return float(low), float(high)
        width = min(self._seen[1] - self._seen[0], high - low)
        start = min(max(self._seen[0], low), high - width)
        return start, start + width

    def zoom(self, factor: float, around: float) -> None:
        """See ``1 / factor`` of what is seen."""
        if self.schedule is not None:
            whole = span(self.schedule)
            self._seen = zoomed(whole, self.visible_range, factor, around)
            if self._seen[1] - self._seen[0] >= whole[1] - whole[0]:
                self._seen = None
            self.update()

    def describe(self, vm: int) -> str:
        """A machine's part of the processor in words."""
        assert self.schedule is not None
        share = self.schedule.shares[vm]
        ran = percent(used(self.schedule, vm), self.language)
        if share.credit is None:
            text = N_("{name}: weight {weight}, ran {share} of the time")
            return self._render(Message(text, {"name": share.name, "weight": share.weight, "share": ran}))
        text = N_("{name}: weight {weight}, credit {credit} cycles, ran {share} of the time")
        parameters: dict[str, Parameter] = {
            "name": share.name,
            "weight": share.weight,
            "credit": grouped(share.credit),
            "share": ran,
        }
        return self._render(Message(text, parameters))

    def sizeHint(self) -> QSize:
        """Room for every lane."""
        return QSize(self._look.px(560), self._look.px(_LANE * max(2, len(self._lanes)) + _AXIS))

    def minimumSizeHint(self) -> QSize:
        """Lower lanes."""
        return QSize(self._look.px(360), self._look.px(18 * max(2, len(self._lanes)) + _AXIS))

    def lane_rect(self, vm: int) -> QRectF:
        """Where a machine's lane is drawn."""
        px = self._look.px
        room = self.height() - px(_AXIS)
        height = min(px(_LANE), room / max(1, len(self._lanes)))
        return QRectF(px(_LEFT), vm * height, self.width() - px(_LEFT) - px(_RIGHT), height)

    def x_of(self, cycle: float) -> float:
        """Where a cycle is drawn."""
        low, high = self.visible_range
        area = self.lane_rect(0)
        return area.left() + (cycle - low) / (high - low) * area.width()

    def stay_at(self, position: QPointF) -> tuple[int, Stay] | None:
        """The lane and the stay under a position."""
        low, high = self.visible_range
        for vm, lane in enumerate(self._lanes):
            area = self.lane_rect(vm)
            if area.contains(position):
                cycle = low + (position.x() - area.left()) / area.width() * (high - low)
                return next(((vm, stay) for stay in lane if stay.start <= cycle < stay.end), None)
        return None

    def tip_at(self, position: QPointF) -> str:
        """What a machine did there, and for how long."""
        found = self.stay_at(position)
        if found is None or self.schedule is None:
            return ""
        vm, stay = found
        text = N_("{name} {state}: from cycle {start}, {count} cycles")
        parameters: dict[str, Parameter] = {
            "name": self.schedule.shares[vm].name,
            "state": Message(STATES[stay.state][1]),
            "start": grouped(stay.start),
            "count": grouped(stay.end - stay.start),
        }
        return self._render(Message(text, parameters))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click goes to where the stay began."""
        found = self.stay_at(event.position())
        if found is not None:
            self.followed.emit(found[1].position)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom around the mouse."""
        low, high = self.visible_range
        area = self.lane_rect(0)
        share = (event.position().x() - area.left()) / max(1.0, area.width())
        self.zoom(_STEP if event.angleDelta().y() > 0 else 1 / _STEP, low + share * (high - low))
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right go to the change before and the next one; plus and minus zoom at the cursor."""
        schedule = self.schedule
        if schedule is None:
            super().keyPressEvent(event)
            return
        positions = [change.position for change in schedule.changes]
        here = [change.position for change in schedule.changes if change.cycle <= schedule.cycle]
        match event.key():
            case Qt.Key.Key_Right if len(here) < len(positions):
                self.followed.emit(positions[len(here)])
            case Qt.Key.Key_Left if len(here) > 1:
                self.followed.emit(here[-2])
            case Qt.Key.Key_Plus:
                self.zoom(_STEP, schedule.cycle)
            case Qt.Key.Key_Minus:
                self.zoom(1 / _STEP, schedule.cycle)
            case _:
                super().keyPressEvent(event)
                return
        event.accept()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Names, lanes, what the scheduler keeps, the axis, the cursor."""
        if self.schedule is None:
            return
        painter = QPainter(self)
        look, px = self._look, self._look.px
        for vm, lane in enumerate(self._lanes):
            area = self.lane_rect(vm)
            self._paint_words(painter, area, self.schedule.shares[vm])
            painter.setPen(look.pen("grid"))
            painter.drawLine(area.bottomLeft(), area.bottomRight())
            painter.setClipRect(area)
            for stay in lane:
                self._paint_stay(painter, area, stay)
            painter.setClipping(False)
        low, high = self.visible_range
        bottom = self.lane_rect(len(self._lanes) - 1).bottom()
        painter.setFont(look.font("small"))
        painter.setPen(look.color("text_muted"))
        for tick in ticks(low, high, max(2, self.width() // px(160))):
            place = QRectF(self.x_of(tick) - px(50), bottom, px(100), px(_AXIS))
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter, compact(tick, self.language))
        if low <= self.schedule.cycle <= high:
            x = self.x_of(self.schedule.cycle)
            painter.setPen(look.pen("cursor", 1.4))
            painter.drawLine(QPointF(x, 0), QPointF(x, bottom))
        if self.hasFocus():
            painter.setPen(QPen(look.color("focus"), 1.2 * look.scale, Qt.PenStyle.DotLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(self.rect().adjusted(1, 1, -2, -2))

    def _paint_words(self, painter: QPainter, area: QRectF, share: Share) -> None:
        look, px = self._look, self._look.px
        painter.setPen(look.color("text"))
        painter.setFont(look.font("label"))
        name = painter.fontMetrics().elidedText(share.name, Qt.TextElideMode.ElideRight, px(_LEFT - 8))
        place = QRectF(px(4), area.top(), px(_LEFT - 8), area.height())
        painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, name)
        painter.setFont(look.font("small"))
        painter.setPen(look.color("text_muted"))
        words = [self._render(Message(N_("weight {weight}"), {"weight": share.weight}))]
        if share.credit is not None:
            words.append(
                self._render(Message(N_("credit {credit}"), {"credit": compact(share.credit, self.language)}))
            )
        place = QRectF(area.right() + px(6), area.top(), px(_RIGHT - 8), area.height())
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft | Qt.TextFlag.TextWordWrap
        painter.drawText(place, flags, (" · " if area.height() < px(30) else "\n").join(words))

    def _paint_stay(self, painter: QPainter, area: QRectF, stay: Stay) -> None:
        look, px = self._look, self._look.px
        left, right = self.x_of(stay.start), self.x_of(stay.end)
        if right < area.left() or left > area.right():
            return
        box = QRectF(left, area.top() + px(4), max(right - left, 1.0), area.height() - px(6))
        painter.setPen(Qt.PenStyle.NoPen)
        if stay.state == RUNS:
            painter.fillRect(box, look.color("ring1"))
        elif stay.state == READY:
            half = QRectF(box.left(), box.center().y(), box.width(), box.height() / 2)
            painter.fillRect(half, look.color("mark_sensitive", 0.35))
            painter.fillRect(half, QBrush(look.color("mark_sensitive"), Qt.BrushStyle.BDiagPattern))
        elif stay.state != STOPPED:
            style = Qt.PenStyle.SolidLine if stay.state == WAITS else Qt.PenStyle.DotLine
            painter.setPen(QPen(look.color("text_muted"), 1.6 * look.scale, style))
            painter.drawLine(QPointF(left, box.bottom() - 1), QPointF(right, box.bottom() - 1))
