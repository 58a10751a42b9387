"""Pictures of the views, to PNG or SVG files, with or without a display."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QRect, QSize
from PySide6.QtGui import QPainter
from PySide6.QtSvg import QSvgGenerator

from vizapp.errors import VizappError
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget


def save_widget(widget: QWidget, file: str | Path, size: tuple[int, int] | None = None) -> None:
    """Render a widget to ``file``, PNG or SVG by its ending; ``size`` in pixels, by default its own."""
    if size is not None:
        widget.resize(QSize(*size))
    path = Path(file)
    match path.suffix.lower():
        case ".png":
            if not widget.grab().save(str(path)):
                raise VizappError(Message(N_("cannot write {file}"), {"file": str(path)}))
        case ".svg":
            generator = QSvgGenerator()
            generator.setFileName(str(path))
            generator.setSize(widget.size())
            generator.setViewBox(QRect(QPoint(0, 0), widget.size()))
            generator.setTitle("vizapp")
            with QPainter(generator) as painter:
                if not painter.isActive():
                    raise VizappError(Message(N_("cannot write {file}"), {"file": str(path)}))
                widget.render(painter, QPoint(0, 0))
        case ending:
            raise VizappError(
                Message(N_("pictures are .png or .svg, not {ending}"), {"ending": ending or "–"})
            )
