"""A disk that boots, in a session: its source beside its code, its screen, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from vizapp.errors import ScenarioError
from vizapp.guest.loader import load_guest
from vizapp.isa.addresses import HostPhysical
from vizapp.session.protocol import RunTo
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session

SOURCE = """
        bits    16
        org     0x7C00
        mov     ax, 0x0E00 | '!'        ; teletype
        int     0x10
mark_printed:
        mov     eax, cr0
        cli
        hlt
        times   510 - ($ - $$) db 0
        dw      0xAA55
"""


@pytest.fixture(name="session")
def _session(tmp_path: Path) -> Session:
    source = tmp_path / "boot.asm"
    source.write_text(SOURCE)
    return Session(Scenario(load_guest(str(source))))


def current(session: Session) -> tuple[str, str]:
    """Statement and comment of the source line at the cursor."""
    (line,) = [line for line in session.frame().code if line.current]
    return line.source, line.comment


def test_the_reset_vector_is_the_first_thing_to_be_seen(session: Session) -> None:
    frame = session.frame()
    assert frame.code_title == "boot.asm · 0xfffffff0"
    assert next(line.text for line in frame.code if line.current) == "ljmp 0xf000:0xe000"


def test_the_bios_is_shown_with_its_source(session: Session) -> None:
    session.step()
    assert session.frame().code_title == "start.inc · 0x000fe000"
    assert current(session) == ("cli", "")


def test_a_mark_in_the_boot_sector_is_passed_and_its_screen_shown(session: Session) -> None:
    session.advance()
    frame = session.frame()
    assert frame.stopped is not None
    assert frame.screen[1].startswith("!")
    assert "printed" in str([event.cause for event in session.events().events if "Mark" in event.kind])


def test_a_boot_sector_can_be_rewound(session: Session) -> None:
    session.advance()
    end = session.frame().position
    session.back()  # to where the processor waits in HLT
    session.back()
    assert current(session)[0] == "hlt"
    session.seek(1)
    assert session.frame().code_title == "start.inc · 0x000fe000"
    session.seek(end)
    assert session.frame().screen[1].startswith("!")


def test_a_breakpoint_in_the_bios_is_where_the_listing_has_it(session: Session) -> None:
    service = next(
        line for line in session.scenario.image.lines if line.file == "video.inc" and line.code
    ).address
    motion = session.begin(RunTo(service))
    assert motion is not None
    while not motion.advance():
        pass
    assert session.frame().code_title == f"video.inc · {service:#010x}"


def test_no_monitor_runs_a_disk() -> None:
    image = load_guest(str(Path(__file__).parents[1] / "guest" / "images" / "modes.asm"))
    for technique in ("trap-and-emulate", "paravirtual"):
        with pytest.raises(ScenarioError, match="run it under native"):
            Session(Scenario(image, technique=technique))


def test_a_third_disk_has_no_place() -> None:
    with pytest.raises(ScenarioError, match="3 disks are more than the 2"):
        Session(Scenario(load_guest("hello"), disks=(b"1", b"2", b"3")))


def test_the_auditor_is_told_of_dma_while_it_is_recorded(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    pc = session.machine.pc
    assert pc.board.peripherals is not None
    master = pc.board.peripherals.bus_master
    owned = session._auditor._declare()
    monkeypatch.setattr(session._auditor, "_declare", lambda: owned._replace(frames=owned.frames[:0]))
    session._recorder.begin()
    master.write(0x5000, b"data")
    session._recorder.finish()
    master.write(0x6000, b"data")
    assert [(leak.kind, leak.number, leak.write) for leak in session.leaks] == []
    session._auditor._ownership = owned._replace(frames=owned.frames[:0])
    session._recorder.begin()
    master.write(0x7000, b"data")
    session._recorder.finish()
    assert [(leak.kind, leak.number, leak.write) for leak in session.leaks] == [("dma", 7, True)]


def test_the_bios_cannot_be_written(session: Session) -> None:
    pc = session.machine.pc
    before = pc.memory.dump(HostPhysical(0xF_FFF0), 16)
    for address in (0xF_FFF0, 0xF_FFF8):
        pc.mmu.write(address, 4, 0x1234_5678, False)
    assert pc.memory.dump(HostPhysical(0xF_FFF0), 16) == before
    assert 0xFF not in pc.mmu.writable[0]
