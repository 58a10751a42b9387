"""The compare view: a column a technique, curves, bars, a table."""

import pytest
from conftest import DEPRIVILEGED, make_events, make_frame, make_progress

from vizapp.messages import Message
from vizapp.session.frames import EventBatch
from vizapp.session.protocol import Opened
from vizapp.ui.compare_view import CompareView

TECHNIQUES = ("native", "trap-and-emulate", "paravirtual")


@pytest.fixture
def view(qtbot, look, translator):
    made = CompareView(look, translator)
    qtbot.addWidget(made)
    made.resize(1400, 820)
    made.show()
    made.start_race(TECHNIQUES)
    return made


def run(view, share=1.0):
    events = make_events()
    for technique, cost in zip(TECHNIQUES, (1.0, 4.6, 1.35), strict=True):
        view.show_opened(technique, Opened(technique, Message(technique), DEPRIVILEGED))
        view.show_events(technique, EventBatch(0, len(events), events))
        for step in range(1, 11):
            view.show_progress(make_progress(technique, share * step / 10, cost))
        view.show_frame(technique, make_frame(technique=technique))


def test_every_technique_has_a_column_with_its_ratio(view):
    run(view)
    assert [column.name.text() for column in view.columns.values()] == [
        "Native",
        "Trap & emulate",
        "Paravirtual (Xen)",
    ]
    assert [column.ratio.text() for column in view.columns.values()] == ["1.00×", "4.60×", "1.35×"]


def test_columns_say_what_happened_most(view):
    run(view)
    assert view.columns["native"].counts.words == "emulated 31 · fault 12"


def test_curves_grow_with_guest_progress(view):
    run(view)
    for curve in view.graph.curves:
        assert curve.progress == sorted(curve.progress)
        assert curve.cycles == sorted(curve.cycles)
        assert curve.progress[0] == 0


def test_the_table_has_a_row_a_technique(view):
    run(view)
    first = [view.table_model.index(row, 0).data() for row in range(view.table_model.rowCount())]
    assert first == ["Native", "Trap & emulate", "Paravirtual (Xen)"]
    assert view.table_model.index(1, 2).data() == "4.60×"


def test_a_technique_that_cannot_says_why_in_its_column(view):
    view.show_failure("paravirtual", Message("sensitive has no xen build"))
    assert view.columns["paravirtual"].counts.words == "sensitive has no xen build"
    assert view.bars.reasons == {"paravirtual": "sensitive has no xen build"}


def test_a_new_race_forgets_the_former(view):
    run(view)
    view.start_race(("native",))
    assert list(view.columns) == ["native"]
    assert view.table_model.rowCount() == 1


def test_it_can_be_drawn_empty_and_full(view):
    assert not view.grab().isNull()
    run(view)
    assert not view.grab().isNull()
