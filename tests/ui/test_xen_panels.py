"""Panels of Xen's books: fed by hand with several domains, and by a session with one."""

from dataclasses import replace
from itertools import pairwise

import pytest
from conftest import make_frame
from PySide6.QtCore import QPoint, Qt

from vizapp.experiment.scenarios import make_scenario
from vizapp.session.details import DOMAINS, HYPERCALLS, PAGE_TYPES
from vizapp.session.details.domains import ChannelRow, DomainRow, Domains, GrantRow
from vizapp.session.details.hypercalls import HypercallRow
from vizapp.session.details.page_types import NOBODY, XEN, FrameRun, PageUse
from vizapp.session.protocol import Seek
from vizapp.session.session import Session
from vizapp.ui.hypercalls_panel import HypercallsPanel
from vizapp.ui.page_types_panel import PageTypesPanel
from vizapp.ui.xen_panels import ChannelsPanel, DomainsPanel, GrantsPanel

BOOKS = Domains(
    (
        DomainRow(0, 0, "Domain-0", "running", True, 256, 1500, "boost", 4096, 8192, False, False),
        DomainRow(1, 7, "U1", "waiting", False, 512, -20, "over", 1024, 1024, True, True),
    ),
    (
        ChannelRow(0, 1, "virq", "timer", -1, False, False),
        ChannelRow(0, 2, "interdomain", "7", 3, True, False),
        ChannelRow(1, 3, "interdomain", "0", 2, False, True),
        ChannelRow(1, 4, "unbound", "0", -1, False, False),
    ),
    (
        GrantRow(1, 8, 0, 0x1234, "write", 1, 1),
        GrantRow(1, 9, 0, 0x1235, "read", 0, 0),
    ),
)
USE = PageUse(
    1000,
    (
        FrameRun(0, 100, XEN, "", False, 0, 0, 0),
        FrameRun(100, 3, 0, "page-table", True, 3, 3, 0),
        FrameRun(103, 797, 1, "writable", False, 797, 800, 1),
        FrameRun(900, 100, NOBODY, "", False, 0, 0, 0),
    ),
    ((0, "page-table", 3), (1, "writable", 797)),
)


@pytest.fixture
def show(qtbot, look, translator):
    def make(kind, **details):
        panel = kind(look, translator)
        qtbot.addWidget(panel)
        panel.resize(760, 420)
        panel.show()
        panel.take_frame(replace(make_frame(), details=details["details"]))
        return panel

    return make


def cells(panel, column):
    model = panel.table.model()
    return [model.index(row, column).data() for row in range(model.rowCount())]


def test_domains_show_share_and_memory(show, qtmodeltester):
    panel = show(DomainsPanel, details={DOMAINS: BOOKS})
    assert cells(panel, 1) == ["Domain-0 ★", "U1"]
    assert cells(panel, 5) == ["▲ boost", "▽ over"]
    assert cells(panel, 6) == ["4\u202f096", "1\u202f024"]
    assert cells(panel, 8) == ["", "⚑ waiting, held back"]
    qtmodeltester.check(panel.sorter)


def test_a_channel_says_what_it_is_bound_to_and_whether_its_flag_is_up(show):
    panel = show(ChannelsPanel, details={DOMAINS: BOOKS})
    assert cells(panel, 2) == [
        "virtual IRQ timer",
        "domain 7, port 3",
        "domain 0, port 2",
        "nobody yet: domain 0 may bind",
    ]
    assert cells(panel, 3) == ["–", "⚑", "–", "–"]
    assert cells(panel, 4) == ["–", "–", "✕", "–"]
    assert panel.note == "4 channels, 1 pending"


def test_grants_in_use_are_told_from_those_on_offer(show):
    panel = show(GrantsPanel, details={DOMAINS: BOOKS})
    assert cells(panel, 3) == ["01234000", "01235000"]
    assert cells(panel, 5) == ["1", "0"]
    assert panel.note == "2 grants, 1 mapped"


def test_without_xen_there_is_a_sentence(show):
    for kind in (DomainsPanel, ChannelsPanel, GrantsPanel, PageTypesPanel):
        panel = show(kind, details={DOMAINS: None, PAGE_TYPES: None})
        assert not panel.empty.isHidden()
        assert panel.empty.text()


def test_the_map_and_the_table_choose_the_same_frames(show, qtbot):
    panel = show(PageTypesPanel, details={PAGE_TYPES: USE})
    assert panel.note.startswith("3 frames are page tables")
    center = panel.map.rects(1)[0].center()
    assert panel.map.run_at(center) == 1
    qtbot.mouseClick(panel.map, Qt.MouseButton.LeftButton, pos=QPoint(round(center.x()), round(center.y())))
    assert [index.row() for index in panel.table.selectionModel().selectedRows()] == [1]
    panel.table.selectRow(2)
    assert panel.map.selected == 2
    assert panel.map.describe(USE.runs[2]) == "domain 1: 797 frames from 00067000, writable"


def test_every_run_has_a_place_and_all_places_fill_the_map(show):
    panel = show(PageTypesPanel, details={PAGE_TYPES: USE})
    areas = [rect.width() * rect.height() for run in range(4) for rect in panel.map.rects(run)]
    assert sum(areas) == pytest.approx(panel.map.width() * panel.map.height(), rel=1e-6)
    assert all(panel.map.rects(run) for run in range(4))


def test_a_session_tells_what_the_hypervisor_keeps():
    session = Session(make_scenario("rings", technique_name="paravirtual"))
    session.watch_details((DOMAINS, PAGE_TYPES))
    session.run()
    found = session.frame().details
    (domain,) = found[DOMAINS].domains
    assert domain.privileged
    use = found[PAGE_TYPES]
    assert use.runs[0].first == 0
    for run, following in pairwise(use.runs):
        assert run.first + run.frames == following.first
    assert use.runs[-1].first + use.runs[-1].frames == use.frames
    counts = {(owner, kind): count for owner, kind, count in use.counts}
    assert sum(count for (owner, _), count in counts.items() if owner == 0) == domain.pages + 1
    assert counts[0, "page-directory"] >= 1
    bare = Session(make_scenario("rings", technique_name="native"))
    bare.watch_details((DOMAINS, PAGE_TYPES))
    assert set(bare.frame().details.values()) == {None}


def test_hypercalls_are_told_with_their_arguments_and_answers(show, qtbot):
    rows = (
        HypercallRow(50, 900, 0, "mmu_update", "", (("req", 0xC0001000), ("count", 2)), 0, "", ""),
        HypercallRow(70, 990, 1, "sched_op", "block", (), 0xFFFFFFEA, "EINVAL", "not so"),
    )
    panel = show(HypercallsPanel, details={HYPERCALLS: rows})
    assert cells(panel, 2) == ["sched_op: block", "mmu_update"]
    assert cells(panel, 3) == ["", "req=0xc0001000, count=0x2"]
    assert cells(panel, 4) == ["\u2212EINVAL: not so", "0x0"]
    with qtbot.waitSignal(panel.command_requested) as asked:
        panel.table.doubleClicked.emit(panel.table.model().index(1, 0))
    assert asked.args == [Seek(50)]
