"""The stage as a picture: rings or bands with the processor's bead and its last movements, or flows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QEasingCurve, QRectF, QSizeF, Qt, QVariantAnimation
from PySide6.QtGui import QFontMetricsF, QPainter
from PySide6.QtWidgets import QFrame, QGraphicsScene, QGraphicsView

from vizapp.session.frames import Stage
from vizapp.ui.stage_band_items import BandsItem, TrailItem
from vizapp.ui.stage_bands import BandLayout, wants_bands
from vizapp.ui.stage_items import BeadItem, Callout, CalloutItem, FlowItem, PathItem, RingsItem
from vizapp.ui.stage_layout import StageLayout

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtGui import QResizeEvent
    from PySide6.QtWidgets import QWidget

    from vizapp.machine.places import Place
    from vizapp.messages import Message
    from vizapp.ui.look import Look

    Passage = tuple[Place, Place]

_COMFORTABLE = 190.0  # radius, at 100 %, from which words are larger than usual
_TRAIL = 6  # movements that are numbered, with the newest


class StageView(QGraphicsView):
    """Draws any ``frames.Stage``; what it shows is set from outside, it knows no frames.

    Attributes:
        arrangement: where everything stands, None before there is a stage.
    """

    def __init__(self, look: Look, render: Callable[[Message], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = self._drawn = look
        self._render = render
        self._stage = Stage(())
        self._place: Place | None = None
        self._passage: Passage | None = None
        self._callout: Callout | None = None
        self._trail: tuple[Passage, ...] = ()
        self._flows: dict[Passage, FlowItem] = {}
        self._flow_values: dict[Passage, tuple[int, float]] = {}
        self._moving: list[PathItem | CalloutItem | TrailItem] = []
        self._scene = QGraphicsScene(self)
        self.setScene(self._scene)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setStyleSheet("background: transparent")
        self.setMinimumSize(60, 60)
        self._animation = QVariantAnimation(self)
        self._animation.setStartValue(0.0)
        self._animation.setEndValue(1.0)
        self._animation.setEasingCurve(QEasingCurve.Type.InOutCubic)
        self._animation.valueChanged.connect(self._advance)
        self._animation.finished.connect(self._arrive)
        self.arrangement: StageLayout | BandLayout | None = None
        self._rings: RingsItem | BandsItem | None = None
        self._bead: BeadItem | None = None

    # What is shown.

    def set_stage(self, stage: Stage) -> None:
        """Other places, or the same in another arrangement; nothing has moved yet."""
        self._stage = stage
        self._place = None
        self._passage = None
        self._callout = None
        self._trail = ()
        self._flow_values = {}
        self._rebuild()

    def set_look(self, look: Look, render: Callable[[Message], str]) -> None:
        """Theme, zoom or language changed."""
        self._look = look
        self._render = render
        self._rebuild()

    def show_place(self, place: Place) -> None:
        """The processor stands at a place and nothing moved it there."""
        self._place = place
        self._passage = None
        self._callout = None
        if self._trail and self._trail[-1][1] != place:
            self._trail = ()
        self._draw_movement(0)

    def show_movement(self, source: Place, target: Place, callout: Callout, duration: int) -> None:
        """The processor went from one place to another, in ``duration`` ms (0: it is there)."""
        self._place = target
        self._passage = (source, target)
        self._callout = callout
        if self._trail and self._trail[-1][1] != source:
            self._trail = ()
        if source != target:
            # A way gone again begins anew there: what is shown has no loops.
            gone = self._trail.index(self._passage) + 1 if self._passage in self._trail else 0
            self._trail = (*self._trail[gone:], self._passage)[-_TRAIL:]
        self._draw_movement(duration if self._look.motion else 0)

    def forget_trail(self) -> None:
        """What comes next does not go on from what is shown."""
        self._trail = ()

    def show_flows(self, flows: dict[Passage, tuple[int, float]], place: Place | None) -> None:
        """Passages too fast to follow: (count so far, count a second) of each; an empty dict ends it."""
        self._flow_values = flows
        if place is not None:
            self._place = place
        self._draw_flows()

    @property
    def flows(self) -> dict[Passage, tuple[int, float]]:
        """What flows now; empty while movements are shown."""
        return self._flow_values

    @property
    def moving(self) -> bool:
        """Whether a movement is being shown."""
        return self._animation.state() == QVariantAnimation.State.Running

    # Drawing.

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay out anew in the new size."""
        super().resizeEvent(event)
        self._rebuild()

    def _rebuild(self) -> None:
        self._animation.stop()
        self._scene.clear()
        self._moving = []
        self._flows = {}
        area = QRectF(0, 0, self.viewport().width(), self.viewport().height())
        self._scene.setSceneRect(area)
        self._drawn = replace(self._look, scale=self._look.scale * self._word_scale(area))
        if not self._stage.worlds:
            self.arrangement = self._rings = self._bead = None
            return
        margin = self._drawn.px(4)
        inner = area.adjusted(margin, margin, -margin, -margin)
        if wants_bands(self._stage):
            bands = BandLayout(self._stage, inner, self._measure, self._render, self._drawn.scale)
            self.arrangement, self._rings = bands, BandsItem(self._drawn, bands)
        else:
            rings = StageLayout(self._stage, inner, self._measure, self._render, self._drawn.scale)
            self.arrangement, self._rings = rings, RingsItem(self._drawn, rings)
        self._bead = BeadItem(self._drawn, self.arrangement.bead_radius)
        self._bead.hide()
        self._scene.addItem(self._rings)
        self._scene.addItem(self._bead)
        if self._flow_values:
            self._draw_flows()
        else:
            self._draw_movement(0)

    def _word_scale(self, area: QRectF) -> float:
        """Words grow with a large stage, as on a projector, and shrink with a small one, to 12 pixels."""
        radius = min(area.width() / max(1, len(self._stage.worlds)), area.height()) / 2
        return min(2.0, max(1 / max(1.0, self._look.scale), radius / (_COMFORTABLE * self._look.scale)))

    def _measure(self, text: str, font: str) -> QSizeF:
        metrics = QFontMetricsF(self._drawn.font(font))
        return QSizeF(metrics.horizontalAdvance(text), metrics.height())

    def _draw_movement(self, duration: int) -> None:
        self._animation.stop()
        self._clear_moving()
        layout, bead, rings = self.arrangement, self._bead, self._rings
        if layout is None or bead is None or rings is None or self._place is None:
            return
        bead.show()
        rings.set_current(layout.pill_of(self._place))
        bead.setPos(layout.slot(self._place))
        bead.set_ring(self._place.ring)
        if layout.trails:
            self._draw_trail(layout, self._trail if self._passage is None else self._trail[:-1])
        if self._passage is None or self._callout is None:
            return
        source, target = self._passage
        path = layout.path(source, target)
        clear = layout.bead_radius * 1.7
        item = PathItem(
            self._drawn, path, self._callout.color, dashed=layout.returns(source, target), clear=clear
        )
        self._scene.addItem(item)
        self._moving.append(item)
        if layout.roomy:
            size = CalloutItem.size_of(self._drawn, self._callout)
            words = CalloutItem(self._drawn, self._callout)
            words.setPos(layout.callout(path, size, [_box(bead)]).topLeft())
            self._scene.addItem(words)
            self._moving.append(words)
        if duration and path.length() > 0:
            rings.set_current(layout.pill_of(source))
            bead.set_ring(source.ring)
            bead.setPos(path.pointAtPercent(0))
            item.set_progress(0)
            self._animation.setDuration(duration)
            self._animation.start()

    def _draw_trail(self, layout: StageLayout | BandLayout, trail: tuple[Passage, ...]) -> None:
        """The movements that led here, oldest first."""
        for number, (source, target) in enumerate(trail, start=1):
            path = layout.flow_path(source, target)
            if path.length() > 0:
                item = TrailItem(self._drawn, path, number, f"ring{max(0, target.ring)}")
                self._scene.addItem(item)
                self._moving.append(item)

    def _clear_moving(self) -> None:
        for item in self._moving:
            self._scene.removeItem(item)
        self._moving = []

    def _advance(self, progress: float) -> None:
        if self._bead is None or self.arrangement is None or self._passage is None:
            return
        path = next((item for item in self._moving if isinstance(item, PathItem)), None)
        if path is not None:
            path.set_progress(progress)
            self._bead.setPos(self.arrangement.path(*self._passage).pointAtPercent(progress))

    def _arrive(self) -> None:
        if self._bead is None or self._rings is None or self.arrangement is None or self._place is None:
            return
        self._bead.set_ring(self._place.ring)
        self._bead.setPos(self.arrangement.slot(self._place))
        self._rings.set_current(self.arrangement.pill_of(self._place))

    def _draw_flows(self) -> None:
        layout, bead, rings = self.arrangement, self._bead, self._rings
        if layout is None or bead is None or rings is None:
            return
        if not self._flow_values:
            for item in self._flows.values():
                self._scene.removeItem(item)
            self._flows = {}
            self._draw_movement(0)
            return
        self._animation.stop()
        self._clear_moving()
        bead.hide()
        rings.set_current(None)
        for passage, (count, rate) in self._flow_values.items():
            if passage not in self._flows:
                self._flows[passage] = self._flow(layout, passage)
            self._flows[passage].set_flow(count, rate)

    def _flow(self, layout: StageLayout | BandLayout, passage: Passage) -> FlowItem:
        source, target = passage
        path = layout.flow_path(source, target)
        item = FlowItem(self._drawn, path, f"ring{target.ring}", layout.area)
        if layout.roomy:
            others = [flow.label for flow in self._flows.values()]
            item.label = layout.callout(path, item.label_size(), others)
        self._scene.addItem(item)
        return item


def _box(bead: BeadItem) -> QRectF:
    return bead.boundingRect().translated(bead.pos())
