"""Of every line of the guest that has run, the window says what really ran: read off the panels.

Which lines ran, and in which ring, is counted on the bare machine, where no monitor says anything.
"""

from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt

from vizapp.experiment.scenarios import make_scenario
from vizapp.machine.events import (
    ENGINE_SELECTED,
    INSTRUCTION_EMULATED,
    INSTRUCTION_RETRANSLATED,
    SYSTEM_CALL_REFLECTED,
    UNIT_TRANSLATED,
)
from vizapp.session.builder import build
from vizapp.session.protocol import Watch
from vizapp.session.session import Session
from vizapp.ui.code_model import ROW_ROLE
from vizapp.ui.code_panel import CodePanel
from vizapp.ui.translation_panel import TranslationPanel
from vizapp.ui.translation_words import KINDS, WAYS

MARGIN = {"IDENT": "ident", "in the cache": "in-cache", "callout": "callout", "chained": "chained",
          "lookup": "lookup"}  # fmt: skip


@pytest.fixture(scope="module")
def executed():
    """By address, in which ring the bare machine executes it."""
    pc, rings = build(make_scenario("minikernel")).pc, {}
    while pc.stopped is None:
        before, eip, cpl = pc.instructions, pc.cpu.eip, pc.cpu.cpl
        pc.step()
        if pc.instructions > before:
            rings[eip] = cpl
    return rings


@pytest.fixture(scope="module")
def session():
    session = Session(make_scenario("minikernel", technique_name="binary-translation"))
    session.run()
    return session


@pytest.fixture
def panels(qtbot, look, translator):
    made = CodePanel(look, translator), TranslationPanel(look, translator)
    for panel in made:
        qtbot.addWidget(panel)
        panel.resize(900, 500)
        panel.show()
    code, translated = made
    code.line_chosen.connect(translated.watch)
    return made


def stations(session):
    """Positions from which the code panel's window shows, together, all that was executed."""
    end = session.timeline.end
    kinds = (UNIT_TRANSLATED, ENGINE_SELECTED, SYSTEM_CALL_REFLECTED, INSTRUCTION_EMULATED)
    seen = set()
    for event in session.store.of_kinds(kinds, end):
        block = int(event.payload["address"]) // 16
        if block not in seen:
            seen.add(block)
            yield event.position
    yield end


def ask(session, panel):
    wanted = {} if panel.watched_address is None else dict.fromkeys(panel.details, panel.watched_address)
    session.begin(Watch(panel.details, wanted))
    panel.take_frame(session.frame())


def test_every_line_that_has_run_says_what_really_ran(session, executed, panels, qtbot):
    code, translated = panels
    emulated = {
        (event.payload["address"], event.payload["ring"])
        for event in session.store.of_kinds(
            (INSTRUCTION_EMULATED, SYSTEM_CALL_REFLECTED), session.timeline.end
        )
    }
    again = {
        event.payload["address"]
        for event in session.store.of_kinds((INSTRUCTION_RETRANSLATED,), session.timeline.end)
    }
    units = session.machine.monitor.machine(0).cache.units.values()
    translated_now = {unit.key.base + line[0]: line[1] for unit in units for line in unit.lines}
    told = {}
    for position in stations(session):
        session.seek(position)
        code.take_frame(session.frame())
        for number in range(code.model.rowCount()):
            row = code.model.index(number).data(ROW_ROLE)
            if row.kind == "code" and row.line.address in executed:
                told[row.line.address] = code.model.note(row.line)
    assert set(told) == set(executed)  # the listing has shown each
    session.seek(session.timeline.end)
    for address, note in told.items():
        if executed[address] == 3:
            assert note == ("through the VMM" if (address, 3) in emulated else "direct"), hex(address)
        else:
            kind = MARGIN[note]
            assert address not in translated_now or translated_now[address] == kind or address in again
            assert (kind == "callout") <= ((address, 0) in emulated), hex(address)

    # And what a click on a line brings up beside it.
    for address in sorted(told)[::5]:
        lines = [line._replace(address=address, label="") for line in code.frame.code[:1]]
        code.take_frame(replace(code.frame, code=tuple(lines)))
        middle = code.list.visualRect(code.model.index(0)).center()
        qtbot.mouseClick(code.list.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(200, middle.y()))
        assert translated.watched_address == address
        ask(session, translated)
        if executed[address] == 3:
            assert WAYS["application"] in translated.empty.text()
        elif address in translated_now:
            assert f"{address:08X} " in translated.words.text()
            assert KINDS[translated_now[address]].title in translated.words.text()
        else:
            assert WAYS["ident"] in translated.empty.text()
