"""The lesson beside the stage: what to read, what to foresee, and what the machine then did."""

from __future__ import annotations

import html
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAccessible, QAccessibleEvent, QFontMetrics
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from vizapp.messages import N_
from vizapp.ui.lesson_controller import Phase
from vizapp.ui.lesson_head import LessonHead
from vizapp.ui.lesson_text import to_html
from vizapp.ui.lesson_widgets import BAD, GOOD, Answer, Prose
from vizapp.ui.panel import Panel
from vizapp.ui.widgets import label, named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vizapp.lesson.loader import LoadedLesson
    from vizapp.lesson.schema import Step
    from vizapp.messages import Message, Translator
    from vizapp.ui.lesson_controller import Outcome
    from vizapp.ui.lesson_progress import Tally
    from vizapp.ui.look import Look

MOST_ANSWERS = 5
_PATIENCE = 700  # ms until a step that still runs says so and can be stopped
_WORKING = (Phase.PREPARING, Phase.RUNNING)


class LessonView(NamedTuple):
    """What the panel shows of a lesson: the controller's attributes, and what was done by step id.

    ``at`` is the step, from 0.
    """

    lesson: LoadedLesson
    at: int
    phase: Phase
    chosen: int | None
    outcome: Outcome | None
    notice: Message | None
    results: Mapping[str, str]
    can_run: bool

    @property
    def step(self) -> Step:
        """The step that is shown."""
        return self.lesson.lesson.steps[self.at]

    @property
    def last(self) -> bool:
        """Whether it is the last one."""
        return self.at == len(self.lesson.lesson.steps) - 1


class LessonPanel(Panel):
    """One step of a lesson; or, while none is open, what lessons there are.

    Signals:
        wished: previous, run, reveal, again, next, stop or close.
        answer_chosen: an answer, by index.
        step_chosen: a step, by index.
    """

    name = "lesson"
    title = N_("Lesson")

    wished = Signal(str)
    answer_chosen = Signal(int)
    step_chosen = Signal(int)

    def __init__(self, look: Look, translator: Translator, parent: QWidget | None = None) -> None:
        super().__init__(look, translator, parent)
        self.view: LessonView | None = None
        self._shelf: Sequence[tuple[LoadedLesson, Tally]] = ()
        self._shown: tuple[str, int] | None = None
        self.head = LessonHead(look)
        self.head.step_chosen.connect(self.step_chosen)
        self.prose = Prose(look)
        self.prose.followed.connect(self._follow)
        self.question = label("lessonQuestion", wrap=True)
        self.answers = [Answer(look, number) for number in range(1, MOST_ANSWERS + 1)]
        self._group = QButtonGroup(self)
        for index, answer in enumerate(self.answers):
            self._group.addButton(answer, index)
        self._group.idClicked.connect(self.answer_chosen)
        self.verdict = label("sentence", wrap=True)
        self.verdict.setTextFormat(Qt.TextFormat.RichText)
        self._verdict_frame = named(QFrame(), "strip")
        self._verdict_row = QHBoxLayout(self._verdict_frame)
        self._verdict_row.addWidget(self.verdict)
        self.notice = label("sentence", wrap=True)
        self._notice_frame = named(QFrame(), "banner")
        self._notice_row = QHBoxLayout(self._notice_frame)
        self._notice_row.addWidget(self.notice)
        self.after = Prose(look)
        self.after.followed.connect(self._follow)
        self._lay_out()
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_PATIENCE)
        self._patience.timeout.connect(self._lose_patience)
        self.restyle()

    def _lay_out(self) -> None:
        self.page = named(QWidget(), "lessonPage")
        self._page_column = QVBoxLayout(self.page)
        for widget in (self.prose, self.question, *self.answers, self._verdict_frame, self.after):
            self._page_column.addWidget(widget)
        self._page_column.addWidget(self._notice_frame)
        self._page_column.addStretch(1)
        self.area = named(QScrollArea(), "lessonScroll")
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setWidgetResizable(True)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setWidget(self.page)
        # The page has its new height only some time after its words.
        self.area.verticalScrollBar().rangeChanged.connect(self._show_outcome)
        self.back, self.other, self.primary = QPushButton(), QPushButton(), named(QPushButton(), "primary")
        self.working = label("muted", wrap=True)
        self.stop = QPushButton()
        self.back.clicked.connect(partial(self.wished.emit, "previous"))
        self.other.clicked.connect(lambda: self.wished.emit(self._other_wish()))
        self.primary.clicked.connect(lambda: self.wished.emit(self.primary_wish()))
        self.stop.clicked.connect(partial(self.wished.emit, "stop"))
        self._buttons = QWidget()
        self._button_row = QHBoxLayout(self._buttons)
        self._button_row.addWidget(self.back)
        self._button_row.addWidget(self.other)
        self._button_row.addStretch(1)
        self._button_row.addWidget(self.primary)
        self._working = QWidget()
        self._working_row = QHBoxLayout(self._working)
        self._working_row.addWidget(self.working, 1)
        self._working_row.addWidget(self.stop)
        self._column = QVBoxLayout(self)
        self._column.addWidget(self.head)
        self._column.addWidget(self.area, 1)
        self._column.addWidget(self._working)
        self._column.addWidget(self._buttons)

    # What is shown.

    @property
    def playing(self) -> bool:
        """Whether a lesson is open."""
        return self.view is not None

    def show_lesson(self, view: LessonView | None) -> None:
        """The step as it stands now; None where no lesson is open."""
        self.view = view
        self._write()
        shown = (view.lesson.lesson.name, view.at) if view is not None else None
        if shown != self._shown:
            self._shown = shown
            self.area.verticalScrollBar().setValue(0)
        elif view is not None and view.phase in (Phase.DONE, Phase.FAILED):
            QTimer.singleShot(0, self, self._show_outcome)
            told = self.verdict if view.phase is Phase.DONE else self.notice
            QAccessible.updateAccessibility(QAccessibleEvent(told, QAccessible.Event.Alert))

    def show_shelf(self, shelf: Sequence[tuple[LoadedLesson, Tally]]) -> None:
        """The lessons that can be opened while none is."""
        self._shelf = shelf
        if self.view is None:
            self._write()

    def primary_wish(self) -> str:
        """What the foremost button, and Enter, stand for now."""
        view = self.view
        if view is None:
            return ""
        if view.phase is Phase.FAILED:
            return "again"
        if view.phase is Phase.DONE:
            return "close" if view.last else "next"
        return "run" if view.can_run else ""

    def _other_wish(self) -> str:
        if self.view is None:
            return ""
        return {Phase.READY: "reveal", Phase.DONE: "again", Phase.FAILED: "next"}.get(self.view.phase, "")

    # Words.

    def retranslate(self) -> None:
        """Everything in the language of now."""
        self._write()

    def _write(self) -> None:
        view = self.view
        for widget in (self.head, self._buttons):
            widget.setVisible(view is not None)
        self._write_working()
        if view is None:
            self._write_shelf()
            return
        self._write_head(view)
        self._write_prose(view)
        self._write_question(view)
        self._write_outcome(view)
        self._write_buttons(view)

    def _write_head(self, view: LessonView) -> None:
        counts = {"number": view.at + 1, "count": len(view.lesson.lesson.steps)}
        self.set_note(self.say(N_("step {number} of {count}"), **counts))
        self.head.show_place(view.lesson, view.at, view.results, self.look, self.translator)

    def _write_prose(self, view: LessonView) -> None:
        text = view.lesson.text(self.translator.language)
        section = text.sections[view.step.id]
        parts = [f"## {section.title}", section.before]
        if view.at == 0 and text.introduction:
            parts[:0] = [text.introduction, "---"]
        self.prose.setSearchPaths([str(view.lesson.folder)])
        self.prose.show_html(to_html("\n\n".join(parts), self.look), self.look)
        self.prose.setAccessibleName(section.title)
        self.after.setSearchPaths([str(view.lesson.folder)])
        self.after.setVisible(view.phase is Phase.DONE and bool(section.after))
        if section.after:
            self.after.show_html(to_html(section.after, self.look), self.look)

    def _write_question(self, view: LessonView) -> None:
        language, asked = self.translator.language, view.step.predict
        choices = asked.choices if asked is not None else ()
        self.question.setVisible(asked is not None)
        if asked is not None:
            self.question.setText(asked.question.text(language))
        self._group.setExclusive(False)
        for index, answer in enumerate(self.answers):
            answer.setVisible(index < len(choices))
            answer.setChecked(index == view.chosen)
            answer.setEnabled(view.outcome is None and view.phase is not Phase.FAILED)
            sign, words = "", ""
            if view.outcome is not None and index in view.outcome.right:
                sign, words = GOOD, self.say(N_("this is what the machine did"))
            elif view.outcome is not None and index == view.chosen:
                sign, words = BAD, self.say(N_("the machine did something else"))
            answer.decide(sign, words)
            if index < len(choices):
                answer.setText(choices[index].text.text(language))
                answer.setAccessibleName(f"{index + 1}. {answer.text()}")
                answer.updateGeometry()
        self._group.setExclusive(True)

    def _write_outcome(self, view: LessonView) -> None:
        outcome = view.outcome
        self._verdict_frame.setVisible(outcome is not None)
        if outcome is not None:
            lead, role = self._judgement(view, outcome)
            sentence = html.escape(self.translator.render(outcome.sentence))
            color = self.look.color(role).name()
            self.verdict.setText(f'<b style="color:{color}">{html.escape(lead)}</b><br>{sentence}')
            self.verdict.setAccessibleName(f"{lead} {self.translator.render(outcome.sentence)}")
        self._notice_frame.setVisible(view.notice is not None)
        if view.notice is not None:
            self.notice.setText(self.translator.render(view.notice))

    def _judgement(self, view: LessonView, outcome: Outcome) -> tuple[str, str]:
        asked = view.step.predict
        if asked is None:
            return self.say(N_("The machine has done this step.")), "text"
        if outcome.scored and view.chosen in outcome.right:
            return f"{GOOD} {self.say(N_('Right: that is what the machine did.'))}", "good_text"
        right = [asked.choices[index].text.text(self.translator.language) for index in outcome.right]
        if not right:
            return self.say(N_("The machine did none of this.")), "text"
        answer = " / ".join(right)
        if outcome.scored:
            return self.say(N_("The machine did something else: {answer}"), answer=answer), "text"
        return self.say(N_("What the machine did: {answer}"), answer=answer), "text"

    def _write_buttons(self, view: LessonView) -> None:
        phase = view.phase
        self.back.setAccessibleName(self.say(N_("Back")))
        self.back.setToolTip(self.say(N_("The step before, with the machine as it was (Page Up)")))
        self.back.setEnabled(view.at > 0)
        others = {
            Phase.DONE: (N_("Try again"), N_("This step once more, from its beginning")),
            Phase.FAILED: (N_("Skip"), N_("On to the next step (Page Down)")),
        }
        words, tip = others.get(
            phase, (N_("Reveal"), N_("Run the step and show the answer, without counting it"))
        )
        self._set_words(self.other, (N_("Reveal"), *(other for other, _ in others.values())), words)
        self.other.setToolTip(self.say(tip))
        asked = view.step.predict is not None
        self.other.setVisible(not (phase is Phase.FAILED and view.last) and (asked or phase is Phase.FAILED))
        foremost = {
            Phase.FAILED: N_("Try again"),
            Phase.DONE: N_("Close the lesson") if view.last else N_("Next step"),
        }
        self._set_words(self.primary, foremost.values(), foremost.get(phase, N_("Run the step")))
        hint = N_("Enter") if self.primary_wish() or not asked else N_("First choose an answer: keys 1 to 5")
        self.primary.setToolTip(self.say(hint))
        self._enable(self.other, phase not in _WORKING)
        self._enable(self.primary, bool(self.primary_wish()))

    def _set_words(self, button: QPushButton, all_words: Iterable[str], words: str) -> None:
        """Give a button its words, and room for all that it will say, so that nothing moves for them."""
        metrics = QFontMetrics(self.look.font("title" if button is self.primary else "body"))
        room = max(metrics.horizontalAdvance(self.say(text)) for text in (*all_words, words))
        button.setMinimumWidth(room + self.look.px(28))
        button.setText(self.say(words))

    def _enable(self, button: QPushButton, enabled: bool) -> None:
        """A button that goes dark hands the focus to the page, not to whichever button comes next."""
        if not enabled and button.hasFocus():
            self.area.setFocus()
        button.setEnabled(enabled)

    def _write_working(self) -> None:
        phase = self.view.phase if self.view is not None else Phase.CLOSED
        words = N_("Bringing the machine to where this step begins…")
        self.working.setText(self.say(words if phase is Phase.PREPARING else N_("The step runs…")))
        self.stop.setText(self.say(N_("Stop")))
        if phase not in _WORKING:
            self._patience.stop()
            self._working.hide()
        elif not self._patience.isActive():
            self._working.hide()
            self._patience.start()

    def _lose_patience(self) -> None:
        self._working.setVisible(self.view is not None and self.view.phase in _WORKING)

    def _write_shelf(self) -> None:
        """No lesson is open: the way to each."""
        self.set_note("")
        self._shown = None
        for widget in (self.question, *self.answers, self._verdict_frame, self._notice_frame, self.after):
            widget.hide()
        if not self._shelf:
            return
        words = [self.say(N_("Read, say what will happen, run it, and see."))]
        for lesson, tally in self._shelf:
            title = lesson.lesson.title.text(self.translator.language)
            words.append(f"**{lesson.lesson.number}** · [{title}](lesson:{lesson.lesson.name})")
            done = self.say(
                N_("{minutes} minutes, {done} of {count} steps done"),
                minutes=lesson.lesson.minutes,
                done=tally.done,
                count=tally.steps,
            )
            words.append(done)
        self.prose.show_html(to_html("\n\n".join(words), self.look), self.look)

    def _follow(self, link: str) -> None:
        self.lesson_requested.emit(link)

    def _show_outcome(self) -> None:
        """Scroll to what was added, but never past the question."""
        if self.view is None or self.view.phase not in (Phase.DONE, Phase.FAILED):
            return
        self._page_column.activate()
        shown = [self._verdict_frame, self.after, self._notice_frame]
        end = max((widget.geometry().bottom() for widget in shown if widget.isVisible()), default=0)
        bar, margin = self.area.verticalScrollBar(), self.look.px(10)
        wanted = end + margin - self.area.viewport().height()
        limit = self.question.y() if self.question.isVisible() else self._verdict_frame.y()
        bar.setValue(max(bar.value(), min(wanted, limit - margin)))

    # Sizes.

    def restyle(self) -> None:
        """Spaces and the colours of prose at the zoom and in the theme of now."""
        px = self.look.px
        self._column.setContentsMargins(px(6), 0, px(2), px(4))
        self._column.setSpacing(px(8))
        self.head.restyle(self.look)
        self._page_column.setContentsMargins(px(6), 0, px(10), px(6))
        self._page_column.setSpacing(px(7))
        for row in (self._button_row, self._working_row):
            row.setContentsMargins(px(6), 0, px(10), 0)
            row.setSpacing(px(6))
        for row in (self._verdict_row, self._notice_row):
            row.setContentsMargins(px(12), px(8), px(12), px(8))
        for answer in self.answers:
            answer.restyle(self.look)
        self.area.setMinimumWidth(px(300))
        self.back.setIcon(self.look.icon("back"))
        self.back.setIconSize(QSize(px(13), px(13)))
        self._write()
