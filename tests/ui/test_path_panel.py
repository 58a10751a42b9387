"""The panel of a packet's path: the drawing, the list, and how one gets about in them."""

from dataclasses import replace

import pytest
from conftest import make_frame
from PySide6.QtCore import QPoint, QPointF, Qt
from test_path_layout import FOLLOWED

from vizapp.session.details import PATH
from vizapp.session.details.path import Paths
from vizapp.session.journeys.routes import ROUTES
from vizapp.ui.path_panel import PathPanel

LATER = FOLLOWED._replace(number=4, stops=FOLLOWED.stops[:2])
PATHS = Paths(5, (FOLLOWED, LATER), 3, 201, ("domain-0", "sender"))


def frame_of(paths):
    return replace(make_frame(), details={PATH: paths})


@pytest.fixture
def panel(qtbot, look, translator):
    made = PathPanel(look, translator)
    qtbot.addWidget(made)
    made.resize(640, 460)
    made.show()
    made.take_frame(frame_of(PATHS))
    return made


def shown(panel):
    return panel.choice.currentData()


def test_the_one_in_hand_is_drawn_and_listed(panel, qtmodeltester):
    assert shown(panel) == 3
    assert panel.choice.currentText() == "4: frame sent · sender · 1\u202f514 bytes"
    assert panel.note == "copied by grant · stage 5 of 11"
    assert panel.model.rowCount() == len(ROUTES["split-send"].stages)
    texts = [panel.model.index(4, column).data() for column in range(5)]
    assert texts == ["◉ 5", "copied by grant", "200", "1\u202f500", "500"]
    assert panel.model.index(0, 0).data() == "– 1"
    assert panel.follow.isChecked()
    qtmodeltester.check(panel.model)
    panel.grab()


def test_a_click_on_a_number_goes_to_its_moment_and_keeps_the_journey(panel, qtbot):
    x, y = panel.view.drawing.arrows[1].badge
    with qtbot.waitSignal(panel.seek_requested) as sought:
        qtbot.mouseClick(panel.view, Qt.MouseButton.LeftButton, pos=QPoint(round(x), round(y)))
    assert sought.args == [101]
    assert not panel.follow.isChecked()
    panel.take_frame(frame_of(PATHS._replace(current=4, position=101)))
    assert shown(panel) == 3
    panel.follow.click()
    assert shown(panel) == 4


def test_the_keyboard_walks_along_the_stages(panel, qtbot):
    panel.view.setFocus()
    qtbot.keyClick(panel.view, Qt.Key.Key_End)
    assert panel.table.currentIndex().row() == 10
    qtbot.keyClick(panel.view, Qt.Key.Key_Home)
    qtbot.keyClick(panel.view, Qt.Key.Key_Right)
    with qtbot.waitSignal(panel.seek_requested) as sought:
        qtbot.keyClick(panel.view, Qt.Key.Key_Return)
    assert sought.args == [101]


def test_a_row_of_the_list_goes_there_too_and_one_that_was_not_passed_nowhere(panel, qtbot):
    with qtbot.waitSignal(panel.seek_requested) as sought:
        panel.table.activated.emit(panel.model.index(6, 0))
    assert sought.args == [301]
    with qtbot.assertNotEmitted(panel.seek_requested):
        panel.table.activated.emit(panel.model.index(10, 0))


def test_another_journey_is_chosen_by_list_or_arrows(panel):
    panel.behind.click()
    assert shown(panel) == 4
    panel.behind.click()
    assert shown(panel) == 4
    panel.before.click()
    assert shown(panel) == 3


def test_a_stage_says_what_happens_there(panel):
    drawing = panel.view.drawing
    assert panel.view.tip_at(QPointF(*drawing.arrows[1].badge)).startswith("2 request in the ring: passed\n")
    assert "still to come" in panel.view.tip_at(QPointF(*drawing.arrows[6].badge))
    assert panel.view.tip_at(QPointF(1, 1)) == ""
    assert "5 copied by grant" in panel.view.accessibleDescription()


def test_without_packets_there_is_a_sentence(panel):
    panel.take_frame(frame_of(Paths(0, (), -1, 0, ())))
    assert panel.empty.isVisible()
    assert not panel.view.isVisible()


@pytest.mark.parametrize("route", list(ROUTES))
def test_every_route_can_be_drawn(panel, route):
    pairs = zip(FOLLOWED.stops, ROUTES[route].stages, strict=False)
    stops = tuple(stop._replace(stage=stage.key) for stop, stage in pairs)
    panel.take_frame(frame_of(PATHS._replace(shown=(FOLLOWED._replace(route=route, stops=stops),))))
    assert len(panel.view.drawing.arrows) == len(ROUTES[route].stages)
    panel.grab()
