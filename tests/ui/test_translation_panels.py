"""Panels of binary translation, fed with what a session computes from a real cache."""

from dataclasses import replace
from itertools import pairwise

import pytest
from conftest import make_frame
from PySide6.QtCore import QPoint, Qt

from vizapp.experiment.scenarios import make_scenario
from vizapp.machine.events import INSTRUCTION_RETRANSLATED
from vizapp.session.details import TRANSLATION, TRANSLATION_CACHE
from vizapp.session.details.cache_lines import CacheLine
from vizapp.session.details.translation import GuestLine, TranslatedUnit
from vizapp.session.session import Session
from vizapp.ui.cache_layout import Grid, blocks_of, grid_of
from vizapp.ui.cache_panel import CachePanel
from vizapp.ui.translation_layout import groups_of, row_of
from vizapp.ui.translation_panel import TranslationPanel
from vizapp.ui.translation_words import KINDS, MODES

BOTH = frozenset((TRANSLATION, TRANSLATION_CACHE))


@pytest.fixture(scope="module")
def details():
    session = Session(make_scenario("minikernel", technique_name="binary-translation"))
    session.watch_details(BOTH)
    found = []
    for count in (100, 300, 1500):
        session.run(max_instructions=count - session.frame().instruction)
        found.append(session.frame().details)
    return found


@pytest.fixture
def show(qtbot, look, translator):
    def make(kind, found):
        panel = kind(look, translator)
        qtbot.addWidget(panel)
        panel.resize(900, 420)
        panel.show()
        panel.take_frame(replace(make_frame(), details=found))
        return panel

    return make


def test_every_line_of_the_unit_stands_once_and_beside_its_guest_instruction(details):
    for found in details:
        unit = found[TRANSLATION].unit
        if unit is None:
            continue
        groups = groups_of(unit)
        assert sorted(index for group in groups for index in group.cache) == list(range(len(unit.cache)))
        for index, line in enumerate(unit.guest):
            group = next(group for group in groups if group.guest == index)
            assert group.cache == tuple(range(line.first, line.end))
            assert row_of(groups, index) == group.top


def test_a_detour_comes_behind_the_unit_and_is_tied_to_its_instruction():
    guest = (
        GuestLine(0x1000, b"\x90", "nop", "ident", 0, 1),
        GuestLine(0x1001, b"\x89\x03", "mov [ebx], eax", "callout", 1, 2, form="window", faults=3),
    )
    cache = (
        CacheLine(0x9000, 0, b"\x90", "nop", 0),
        CacheLine(0x9001, 1, b"\xe9\0\0\0\0", "jmp 0x9100", 1),
        CacheLine(0x9006, 6, b"\xe9\0\0\0\0", "jmp 0x9200", -1),
        CacheLine(0x9100, 0x100, b"\xcd\xe0", "int 0xe0", 1, door="callout", part="detour"),
    )
    groups = groups_of(TranslatedUnit(4, 0x1000, 0, 11, False, guest, cache))
    assert [(group.guest, group.cache) for group in groups] == [(0, (0,)), (1, (1,)), (-1, (2,)), (1, (3,))]
    assert row_of(groups, 1) == 1


def test_the_panel_says_what_the_instruction_has_become(show, details):
    panel = show(TranslationPanel, details[1])
    unit = details[1][TRANSLATION].unit
    assert f"unit {unit.number}:" in panel.note
    assert panel.view.selected == unit.at_guest
    for index, line in enumerate(unit.guest):
        panel.view.select(index)
        assert line.text in panel.words.text()
        assert KINDS[line.kind].title in panel.words.text()
        assert panel.view.accessibleDescription() == panel.words.text()


def test_the_keyboard_chooses_and_follows_a_chain(show, details, qtbot):
    found = next(
        found
        for found in details
        if found[TRANSLATION].unit is not None
        and any(line.leads_to >= 0 for line in found[TRANSLATION].unit.cache)
    )
    panel = show(TranslationPanel, found)
    unit = found[TRANSLATION].unit
    target = next(line for line in unit.cache if line.leads_to >= 0)
    owner = target.guest if target.guest >= 0 else None
    panel.view.select(0)
    qtbot.keyClick(panel.view, Qt.Key.Key_Down)
    assert panel.view.selected == 1
    assert not panel.follow.isEnabled()
    with qtbot.waitSignal(panel.watch_changed):
        if owner is None:
            panel.view.followed.emit(target.leads_to)
        else:
            panel.view.select(owner)
            qtbot.keyClick(panel.view, Qt.Key.Key_Return)
    assert panel.watched_address == target.leads_to
    panel.take_frame(panel.frame)
    assert panel.follow.isEnabled()
    with qtbot.waitSignal(panel.watch_changed):
        panel.follow.click()
    assert panel.watched_address is None


def test_without_a_translation_the_panel_says_why(show, details):
    bare = details[1][TRANSLATION]._replace(unit=None, mode="direct")
    panel = show(TranslationPanel, {TRANSLATION: bare})
    assert not panel.empty.isHidden()
    assert MODES["direct"] in panel.empty.text()
    panel.clear()
    assert panel.words.text() == ""


def test_the_map_draws_every_used_byte_once():
    grid = Grid(4, 100)
    pieces = list(grid.pieces(80, 150))
    assert [(piece.row, piece.left, piece.right) for piece in pieces] == [
        (0, 0.8, 1.0),
        (1, 0, 1.0),
        (2, 0, 0.3),
    ]


def test_blocks_fill_the_cache_up_to_its_free_bytes(details):
    found = details[2][TRANSLATION_CACHE]
    blocks = blocks_of(found)
    assert blocks[0].offset == 0
    for block, following in pairwise(blocks):
        assert block.offset + block.size == following.offset
    behind = sum(region.size for region in found.regions if region.kind == "continuation")
    assert blocks[-1].offset + blocks[-1].size + found.free + behind == found.size
    assert grid_of(found, 5).rows == 5


def test_the_table_and_the_map_choose_the_same_unit(show, details, qtbot, qtmodeltester):
    found = details[2][TRANSLATION_CACHE]
    panel = show(CachePanel, details[2])
    qtmodeltester.check(panel.sorter)
    assert panel.sorter.rowCount() == len(found.units)
    unit = found.units[3]
    center = panel.view.rects(unit.offset, unit.size)[0].center()
    qtbot.mouseClick(panel.view, Qt.MouseButton.LeftButton, pos=QPoint(round(center.x()), round(center.y())))
    assert panel.view.selected == unit.number
    row = panel.table.selectionModel().selectedRows()[0]
    assert row.data() == str(unit.number)
    assert f"{unit.address:08X}" in panel.view.describe(panel.view.block_at(center))
    qtbot.keyClick(panel.view, Qt.Key.Key_Right)
    assert panel.view.selected == found.units[4].number


def test_what_is_new_since_the_frame_before_is_marked(show, details):
    panel = show(CachePanel, details[0])
    assert panel.view.fresh == frozenset()
    panel.take_frame(replace(make_frame(), details=details[2]))
    before = {unit.number for unit in details[0][TRANSLATION_CACHE].units}
    after = {unit.number for unit in details[2][TRANSLATION_CACHE].units}
    assert panel.view.fresh == after - before != set()
    grown = {(u.number, to) for u in details[2][TRANSLATION_CACHE].units for to in u.chained_out}
    assert panel.view.patched <= grown
    panel.grab()


def test_the_counts_are_the_details_own(show, details):
    panel = show(CachePanel, details[2])
    found = details[2][TRANSLATION_CACHE]
    assert f"units made {found.made} " in panel.counts.text()
    assert f"patched {found.chained} " in panel.counts.text()
    assert panel.note.startswith(f"{len(found.units)} units")


def test_an_instruction_that_was_translated_anew_is_marked_and_says_why(show):
    session = Session(make_scenario("pte-modify", technique_name="binary-translation"))
    session.watch_details((TRANSLATION,))
    session.run()
    retranslated = next(session.store.of_kinds((INSTRUCTION_RETRANSLATED,), session.timeline.cursor))
    session.seek(retranslated.position + 1)
    session.watch_details((TRANSLATION,), retranslated.payload["address"])
    panel = show(TranslationPanel, session.frame().details)
    unit = session.frame().details[TRANSLATION].unit
    number = [line.address for line in unit.guest].index(retranslated.payload["address"])
    assert unit.guest[number].form == retranslated.payload["to"] != "copy"
    panel.view.select(number)
    assert "translated anew" in panel.words.text()
    assert f"traces hit: {retranslated.payload['faults']}" in panel.words.text()
