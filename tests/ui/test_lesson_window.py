"""Lessons in the window: menus, keys, layout, links; and the shipped lesson played through real sessions."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest

from vizapp import app
from vizapp.lesson.loader import find_lesson
from vizapp.messages import Message, Translator
from vizapp.ui import player as player_module
from vizapp.ui.choices import choices
from vizapp.ui.lesson_controller import Phase
from vizapp.ui.player import Player, Selection
from vizapp.ui.window import Window

LIMIT = 30_000  # ms; a session process starts in one second where nothing else runs


@pytest.fixture(scope="module")
def lesson():
    return find_lesson("rings-and-popf")


@pytest.fixture
def window(qtbot, appearance, settings, monkeypatch):
    monkeypatch.setattr(
        player_module, "racers", lambda _selection: {}
    )  # its processes are not what is tested
    settings.setValue("motion", False)
    settings.setValue("theme", "light")
    player = Player(app.make_scenario, app.make_bridge)
    made = Window(
        player,
        appearance,
        lambda language: Translator(language, None),
        choices(),
        settings,
    )
    qtbot.addWidget(made)
    made.resize(1280, 720)
    made.show()
    made.activateWindow()
    qtbot.wait_until(made.isActiveWindow)
    made.player = player
    yield made
    made.lessons.close()
    player.close()
    player.join()
    appearance.change(theme="light", scale=1.0)


def wait_for(qtbot, window, phase):
    controller = window.lessons.controller
    qtbot.wait_until(lambda: controller.phase in (phase, Phase.FAILED), timeout=LIMIT)
    assert controller.phase is phase, controller.notice


def shown(window):
    return {name for name, dock in window.steps.docks.items() if dock.isVisible()}


def test_the_shipped_lesson_is_played_with_keys_alone(qtbot, window, lesson):
    window.lessons.open(lesson, 0)
    right = [None, 2, 1, 1, 1, 1, 0, 1, 1, 0, 0]
    for number, answer in enumerate(right):
        wait_for(qtbot, window, Phase.READY)
        assert window.lessons.controller.index == number
        if answer is not None:
            QTest.keyClick(window, Qt.Key.Key_1 + answer)
        QTest.keyClick(window, Qt.Key.Key_Return)
        wait_for(qtbot, window, Phase.DONE)
        outcome = window.lessons.controller.outcome
        assert outcome.right == (() if answer is None else (answer,))
        if number + 1 < len(right):
            QTest.keyClick(window, Qt.Key.Key_Return)
    tally = window.lessons.controller.progress.tally(lesson.lesson)
    assert (tally.done, tally.right) == (11, 10)
    QTest.keyClick(window, Qt.Key.Key_Return)
    assert not window.lessons.playing


def test_page_keys_lead_through_the_lesson_and_back_over_scenarios(qtbot, window, lesson):
    window.lessons.open(lesson, 3)
    wait_for(qtbot, window, Phase.READY)
    QTest.keyClick(window, Qt.Key.Key_PageDown)
    wait_for(qtbot, window, Phase.READY)
    assert window.player.selection.technique == "trap-and-emulate"
    QTest.keyClick(window, Qt.Key.Key_PageUp)
    wait_for(qtbot, window, Phase.READY)
    assert window.lessons.controller.index == 3
    assert window.player.selection.technique == "native"


def test_a_killed_session_leaves_the_lesson_a_way_on(qtbot, window, lesson):
    window.lessons.open(lesson, 1)
    wait_for(qtbot, window, Phase.READY)
    window.player.died.emit(Message("The session is gone."))
    panel = window.lessons.panel
    assert panel.notice.isVisible()
    assert panel.notice.text() == "The session is gone."
    QTest.keyClick(window, Qt.Key.Key_Return)
    wait_for(qtbot, window, Phase.READY)
    assert not panel.notice.isVisible()


def test_page_keys_are_lent_to_the_lesson_and_given_back(qtbot, window, lesson):
    usual = window.actions_["next_trap"].shortcuts()
    window.lessons.open(lesson, 0)
    assert window.actions_["next_trap"].shortcuts() == [QKeySequence("Shift+PgDown")]
    window.lessons.close()
    assert window.actions_["next_trap"].shortcuts() == usual
    with qtbot.wait_signal(window.actions_.wished) as wished:
        QTest.keyClick(window, Qt.Key.Key_PageDown)
    assert wished.args == ["next_trap"]


def test_the_panel_spoken_of_is_brought_to_sight_and_lit(qtbot, window, lesson):
    window.lessons.open(lesson, 10)
    docks = window.steps.docks
    assert window.lessons.spotlight.target is docks["code"]
    assert not docks["code"].visibleRegion().isEmpty()
    window.lessons.controller.go_to(8)
    assert window.lessons.spotlight.target is docks["scorecard"]
    window.lessons.close()
    assert window.lessons.spotlight.target is None


def test_leaving_a_lesson_puts_the_panels_back(qtbot, window, lesson):
    before = shown(window)
    window.lessons.open(lesson, 0)
    assert "lesson" in shown(window)
    window.obey("reset_layout")
    assert "lesson" in shown(window)
    window.steps.docks["lesson"].close()
    qtbot.wait_until(lambda: not window.lessons.playing)
    assert shown(window) == before


def test_presenting_keeps_the_lesson_beside_the_stage(window, lesson):
    window.lessons.open(lesson, 0)
    window.obey("present")
    assert shown(window) == {"stage", "lesson"}
    window.obey("leave")
    assert "code" in shown(window)
    window.resize(1280, 720)
    window.obey("present")
    window.lessons.close()
    assert shown(window) == {"stage"}
    window.lessons.open(lesson, 0)
    assert shown(window) == {"stage", "lesson"}
    window.lessons.close()
    window.obey("leave")
    assert "code" in shown(window)
    assert "lesson" not in shown(window)


def test_the_menu_lists_lessons_by_number_and_title(window, lesson):
    menu = window.header.lessons.menu()
    menu.aboutToShow.emit()
    first = menu.actions()[0]
    assert first.text() == f"1 · {lesson.lesson.title.en}"
    window.set_language("pt_BR")
    menu.aboutToShow.emit()
    assert menu.actions()[0].text() == f"1 · {lesson.lesson.title.pt_BR}"
    menu.actions()[0].trigger()
    assert window.lessons.controller.lesson.lesson.name == "rings-and-popf"
    window.set_language("en")


def test_the_link_under_the_stage_opens_the_lesson(window):
    window.steps.docks["stage"].panel.lesson_requested.emit("rings-and-popf:3")
    assert window.lessons.controller.index == 2
    window.steps.docks["stage"].panel.lesson_requested.emit("rings-and-popf")
    assert window.lessons.controller.index == 2


def test_a_link_to_no_lesson_is_told(window):
    window.lessons.follow("no-such-lesson")
    assert "there is no lesson named no-such-lesson" in window.banner.words.text()
    assert not window.lessons.playing


def test_without_a_lesson_the_panel_shows_which_there_are(window, lesson):
    window.obey("lessons")
    assert lesson.lesson.title.en in window.lessons.panel.prose.toPlainText()


def test_enter_still_belongs_to_a_field_that_has_the_focus(qtbot, window, lesson):
    window.lessons.open(lesson, 0)
    wait_for(qtbot, window, Phase.READY)
    window.header.compare.setFocus()
    QTest.keyClick(window, Qt.Key.Key_Return)
    assert window.lessons.controller.phase is Phase.READY
    assert window.header.compare.isChecked()
    window.header.compare.setChecked(False)


def test_another_guest_chosen_in_the_header_does_not_end_the_lesson(qtbot, window, lesson):
    window.lessons.open(lesson, 1)
    wait_for(qtbot, window, Phase.READY)
    window.player.open(Selection(guest="hello", technique="native"))
    window.lessons.controller.choose(2)
    window.lessons.controller.run()
    wait_for(qtbot, window, Phase.DONE)
    assert window.lessons.controller.outcome.right == (2,)
    assert window.player.selection.guest == "rings"
