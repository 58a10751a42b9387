"""How everything looks at one moment: theme, zoom and motion as Qt's colours, fonts, pens and icons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING
from weakref import ReferenceType, ref

from PySide6.QtCore import QByteArray, QRectF, Qt, QTemporaryDir
from PySide6.QtGui import QBrush, QColor, QFont, QFontDatabase, QIcon, QPainter, QPalette, QPen, QPixmap
from PySide6.QtSvg import QSvgRenderer
from shiboken6 import isValid

from vizapp.ui.theme import Theme, load_theme, style_sheet

if TYPE_CHECKING:
    from pathlib import Path

    from PySide6.QtWidgets import QApplication, QWidget

_STYLE = "fusion"  # under the sheet
SANS = "DejaVu Sans"
MONO = "DejaVu Sans Mono"
SCALE_STEPS = (0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 1.75, 2.0)

# Sizes in pixels at 100 %; nothing that is read is smaller than 12.
FONT_SIZES = {
    "body": 13,
    "small": 12,
    "title": 13,
    "name": 16,
    "mono": 13,
    "big": 18,
    "strong": 13,
    "label": 12,
}
_BOLD = {"title", "name", "big", "strong", "label"}

# Purposes of cycles: a pattern each, so that a bar reads without its colours.
PURPOSES = ("guest", "transition", "monitor", "translation", "memory", "io", "idle")
PURPOSE_PATTERNS = {
    "guest": Qt.BrushStyle.NoBrush,
    "transition": Qt.BrushStyle.BDiagPattern,
    "monitor": Qt.BrushStyle.Dense6Pattern,
    "translation": Qt.BrushStyle.CrossPattern,
    "memory": Qt.BrushStyle.HorPattern,
    "io": Qt.BrushStyle.VerPattern,
    "idle": Qt.BrushStyle.Dense7Pattern,
}


@dataclass(frozen=True)
class Look:
    """What a panel needs to draw itself; immutable, a new one comes at each change.

    Attributes:
        theme: the named colours.
        scale: the window's zoom, 1.0 is 100 %.
        motion: whether things may move; False shows every end state at once.
        icons: the directory of monochrome SVGs.
    """

    theme: Theme
    icons: Path
    scale: float = 1.0
    motion: bool = True

    def px(self, length: float) -> int:
        """A length in pixels at the zoom."""
        return max(1, round(length * self.scale))

    def color(self, role: str, alpha: float = 1.0) -> QColor:
        """The colour of a role."""
        color = QColor(getattr(self.theme.colors, role))
        color.setAlphaF(alpha)
        return color

    def ring(self, ring: int) -> QColor:
        """The colour of a ring's line."""
        return self.color(f"ring{ring}")

    def ring_text(self, ring: int) -> QColor:
        """The colour of a ring's words."""
        return self.color(f"ring{ring}_text")

    def pen(self, role: str, width: float = 1.0) -> QPen:
        """A round pen of a role; ``width`` at 100 %."""
        return QPen(
            self.color(role),
            width * self.scale,
            Qt.PenStyle.SolidLine,
            Qt.PenCapStyle.RoundCap,
            Qt.PenJoinStyle.RoundJoin,
        )

    def font(self, role: str = "body", factor: float = 1.0) -> QFont:
        """The font of a role."""
        font = QFont(MONO if role.startswith("mono") else SANS)
        font.setPixelSize(max(1, round(FONT_SIZES[role] * self.scale * factor)))
        font.setBold(role in _BOLD)
        return font

    def purpose_brush(self, purpose: str) -> QBrush:
        """The flat colour of a purpose of cycles."""
        return QBrush(self.color(f"purpose_{purpose}"))

    def purpose_pattern(self, purpose: str) -> QBrush:
        """The pattern that lies over that colour."""
        return QBrush(self.color("pattern", 0.28), PURPOSE_PATTERNS[purpose])

    def icon(self, name: str, role: str = "text") -> QIcon:
        """A monochrome icon in the colour of a role, greyed where disabled."""
        icon = QIcon()
        size = self.px(16)
        icon.addPixmap(_tinted(self.icons / f"{name}.svg", getattr(self.theme.colors, role), size))
        disabled = _tinted(self.icons / f"{name}.svg", self.theme.colors.text_disabled, size)
        icon.addPixmap(disabled, QIcon.Mode.Disabled)
        return icon

    def palette(self) -> QPalette:
        """The palette under the style sheet, for what the sheet does not reach."""
        palette = QPalette()
        roles = {
            QPalette.ColorRole.Window: "background",
            QPalette.ColorRole.WindowText: "text",
            QPalette.ColorRole.Base: "surface",
            QPalette.ColorRole.AlternateBase: "sunken",
            QPalette.ColorRole.Text: "text",
            QPalette.ColorRole.Button: "control",
            QPalette.ColorRole.ButtonText: "text",
            QPalette.ColorRole.ToolTipBase: "surface",
            QPalette.ColorRole.ToolTipText: "text",
            QPalette.ColorRole.PlaceholderText: "text_muted",
            QPalette.ColorRole.Highlight: "accent",
            QPalette.ColorRole.HighlightedText: "on_accent",
            QPalette.ColorRole.Link: "accent",
            QPalette.ColorRole.LinkVisited: "accent",
        }
        for qt_role, role in roles.items():
            palette.setColor(qt_role, self.color(role))
        for qt_role in (
            QPalette.ColorRole.WindowText,
            QPalette.ColorRole.Text,
            QPalette.ColorRole.ButtonText,
        ):
            palette.setColor(QPalette.ColorGroup.Disabled, qt_role, self.color("text_disabled"))
        return palette


@lru_cache(maxsize=256)
def _tinted(path: Path, colour: str, size: int) -> QPixmap:
    pixmap = QPixmap(size * 2, size * 2)
    pixmap.fill(Qt.GlobalColor.transparent)
    renderer = QSvgRenderer(QByteArray(_recoloured(path, colour).encode()))
    with QPainter(pixmap) as painter:
        renderer.render(painter, QRectF(0, 0, size * 2, size * 2))
    pixmap.setDevicePixelRatio(2.0)
    return pixmap


def _recoloured(path: Path, colour: str) -> str:
    return path.read_text(encoding="utf-8").replace("#000", colour)


class Appearance:
    """Makes looks from themes, zoom and motion, and applies one to the application and to its windows.

    The style sheet is the windows' own: Qt styles a widget anew for each of its ancestors where the sheet is
    the application's, and twice where it is a window's.

    Attributes:
        look: the look of now.
    """

    def __init__(self, application: QApplication, assets: Path, theme: str = "light") -> None:
        self._application = application
        hints = application.styleHints()
        self._former = (
            application.style().name(),
            application.palette(),
            application.font(),
            hints.colorScheme(),
        )
        self._dressed: list[ReferenceType[QWidget | QApplication]] = []
        self._sheet = ""
        self._themes = assets / "themes"
        self._template = (self._themes / "style.qss").read_text(encoding="utf-8")
        self._icon_files = QTemporaryDir()
        for font in sorted((assets / "fonts").glob("*.ttf")):
            QFontDatabase.addApplicationFont(str(font))
        self.look = Look(load_theme(self._themes, theme), assets / "icons")
        if self._former[0].lower() != _STYLE:
            application.setStyle(_STYLE)
        self._apply()

    def dress(self, window: QWidget | QApplication) -> None:
        """Give a window the look of now and every later one; or all windows, those of the application."""
        if self._application not in self._windows():
            self._dressed.append(ref(window))
            window.setStyleSheet(self._sheet)

    def undress(self) -> None:
        """Leave the application as it was found."""
        style, palette, font, scheme = self._former
        for window in self._windows():
            window.setStyleSheet("")
        self._dressed.clear()
        self._application.styleHints().setColorScheme(scheme)
        self._application.setPalette(palette)
        self._application.setFont(font)
        if style and style.lower() != _STYLE:
            self._application.setStyle(style)

    def change(
        self, *, theme: str | None = None, scale: float | None = None, motion: bool | None = None
    ) -> Look:
        """Take over what is given, apply it, and return the new look."""
        look = self.look
        if theme is not None and theme != look.theme.name:
            look = replace(look, theme=load_theme(self._themes, theme))
        if scale is not None:
            look = replace(look, scale=scale)
        if motion is not None:
            look = replace(look, motion=motion)
        painted_alike = (look.theme, look.scale) == (self.look.theme, self.look.scale)
        self.look = look
        if not painted_alike:
            self._apply()
        return look

    def _windows(self) -> list[QWidget | QApplication]:
        """Those that are still there."""
        found = [window for kept in self._dressed if (window := kept()) is not None and isValid(window)]
        self._dressed = [ref(window) for window in found]
        return found

    def _apply(self) -> None:
        """Set palette, font and style sheets; each makes every widget think anew."""
        application = self._application
        application.styleHints().setColorScheme(
            Qt.ColorScheme.Dark if self.look.theme.dark else Qt.ColorScheme.Light
        )
        application.setPalette(self.look.palette())
        application.setFont(self.look.font())
        self._sheet = style_sheet(self._template, self.look.theme.colors, self.look.scale, self._icon_file)
        for window in self._windows():
            window.setStyleSheet(self._sheet)

    def _icon_file(self, name: str, role: str) -> str:
        """A recoloured copy of an icon on disk: style sheets take images only from files."""
        target = self._icon_files.filePath(f"{self.look.theme.name}-{name}-{role}.svg")
        text = _recoloured(self.look.icons / f"{name}.svg", getattr(self.look.theme.colors, role))
        with open(target, "w", encoding="utf-8") as file:  # noqa: PTH123 - the path is Qt's
            file.write(text)
        return target
