"""Rings of split devices as strips: what is in each slot, and where the four indices stand."""

from dataclasses import replace

import pytest
from conftest import make_frame

from vizapp.session.details import RINGS
from vizapp.session.details.rings import Ring, Slot
from vizapp.ui.rings_layout import cells_of, marks_of
from vizapp.ui.rings_panel import RingsPanel

DISK = Ring(
    name="disk",
    domain=2,
    state="connected",
    slots=32,
    req_prod=37,
    req_event=38,
    rsp_prod=33,
    rsp_event=34,
    taken=35,
    answered=33,
    used=(
        Slot(32, "answer", {"id": 7, "status": 0}),
        Slot(33, "taken", {"id": 8, "sector": 64}),
        Slot(34, "taken", {"id": 9, "sector": 65}),
        Slot(35, "request", {"id": 10, "sector": 66}),
        Slot(36, "request", {"id": 11, "sector": 67}),
    ),
)


@pytest.fixture
def panel(qtbot, look, translator):
    made = RingsPanel(look, translator)
    qtbot.addWidget(made)
    made.resize(640, 300)
    made.show()
    return made


def test_slots_are_answered_taken_asked_for_or_free():
    cells = cells_of(DISK, 9)
    assert [cell.place for cell in cells] == list(range(31, 40))
    assert [cell.number for cell in cells] == [31, 0, 1, 2, 3, 4, 5, 6, 7]
    kinds = ["answer", "answer", "taken", "taken", "request", "request", "free", "free", "free"]
    assert [cell.kind for cell in cells] == kinds
    assert cells[2].slot.fields["sector"] == 64
    assert cells[6].slot is None


def test_the_four_indices_stand_before_their_slots():
    marks = {mark.name: mark.cell for mark in marks_of(DISK, cells_of(DISK, 9))}
    assert marks == {"rsp_prod": 2, "req_prod": 6, "rsp_event": 3, "req_event": 7}


def test_a_fresh_ring_begins_at_its_first_slot():
    fresh = DISK._replace(req_prod=1, req_event=2, rsp_prod=0, rsp_event=1, taken=0, answered=0, used=())
    cells = cells_of(fresh, 40)
    assert len(cells) == 32
    assert (cells[0].place, cells[0].kind, cells[1].kind) == (0, "request", "free")


def test_indices_wrap_at_32_bits():
    wrapped = DISK._replace(req_prod=2, rsp_prod=0xFFFF_FFFF, taken=0, used=())
    kinds = [cell.kind for cell in cells_of(wrapped, 6)]
    assert kinds == ["answer", "answer", "taken", "request", "request", "free"]


def test_the_panel_names_the_ring_and_its_slots(panel):
    panel.take_frame(replace(make_frame(), details={RINGS: (DISK, DISK._replace(name="send", domain=3))}))
    assert panel.note == "8 requests under way"
    words = panel.view.accessibleDescription()
    assert "domain 2: disk requests · connected · requests 37, answers 33, 32 slots" in words
    assert "domain 3: frames to send" in words
    cell = panel.view.cells(DISK)[2]
    assert panel.view.describe_cell(cell).splitlines()[0].startswith("slot 1, index 33: taken")
    assert "sector = 0x40" in panel.view.describe_cell(cell)
    assert panel.view.cell_rect(1, 0).top() > panel.view.cell_rect(0, 0).bottom()
    panel.grab()


def test_without_rings_there_is_a_sentence(panel):
    panel.take_frame(replace(make_frame(), details={RINGS: None}))
    assert not panel.empty.isHidden()
