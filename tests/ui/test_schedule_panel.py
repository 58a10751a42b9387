"""Lanes of the scheduler: what is drawn, and how one gets about in them."""

from dataclasses import replace

import pytest
from conftest import make_frame
from PySide6.QtCore import QPoint, QPointF, Qt

from vizapp.session.details import SCHEDULE
from vizapp.session.details.schedule import Schedule, Share
from vizapp.session.run_states import Change
from vizapp.ui.schedule_layout import span, stays, used, zoomed
from vizapp.ui.schedule_panel import SchedulePanel

CHANGES = (
    Change(10, 1000, "Rp"),
    Change(20, 2000, "Rr"),
    Change(30, 3000, "rR"),
    Change(40, 5000, "rw"),
    Change(50, 6000, "Rw"),
)
SCHEDULE_NOW = Schedule((Share("domain-0", 512, 12345), Share("sender", 256, -10)), CHANGES, 4000, 11000)


@pytest.fixture
def panel(qtbot, look, translator):
    made = SchedulePanel(look, translator)
    qtbot.addWidget(made)
    made.resize(800, 240)
    made.show()
    made.take_frame(replace(make_frame(), details={SCHEDULE: SCHEDULE_NOW}))
    return made


def test_stays_of_the_same_state_are_joined():
    assert [tuple(stay) for stay in stays(SCHEDULE_NOW, 0)] == [
        ("R", 1000, 3000, 10),
        ("r", 3000, 6000, 30),
        ("R", 6000, 11000, 50),
    ]
    assert [stay.state for stay in stays(SCHEDULE_NOW, 1)] == ["p", "r", "R", "w"]
    assert stays(SCHEDULE_NOW._replace(changes=()), 0) == []
    assert used(SCHEDULE_NOW, 0) == 0.7
    assert used(SCHEDULE_NOW, 1) == 0.2


def test_zooming_keeps_its_place_and_stays_inside():
    whole = span(SCHEDULE_NOW)
    assert whole == (1000, 11000)
    assert zoomed(whole, (1000, 11000), 2, 6000) == (3500, 8500)
    assert zoomed(whole, (1000, 6000), 2, 1000) == (1000, 3500)
    assert zoomed(whole, (3500, 8500), 0.1, 6000) == (1000, 11000)


def test_lanes_have_names_weights_and_credits_in_words(panel):
    words = panel.view.accessibleDescription()
    assert "domain-0: weight 512, credit 12\u202f345 cycles, ran 70.0 % of the time" in words
    assert "sender: weight 256" in words
    panel.grab()


def test_what_is_under_the_mouse_is_told_and_a_click_goes_where_it_began(panel, qtbot):
    view = panel.view
    point = QPointF(view.x_of(4000), view.lane_rect(1).center().y())
    assert view.tip_at(point) == "sender runs: from cycle 3\u202f000, 2\u202f000 cycles"
    with qtbot.waitSignal(panel.seek_requested) as sought:
        qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=QPoint(round(point.x()), round(point.y())))
    assert sought.args == [31]
    assert view.tip_at(QPointF(1, 1)) == ""


def test_keys_go_from_change_to_change_and_zoom(panel, qtbot):
    panel.view.setFocus()
    with qtbot.waitSignal(panel.seek_requested) as sought:
        qtbot.keyClick(panel.view, Qt.Key.Key_Right)
    assert sought.args == [41]
    with qtbot.waitSignal(panel.seek_requested) as sought:
        qtbot.keyClick(panel.view, Qt.Key.Key_Left)
    assert sought.args == [21]
    qtbot.keyClick(panel.view, Qt.Key.Key_Plus)
    low, high = panel.view.visible_range
    assert high - low == pytest.approx(10000 / 1.6)
    qtbot.keyClick(panel.view, Qt.Key.Key_Minus)
    assert panel.view.visible_range == (1000, 11000)


def test_one_machine_alone_has_a_sentence(panel):
    panel.take_frame(replace(make_frame(), details={SCHEDULE: None}))
    assert panel.empty.isVisible()
    assert not panel.view.isVisible()
