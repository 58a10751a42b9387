"""Writes pictures to files: PNG, SVG and PDF of a widget, GIF of several pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from PySide6.QtCore import QMarginsF, QPoint, QRect, QSizeF
from PySide6.QtGui import QImage, QPageLayout, QPageSize, QPainter, QPdfWriter
from PySide6.QtSvg import QSvgGenerator

from vizapp.errors import VizappError
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtGui import QPaintDevice
    from PySide6.QtWidgets import QWidget

SUFFIXES = (".png", ".svg", ".pdf", ".gif")
PIXELS_AN_INCH = 96  # as CSS has it, so that the picture is as large as the window
POINTS_AN_INCH = 72
FILM_MILLISECONDS = 900  # for each picture of a film: time to read its sentence


def check_suffix(path: Path) -> str:
    """The ending of a picture file, in lower case.

    Raises:
        VizappError: pictures are not written in that format.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise VizappError(
            Message(
                N_("pictures end with one of {known}, not {ending}"),
                {"known": ", ".join(SUFFIXES), "ending": suffix or str(path)},
            )
        )
    return suffix


def save_widget(widget: QWidget, file: str | Path) -> None:
    """Render a widget to ``file``; the ending decides the format, and a GIF has one picture.

    Raises:
        VizappError: the ending, or the file cannot be written.
    """
    path = Path(file)
    match check_suffix(path):
        case ".png":
            if not widget.grab().save(str(path)):
                raise _cannot_write(path)
        case ".gif":
            save_film([widget.grab().toImage()], path)
        case ".svg":
            generator = QSvgGenerator()
            generator.setResolution(PIXELS_AN_INCH)
            generator.setFileName(str(path))
            generator.setSize(widget.size())
            generator.setViewBox(QRect(QPoint(0, 0), widget.size()))
            generator.setTitle("vizapp")
            _paint(widget, generator, path)
        case ".pdf":
            writer = QPdfWriter(str(path))
            writer.setTitle("vizapp")
            writer.setResolution(PIXELS_AN_INCH)
            points = QSizeF(widget.size()) * POINTS_AN_INCH / PIXELS_AN_INCH
            writer.setPageSize(QPageSize(points, QPageSize.Unit.Point))
            writer.setPageMargins(QMarginsF(0, 0, 0, 0), QPageLayout.Unit.Point)
            _paint(widget, writer, path)


def save_film(images: Sequence[QImage], file: str | Path) -> None:
    """Write pictures of one size as an endless GIF, ``FILM_MILLISECONDS`` each.

    Raises:
        VizappError: the file cannot be written.
    """
    first, *others = [_as_pillow(image) for image in images]
    try:
        first.save(file, save_all=True, append_images=others, duration=FILM_MILLISECONDS, loop=0)
    except OSError:
        raise _cannot_write(Path(file)) from None


def _as_pillow(image: QImage) -> Image.Image:
    plain = image.convertToFormat(QImage.Format.Format_RGBA8888)
    raw = bytes(plain.constBits())
    return Image.frombytes("RGBA", (plain.width(), plain.height()), raw).convert("RGB")


def _paint(widget: QWidget, device: QPaintDevice, path: Path) -> None:
    with QPainter() as painter:
        if not painter.begin(device):
            raise _cannot_write(path)
        widget.render(painter, QPoint(0, 0))


def _cannot_write(path: Path) -> VizappError:
    return VizappError(Message(N_("cannot write {file}"), {"file": str(path)}))
