"""Panels of hardware virtualization and of several virtual machines, fed with details made by hand."""

from dataclasses import replace

import pytest
from conftest import make_frame
from PySide6.QtCore import Qt

from vizapp.isa.addresses import HostPhysical
from vizapp.machine.events import VM_EXITED
from vizapp.machine.walks import GUEST, NESTED, WalkStep
from vizapp.messages import Message
from vizapp.session.details import CONTROL_STRUCTURE, EXITS, MAPPINGS, MEMORY_MAP, PAGE_FAULTS, WALK
from vizapp.session.details.control_structure import ControlField, ControlStructure
from vizapp.session.details.exits import ExitRow
from vizapp.session.details.mappings import Mappings, Page, Row
from vizapp.session.details.memory_map import MemoryMap
from vizapp.session.details.page_faults import FaultRow
from vizapp.session.details.walk import Walk
from vizapp.session.frames import Stopped, VmState
from vizapp.session.protocol import NextEvent, SelectVm, SetCatchpoints, Watch
from vizapp.ui.control_panel import ControlPanel
from vizapp.ui.exits_panel import ExitsPanel
from vizapp.ui.faults_panel import FaultsPanel
from vizapp.ui.machines_panel import MachinesPanel
from vizapp.ui.mappings_panel import MappingsPanel
from vizapp.ui.selection import Selection, fitting, racers
from vizapp.ui.walk_panel import WalkPanel
from vizapp.ui.watching import Watching
from vizapp.vmm.frame_allocator import FrameRange

ROWS = (
    ExitRow("cr-access", 3, 0.3, 9000, 0.6, 2000, 4000),
    ExitRow("cpuid", 7, 0.7, 6000, 0.4, 500, 1000, open=1),
)


@pytest.fixture
def show(qtbot, look, translator):
    def make(kind, **changes):
        panel = kind(look, translator)
        qtbot.addWidget(panel)
        panel.resize(620, 420)
        panel.show()
        panel.take_frame(replace(make_frame(), **changes))
        return panel

    return make


def cells(panel, column):
    model = panel.table.model()
    return [model.index(row, column).data() for row in range(model.rowCount())]


def test_exits_have_perfs_columns(show, qtmodeltester):
    panel = show(ExitsPanel, details={EXITS: ROWS})
    header = panel.table.model().headerData
    headings = [header(column, Qt.Orientation.Horizontal) for column in range(7)]
    assert headings == ["VM-EXIT", "Samples", "Samples%", "Time%", "Min Time", "Max Time", "Avg time"]
    assert cells(panel, 0) == ["cr-access", "cpuid"]
    assert cells(panel, 1) == ["3", "7"]
    assert "10" in panel.note
    qtmodeltester.check(panel.model)


def test_without_exits_the_panel_says_what_it_is_for(show):
    panel = show(ExitsPanel, details={EXITS: ()})
    assert panel.empty.isVisible()
    assert not panel.table.isVisible()


def test_running_stops_at_the_reasons_that_are_caught(show, qtbot):
    panel = show(ExitsPanel, details={EXITS: ROWS})
    assert not panel.stop.isEnabled()
    panel.table.selectRow(1)
    with qtbot.waitSignal(panel.catchpoints_changed) as caught:
        qtbot.mouseClick(panel.stop, Qt.MouseButton.LeftButton)
    assert caught.args == [frozenset({f"{VM_EXITED}:cpuid"})]
    assert cells(panel, 0) == ["cr-access", "■ cpuid"]
    panel.take_frame(replace(make_frame(), details={EXITS: (*ROWS, ROWS[0]._replace(reason="hlt", time=1))}))
    assert panel.stop.isChecked()
    with qtbot.waitSignal(panel.command_requested) as wanted:
        qtbot.mouseClick(panel.go, Qt.MouseButton.LeftButton)
    assert wanted.args == [NextEvent(frozenset({f"{VM_EXITED}:cpuid"}))]


def nested_walk():
    levels = ("PML4E", "PDPTE", "PDE", "PTE")
    steps = []
    for table, name in ((0x4000, "PDE"), (0x5000, "PTE")):
        steps += [WalkStep(NESTED, level, table, 0x9000, 0x7007, True) for level in levels]
        steps.append(WalkStep(GUEST, name, table, 0x8000, 0x6067, True))
    steps += [WalkStep(NESTED, level, 0x6000, 0x9000, 0x7007, True) for level in levels]
    return Walk(0x400123, tuple(steps), 0x6123, tuple(steps), 0x7123, True, False, True, True)


def test_a_nested_walk_has_fourteen_references(show, qtbot):
    panel = show(WalkPanel, details={WALK: nested_walk()})
    assert "14" in panel.note
    assert len(panel.view.boxes) == 15  # and the page
    assert "EPT 14" in panel.count.text()
    assert "NPT 8" in panel.count.text()
    for _ in range(7):
        qtbot.keyClick(panel.view, Qt.Key.Key_Right)
    assert panel.view.selected == 7
    assert "reference 8 of 14" in panel.reference.text()
    qtbot.keyClick(panel.view, Qt.Key.Key_End)
    assert "00007123" in panel.reference.text()


def test_an_address_can_be_asked_for(show, qtbot):
    panel = show(WalkPanel, details={WALK: nested_walk()})
    panel.address.setText("0xC0000000")
    with qtbot.waitSignal(panel.watch_changed):
        qtbot.keyClick(panel.address, Qt.Key.Key_Return)
    assert panel.watched_address == 0xC000_0000
    with qtbot.waitSignal(panel.watch_changed):
        qtbot.mouseClick(panel.follow, Qt.MouseButton.LeftButton)
    assert panel.watched_address is None
    panel.address.setText("nonsense")
    qtbot.keyClick(panel.address, Qt.Key.Key_Return)
    assert panel.watched_address is None
    assert "hexadecimal" in panel.reference.text()


def test_what_the_shadow_keeps_back_is_told(show, qtmodeltester):
    rows = (
        Row(0x400, 2, Page(0x10, True, True, True), Page(0x90, False, True, False)),
        Row(0x500, 1, Page(0x20, False, False, False), None),
        Row(0x600, 1, Page(0x30, True, False, True), Page(0x30, True, False, True)),
    )
    panel = show(MappingsPanel, details={MAPPINGS: Mappings("shadow", rows)})
    assert cells(panel, 0)[0] == "00400000–00401FFF"
    told = cells(panel, 4)
    assert "writes come to the monitor" in told[0]
    assert told[1:] == ["not filled in yet", ""]
    qtmodeltester.check(panel.model)


def field(name, value, **changes):
    return ControlField(Message("control"), name, "4402", 4, value, Message("why"), **changes)


def structure():
    fields = (
        field("primary_controls", 0x80),
        field("exit_reason", 10, by_exit=True, before_exit=28),
        field("entry_interruption_info", 0x80000020, by_monitor=True),
    )
    saved = Message("its guest is saved in it")
    return ControlStructure("VMCS", HostPhysical(0x200000), saved, fields, (("hlt", True), ("rdtsc", False)))


def test_fields_say_who_changed_them(show, qtbot, qtmodeltester):
    panel = show(ControlPanel, details={CONTROL_STRUCTURE: structure()})
    assert cells(panel, 1) == ["00000080", "● 0000000A", "✎ 80000020"]
    assert cells(panel, 2) == ["", "0000001C", ""]
    assert "VMCS at 00200000" in panel.note
    panel.changed_only.click()
    assert cells(panel, 0) == ["exit_reason", "entry_interruption_info"]
    qtbot.keyClicks(panel.search, "REASON")
    assert cells(panel, 0) == ["exit_reason"]
    qtmodeltester.check(panel.model)


def test_an_intercept_can_be_wished_for(show, qtbot):
    panel = show(ControlPanel, details={CONTROL_STRUCTURE: structure()})
    hlt, rdtsc = panel.choices.actions()
    assert (hlt.isChecked(), rdtsc.isChecked()) == (True, False)
    with qtbot.waitSignal(panel.intercept_wished) as wished:
        rdtsc.trigger()
    assert wished.args == ["rdtsc", True]


def test_no_structure_is_told_too(show):
    panel = show(ControlPanel)
    assert panel.empty.isVisible()
    assert not panel.table.isVisible()


def test_machines_and_their_memory(show, qtbot, qtmodeltester):
    machines = (
        VmState(0, "first", "syscall", 256, "running", 10, 700, None),
        VmState(1, "second", "crash", 512, "stopped", 5, 300, Stopped("shutdown", Message("over"))),
    )
    ranges = (FrameRange(0, 64, "vmm"), FrameRange(64, 512, "vm0"), FrameRange(600, 100, "vm1"))
    panel = show(MachinesPanel, vms=machines, details={MEMORY_MAP: MemoryMap(1024, ranges)})
    assert cells(panel, 2) == ["▶ runs", "■ stopped: shut down"]
    assert "first" in panel.note
    assert panel.strip.describe(ranges[1]) == "first: 00040000 to 0023FFFF, 512 pages"
    with qtbot.waitSignal(panel.command_requested) as wanted:
        panel.table.clicked.emit(panel.model.index(1, 0))
    assert wanted.args == [SelectVm(1)]
    with qtbot.waitSignal(panel.command_requested) as wanted:
        qtbot.mouseClick(panel.follow, Qt.MouseButton.LeftButton)
    assert wanted.args == [SelectVm(None)]
    qtmodeltester.check(panel.model)


def test_only_what_can_be_seen_is_watched(qtbot, look, translator):
    exits, walk = ExitsPanel(look, translator), WalkPanel(look, translator)
    for panel in (exits, walk):
        qtbot.addWidget(panel)
    watching = Watching((exits, walk))
    told = []
    watching.changed.connect(told.append)
    with qtbot.waitSignal(watching.changed):
        exits.show()
    assert told[-1] == Watch(frozenset({EXITS}))
    with qtbot.waitSignal(watching.changed):
        walk.show()
    assert told[-1] == Watch(frozenset({EXITS, WALK}))
    with qtbot.waitSignal(watching.changed):
        exits.hide()
    assert told[-1] == Watch(frozenset({WALK}))
    caught = frozenset({f"{VM_EXITED}:cpuid"})
    exits.catchpoints_changed.emit(caught)
    assert told[-1] == SetCatchpoints(caught)
    watching.ask_again()
    assert told[-2:] == [Watch(frozenset({WALK})), SetCatchpoints(caught)]


@pytest.mark.parametrize(
    ("technique", "paging", "processor", "expected"),
    [
        ("amd-v", "shadow", "pentium-4-672", "k8-rev-f"),
        ("amd-v", "nested", "k8-rev-f", "barcelona"),
        ("vt-x", "shadow", "pentium-4-672", "pentium-4-672"),
        ("vt-x", "nested", "pentium-4-672", "nehalem"),
        ("vt-x", "nested", "sandy-bridge", "sandy-bridge"),
        ("native", "shadow", "barcelona", "barcelona"),
    ],
)
def test_a_technique_takes_a_processor_that_has_it(technique, paging, processor, expected):
    chosen = Selection(technique=technique, paging=paging, processor=processor)
    assert fitting(chosen).processor == expected


def test_those_race_that_the_processor_allows():
    on_amd = racers(Selection(technique="native", processor="barcelona"))
    assert "vt-x" not in on_amd
    assert {chosen.processor for chosen in on_amd.values()} == {"barcelona"}
    on_nehalem = racers(Selection(processor="nehalem"))
    assert "amd-v" not in on_nehalem
    assert {chosen.paging for name, chosen in on_nehalem.items() if name != "vt-x"} == {"shadow"}


def test_page_faults_are_counted_by_page_and_kind(show, qtmodeltester):
    rows = (FaultRow(0x100, 2, 0, 0, 9000), FaultRow(0x104, 1, 3, 5, 12000))
    panel = show(FaultsPanel, details={PAGE_FAULTS: rows})
    assert cells(panel, 0) == ["00104000", "00100000"]
    assert cells(panel, 2) == ["3", "0"]
    assert panel.note == "3 hidden, 3 true, 5 traced"
    qtmodeltester.check(panel.sorter)
