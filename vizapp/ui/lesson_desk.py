"""Everything about lessons in the window: opens them, arranges the panels, points, and hands on wishes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QEvent, QObject, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QMenu

from vizapp.errors import UnknownNameError, VizappError
from vizapp.messages import N_
from vizapp.ui.lesson_controller import LessonController, Phase
from vizapp.ui.lesson_keys import LessonKeys
from vizapp.ui.lesson_panel import LessonPanel, LessonView
from vizapp.ui.lesson_progress import LessonProgress
from vizapp.ui.spotlight import Spotlight
from vizapp.ui.subject import step_index

if TYPE_CHECKING:
    from PySide6.QtCore import QSettings
    from PySide6.QtWidgets import QWidget

    from vizapp.lesson.loader import LoadedLesson
    from vizapp.messages import Translator
    from vizapp.ui.actions import Actions
    from vizapp.ui.look import Look
    from vizapp.ui.player import Player
    from vizapp.ui.step_view import StepView


class LessonDesk(QObject):
    """Lessons in one window.

    Attributes:
        menu: the lessons by number and title.

    Signals:
        opened: a lesson begins.
        problem: a lesson cannot be had (Message).
    """

    opened = Signal()
    problem = Signal(object)

    def __init__(
        self, window: QWidget, player: Player, steps: StepView, actions: Actions, settings: QSettings
    ) -> None:
        super().__init__(window)
        self._steps = steps
        self._translator: Translator | None = None
        self._lessons: list[LoadedLesson] | None = None
        self._former: QByteArray | None = None
        self.controller = LessonController(player, LessonProgress(settings), self)
        self.panel = steps.panel(LessonPanel)
        self.spotlight = Spotlight(self.panel.look, steps)
        self.keys = LessonKeys(window, actions)
        self.menu = QMenu(window)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.controller.changed.connect(self._show)
        self.controller.step_changed.connect(self._point)
        self.panel.wished.connect(self.obey)
        self.panel.answer_chosen.connect(self.controller.choose)
        self.panel.step_chosen.connect(self.controller.go_to)
        self.keys.wished.connect(self.obey)
        self.keys.answered.connect(self.controller.choose)
        self._dock = steps.docks[LessonPanel.name]
        self._dock.installEventFilter(self)
        self._dock.visibilityChanged.connect(self._stock_shelf)

    @property
    def playing(self) -> bool:
        """Whether a lesson is open."""
        return self.controller.lesson is not None

    @property
    def failing(self) -> bool:
        """Whether the panel tells what went wrong, and the way on, so that nobody else need."""
        return self.controller.phase is Phase.FAILED

    # Opening and closing.

    def open(self, lesson: LoadedLesson, step: int | None = None) -> None:
        """Open a lesson at a step, from 0, or where it was left."""
        self.opened.emit()
        presenting = self._steps.presenting
        if not self.playing:
            self._former = self._steps.save_layout()
            self.keys.set_enabled(True)
            self._steps.set_presenting(False)
            self._steps.reset_layout(lesson=True)
        self.controller.open(lesson, step)
        self._steps.set_presenting(presenting)
        self.panel.area.setFocus()

    def follow(self, link: str) -> None:
        """Open what a link or a frame names: ``name``, ``name:step``, with ``lesson:`` before it or not."""
        if link.startswith(("https:", "http:")):
            QDesktopServices.openUrl(QUrl(link))
            return
        name, _, step = link.removeprefix("lesson:").partition(":")
        playing = self.controller.lesson
        if playing is not None and playing.lesson.name == name and not step:
            self._steps.show_panel(LessonPanel.name)
            return
        lessons = {lesson.lesson.name: lesson for lesson in self.lessons()}
        try:
            if name not in lessons:
                raise UnknownNameError("lesson", name, lessons)
            self.open(lessons[name], step_index(lessons[name], step))
        except VizappError as error:
            self.problem.emit(error.message)

    def close(self) -> None:
        """Leave the lesson: the panels go back to where they were, the machine stays as it is."""
        if not self.playing:
            return
        self.controller.close()
        self.keys.set_enabled(False)
        former, self._former = self._former, None
        if former is not None and not self._steps.restore_layout(former):
            self._steps.reset_layout()

    def show(self) -> None:
        """Bring the lesson to sight, or the lessons that there are."""
        if self._steps.docks[LessonPanel.name].isFloating() or not self.playing:
            self._stock_shelf(True)
        self._steps.show_panel(LessonPanel.name)
        self.panel.area.setFocus()

    def obey(self, wish: str) -> None:
        """Do what a button or a key of the lesson stands for."""
        if wish == "primary":
            wish = self.panel.primary_wish()
        controller = self.controller
        match wish:
            case "next":
                controller.next()
            case "previous":
                controller.previous()
            case "run":
                controller.run()
            case "reveal":
                controller.reveal()
            case "again":
                controller.again()
            case "stop":
                controller.stop()
            case "close":
                self.close()

    def lessons(self) -> list[LoadedLesson]:
        """Every shipped lesson; read when first asked for, since the window shall open soon."""
        from vizapp.lesson.loader import all_lessons

        if self._lessons is None:
            try:
                self._lessons = all_lessons()
            except VizappError as error:
                self.problem.emit(error.message)
                return []
        return self._lessons

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Closing the panel leaves the lesson."""
        if watched is self._dock and event.type() == QEvent.Type.Close and self.playing:
            QTimer.singleShot(0, self, self.close)
        return False

    # What is shown.

    def retranslate(self, translator: Translator) -> None:
        """All words of the menu."""
        self._translator = translator
        self.menu.setTitle(translator.text(N_("Lessons")))

    def restyle(self, look: Look) -> None:
        """The ring in another theme."""
        self.spotlight.point_at(self.spotlight.target, look)

    def arrange_anew(self) -> None:
        """The layout was reset: put the lesson back beside the stage."""
        if self.playing:
            self._former = self._steps.save_layout()
            self._steps.reset_layout(lesson=True)
            self._point()

    def _point(self) -> None:
        """Bring the panel that the step speaks of to sight, with a ring around it."""
        step = self.controller.step
        if step is None:
            self.spotlight.point_at(None, self.panel.look)
            return
        if not self._steps.presenting:
            self._steps.show_panel(step.point)
        self.spotlight.point_at(self._steps.docks[step.point], self.panel.look)

    def _show(self) -> None:
        controller = self.controller
        if controller.lesson is None:
            self.panel.show_lesson(None)
            self._stock_shelf(True)
            return
        self.panel.show_lesson(
            LessonView(
                controller.lesson,
                controller.index,
                controller.phase,
                controller.chosen,
                controller.outcome,
                controller.notice,
                controller.progress.of(controller.lesson.lesson),
                controller.can_run,
            )
        )

    def _stock_shelf(self, shown: bool) -> None:
        if shown and not self.playing and self._dock.isVisible():
            progress = self.controller.progress
            self.panel.show_shelf([(lesson, progress.tally(lesson.lesson)) for lesson in self.lessons()])

    def _fill_menu(self) -> None:
        translator = self._translator
        assert translator is not None
        self.menu.clear()
        for lesson in self.lessons():
            title = lesson.lesson.title.text(translator.language)
            tally = self.controller.progress.tally(lesson.lesson)
            progress = f"\t{tally.done}/{tally.steps}" if tally.done else ""
            words = f"{lesson.lesson.number} · {title}".replace("&", "&&") + progress
            action = self.menu.addAction(words, partial(self.open, lesson, None))
            playing = self.controller.lesson
            action.setCheckable(True)
            action.setChecked(playing is not None and playing.lesson.name == lesson.lesson.name)
        self.menu.addSeparator()
        leave = self.menu.addAction(translator.text(N_("Close the lesson")), self.close)
        leave.setEnabled(self.playing)
        again = self.menu.addAction(translator.text(N_("Begin the lesson anew")), self._begin_anew)
        again.setEnabled(self.playing)

    def _begin_anew(self) -> None:
        lesson = self.controller.lesson
        if lesson is not None:
            self.controller.progress.forget(lesson.lesson)
            self.controller.open(lesson, 0)
