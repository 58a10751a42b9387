"""The text screen as the hardware draws it, in equal cells and the colours of its palette; and its keys."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter
from PySide6.QtWidgets import QSizePolicy, QWidget

from vizapp.machine.devices.screen import COLUMNS, ROWS
from vizapp.machine.devices.text_attributes import text_attribute
from vizapp.ui.key_names import SHIFT, key_presses
from vizapp.ui.look import MONO

if TYPE_CHECKING:
    from PySide6.QtCore import QEvent
    from PySide6.QtGui import QFocusEvent, QHideEvent, QKeyEvent, QMouseEvent, QPaintEvent, QResizeEvent

    from vizapp.session.frames import ScreenCells
    from vizapp.ui.look import Look

_BLINK = 229  # ms: 16 frames of 70 Hz on, 16 off
_SMALLEST = 5  # pixels of font; below that nothing can be told from dust
_FRAME = 3  # pixels around the screen, which say whether keys go to the guest
_RELEASE = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier


class TextScreen(QWidget):
    """80 by 25 cells as large as whole pixels allow; while it captures, keys go to the guest.

    A click or Enter begins the capture if ``takes_keys``; Ctrl+Alt and losing the focus end it.

    Signals:
        key: a key's name and whether it went down.
        capturing_changed: whether keys go to the guest now.
    """

    key = Signal(str, bool)
    capturing_changed = Signal(bool)

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self.takes_keys = False
        self.capturing = False
        self._rows: tuple[str, ...] = ()
        self._cells: ScreenCells | None = None
        self._held: dict[int, tuple[str, ...]] = {}
        self._dark = False  # the half of the blinking in which nothing is drawn
        self._font = QFont(MONO)
        self._cell = QSize(1, 1)
        self._ascent = 1.0
        self._timer = QTimer(self)
        self._timer.setInterval(_BLINK)
        self._timer.timeout.connect(self._blink)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(COLUMNS * 3, ROWS * 4)

    def show_screen(self, rows: tuple[str, ...], cells: ScreenCells | None) -> None:
        """Other characters or colours; without ``cells`` they are shown in the theme's."""
        if (rows, cells) == (self._rows, self._cells):
            return
        self._rows, self._cells = rows, cells
        blinking = cells is not None and (
            cells.cursor is not None
            or (cells.blinks and any(byte & 0x80 for byte in b"".join(cells.attributes)))
        )
        if blinking and self.look.motion and self.isVisible():
            self._timer.start()
        else:
            self._timer.stop()
            self._dark = False
        self.update()

    def set_takes_keys(self, takes: bool) -> None:
        """Whether there is a keyboard that can be typed on."""
        self.takes_keys = takes
        if not takes:
            self.capture(False)

    def capture(self, capturing: bool) -> None:
        """Begin or end giving keys to the guest; keys that are down come up."""
        if capturing == self.capturing:
            return
        self.capturing = capturing
        held, self._held = self._held, {}
        for names in held.values():
            for name in reversed(names):
                self.key.emit(name, False)
        self.capturing_changed.emit(capturing)
        self.update()

    def screen_rect(self) -> QRect:
        """Where the 80 by 25 cells are, in the middle of the widget."""
        size = QSize(self._cell.width() * COLUMNS, self._cell.height() * ROWS)
        return QRect(QPoint((self.width() - size.width()) // 2, (self.height() - size.height()) // 2), size)

    # Drawing.

    def sizeHint(self) -> QSize:
        """As large as text of the usual size is."""
        metrics = QFontMetricsF(self.look.font("mono"))
        return QSize(
            round(metrics.horizontalAdvance("0") * COLUMNS) + 2 * _FRAME,
            round(metrics.height() * ROWS) + 2 * _FRAME,
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        """The largest font whose 80 columns and 25 rows fit; cells are whole pixels, so that lines join."""
        super().resizeEvent(event)
        width, height = self.width() - 2 * _FRAME, self.height() - 2 * _FRAME
        for size in range(max(_SMALLEST, height // ROWS + 2), _SMALLEST - 1, -1):
            self._font.setPixelSize(size)
            metrics = QFontMetricsF(self._font)
            self._cell = QSize(
                max(1, round(metrics.horizontalAdvance("0"))),
                max(1, round(metrics.ascent() + metrics.descent())),
            )
            self._ascent = metrics.ascent()
            if self._cell.width() * COLUMNS <= width and self._cell.height() * ROWS <= height:
                return

    def paintEvent(self, event: QPaintEvent) -> None:
        """Backgrounds and characters, run by run of one attribute; then the cursor and the frame."""
        screen = self.screen_rect()
        with QPainter(self) as painter:
            painter.fillRect(self.rect(), self.look.color("screen"))
            painter.setFont(self._font)
            for row, text in enumerate(self._rows):
                self._paint_row(painter, screen.topLeft() + QPoint(0, row * self._cell.height()), row, text)
            self._paint_cursor(painter, screen)
            if self.capturing or self.hasFocus():
                painter.setPen(self.look.pen("accent" if self.capturing else "focus", _FRAME))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                edge = _FRAME // 2
                painter.drawRect(self.rect().adjusted(edge, edge, -edge - 1, -edge - 1))

    def _paint_row(self, painter: QPainter, at: QPoint, row: int, text: str) -> None:
        cells, width, height = self._cells, self._cell.width(), self._cell.height()
        if cells is None:
            painter.setPen(self.look.color("screen_text"))
            self._paint_characters(painter, at, text)
            return
        attributes = cells.attributes[row]
        for value, run in groupby(range(COLUMNS), attributes.__getitem__):
            columns = list(run)
            left = at + QPoint(columns[0] * width, 0)
            meaning = text_attribute(value, cells.blinks)
            ground = QColor(*cells.palette[meaning.background])
            painter.fillRect(QRect(left, QSize(len(columns) * width, height)), ground)
            if not (meaning.blinks and self._dark):
                painter.setPen(QColor(*cells.palette[meaning.foreground]))
                self._paint_characters(painter, left, text[columns[0] : columns[-1] + 1])

    def _paint_characters(self, painter: QPainter, left: QPoint, text: str) -> None:
        """One by one: a string's own spacing is not the cells'."""
        for column, character in enumerate(text):
            if character not in " \xa0":
                painter.drawText(left + QPoint(column * self._cell.width(), round(self._ascent)), character)

    def _paint_cursor(self, painter: QPainter, screen: QRect) -> None:
        cells = self._cells
        if cells is None or cells.cursor is None or self._dark:
            return
        row, column = cells.cursor
        width, height = self._cell.width(), self._cell.height()
        thickness = max(1, height // 8)
        color = QColor(*cells.palette[text_attribute(cells.attributes[row][column]).foreground])
        corner = screen.topLeft() + QPoint(column * width, (row + 1) * height - thickness)
        painter.fillRect(QRect(corner, QSize(width, thickness)), color)

    def _blink(self) -> None:
        self._dark = not self._dark
        self.update()

    def hideEvent(self, event: QHideEvent) -> None:
        """Nothing blinks unseen."""
        super().hideEvent(event)
        self._timer.stop()
        self._dark = False

    # Keys.

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """A click begins the capture."""
        super().mousePressEvent(event)
        self.capture(self.takes_keys)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Keys go elsewhere."""
        super().focusOutEvent(event)
        self.capture(False)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab is the guest's while it captures."""
        return not self.capturing and super().focusNextPrevChild(forward)

    def event(self, event: QEvent) -> bool:
        """While it captures, the window's shortcuts are the guest's keys."""
        if event.type() == event.Type.ShortcutOverride and self.capturing:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """A key goes down; one that is held repeats, as a keyboard's does."""
        if not self.capturing:
            if self.takes_keys and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self.capture(True)
            else:
                super().keyPressEvent(event)
            return
        if event.key() in (Qt.Key.Key_Control, Qt.Key.Key_Alt) and self._completes_release(event):
            self.capture(False)
            return
        names = key_presses(event)
        if names[:-1] == (SHIFT,) and any(held == (SHIFT,) for held in self._held.values()):
            names = names[1:]
        self._held[_identity(event)] = names
        for name in names:
            self.key.emit(name, True)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """A key comes up, with the Shift that came with it."""
        if not self.capturing:
            super().keyReleaseEvent(event)
        elif not event.isAutoRepeat():
            for name in reversed(self._held.pop(_identity(event), ())):
                self.key.emit(name, False)

    def _completes_release(self, event: QKeyEvent) -> bool:
        pressed = {name for names in self._held.values() for name in names}
        other = "alt" if event.key() == Qt.Key.Key_Control else "control"
        return other in pressed or event.modifiers() & _RELEASE == _RELEASE


def _identity(event: QKeyEvent) -> int:
    """The physical key, for Shift may come up before the character that it made does."""
    return event.nativeScanCode() or event.key()
