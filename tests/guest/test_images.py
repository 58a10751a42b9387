"""Image files: what multiboot kernels get, and one sentence for whatever is damaged, truncated or absurd."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.goldens.boot import BOOT_TESTS, binary_of
from vizapp.errors import VizappError
from vizapp.guest.elf import read_elf
from vizapp.guest.loader import load_guest
from vizapp.guest.multiboot import find_header, multiboot_image

MEMORY = 16 << 20
KERNEL = binary_of(next(test for test in BOOT_TESTS if test.name == "kernel-elf")).read_bytes()
FLAT = binary_of(next(test for test in BOOT_TESTS if test.name == "kernel-flat")).read_bytes()
ENTRY, PROGRAM_OFFSET, PROGRAM_COUNT = 24, 28, 44
PROGRAM = 52
FILE_OFFSET, VIRTUAL, PHYSICAL, IN_FILE, IN_MEMORY = (PROGRAM + at for at in (4, 8, 12, 16, 20))


def changed(data: bytes, **words: int) -> bytes:
    """A copy with 32-bit words replaced, by the names above."""
    result = bytearray(data)
    for name, value in words.items():
        struct.pack_into("<I", result, globals()[name], value)
    return bytes(result)


def load(data: bytes, name: str = "kernel.bin", memory: int = MEMORY) -> object:
    with TemporaryDirectory() as directory:
        path = Path(directory) / name
        path.write_bytes(data)
        return load_guest(str(path), memory=memory)


@pytest.mark.parametrize("data", [KERNEL, FLAT])
def test_kernel_is_loaded_with_its_information(data: bytes) -> None:
    header = find_header(data)
    assert header is not None
    image = multiboot_image("kernel", data, header, MEMORY)
    registers = dict(image.registers)
    assert registers["eax"] == 0x2BADB002
    information = dict(image.segments)[registers["ebx"]]
    flags, lower, upper = struct.unpack_from("<3I", information)
    assert flags & 0x41 == 0x41
    assert (lower, upper) == (639, 15 << 10)
    length, address = struct.unpack_from("<2I", information, 44)
    memory_map = information[address - registers["ebx"] :][:length]
    entries = [struct.unpack_from("<IQQI", memory_map, at) for at in range(0, length, 24)]
    assert entries[-1] == (20, 1 << 20, 15 << 20, 1)
    assert dict(image.segments)[0x10_0000] == data
    assert image.bits == 32
    assert image.needs_pc


def test_information_makes_way_for_the_kernel() -> None:
    low = changed(KERNEL, PHYSICAL=0x1000, VIRTUAL=0x1000, ENTRY=0x1080)
    header = find_header(low)
    assert header is not None
    assert dict(multiboot_image("kernel", low, header, MEMORY).registers)["ebx"] == 0x8_0000


def test_entry_may_be_virtual_or_physical() -> None:
    high = changed(KERNEL, VIRTUAL=0xC010_0000, ENTRY=0xC010_0060)
    assert read_elf("kernel", high, MEMORY).entry == 0x10_0060
    assert read_elf("kernel", changed(high, ENTRY=0x10_0060), MEMORY).entry == 0x10_0060


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (KERNEL[:40], "without a multiboot header"),
        (changed(KERNEL, PROGRAM_OFFSET=0x7FFF_FFFF), "ends within its table of segments"),
        (changed(KERNEL, PROGRAM_COUNT=0xFFFF_FFFF), "table of segments makes no sense"),
        (changed(KERNEL, PROGRAM_COUNT=0x0000_0000), "nothing in it is to be loaded"),
        (changed(KERNEL, FILE_OFFSET=0xFFFF_FFFF), "reaches beyond the end of the file"),
        (changed(KERNEL, IN_FILE=0xFFFF_FFFF), "more bytes in the file than in memory"),
        (changed(KERNEL, IN_MEMORY=0xFFFF_FFFF), "and memory ends at 0x01000000"),
        (changed(KERNEL, PHYSICAL=0x0FFF_F000), "and memory ends at 0x01000000"),
        (changed(KERNEL, ENTRY=0), "its entry 0x00000000 is in nothing that is loaded"),
        (KERNEL[:4] + b"\2" + KERNEL[5:], "for another processor"),
        (KERNEL[:18] + b"\x3e" + KERNEL[19:], "for another processor"),
        (KERNEL[:16] + b"\1" + KERNEL[17:], "no executable"),
        (FLAT[:-1], "ends before the load end address"),
        (FLAT[:16] + b"\xff\xff\xff\x7f" + FLAT[20:], "contradict each other"),
        (FLAT[:28] + b"\0\0\0\0" + FLAT[32:], "contradict each other"),
    ],
)
def test_damaged_kernel_gets_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(VizappError, match=sentence):
        load(data)


def test_two_segments_may_not_overlap() -> None:
    segment = KERNEL[PROGRAM : PROGRAM + 32]
    # A second program header over what follows the first, which no loader looks at.
    doubled = KERNEL[:PROGRAM_COUNT] + b"\2" + KERNEL[PROGRAM_COUNT + 1 : PROGRAM + 32] + segment
    doubled += KERNEL[PROGRAM + 64 :]
    with pytest.raises(VizappError, match="two segments overlap at 0x00100000"):
        read_elf("kernel", doubled, MEMORY)


def test_kernel_that_wants_graphics_is_refused() -> None:
    header = struct.pack("<12I", 0x1BADB002, 4, -(0x1BADB002 + 4) & 0xFFFF_FFFF, *[0] * 9)
    with pytest.raises(VizappError, match="asks for a graphics mode"):
        load(header)


def test_kernel_without_addresses_is_an_elf_file() -> None:
    header = struct.pack("<3I", 0x1BADB002, 0, -0x1BADB002 & 0xFFFF_FFFF)
    with pytest.raises(VizappError, match="without addresses and is no ELF file"):
        load(header)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([KERNEL, FLAT]),
    st.lists(st.tuples(st.integers(0, 140), st.binary(min_size=1, max_size=4)), max_size=6),
    st.integers(0, 1000),
)
def test_no_damage_makes_more_than_a_sentence(
    data: bytes, edits: list[tuple[int, bytes]], length: int
) -> None:
    damaged = bytearray(data)
    for at, patch in edits:
        damaged[at : at + len(patch)] = patch
    with suppress(VizappError):
        header = find_header(bytes(damaged[:length]))
        if header is not None:
            multiboot_image("kernel", bytes(damaged[:length]), header, MEMORY)
    with suppress(VizappError):
        read_elf("kernel", bytes(damaged[:length]), MEMORY)


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.binary(min_size=1, max_size=1024),
        st.binary(max_size=100).map(lambda start: start.ljust(510, b"\0") + b"\x55\xaa"),
        st.binary(min_size=1, max_size=64).map(lambda end: end.rjust(64 << 10, b"\xff")),
        st.binary(max_size=200).map(lambda rest: b"\x7fELF" + rest),
    ),
    st.sampled_from(["image", "image.bin", "image.img", "image.elf"]),
)
def test_no_file_makes_more_than_a_sentence(data: bytes, name: str) -> None:
    with suppress(VizappError):
        load(data, name)
