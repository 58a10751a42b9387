"""What a lesson's panel says of each phase, its prose, the spotlight, and what opens a lesson."""

import pytest
from conftest import make_frame
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from vizapp.errors import ScenarioError, UnknownNameError, VizappError
from vizapp.lesson.loader import find_lesson
from vizapp.messages import Message, Translator
from vizapp.resources import lessons
from vizapp.ui.lesson_controller import Outcome, Phase
from vizapp.ui.lesson_head import Segments
from vizapp.ui.lesson_panel import LessonPanel, LessonView
from vizapp.ui.lesson_progress import RIGHT, Tally
from vizapp.ui.lesson_text import to_html
from vizapp.ui.lesson_widgets import Prose
from vizapp.ui.spotlight import Spotlight
from vizapp.ui.subject import Subject, resolve

SENTENCE = make_frame().sentence


@pytest.fixture(scope="module")
def lesson():
    return find_lesson("rings-and-popf")


@pytest.fixture
def panel(qtbot, look, translator):
    made = LessonPanel(look, translator)
    qtbot.addWidget(made)
    made.resize(372, 640)
    made.show()
    return made


def view(lesson, at=1, phase=Phase.READY, **changes):
    values = {
        "chosen": None,
        "outcome": None,
        "notice": None,
        "results": {},
        "can_run": False,
        **changes,
    }
    return LessonView(lesson, at, phase, **values)


def test_a_step_is_read_and_its_question_asked(panel, lesson):
    panel.show_lesson(view(lesson))
    assert "five words" in panel.prose.toPlainText()
    assert panel.question.text().endswith("In which ring is the next instruction?")
    shown = [answer.text() for answer in panel.answers if answer.isVisible()]
    assert len(shown) == 3
    assert panel.answers[1].accessibleName() == "2. Ring 1"
    assert panel.note == "step 2 of 11"
    assert not panel.primary.isEnabled()


def test_the_first_step_brings_the_introduction(panel, lesson):
    panel.show_lesson(view(lesson, at=0, can_run=True))
    assert "keeps its applications in check" in panel.prose.toPlainText()
    assert not panel.question.isVisible()
    assert not panel.back.isEnabled()
    assert panel.primary_wish() == "run"


def test_an_answer_is_chosen_by_mouse(qtbot, panel, lesson):
    panel.show_lesson(view(lesson))
    with qtbot.wait_signal(panel.answer_chosen) as chosen:
        QTest.mouseClick(panel.answers[2], Qt.MouseButton.LeftButton)
    assert chosen.args == [2]


@pytest.mark.parametrize(
    ("outcome", "chosen", "said"),
    [
        (Outcome((2,), SENTENCE, True), 2, "Right: that is what the machine did."),
        (Outcome((2,), SENTENCE, True), 0, "The machine did something else: Ring 3"),
        (Outcome((2,), SENTENCE, False), None, "What the machine did: Ring 3"),
        (Outcome((), SENTENCE, True), 0, "The machine did none of this."),
    ],
)
def test_the_verdict_comes_with_the_machines_own_sentence(panel, lesson, outcome, chosen, said):
    panel.show_lesson(view(lesson, phase=Phase.DONE, outcome=outcome, chosen=chosen))
    words = panel.verdict.accessibleName()
    assert said in words
    assert words.endswith(SENTENCE.in_english())
    assert [answer.verdict for answer in panel.answers[:3]] == [
        "✓" if index in outcome.right else "✗" if index == chosen else "" for index in range(3)
    ]
    assert not panel.answers[0].isEnabled()
    assert panel.primary_wish() == "next"


def test_what_would_spoil_the_prediction_is_read_afterwards(panel, lesson):
    panel.show_lesson(view(lesson, at=7))
    assert not panel.after.isVisible()
    assert "silently" not in panel.prose.toPlainText()
    panel.show_lesson(view(lesson, at=7, phase=Phase.DONE, outcome=Outcome((1,), SENTENCE, True), chosen=1))
    assert panel.after.isVisible()
    assert "silently" in panel.after.toPlainText()


def test_the_last_step_ends_the_lesson(panel, lesson):
    panel.show_lesson(view(lesson, at=10, phase=Phase.DONE, outcome=Outcome((0,), SENTENCE, True), chosen=0))
    assert panel.primary_wish() == "close"
    assert panel.primary.text() == "Close the lesson"


def test_a_failure_is_told_with_the_ways_on(qtbot, panel, lesson):
    panel.show_lesson(view(lesson, phase=Phase.FAILED, notice=Message("The session is gone.")))
    assert panel.notice.text() == "The session is gone."
    assert panel.notice.isVisible()
    for button, wish in ((panel.primary, "again"), (panel.other, "next"), (panel.back, "previous")):
        with qtbot.wait_signal(panel.wished) as wished:
            button.click()
        assert wished.args == [wish]


def test_a_step_that_takes_long_can_be_stopped(qtbot, panel, lesson):
    panel.show_lesson(view(lesson, phase=Phase.RUNNING, chosen=1))
    assert not panel.stop.isVisible()
    qtbot.wait_until(panel.stop.isVisible)
    with qtbot.wait_signal(panel.wished) as wished:
        panel.stop.click()
    assert wished.args == ["stop"]
    panel.show_lesson(view(lesson, phase=Phase.READY, chosen=1))
    assert not panel.stop.isVisible()


def test_a_button_that_goes_dark_does_not_hand_on_the_focus(panel, lesson):
    panel.show_lesson(view(lesson, chosen=1, can_run=True))
    panel.activateWindow()
    panel.primary.setFocus()
    panel.show_lesson(view(lesson, phase=Phase.RUNNING, chosen=1))
    assert not panel.other.hasFocus()
    assert not panel.primary.isEnabled()


def test_the_list_of_steps_leads_to_each_and_shows_what_is_done(qtbot, panel, lesson):
    panel.show_lesson(view(lesson, results={"down-to-ring-3": RIGHT, "asking-the-kernel": "done"}))
    items = [panel.head.steps.itemText(index) for index in range(3)]
    assert items == ["1. The kernel owns the machine", "2. The way down ✓", "3. Asking the kernel •"]
    with qtbot.wait_signal(panel.step_chosen) as chosen:
        panel.head.steps.activated.emit(4)
    assert chosen.args == [4]
    assert panel.head.segments.accessibleName() == "2 of 11 steps done"


def test_a_segment_leads_to_its_step(qtbot, look):
    segments = Segments(look)
    qtbot.addWidget(segments)
    segments.show_steps(("line",) * 4, ("a", "b", "c", "d"), 0, look)
    segments.resize(200, 14)
    with qtbot.wait_signal(segments.clicked) as clicked:
        QTest.mouseClick(segments, Qt.MouseButton.LeftButton, pos=QPoint(170, 7))
    assert clicked.args == [3]


def test_both_languages_without_a_restart(panel, lesson):
    panel.show_lesson(view(lesson, at=7))
    panel.set_translator(Translator("pt_BR"))
    assert "cerca de 250 instruções" in panel.prose.toPlainText()
    assert panel.question.text().startswith("Agora o núcleo está no anel 1")
    assert panel.head.steps.currentText() == "8. O mesmo POPF no anel 1"
    panel.set_translator(Translator())
    assert "about 250 instructions" in panel.prose.toPlainText()


def test_without_a_lesson_the_panel_leads_to_those_that_there_are(qtbot, panel, lesson):
    panel.show_shelf([(lesson, Tally(3, 11, 2, 10))])
    assert lesson.lesson.title.en in panel.prose.toPlainText()
    assert "3 of 11 steps done" in panel.prose.toPlainText()
    assert not panel.primary.isVisible()
    with qtbot.wait_signal(panel.lesson_requested) as wanted:
        panel.prose.followed.emit("lesson:rings-and-popf")
    assert wanted.args == ["lesson:rings-and-popf"]


def test_zoom_makes_everything_larger(panel, lesson, look, appearance):
    panel.show_lesson(view(lesson))
    before = panel.prose.height(), panel.answers[0].height()
    panel.set_look(appearance.change(scale=1.5))
    panel.page.layout().activate()
    assert panel.prose.height() > before[0]
    appearance.change(scale=1.0)


# Prose.


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("a *b* **c** `d`", "<p>a <em>b</em> <strong>c</strong> <code>d</code></p>"),
        ("<script>x</script>", "<p>&lt;script&gt;x&lt;/script&gt;</p>"),
        ("[x](lesson:rings-and-popf:3)", '<p><a href="lesson:rings-and-popf:3">x</a></p>'),
        ("[x](javascript:y)", "<p>[x](javascript:y)</p>"),
        ("[x](file:///etc/passwd)", "<p>[x](file:///etc/passwd)</p>"),
    ],
)
def test_markdown_becomes_html_and_nothing_else_does(look, markdown, expected):
    assert to_html(markdown, look).strip() == expected


def test_code_has_the_colours_of_the_theme(look, appearance):
    source = "```nasm\npopf ; lost\n```"
    light = to_html(source, look)
    assert look.theme.colors.text_muted.lower() in light.lower()
    dark = to_html(source, appearance.change(theme="dark"))
    appearance.change(theme="light")
    assert dark != light


def test_code_of_an_unknown_language_is_shown_as_it_is(look):
    assert "<pre>push &lt;eax&gt;</pre>" in to_html("```klingon\npush <eax>\n```", look)


def test_prose_is_as_high_as_it_is_long(qtbot, look):
    prose = Prose(look)
    qtbot.addWidget(prose)
    prose.resize(300, 10)
    prose.show()
    prose.show_html("<p>word</p>", look)
    short = prose.height()
    prose.show_html("<p>" + "word " * 200 + "</p>", look)
    assert prose.height() > 5 * short


# The spotlight.


def test_the_spotlight_covers_what_it_points_at_and_lets_everything_through(qtbot, look):
    window = QWidget()
    qtbot.addWidget(window)
    first, second = QWidget(window), QWidget(window)
    first.resize(100, 80)
    second.resize(60, 60)
    window.show()
    light = Spotlight(look, window)
    light.point_at(first, look)
    assert light.isVisible()
    assert light.geometry() == first.rect()
    first.resize(140, 90)
    assert light.geometry() == first.rect()
    light.point_at(second, look)
    assert light.parent() is second
    assert light.testAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    light.point_at(None, look)
    assert not light.isVisible()


def test_the_spotlight_keeps_still_with_reduced_motion(qtbot, look, appearance):
    target = QWidget()
    qtbot.addWidget(target)
    target.show()
    light = Spotlight(look, target)
    light.point_at(target, look)
    assert not light.moving
    light.point_at(None, look)
    light.point_at(target, appearance.change(motion=True))
    assert light.moving
    light.point_at(None, appearance.change(motion=False))
    assert not light.moving


# What the window opens on.


def test_guests_and_lessons_share_the_command_line(tmp_path, lesson):
    source = tmp_path / "mine.asm"
    source.write_text("hlt\n")
    assert resolve("popf") == Subject(guest="popf")
    assert resolve(str(source)) == Subject(guest=str(source))
    for subject, step in (
        ("rings-and-popf", None),
        ("rings-and-popf:3", 2),
        ("rings-and-popf:popf-betrays", 7),
        (str(lesson.folder), None),
        (f"{lesson.folder}:2", 1),
        (str(lesson.folder / "lesson.yaml"), None),
    ):
        found = resolve(subject)
        assert (found.lesson.lesson.name, found.step) == ("rings-and-popf", step)


@pytest.mark.parametrize(
    ("subject", "error", "said"),
    [
        ("ring", UnknownNameError, "there is no guest or lesson named ring; did you mean rings?"),
        ("rings-and-pop", UnknownNameError, "did you mean rings-and-popf?"),
        ("nothing", UnknownNameError, "there are: "),
        ("rings-and-popf:12", ScenarioError, "has the steps 1 to 11, not 12"),
        ("rings-and-popf:no-such-step", ScenarioError, "has the steps 1 to 11"),
        ("missing/file.asm", VizappError, "missing/file.asm"),
    ],
)
def test_what_cannot_be_opened_is_told(subject, error, said):
    with pytest.raises(error) as caught:
        resolve(subject)
    assert said in str(caught.value)


def test_an_unknown_name_lists_guests_and_lessons():
    with pytest.raises(UnknownNameError) as caught:
        resolve("nothing")
    assert "minikernel" in str(caught.value)
    assert "rings-and-popf" in str(caught.value)


def test_the_shipped_lessons_are_where_they_are_looked_for():
    assert (lessons() / "01-rings-and-popf" / "lesson.yaml").is_file()
