"""The window as a whole: choices, keys, zoom, language, layout, what goes wrong."""

import pytest
from conftest import DEPRIVILEGED, FakeLink, make_frame
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from vizapp.errors import SessionError
from vizapp.messages import Message, Translator
from vizapp.session.protocol import Opened, Step
from vizapp.ui.bridge import Bridge
from vizapp.ui.choices import Choices
from vizapp.ui.picture_files import save_widget
from vizapp.ui.player import Player
from vizapp.ui.selection import Selection
from vizapp.ui.stage_panel import StagePanel
from vizapp.ui.window import Window

CHOICES = Choices(
    ("native", "trap-and-emulate", "paravirtual"),
    (("rings", Message("Rings.")), ("minikernel", Message("Processes."))),
    (("pentium-4-672", "Pentium 4 672"),),
)


class Loud(Translator):
    """A language in which everything is shouted, so that a text that was not translated is found."""

    def text(self, text):
        return "".join(part if "{" in part else part.upper() for part in _parts(text))


def _parts(text):
    """The text cut around its placeholders."""
    parts, rest = [], text
    while "{" in rest:
        before, _, rest = rest.partition("{")
        name, _, rest = rest.partition("}")
        parts += [before, "{" + name + "}"]
    return [*parts, rest]


@pytest.fixture
def links():
    return []


@pytest.fixture
def window(qtbot, appearance, settings, links):
    def bridge(scenario, checked):
        links.append(FakeLink())
        return Bridge(links[-1])

    settings.setValue("motion", False)
    settings.setValue("theme", "light")
    player = Player(lambda selection: selection, bridge)
    made = Window(
        player, appearance, lambda language: Translator() if language == "en" else Loud(), CHOICES, settings
    )
    qtbot.addWidget(made)
    made.resize(1440, 900)
    made.show()
    made.player = player
    yield made
    player.close()
    player.join()
    appearance.change(theme="light", scale=1.0)


def begin(qtbot, window, links):
    """A session with one frame."""
    window.player.open(Selection())
    with qtbot.wait_signal(window.player.frame_changed):
        links[0].replies.put(Opened("trap-and-emulate", Message("T"), DEPRIVILEGED))
        links[0].replies.put(make_frame())


def test_techniques_that_are_not_built_are_disabled_and_say_so(window):
    button = window.header.techniques["vt-x"]
    assert not button.isEnabled()
    assert button.toolTip() == "VT-x is not built yet"
    assert window.header.techniques["paravirtual"].isEnabled()


def test_choosing_a_technique_opens_its_session(qtbot, window, links):
    begin(qtbot, window, links)
    with qtbot.wait_signal(window.player.selected) as chosen:
        window.header.techniques["native"].click()
    assert chosen.args[0].technique == "native"
    assert not window.header.virtualizable.isVisible()


def test_a_host_can_be_chosen_where_the_monitor_runs_beside_one(qtbot, window, links):
    begin(qtbot, window, links)
    assert not window.header.io.isVisible()
    with qtbot.wait_signal(window.player.selected):
        window.header.technique_chosen.emit("binary-translation")
    assert window.header.io.isVisible()
    with qtbot.wait_signal(window.player.selected) as chosen:
        window.header.io_chosen.emit("hosted")
    assert chosen.args[0].io == "hosted"
    with qtbot.wait_signal(window.player.selected) as chosen:
        window.header.techniques["native"].click()
    assert chosen.args[0].io == "bare-metal"


def test_a_guest_of_xen_can_be_beside_domain_0_and_need_not_be_ported(qtbot, window, links):
    begin(qtbot, window, links)
    with qtbot.wait_signal(window.player.selected):
        window.header.technique_chosen.emit("paravirtual")
    names = [window.header.io.itemData(index) for index in range(window.header.io.count())]
    assert names == ["bare-metal", "split", "hvm"]
    assert not window.header.paging.isVisible()
    with qtbot.wait_signal(window.player.selected) as chosen:
        window.header.io_chosen.emit("hvm")
    assert chosen.args[0].io == "hvm"
    assert window.header.paging.isVisible()
    with qtbot.wait_signal(window.player.selected) as chosen:
        window.header.paging_chosen.emit("nested")
    assert (chosen.args[0].paging, chosen.args[0].processor) == ("nested", "nehalem")
    with qtbot.wait_signal(window.player.selected) as chosen:
        window.header.technique_chosen.emit("binary-translation")
    assert (chosen.args[0].io, chosen.args[0].paging) == ("bare-metal", "shadow")


def test_the_virtualizable_option_belongs_to_trap_and_emulate(qtbot, window, links):
    begin(qtbot, window, links)
    assert window.header.virtualizable.isVisible()
    with qtbot.wait_signal(window.player.selected) as chosen:
        window.header.virtualizable.click()
    assert chosen.args[0].virtualizable is False


def test_the_title_names_the_guest(qtbot, window, links):
    begin(qtbot, window, links)
    assert window.windowTitle() == "minikernel – Pentium 4 672 – vizapp"


@pytest.mark.parametrize(
    ("key", "modifiers", "wish"),
    [
        (Qt.Key.Key_Right, Qt.KeyboardModifier.NoModifier, "step"),
        (Qt.Key.Key_F11, Qt.KeyboardModifier.NoModifier, "step"),
        (Qt.Key.Key_Left, Qt.KeyboardModifier.NoModifier, "back"),
        (Qt.Key.Key_F11, Qt.KeyboardModifier.ShiftModifier, "back"),
        (Qt.Key.Key_F10, Qt.KeyboardModifier.NoModifier, "over"),
        (Qt.Key.Key_PageDown, Qt.KeyboardModifier.NoModifier, "next_trap"),
        (Qt.Key.Key_PageUp, Qt.KeyboardModifier.NoModifier, "previous_trap"),
        (Qt.Key.Key_Home, Qt.KeyboardModifier.NoModifier, "to_start"),
        (Qt.Key.Key_End, Qt.KeyboardModifier.NoModifier, "to_end"),
        (Qt.Key.Key_Space, Qt.KeyboardModifier.NoModifier, "toggle_run"),
        (Qt.Key.Key_F5, Qt.KeyboardModifier.NoModifier, "toggle_run"),
    ],
)
def test_keys_are_those_of_debuggers_and_of_remotes(qtbot, window, key, modifiers, wish):
    window.activateWindow()
    qtbot.wait_until(window.isActiveWindow)
    with qtbot.wait_signal(window.actions_.wished) as wished:
        QTest.keyClick(window, key, modifiers)
    assert wished.args == [wish]


def test_a_key_reaches_the_session(qtbot, window, links):
    begin(qtbot, window, links)
    window.obey("step")
    assert links[0].sent == [Step()]


def test_zoom_scales_every_pane_at_once(window, appearance):
    stage = window.steps.panel(StagePanel)
    before = stage.sentence.fontMetrics().height()
    window.obey("zoom_in")
    window.obey("zoom_in")
    assert appearance.look.scale == 1.25
    assert stage.sentence.fontMetrics().height() > before
    window.obey("zoom_reset")
    assert stage.sentence.fontMetrics().height() == before


def test_presenter_mode_keeps_only_stage_and_sentence(qtbot, window, links):
    begin(qtbot, window, links)
    window.obey("present")
    shown = [name for name, dock in window.steps.docks.items() if dock.isVisible()]
    assert shown == ["stage"]
    assert not window.header.isVisible()
    window.obey("leave")
    assert window.steps.docks["code"].isVisible()
    assert window.header.isVisible()


@pytest.mark.parametrize("theme", ["dark", "high-contrast", "light"])
def test_themes_change_without_a_restart(window, appearance, theme):
    window.set_theme(theme)
    assert appearance.look.theme.name == theme
    assert window.steps.panel(StagePanel).look.theme.name == theme


def test_language_changes_everything_without_a_restart(qtbot, window, links):
    begin(qtbot, window, links)
    window.set_language("pt_BR")
    kept = {"vizapp", "rings", "minikernel", "–"}
    quiet = [
        label.text()
        for label in window.findChildren(QLabel)
        if label.isVisible() and label.text() not in kept and any(c.islower() for c in _visible(label.text()))
    ]
    # What is not words: source files, prices, the session's own values.
    assert [text for text in quiet if "minikernel" not in text and "pentium" not in text.lower()] == []
    assert window.header.techniques["native"].text() == "NATIVE"
    window.set_language("en")
    assert window.header.techniques["native"].text() == "Native"


def _visible(text):
    """A rich text without its tags."""
    import re

    return re.sub(r"<[^>]*>|&\w+;", "", text)


def test_the_layout_is_remembered(qtbot, window, settings, appearance):
    window.steps.docks["truths"].close()
    window.steps.show_panel("events")
    window.close()
    other = Window(
        Player(lambda selection: selection, lambda scenario, checked: None),
        appearance,
        lambda language: Translator(),
        CHOICES,
        settings,
    )
    qtbot.addWidget(other)
    other.show()
    assert not other.steps.docks["truths"].isVisible()
    assert not other.steps.docks["events"].isHidden()
    other.obey("reset_layout")
    assert other.steps.docks["truths"].isVisible()


def test_a_layout_of_another_version_is_refused(window):
    state = window.steps.saveState(999)
    assert not window.steps.restore_layout(state)


def test_a_session_that_dies_leaves_a_way_to_go_on(qtbot, window, links):
    begin(qtbot, window, links)
    with qtbot.wait_signal(window.player.died):
        links[0].replies.put(SessionError(Message("the session process ended unexpectedly")))
    assert window.banner.isVisible()
    assert window.banner.words.text() == "the session process ended unexpectedly"
    window.banner.restart.click()
    assert not window.banner.isVisible()
    assert len(links) >= 2


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_the_window_can_be_saved_as_a_picture(qtbot, window, links, tmp_path, suffix):
    begin(qtbot, window, links)
    file = tmp_path / f"picture{suffix}"
    save_widget(window, file)
    assert file.stat().st_size > 10_000


def test_the_shortcuts_are_listed(window):
    window.obey("shortcuts")
    dialog = window.findChild(window_dialog())
    words = [label.text() for label in dialog.findChildren(QLabel)]
    assert "Step over" in words
    assert "F10" in words
    dialog.close()


def window_dialog():
    from vizapp.ui.shortcuts_dialog import ShortcutsDialog

    return ShortcutsDialog


@pytest.mark.parametrize("size", [(1280, 720), (1440, 900), (1920, 1080)])
def test_no_words_are_cut_at_usual_sizes(qtbot, window, links, size):
    begin(qtbot, window, links)
    window.resize(*size)
    qtbot.wait_until(lambda: window.width() == size[0])
    for button in (*window.header.techniques.values(), window.header.compare):
        assert button.width() >= button.fontMetrics().horizontalAdvance(button.text()), button.text()
