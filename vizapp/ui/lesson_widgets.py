"""What a lesson's page is made of: prose as high as it is long, and answers that wrap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import QFrame, QRadioButton, QSizePolicy, QTextBrowser, QWidget

from vizapp.ui.lesson_text import sheet

if TYPE_CHECKING:
    from PySide6.QtCore import QPoint, QUrl
    from PySide6.QtGui import QMouseEvent, QPaintEvent, QResizeEvent, QWheelEvent

    from vizapp.ui.look import Look

GOOD, BAD = "✓", "✗"


class Prose(QTextBrowser):
    """Rich text without a scroll bar of its own: the page that it is part of scrolls.

    Signals:
        followed: the address of a link.
    """

    followed = Signal(str)

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setTabChangesFocus(True)
        self.document().setDocumentMargin(0)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setSizePolicy(policy)
        self.anchorClicked.connect(self._follow)

    def show_html(self, html: str, look: Look) -> None:
        """Show other words in the look of now."""
        self._look = look
        self.document().setDefaultStyleSheet(sheet(look))
        self.document().setDefaultFont(look.font("body"))
        self.setHtml(html)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width, another height."""
        super().resizeEvent(event)
        self._fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The page scrolls."""
        event.ignore()

    def _fit(self) -> None:
        height = round(self.document().size().height()) + 2 * self.frameWidth() + self._look.px(4)
        if height != self.height():
            self.setFixedHeight(height)

    def _follow(self, url: QUrl) -> None:
        self.followed.emit(url.toString())


class Answer(QRadioButton):
    """One answer to a question: its key, its words over several lines, and once it is decided a sign."""

    def __init__(self, look: Look, number: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._number = number
        self.verdict = ""
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def restyle(self, look: Look) -> None:
        """Another theme or zoom."""
        self._look = look
        self.updateGeometry()
        self.update()

    def decide(self, verdict: str, words: str) -> None:
        """Show a sign, or none; ``words`` say it aloud."""
        self.verdict = verdict
        self.setAccessibleDescription(words)
        self.update()

    def hasHeightForWidth(self) -> bool:
        """Words wrap."""
        return True

    def heightForWidth(self, width: int) -> int:
        """The height that the words need in a width."""
        room = QRectF(0, 0, self._words_width(width), 10_000)
        words = self.fontMetrics().boundingRect(room.toRect(), self._flags(), self.text())
        return max(words.height(), self._look.px(20)) + 2 * self._look.px(7)

    def sizeHint(self) -> QSize:
        """As the width of now asks for."""
        width = max(self.width(), self._look.px(120))
        return QSize(self._look.px(120), self.heightForWidth(width))

    def minimumSizeHint(self) -> QSize:
        """Not less than what is needed."""
        return self.sizeHint()

    def hitButton(self, position: QPoint) -> bool:
        """Everywhere."""
        return self.rect().contains(position)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width, another height."""
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.updateGeometry()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Light up under the mouse."""
        super().mouseMoveEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """A box with key, words and sign; chosen and focused are told by frame and fill."""
        look, px = self._look, self._look.px
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._paint_box(painter)
            badge = QRectF(px(9), (self.height() - px(20)) / 2, px(20), px(20))
            chosen = self.isChecked()
            painter.setPen(QPen(look.color("accent" if chosen else "text_muted"), px(1)))
            painter.setBrush(look.color("accent" if chosen else "surface"))
            painter.drawEllipse(badge)
            painter.setPen(look.color("on_accent" if chosen else "text"))
            painter.setFont(look.font("label"))
            painter.drawText(badge, Qt.AlignmentFlag.AlignCenter, str(self._number))
            painter.setFont(self.font())
            quiet = not self.isEnabled() and not chosen and not self.verdict
            painter.setPen(look.color("text_muted" if quiet else "text"))
            words = QRectF(px(38), 0, self._words_width(self.width()), self.height())
            painter.drawText(words, self._flags(), self.text())
            if self.verdict:
                painter.setFont(look.font("name"))
                painter.setPen(look.color("good_text" if self.verdict == GOOD else "bad_text"))
                sign = QRectF(self.width() - px(30), 0, px(24), self.height())
                painter.drawText(sign, Qt.AlignmentFlag.AlignCenter, self.verdict)

    def _paint_box(self, painter: QPainter) -> None:
        look, px = self._look, self._look.px
        if self.hasFocus():
            frame, width = "focus", px(2)
        elif self.verdict == GOOD:
            frame, width = "good", px(2)
        elif self.isChecked():
            frame, width = "accent", px(2)
        else:
            frame, width = "line", px(1)
        lit = self.isEnabled() and self.underMouse()
        painter.setPen(QPen(look.color(frame), width))
        painter.setBrush(look.color("control_hover" if lit else "sunken" if self.isChecked() else "surface"))
        inset = width / 2
        box = QRectF(self.rect()).adjusted(inset, inset, -inset, -inset)
        painter.drawRoundedRect(box, px(6), px(6))

    def _words_width(self, width: int) -> int:
        return max(self._look.px(40), width - self._look.px(38 + 32))

    @staticmethod
    def _flags() -> int:
        return int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft) | int(Qt.TextFlag.TextWordWrap)
