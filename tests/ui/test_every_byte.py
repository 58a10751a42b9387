"""Every byte of a translation cache stands in the panel, as capstone says: it is walked by keyboard."""

import capstone
import pytest
from PySide6.QtCore import Qt

from vizapp.experiment.scenarios import make_scenario
from vizapp.session.details import CACHE_BYTES, TRANSLATION
from vizapp.session.protocol import Watch
from vizapp.session.session import Session
from vizapp.ui.cache_panel import CachePanel
from vizapp.ui.translation_panel import TranslationPanel
from vizapp.ui.translation_words import PARTS

BOOT_SECTOR = """
        bits    16
        org     0x7C00
        xor     ax, ax
        mov     ds, ax
        mov     cx, 5
again:  pushf
        cli
        call    count
        popf
        loop    again
        mov     ax, 0x0E00 | '!'        ; teletype
        int     0x10
        cli
        hlt
count:  inc     word [total]
        ret
total:  dw      0
        times   510 - ($ - $$) db 0
        dw      0xAA55
"""
SUBJECTS = ["hello", "minikernel", "isprime", "selfmodify", "syscall", "boot sector", "hello, hosted"]
ENGINE = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)


@pytest.fixture(scope="module", params=SUBJECTS)
def session(request, tmp_path_factory):
    guest, _, where = request.param.partition(", ")
    if guest == "boot sector":
        source = tmp_path_factory.mktemp("boot") / "boot.asm"
        source.write_text(BOOT_SECTOR)
        guest = str(source)
    session = Session(make_scenario(guest, technique_name="binary-translation", io=where or None))
    session.run(max_instructions=60_000)
    return session


def cache_of(session):
    return session.machine.monitor.machine(0).cache


def ask(session, panel):
    """What the window does once a panel wants something else."""
    wanted = {} if panel.watched_address is None else dict.fromkeys(panel.details, panel.watched_address)
    session.begin(Watch(panel.details, wanted))
    panel.take_frame(session.frame())


def shown_rows(listing):
    """The table's cells as they stand in the window."""
    model = listing.table.model()
    for row in range(model.rowCount()):
        yield tuple(model.index(row, column).data() for column in range(model.columnCount()))


def test_every_byte_of_the_cache_is_one_line_of_the_panel(session, qtbot, look, translator):
    panel = CachePanel(look, translator)
    qtbot.addWidget(panel)
    panel.show()
    ask(session, panel)
    cache = cache_of(session)
    whole = cache.bytes_at(0, cache.size)
    owners = {}
    kinds = set()
    before = None
    while True:
        qtbot.keyClick(panel.view, Qt.Key.Key_Right if before is not None else Qt.Key.Key_Home)
        if panel.view.place == before:
            break
        before = panel.view.place
        ask(session, panel)
        kinds.add(panel.view.block.kind)
        assert panel.listing.bytes.offset == before
        for cell, raw_cell, text, note in shown_rows(panel.listing):
            offset, raw = int(cell, 16), bytes.fromhex(raw_cell)
            assert raw == whole[offset : offset + len(raw)]
            for at in range(offset, offset + len(raw)):
                assert owners.setdefault(at, cell) == cell
            if note == PARTS["remnant"]:
                assert panel.view.block.kind == "dropped"
                assert text == "db " + ", ".join(f"0x{byte:02x}" for byte in raw)
                continue
            (found,) = ENGINE.disasm(raw, cache.base + offset, 1)
            assert found.size == len(raw)
            assert text == f"{found.mnemonic} {found.op_str}".rstrip()
            assert "bad" not in text
    assert sorted(owners) == [*range(cache.top), *range(cache.bottom, cache.size)]
    assert len(owners) == cache.used
    assert {"door", "unit", "continuation"} <= kinds
    assert whole[cache.top : cache.bottom].strip(b"\xcc") == b""  # and nothing lies in the free bytes


def test_every_unit_stands_beside_its_guest(session, qtbot, look, translator):
    panel = TranslationPanel(look, translator)
    qtbot.addWidget(panel)
    panel.show()
    cache, memory = cache_of(session), session.machine.monitor
    newest = {unit.key.base + unit.key.eip: unit for unit in cache.units.values()}
    for unit in sorted(newest.values(), key=lambda unit: unit.start)[:60]:
        panel.watched_address = unit.key.base + unit.key.eip
        ask(session, panel)
        shown = panel.frame.details[TRANSLATION].unit
        assert shown.number == unit.number
        drawn = sorted(index for group in panel.view.groups for index in group.cache)
        assert drawn == list(range(len(shown.cache)))
        assert b"".join(line.raw for line in shown.cache) == cache.bytes_at(unit.start, unit.end - unit.start)
        guest = capstone.Cs(
            capstone.CS_ARCH_X86, capstone.CS_MODE_16 if unit.key.bits == 16 else capstone.CS_MODE_32
        )
        for line in shown.guest:
            (found,) = guest.disasm(memory.guest_read(line.address, len(line.raw)), line.address, 1)
            assert (found.size, f"{found.mnemonic} {found.op_str}".rstrip()) == (len(line.raw), line.text)


def test_without_a_choice_the_panel_tells_what_runs(session, qtbot, look, translator):
    panel = CachePanel(look, translator)
    qtbot.addWidget(panel)
    panel.show()
    ask(session, panel)
    assert panel.watched_address is None
    found = panel.frame.details[CACHE_BYTES]
    assert found.kind == "unit"
    assert panel.listing.bytes == found
    assert f"unit {found.number}" in panel.listing.words.words
    qtbot.keyClick(panel.view, Qt.Key.Key_End)
    assert panel.watched_address == cache_of(session).base + cache_of(session).bottom
    qtbot.keyClick(panel.view, Qt.Key.Key_Return)
    assert panel.pages.currentWidget() is panel.listing
    qtbot.keyClick(panel.view, Qt.Key.Key_Escape)
    assert panel.watched_address is None
