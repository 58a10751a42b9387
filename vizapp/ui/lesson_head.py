"""The head of a lesson's panel: its title, the list of steps, and how far one is as a row of segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPen
from PySide6.QtWidgets import (
    QComboBox,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QVBoxLayout,
    QWidget,
)

from vizapp.messages import N_, Message
from vizapp.ui.lesson_progress import RIGHT, WRONG
from vizapp.ui.lesson_widgets import GOOD
from vizapp.ui.widgets import ElidedLabel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PySide6.QtGui import QMouseEvent, QPaintEvent

    from vizapp.lesson.loader import LoadedLesson
    from vizapp.messages import Translator
    from vizapp.ui.look import Look

_RAN = "•"
_UNDONE = "line"
_ROLES = {RIGHT: "good", WRONG: "accent"}


class LessonHead(QWidget):
    """Says where one is in a lesson, and leads to every step of it.

    Signals:
        step_chosen: a step, from 0.
    """

    step_chosen = Signal(int)

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title = ElidedLabel("muted")
        self.steps = StepList()
        self.steps.activated.connect(self.step_chosen)
        self.segments = Segments(look)
        self.segments.clicked.connect(self.step_chosen)
        self._column = QVBoxLayout(self)
        for widget in (self.title, self.steps, self.segments):
            self._column.addWidget(widget)

    def show_place(
        self, lesson: LoadedLesson, at: int, results: Mapping[str, str], look: Look, translator: Translator
    ) -> None:
        """The step ``at``, from 0, of a lesson of which ``results`` is done."""
        language, steps = translator.language, lesson.lesson.steps
        self.title.set_words(f"{lesson.lesson.number} · {lesson.lesson.title.text(language)}")
        sections = lesson.text(language).sections
        titles = [f"{number}. {sections[step.id].title}" for number, step in enumerate(steps, 1)]
        done = [results.get(step.id, "") for step in steps]
        signs = [(GOOD if result == RIGHT else _RAN) if result else "" for result in done]
        marked = [f"{title} {sign}".rstrip() for title, sign in zip(titles, signs, strict=True)]
        if [self.steps.itemText(index) for index in range(self.steps.count())] != marked:
            self.steps.clear()
            self.steps.addItems(marked)
        self.steps.setCurrentIndex(at)
        counts: dict[str, str | int | float | Message] = {"number": at + 1, "count": len(steps)}
        self.steps.setAccessibleName(translator.render(Message(N_("Step {number} of {count}"), counts)))
        hint = translator.text(N_("The steps of the lesson: ✓ foreseen, • done"))
        self.steps.setToolTip(f"<p>{titles[at]}</p><p>{hint}</p>")
        roles = tuple(_ROLES.get(result, "accent") if result else _UNDONE for result in done)
        self.segments.show_steps(roles, tuple(titles), at, look)
        tally = Message(N_("{done} of {count} steps done"), {"done": len(results), "count": len(steps)})
        self.segments.setAccessibleName(translator.render(tally))

    def restyle(self, look: Look) -> None:
        """Spaces at the zoom."""
        self._column.setContentsMargins(look.px(6), 0, look.px(10), 0)
        self._column.setSpacing(look.px(6))


class StepList(QComboBox):
    """A list that takes whatever width there is and ends its words in … where they are too long."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)

    def paintEvent(self, event: QPaintEvent) -> None:
        """As the style draws it, with the words cut."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        field = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        option.currentText = self.fontMetrics().elidedText(
            self.currentText(), Qt.TextElideMode.ElideRight, field.width() - 4
        )
        painter = QStylePainter(self)
        with painter:
            painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
            painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


class Segments(QWidget):
    """One segment a step: done is filled, the one shown has a frame; a click leads there.

    Signals:
        clicked: the number of a segment, from 0.
    """

    clicked = Signal(int)

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = look
        self._roles: tuple[str, ...] = ()
        self._titles: tuple[str, ...] = ()
        self._current = -1
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # the list of steps is what the keyboard reaches
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def show_steps(self, roles: tuple[str, ...], titles: tuple[str, ...], current: int, look: Look) -> None:
        """Colour role and title of every step, and which one is shown."""
        self._roles, self._titles, self._current, self._look = roles, titles, current, look
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """A thin row."""
        return QSize(self._look.px(100), self._look.px(14))

    def paintEvent(self, event: QPaintEvent) -> None:
        """The row."""
        look = self._look
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            for index, role in enumerate(self._roles):
                left, right = self._edges(index)
                high = look.px(8 if index == self._current else 3 if role == _UNDONE else 5)
                bar = QRectF(left, (self.height() - high) / 2, right - left, high)
                painter.setPen(
                    QPen(look.color("text"), look.px(1)) if index == self._current else Qt.PenStyle.NoPen
                )
                painter.setBrush(look.color(role))
                painter.drawRoundedRect(bar, high / 2, high / 2)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Say which step lies under the mouse."""
        index = self._at(event.position().x())
        self.setToolTip(self._titles[index] if 0 <= index < len(self._titles) else "")

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Go there."""
        index = self._at(event.position().x())
        if 0 <= index < len(self._roles):
            self.clicked.emit(index)

    def _edges(self, index: int) -> tuple[float, float]:
        width = self.width() / max(1, len(self._roles))
        return index * width + 1.5, (index + 1) * width - 1.5

    def _at(self, x: float) -> int:
        return int(x * len(self._roles) / max(1, self.width()))
