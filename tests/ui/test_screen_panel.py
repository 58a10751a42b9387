"""The text screen, the guest's keyboard, and the serial console's line."""

import pytest
from conftest import make_frame
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from vizapp.machine.devices.vga import default_color
from vizapp.session.frames import ScreenCells
from vizapp.session.protocol import Feed
from vizapp.ui.screen_panel import ScreenPanel
from vizapp.ui.serial_panel import SerialPanel

PALETTE = tuple(map(default_color, range(16)))
BOTH = frozenset({"keyboard", "serial"})
YELLOW_ON_BLUE = 0x1E


def cells(attribute=7, cursor=None, blinks=True):
    return ScreenCells((bytes([attribute]) * 80,) * 25, PALETTE, blinks, cursor)


def rows(text=""):
    return (text.ljust(80),) + (" " * 80,) * 24


@pytest.fixture
def screen(qtbot, look, translator):
    panel = ScreenPanel(look, translator)
    qtbot.addWidget(panel)
    panel.resize(700, 480)
    panel.show()
    panel.take_frame(make_frame(screen=rows("\u2588"), cells=cells(), devices=BOTH, inputs=BOTH))
    return panel


@pytest.fixture
def fed(screen):
    made = []
    screen.feed_requested.connect(made.append)
    return made


def press(screen, key, text="", modifiers=Qt.KeyboardModifier.NoModifier, repeat=False):
    event = QKeyEvent(QKeyEvent.Type.KeyPress, key, modifiers, text, repeat)
    QApplication.sendEvent(screen.view, event)


def release(screen, key):
    event = QKeyEvent(QKeyEvent.Type.KeyRelease, key, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(screen.view, event)


def keys(fed):
    return [(*feed.data,) for feed in fed if feed.source == "keyboard"]


def color_at(panel, row, column):
    """What is drawn in the middle of a cell."""
    view = panel.view
    rect = view.screen_rect()
    image = view.grab().toImage()
    ratio = image.devicePixelRatio()
    x = rect.left() + rect.width() * (2 * column + 1) // 160
    y = rect.top() + rect.height() * (2 * row + 1) // 50
    return image.pixelColor(round(x * ratio), round(y * ratio)).getRgb()[:3]


def test_attributes_have_the_colours_of_the_palette(screen):
    screen.take_frame(make_frame(screen=rows("\u2588"), cells=cells(YELLOW_ON_BLUE)))
    assert color_at(screen, 0, 0) == default_color(0x0E) == (0xFF, 0xFF, 0x55)
    assert color_at(screen, 3, 7) == default_color(0x01) == (0x00, 0x00, 0xAA)


def test_bit_7_is_a_bright_background_where_nothing_blinks(screen):
    screen.take_frame(make_frame(screen=rows(), cells=cells(0x90, blinks=False)))
    assert color_at(screen, 5, 5) == default_color(9)
    screen.take_frame(make_frame(screen=rows(), cells=cells(0x90, blinks=True)))
    assert color_at(screen, 5, 5) == default_color(1)


def test_a_screen_fits_its_panel_in_whole_pixels(screen):
    for size in ((700, 480), (420, 300), (1200, 900)):
        screen.resize(*size)
        rect = screen.view.screen_rect()
        assert screen.view.rect().contains(rect)
        assert (rect.width() % 80, rect.height() % 25) == (0, 0)


def test_the_cursor_is_drawn_where_it_stands(screen):
    before = screen.view.grab().toImage()
    screen.take_frame(make_frame(screen=rows("\u2588"), cells=cells(cursor=(24, 79))))
    assert screen.view.grab().toImage() != before


def test_keys_go_to_the_guest_after_a_click_and_come_back_with_ctrl_alt(screen, fed):
    press(screen, Qt.Key.Key_A, "a")
    assert fed == []
    QTest.mouseClick(screen.view, Qt.MouseButton.LeftButton)
    assert screen.view.capturing
    assert "Ctrl+Alt" in screen.hint.words
    press(screen, Qt.Key.Key_A, "a")
    release(screen, Qt.Key.Key_A)
    assert fed == [Feed("keyboard", ("a", True)), Feed("keyboard", ("a", False))]
    press(screen, Qt.Key.Key_Control, modifiers=Qt.KeyboardModifier.ControlModifier)
    press(screen, Qt.Key.Key_Alt, modifiers=Qt.KeyboardModifier.ControlModifier)
    assert not screen.view.capturing
    assert keys(fed)[2:] == [("control", True), ("control", False)]


def test_enter_begins_the_capture_and_is_not_typed(screen, fed):
    press(screen, Qt.Key.Key_Return, "\r")
    assert screen.view.capturing
    release(screen, Qt.Key.Key_Return)
    assert fed == []


def test_shift_is_added_where_a_us_keyboard_needs_it(screen, fed):
    screen.view.capture(True)
    press(screen, Qt.Key.Key_Exclam, "!")
    release(screen, Qt.Key.Key_Exclam)
    assert keys(fed) == [("shift", True), ("1", True), ("1", False), ("shift", False)]
    fed.clear()
    press(screen, Qt.Key.Key_Shift)
    press(screen, Qt.Key.Key_Exclam, "!")
    assert keys(fed) == [("shift", True), ("1", True)]


def test_held_keys_repeat_and_come_up_once(screen, fed):
    screen.view.capture(True)
    press(screen, Qt.Key.Key_Up)
    press(screen, Qt.Key.Key_Up, repeat=True)
    release(screen, Qt.Key.Key_Up)
    assert keys(fed) == [("up", True), ("up", True), ("up", False)]


def test_shortcuts_are_keys_while_it_captures(screen):
    def taken():
        event = QKeyEvent(QKeyEvent.Type.ShortcutOverride, Qt.Key.Key_F10, Qt.KeyboardModifier.NoModifier)
        event.ignore()
        QApplication.sendEvent(screen.view, event)
        return event.isAccepted()

    assert not taken()
    screen.view.capture(True)
    assert taken()


def test_a_monitor_takes_no_keys_and_says_so(screen):
    screen.take_frame(make_frame(screen=rows(), cells=cells(), devices=BOTH))
    QTest.mouseClick(screen.view, Qt.MouseButton.LeftButton)
    assert not screen.view.capturing
    assert "bare machine" in screen.hint.words


def test_a_line_is_sent_to_com1_of_the_machine_that_is_shown_with_its_enter(qtbot, look, translator):
    panel = SerialPanel(look, translator)
    qtbot.addWidget(panel)
    panel.show()
    panel.take_frame(make_frame())
    assert panel.line.isHidden()
    panel.take_frame(make_frame(inputs=BOTH, vm=2))
    QTest.keyClicks(panel.line, "dir")
    with qtbot.wait_signal(panel.feed_requested) as sent:
        QTest.keyClick(panel.line, Qt.Key.Key_Return)
    assert sent.args == [Feed("serial", (b"dir\r",), 2)]
    assert panel.line.text() == ""
