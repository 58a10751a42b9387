"""The text screen: cells, code page 437, attributes, start address and cursor."""

from __future__ import annotations

import pytest

from vizapp.isa.addresses import HostPhysical
from vizapp.machine.devices.screen import CODE_PAGE_437, TextScreen
from vizapp.machine.memory import PhysicalMemory


@pytest.fixture
def memory() -> PhysicalMemory:
    return PhysicalMemory(1 << 20)


@pytest.fixture
def screen(memory) -> TextScreen:
    return TextScreen(memory.dump)


def crtc(screen: TextScreen, *pairs: tuple[int, int]) -> None:
    for index, value in pairs:
        screen.write_port(0x3D4, index)
        screen.write_port(0x3D5, value)


def test_an_untouched_screen_is_blank(screen):
    assert screen.rows() == (" " * 80,) * 25
    assert screen.cursor() == (0, 0)


def test_characters_and_attributes_stand_in_their_cells(memory, screen):
    memory.load(HostPhysical(0xB8000 + 2 * (80 * 24 + 78)), b"O\x1fK\x4f")
    assert screen.rows()[24] == " " * 78 + "OK"
    assert screen.attributes()[24][78:] == b"\x1f\x4f"


def test_code_page_437_is_the_codec_of_python_with_pictures_for_controls():
    assert len(CODE_PAGE_437) == len(set(CODE_PAGE_437)) + 1  # 00 and 20 are both blank
    for code in [*range(0x20, 0x7F), *range(0x80, 0x100)]:
        assert CODE_PAGE_437[code] == bytes([code]).decode("cp437")
    assert [CODE_PAGE_437[code] for code in (0x01, 0x1F, 0x7F, 0xB0)] == list("☺▼⌂░")


def test_the_start_address_scrolls_and_wraps(memory, screen):
    memory.load(HostPhysical(0xB8000), b"A\x07")
    memory.load(HostPhysical(0xBFFFE), b"Z\x07")
    crtc(screen, (0x0C, 0x3F), (0x0D, 0xFF), (0x0E, 0x40), (0x0F, 0x00))
    assert screen.rows()[0].startswith("ZA")
    assert screen.cursor() == (0, 1)


def test_the_cursor_is_where_the_controller_says(screen):
    crtc(screen, (0x0E, 0x01), (0x0F, 0x44))
    assert screen.cursor() == (4, 4)
    crtc(screen, (0x0A, 0x20))
    assert screen.cursor() is None
    crtc(screen, (0x0A, 0x0E), (0x0E, 0x08))
    assert screen.cursor() is None


def test_registers_can_be_read_back_and_saved(screen, memory):
    crtc(screen, (0x0F, 0x12), (0x30, 0x55))
    assert screen.read_port(0x3D5) == 0
    screen.write_port(0x3D4, 0x0F)
    other = TextScreen(memory.dump)
    other.load(screen.save())
    assert (other.read_port(0x3D4), other.read_port(0x3D5)) == (0x0F, 0x12)
