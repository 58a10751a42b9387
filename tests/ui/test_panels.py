"""What each panel says of a frame."""

import pytest
from conftest import (
    MONITOR,
    TRUTHS,
    code_lines,
    make_events,
    make_frame,
    make_progress,
)
from PySide6.QtCore import QAbstractListModel, QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.modeltest import ModelTester

from vizapp.machine import events as ev
from vizapp.messages import Message, Translator
from vizapp.session.frames import Efficiency, EventBatch, Scorecard, Stopped
from vizapp.ui.code_model import ROW_ROLE, CodeModel
from vizapp.ui.code_panel import CodePanel
from vizapp.ui.events_panel import EventsPanel
from vizapp.ui.ledger_panel import LedgerPanel
from vizapp.ui.overhead_panel import OverheadPanel
from vizapp.ui.panel import RunState
from vizapp.ui.panels import PANELS
from vizapp.ui.registers_panel import RegistersPanel
from vizapp.ui.scorecard_panel import ScorecardPanel
from vizapp.ui.screen_panel import ScreenPanel
from vizapp.ui.serial_panel import SerialPanel
from vizapp.ui.stage_panel import StagePanel
from vizapp.ui.transport_panel import TransportPanel, notch_of, speed_of
from vizapp.ui.truths_panel import TruthsModel, TruthsPanel


@pytest.fixture
def show(qtbot, look, translator):
    """Makes a panel, shows it, and gives it a frame."""

    def make(kind, frame=None, size=(520, 400)):
        panel = kind(look, translator)
        qtbot.addWidget(panel)
        panel.resize(*size)
        panel.show()
        if frame is not None:
            panel.take_frame(frame)
        return panel

    return make


def cells(model):
    """What the model shows; a list has one column."""
    columns = range(1 if isinstance(model, QAbstractListModel) else model.columnCount())
    return [[model.index(row, column).data() for column in columns] for row in range(model.rowCount())]


# Every panel: empty, with a session, with events, and back.


@pytest.mark.parametrize("entry", PANELS, ids=lambda entry: entry.panel.name)
def test_every_panel_lives_through_a_session(show, opened, batch, look, entry):
    panel = show(entry.panel)
    panel.take_opened(opened)
    panel.show_events(batch)
    panel.take_frame(make_frame())
    panel.take_run_state(RunState(running=True, speed=None))
    panel.take_frame(make_frame(position=1300, event=None, place=MONITOR))
    panel.take_run_state(RunState())
    panel.set_look(look)
    panel.set_translator(Translator())
    assert not panel.grab().isNull()
    panel.clear()
    assert not panel.grab().isNull()


@pytest.mark.parametrize("entry", PANELS, ids=lambda entry: entry.panel.name)
def test_panels_have_names_and_titles(entry):
    assert entry.panel.name
    assert entry.panel.title


def test_a_hidden_panel_draws_the_newest_frame_when_it_is_shown(qtbot, look, translator):
    panel = SerialPanel(look, translator)
    qtbot.addWidget(panel)
    panel.take_frame(make_frame(serial="old"))
    panel.take_frame(make_frame(serial="new"))
    assert panel.text.toPlainText() == ""
    panel.show()
    assert panel.text.toPlainText() == "new"


# Guest code.


def test_code_rows_are_labels_and_source_lines(show):
    panel = show(CodePanel, make_frame())
    assert [row[0] for row in cells(panel.model)][:4] == ["schedule:", "mov eax, [current]", "cli", "pushf"]
    assert panel.note == "minikernel.asm · 0x00101016"


def test_the_current_instruction_is_known(show):
    panel = show(CodePanel, make_frame())
    row = panel.model.index(panel.model.current_row()).data(ROW_ROLE)
    assert row.line.text == "mov cr3, ebx"


def test_a_macro_shows_the_instruction_that_it_made(translator):
    model = CodeModel(translator)
    model.set_lines((code_lines()[1]._replace(source="INTERRUPTS_OFF", label="..@3.again"),))
    assert cells(model) == [["cli"]]


def test_code_speaks_to_screen_readers(show):
    panel = show(CodePanel, make_frame())
    words = panel.model.index(panel.model.current_row()).data(Qt.ItemDataRole.AccessibleTextRole)
    assert words.startswith("current instruction, mov cr3, ebx, privileged")
    assert words.endswith("traps")


def test_tooltips_teach_the_class_of_an_instruction(show):
    panel = show(CodePanel, make_frame())
    tip = panel.model.index(3).data(Qt.ItemDataRole.ToolTipRole)
    assert "sensitive but unprivileged" in tip
    assert "executed 3 times" in tip


def test_the_code_model_keeps_its_promises(translator):
    model = CodeModel(translator)
    ModelTester(None).check(model)
    model.set_lines(code_lines())
    model.set_lines(code_lines(current=2))
    model.set_lines(code_lines()[3:])
    model.set_lines(())


def test_a_click_in_the_gutter_wishes_for_a_breakpoint(qtbot, show):
    panel = show(CodePanel, make_frame())
    rect = panel.list.visualRect(panel.model.index(2))
    with qtbot.wait_signal(panel.breakpoint_toggled) as wished:
        QTest.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(12, rect.center().y()))
    assert wished.args == [0x101004]


def test_f9_wishes_for_a_breakpoint_at_the_selected_row(qtbot, show):
    panel = show(CodePanel, make_frame())
    panel.list.setCurrentIndex(panel.model.index(5))
    with qtbot.wait_signal(panel.breakpoint_toggled) as wished:
        QTest.keyClick(panel.list, Qt.Key.Key_F9)
    assert wished.args == [0x101010]


# Two truths.


def test_truths_are_shown_with_a_sign_where_they_differ(show):
    panel = show(TruthsPanel, make_frame())
    assert cells(panel.model)[3] == ["CR3", "00105000", "≠", "03F2A000"]
    assert cells(panel.model)[5] == ["EAX", "0000002A", "", "0000002A"]


def test_truths_have_tooltips_with_the_manuals_section(show):
    panel = show(TruthsPanel, make_frame())
    tip = panel.model.index(1, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "POPF" in tip
    assert "SDM Vol. 3" in tip


def test_the_truths_model_keeps_its_promises(translator):
    model = TruthsModel(translator)
    ModelTester(None).check(model)
    model.set_truths(TRUTHS)
    model.set_truths(TRUTHS[:3])


def test_without_motion_a_changed_row_stays_lit(show):
    panel = show(TruthsPanel, make_frame())
    assert panel.delegate.flash > 0


# Scorecard.


@pytest.mark.parametrize(
    ("card", "words"),
    [
        (Scorecard(True, True, 9312, 9312), "same trace: 9\u202f312 / 9\u202f312"),
        (Scorecard(True, None), "to be checked by replay"),
        (Scorecard(False, None), "not claimed"),
        (Scorecard(True, False, 4618, 4619, Message("EAX")), "differs after 4\u202f618 of 4\u202f619"),
    ],
)
def test_equivalence_in_words(show, card, words):
    panel = show(ScorecardPanel, make_frame(scorecard=card))
    assert panel.equivalence.shown.words == words


def test_a_broken_property_has_a_sign_besides_its_colour(show):
    panel = show(ScorecardPanel, make_frame(scorecard=Scorecard(True, False, 1, 2, let_through=3)))
    assert (panel.equivalence.shown.sign, panel.equivalence.shown.role) == ("✗", "bad")
    assert (panel.control.shown.sign, panel.control.shown.words) == ("✗", "3 uncontrolled")


def test_efficiency_never_rounds_up_to_all(show):
    card = Scorecard(True, True, efficiency=Efficiency(99_999, 0, 1))
    panel = show(ScorecardPanel, make_frame(scorecard=card))
    assert panel.efficiency.shown.words == "99.9 % ran unmodified"


# Transport.


def test_the_readout_tells_instruction_and_cycle(show):
    panel = show(TransportPanel, make_frame())
    expected = "instruction 9\u202f312 of 18\u202f204 · 41\u202f882 cycles"
    assert panel.readout.words == expected


def test_at_the_start_there_is_no_way_back(show):
    panel = show(TransportPanel, make_frame(position=0))
    assert not panel.buttons["back"].isEnabled()
    assert panel.buttons["step"].isEnabled()


def test_at_the_end_of_a_run_there_is_no_way_on(show):
    stopped = Stopped("halted", Message("the guest halted"))
    panel = show(TransportPanel, make_frame(position=2411, stopped=stopped))
    assert not panel.buttons["step"].isEnabled()
    assert panel.buttons["back"].isEnabled()
    assert panel.readout.words.endswith("halted")


@pytest.mark.parametrize("wish", ["to_start", "back", "step", "over", "next_trap", "run"])
def test_buttons_are_wishes(qtbot, show, wish):
    panel = show(TransportPanel, make_frame())
    with qtbot.wait_signal(panel.wished) as wished:
        panel.buttons[wish].click()
    assert wished.args == [wish]


def test_run_becomes_pause(show):
    panel = show(TransportPanel, make_frame())
    panel.take_run_state(RunState(running=True))
    assert panel.buttons["run"].text() == "Pause"
    panel.take_run_state(RunState())
    assert panel.buttons["run"].text() == "Run"


def test_speed_is_logarithmic_and_shown_as_a_number(qtbot, show):
    assert speed_of(0) == 0.5
    assert speed_of(100) is None
    assert speed_of(99) == pytest.approx(100_000)
    assert speed_of(60) / speed_of(59) == pytest.approx(speed_of(20) / speed_of(19))
    assert all(notch_of(speed_of(notch)) == notch for notch in range(101))
    panel = show(TransportPanel, make_frame())
    with qtbot.wait_signal(panel.speed_wished) as wished:
        panel.speed.setValue(100)
    assert wished.args == [None]
    assert panel.speed_words.text() == "full speed"


def test_the_scrubber_reaches_the_whole_recording(qtbot, show, batch):
    panel = show(TransportPanel, make_frame(), size=(1200, 60))
    panel.show_events(batch)
    scrubber = panel.scrubber
    assert scrubber.tick_count == len(batch.events)
    assert scrubber.position_at(0) == 0
    assert scrubber.position_at(scrubber.width()) == 2411
    with qtbot.wait_signal(panel.seek_requested) as sought:
        QTest.mouseClick(scrubber, Qt.MouseButton.LeftButton, pos=QPoint(scrubber.width() // 2, 12))
    assert sought.args[0] == pytest.approx(2411 / 2, rel=0.02)


# Stage.


def test_the_sentence_stands_under_the_stage_with_its_lesson(qtbot, show, opened):
    panel = show(StagePanel)
    panel.take_opened(opened)
    panel.take_frame(make_frame())
    assert "loads CR3" in panel.sentence.text()
    with qtbot.wait_signal(panel.lesson_requested) as asked:
        panel.sentence.linkActivated.emit("lesson:popf")
    assert asked.args == ["popf"]


def test_a_sentence_cannot_smuggle_markup(show, opened):
    panel = show(StagePanel)
    panel.take_opened(opened)
    panel.take_frame(make_frame(sentence=Message("<img src=x>"), lesson=""))
    assert panel.sentence.text() == "&lt;img src=x&gt;"


def test_a_transition_is_named_with_its_rings(show, opened):
    panel = show(StagePanel)
    panel.take_opened(opened)
    panel.take_frame(make_frame(event=make_events()[0]))
    assert panel.note == "ring 1 → ring 0"


def test_forward_moves_are_animated_and_backward_ones_are_not(show, opened, appearance):
    panel = show(StagePanel)
    panel.set_look(appearance.change(motion=True))
    panel.take_opened(opened)
    event = make_events()[0]
    panel.take_frame(make_frame(position=10, event=None))
    panel.take_frame(make_frame(position=11, event=event))
    assert panel.view.moving
    panel.take_frame(make_frame(position=10, event=event))
    assert not panel.view.moving
    appearance.change(motion=False)


def test_reduced_motion_shows_the_end_at_once(show, opened):
    panel = show(StagePanel)
    panel.take_opened(opened)
    panel.take_frame(make_frame(position=10, event=None))
    panel.take_frame(make_frame(position=11, event=make_events()[0]))
    assert not panel.view.moving


def test_running_fast_turns_movements_into_counted_flows(show, opened, batch):
    panel = show(StagePanel)
    panel.take_opened(opened)
    panel.take_frame(make_frame())
    panel.take_run_state(RunState(running=True, speed=None))
    panel.show_events(batch)
    crossing = [event for event in batch.events if event.source != event.target]
    assert sum(count for count, _ in panel.view.flows.values()) == len(crossing)
    panel.take_run_state(RunState())
    assert panel.view.flows == {}


# Events, ledger, registers, output.


def test_events_are_listed_and_filtered(show, batch, opened):
    panel = show(EventsPanel)
    panel.take_opened(opened)
    panel.show_events(batch)
    assert panel.filter.rowCount() == 60
    panel.field.setText("emulated CLI")
    assert {row[3] for row in cells(panel.filter)} == {"cli"}
    assert panel.note == f"{panel.filter.rowCount()} / 60"
    panel.field.setText("no such thing")
    assert panel.filter.rowCount() == 0


def test_an_event_is_the_way_to_its_moment(qtbot, show, batch, opened):
    panel = show(EventsPanel)
    panel.take_opened(opened)
    panel.show_events(batch)
    with qtbot.wait_signal(panel.seek_requested) as sought:
        panel.table.clicked.emit(panel.filter.index(3, 0))
    assert sought.args == [batch.events[3].position + 1]


def test_the_events_model_keeps_its_promises(show, batch):
    panel = show(EventsPanel)
    ModelTester(None).check(panel.model)
    ModelTester(None).check(panel.filter)
    panel.show_events(batch)
    panel.show_events(EventBatch(60, 90, make_events(90, start=60)))
    panel.field.setText("fault")
    panel.clear()


def test_the_ledger_is_sorted_by_cycles(show):
    panel = show(LedgerPanel, make_frame())
    shown = [row[0] for row in cells(panel.sorter)]
    assert shown == ["10\u202f800", "5\u202f000", "1\u202f550"]
    assert cells(panel.sorter)[0][2:5] == ["transitions", "monitor, ring 0", "exception"]


def test_the_ledgers_shares_add_up(show):
    panel = show(LedgerPanel, make_frame())
    assert sum(row.share for row in panel.model.rows) == pytest.approx(1)


def test_registers_show_both_sides_and_what_changed(show):
    panel = show(RegistersPanel, make_frame())
    changed = make_frame(position=1300, guest_registers={**make_frame().guest_registers, "eax": 43})
    panel.take_frame(changed)
    rows = {row.name: row for row in panel.model.rows}
    assert rows["eax"].guest == "0000002B"
    assert rows["eax"].changed
    assert not rows["cs"].changed
    assert (rows["cs"].guest, rows["cs"].processor) == ("0008", "0009")


def test_virtual_flags_are_shown_where_they_mean_something(show):
    panel = show(RegistersPanel, make_frame())
    assert "VIF" not in panel.flags.accessibleName()
    panel.flags.show_flags(1 << 19, 1)
    assert panel.flags.accessibleName().startswith("VIP=0, VIF=1, VM=0, NT=0")
    panel.flags.show_flags(1 << 17)
    assert "VM=1" in panel.flags.accessibleName()


def test_flags_are_told_to_screen_readers(show):
    panel = show(RegistersPanel, make_frame())
    assert "IF=0" in panel.flags.accessibleName()
    assert "ZF=1" in panel.flags.accessibleName()


def test_rewinding_takes_serial_output_away_again(show):
    panel = show(SerialPanel, make_frame(serial="one\n"))
    panel.take_frame(make_frame(serial="one\ntwo\n"))
    assert panel.text.toPlainText() == "one\ntwo\n"
    panel.take_frame(make_frame(serial="one\n"))
    assert panel.text.toPlainText() == "one\n"


def test_an_empty_screen_says_so(show):
    panel = show(ScreenPanel, make_frame(screen=(" " * 80,) * 25))
    assert "nothing" in panel.hint.words


# Overhead.


def race(panel, share=1.0):
    for technique, cost in (("native", 1.0), ("trap-and-emulate", 4.6), ("paravirtual", 1.35)):
        for step in range(1, 11):
            panel.show_progress(make_progress(technique, share * step / 10, cost))


def test_overhead_is_told_as_times_native(show):
    panel = show(OverheadPanel)
    panel.start_race(("native", "trap-and-emulate", "paravirtual"))
    race(panel)
    ratios = {bar.technique: bar.ratio for bar in panel.view.bars}
    assert ratios == pytest.approx({"native": 1.0, "trap-and-emulate": 4.6, "paravirtual": 1.35}, rel=0.01)


def test_techniques_are_compared_where_all_have_been(show):
    panel = show(OverheadPanel)
    panel.start_race(("native", "trap-and-emulate"))
    panel.show_progress(make_progress("native", 1.0, 1.0))
    panel.show_progress(make_progress("trap-and-emulate", 0.25, 4.0))
    native, other = panel.view.bars
    assert native.cycles == pytest.approx(25_000, rel=0.01)
    assert other.ratio == pytest.approx(4.0, rel=0.01)


def test_a_run_that_diverged_has_no_figure(show):
    panel = show(OverheadPanel)
    panel.start_race(("native", "trap-and-emulate"))
    panel.show_progress(make_progress("native", 1.0, 1.0))
    panel.show_progress(make_progress("trap-and-emulate", 0.5, 2.0)._replace(overhead_valid=False))
    assert panel.view.bars[1].ratio is None
    assert not panel.view.bars[1].valid


def test_a_technique_that_cannot_run_the_guest_says_why(show):
    panel = show(OverheadPanel)
    panel.start_race(("native", "paravirtual"))
    panel.show_failure("paravirtual", Message("sensitive has no xen build"))
    assert "no xen build" in panel.view.describe(panel.view.bars[1])


def test_event_kinds_all_have_words():
    from vizapp.ui.words import EVENT_TITLES

    assert set(EVENT_TITLES) == set(ev.CLI_NAMES)
