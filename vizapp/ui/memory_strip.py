"""The machine's memory as a strip: who owns which part, by colour, pattern and label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QPainter
from PySide6.QtWidgets import QSizePolicy, QWidget

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.messages import N_, Message
from vizapp.ui.widgets import Tipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtCore import QPointF
    from PySide6.QtGui import QColor, QPaintEvent

    from vizapp.session.details.memory_map import MemoryMap
    from vizapp.ui.look import Look
    from vizapp.vmm.frame_allocator import FrameRange

_PATTERNS = (
    Qt.BrushStyle.NoBrush,
    Qt.BrushStyle.BDiagPattern,
    Qt.BrushStyle.VerPattern,
    Qt.BrushStyle.Dense6Pattern,
)
_HUES = ("ring3", "ring1", "ring2", "mark_sensitive")


class MemoryStrip(Tipped):
    """One strip from frame 0 at the left to the last at the right."""

    def __init__(self, look: Look, render: Callable[[Message], str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._render = render
        self._map: MemoryMap | None = None
        self._names: dict[str, str] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)

    def set_look(self, look: Look, render: Callable[[Message], str]) -> None:
        """Another theme, zoom or language."""
        self._look, self._render = look, render
        self.updateGeometry()
        self.update()

    def set_map(self, found: MemoryMap | None, names: dict[str, str]) -> None:
        """Show a map; ``names`` are the owners' for people."""
        self._map, self._names = found, names
        self.update()

    def sizeHint(self) -> QSize:
        """Two lines high."""
        return QSize(self._look.px(320), self._look.px(34))

    def describe(self, item: FrameRange) -> str:
        """Owner, addresses and size of a part."""
        return self._render(
            Message(
                N_("{owner}: {first} to {last}, {pages} pages"),
                {
                    "owner": self._names.get(item.owner, item.owner),
                    "first": f"{item.first << PAGE_SHIFT:08X}",
                    "last": f"{(item.end << PAGE_SHIFT) - 1:08X}",
                    "pages": item.frames,
                },
            )
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        """Parts, then their names where they fit."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        look = self._look
        painter.setPen(look.pen("line"))
        painter.setBrush(look.color("sunken"))
        painter.drawRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))
        if self._map is None:
            return
        painter.setFont(look.font("small"))
        for item in self._map.ranges:
            part = self._part(item)
            color, pattern = self._paint_of(item.owner)
            fill = look.color(color)
            fill.setAlphaF(0.28)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(fill)
            painter.drawRect(part)
            if pattern != Qt.BrushStyle.NoBrush:
                painter.setBrush(QBrush(self._faint(color), pattern))
                painter.drawRect(part)
            words = self._names.get(item.owner, item.owner)
            if painter.fontMetrics().horizontalAdvance(words) + look.px(6) < part.width():
                painter.setPen(look.color("text"))
                painter.drawText(part, Qt.AlignmentFlag.AlignCenter, words)

    def tip_at(self, position: QPointF) -> str:
        """Whose the part under the mouse is."""
        if self._map is None:
            return ""
        for item in self._map.ranges:
            if self._part(item).contains(position):
                return self.describe(item)
        return self._render(Message(N_("free")))

    def _part(self, item: FrameRange) -> QRectF:
        assert self._map is not None
        scale = self.width() / max(1, self._map.frames)
        return QRectF(item.first * scale, 1, max(1.0, item.frames * scale), self.height() - 2)

    def _paint_of(self, owner: str) -> tuple[str, Qt.BrushStyle]:
        if not owner.startswith("vm") or not owner[2:].isdigit():
            return "ring0", Qt.BrushStyle.NoBrush
        number = int(owner[2:])
        return _HUES[number % len(_HUES)], _PATTERNS[number % len(_PATTERNS)]

    def _faint(self, role: str) -> QColor:
        color = self._look.color(role)
        color.setAlphaF(0.5)
        return color
