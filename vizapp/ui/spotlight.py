"""The spotlight: a calm ring around the panel that a lesson speaks of, so that the eye finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEasingCurve, QEvent, QObject, QRectF, Qt, QVariantAnimation
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QWidget

if TYPE_CHECKING:
    from PySide6.QtGui import QPaintEvent

    from vizapp.ui.look import Look

_BREATH, _BREATHS = 1300, 3  # ms of one swelling and ebbing, and how often before it stays
_REST = 0.55  # of the ring's strength, where it stays


class Spotlight(QWidget):
    """Lies over one widget at a time and lets everything through; hidden until it is pointed at one."""

    def __init__(self, look: Look, parent: QWidget) -> None:
        super().__init__(parent)
        self._look = look
        self._target: QWidget | None = None
        self._strength = _REST
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._breath = QVariantAnimation(self)
        self._breath.setDuration(_BREATH)
        self._breath.setLoopCount(_BREATHS)
        self._breath.setKeyValues([(0.0, _REST), (0.5, 1.0), (1.0, _REST)])
        self._breath.setEasingCurve(QEasingCurve.Type.InOutSine)
        self._breath.valueChanged.connect(self._swell)
        self.hide()

    @property
    def target(self) -> QWidget | None:
        """What it is pointed at."""
        return self._target

    @property
    def moving(self) -> bool:
        """Whether the ring swells and ebbs now."""
        return self._breath.state() == QVariantAnimation.State.Running

    def point_at(self, target: QWidget | None, look: Look) -> None:
        """Move the ring to another widget, or nowhere; with reduced motion it is there at once and still."""
        self._look = look
        if target is self._target:
            self.update()
            return
        if self._target is not None:
            self._target.removeEventFilter(self)
        self._breath.stop()
        self._target = target
        if target is None:
            self.hide()
            return
        target.installEventFilter(self)
        self.setParent(target)
        self._strength = _REST
        self._cover()
        self.show()
        if look.motion:
            self._breath.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Stay over the widget when its size changes."""
        if watched is self._target and event.type() in (QEvent.Type.Resize, QEvent.Type.Show):
            self._cover()
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        """A soft halo and the ring, inside the widget's edge."""
        look = self._look
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            for width, alpha in ((7.0, 0.22 * self._strength), (2.5, self._strength)):
                painter.setPen(QPen(look.color("focus", alpha), width * look.scale))
                inset = width * look.scale / 2
                ring = QRectF(self.rect()).adjusted(inset, inset, -inset, -inset)
                painter.drawRoundedRect(ring, look.px(8), look.px(8))

    def _cover(self) -> None:
        if self._target is not None:
            self.setGeometry(self._target.rect())
            self.raise_()

    def _swell(self, strength: float) -> None:
        self._strength = strength
        self.update()
