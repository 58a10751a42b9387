"""The porting diff as a panel, of a guest with two builds."""

from dataclasses import replace

import pytest
from conftest import make_frame

from vizapp.experiment.scenarios import make_scenario
from vizapp.guest.port import porting_diff
from vizapp.session.details import PORTING
from vizapp.session.session import Session
from vizapp.ui.port_panel import PortPanel


def found_in(guest, technique):
    session = Session(make_scenario(guest, technique_name=technique))
    session.watch_details(frozenset((PORTING,)))
    return session.frame().details, session.scenario


@pytest.fixture
def panel(qtbot, look, translator):
    made = PortPanel(look, translator)
    qtbot.addWidget(made)
    made.resize(720, 420)
    made.show()
    return made


def test_the_counts_are_those_of_the_diff_and_the_published_table_stands_beside(panel, qtmodeltester):
    details, scenario = found_in("rings", "paravirtual")
    panel.take_frame(replace(make_frame(), details=details))
    diff = porting_diff(scenario.yardstick, scenario.image)
    added = [line for line in diff if line.side == "ported"]
    assert details[PORTING].added == len(added)
    assert panel.note.startswith(f"{len(added)} lines of ")
    assert "Linux 2.4.21: 2\u202f995 lines, 1.36 %" in panel.published.text()
    assert "Windows XP: 4\u202f620 lines, 0.04 %" in panel.published.text()
    qtmodeltester.check(panel.filter)


def test_only_changes_are_shown_until_the_whole_source_is_wanted(panel):
    details, _ = found_in("rings", "paravirtual")
    panel.take_frame(replace(make_frame(), details=details))
    few = panel.filter.rowCount()
    panel.whole.click()
    assert few < panel.filter.rowCount() == len(details[PORTING].lines)
    signs = {panel.filter.index(row, 0).data() for row in range(panel.filter.rowCount())}
    assert signs == {"", "+", "\u2212"}


def test_a_guest_that_runs_as_it_is_has_no_port(panel):
    details, _ = found_in("rings", "native")
    assert details[PORTING] is None
    panel.take_frame(replace(make_frame(), details=details))
    assert not panel.empty.isHidden()
