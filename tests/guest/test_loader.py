"""GUEST: library names, sources and binaries, and a sentence for whatever cannot be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vizapp.errors import AssemblyError, ImageError, ScenarioError, UnknownNameError
from vizapp.guest.firmware import bios
from vizapp.guest.library import build_guest
from vizapp.guest.loader import load_guest, read_disk

if TYPE_CHECKING:
    from pathlib import Path


def test_library_name_gives_the_library_guest() -> None:
    assert load_guest("hello") == build_guest("hello")
    assert load_guest("syscall", "xen", iterations=5) == build_guest("syscall", "xen", 5)


def test_unknown_name_is_no_guest() -> None:
    with pytest.raises(UnknownNameError, match="no guest named helo; did you mean hello"):
        load_guest("helo")


def test_path_without_a_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="there is no file"):
        load_guest(str(tmp_path / "nothing.asm"))


def test_source_is_assembled_at_one_megabyte(tmp_path: Path) -> None:
    source = tmp_path / "mine.asm"
    source.write_text("bits 32\nmov eax, there\nthere: hlt\n")
    image = load_guest(str(source))
    assert image.segments == ((0x10_0000, b"\xb8\x05\x00\x10\x00\xf4"),)
    assert (image.entry, image.name, image.bits, image.symbols["there"]) == (
        0x10_0000,
        "mine.asm",
        32,
        0x10_0005,
    )


def test_source_starts_at_its_start_label_and_where_it_wants(tmp_path: Path) -> None:
    source = tmp_path / "mine.asm"
    source.write_text("org 0x200000\nbits 32\nnop\n_start: hlt\n")
    image = load_guest(str(source))
    assert image.segments == ((0x20_0000, b"\x90\xf4"),)
    assert image.entry == 0x20_0001


def test_source_includes_its_neighbours_and_the_library(tmp_path: Path) -> None:
    (tmp_path / "part.inc").write_text("tables: dd 7\n")
    source = tmp_path / "mine.asm"
    source.write_text(
        '%include "abi.inc"\n_start: START_KERNEL\nSHUT_DOWN\nTRAPS\nEND_TRAPS\n%include "part.inc"\n'
        '%include "support.inc"\n'
    )
    for build in ("native", "xen"):
        image = load_guest(str(source), build)
        assert image.build == build
        assert "tables" in image.symbols


@pytest.mark.parametrize(
    "reference", ["/etc/hostname", "../secret.inc", "deeper/../../secret.inc", "c:secret.inc"]
)
def test_source_includes_nothing_from_elsewhere(tmp_path: Path, reference: str) -> None:
    (tmp_path / "secret.inc").write_text("dd 42\n")
    below = tmp_path / "below"
    below.mkdir()
    source = below / "mine.asm"
    source.write_text(f'bits 32\nnop\n%include "{reference}"\n')
    with pytest.raises(AssemblyError, match=r"mine\.asm:3"):
        load_guest(str(source))


def test_link_out_of_the_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.inc").write_text("dd 42\n")
    below = tmp_path / "below"
    below.mkdir()
    try:
        (below / "link.inc").symlink_to(tmp_path / "secret.inc")
    except OSError:
        pytest.skip("no links here")
    (below / "mine.asm").write_text('%include "link.inc"\n')
    with pytest.raises(AssemblyError):
        load_guest(str(below / "mine.asm"))


def test_mistake_in_a_source_names_its_line(tmp_path: Path) -> None:
    source = tmp_path / "mine.asm"
    source.write_text("bits 32\nnop\nfrobnicate eax\n")
    with pytest.raises(AssemblyError, match=r"mine\.asm:3:"):
        load_guest(str(source))


def test_source_without_bytes_is_nothing_to_run(tmp_path: Path) -> None:
    source = tmp_path / "mine.asm"
    source.write_text("; nothing\n")
    with pytest.raises(ImageError, match="makes no bytes"):
        load_guest(str(source))


def test_source_that_is_no_text_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "mine.asm"
    source.write_bytes(b"\xff\xfe\x00binary")
    with pytest.raises(ImageError, match="is not UTF-8 text"):
        load_guest(str(source))


def test_source_takes_no_load_address(tmp_path: Path) -> None:
    source = tmp_path / "mine.asm"
    source.write_text("nop\n")
    with pytest.raises(ScenarioError, match="takes no --load"):
        load_guest(str(source), load=0x1000)


def test_flat_binary_is_loaded_where_told(tmp_path: Path) -> None:
    binary = tmp_path / "code.bin"
    binary.write_bytes(b"\x90\xf4")
    image = load_guest(str(binary), load=0x7000)
    assert image.segments == ((0x7000, b"\x90\xf4"),)
    assert image.entry == 0x7000
    assert load_guest(str(binary), load=0x7000, entry=0x7001).entry == 0x7001


def test_flat_binary_needs_its_address(tmp_path: Path) -> None:
    binary = tmp_path / "code.bin"
    binary.write_bytes(b"\x90\xf4")
    with pytest.raises(ImageError, match="with --load"):
        load_guest(str(binary))


@pytest.mark.parametrize("entry", [0x6FFF, 0x7002])
def test_entry_lies_in_the_binary(tmp_path: Path, entry: int) -> None:
    binary = tmp_path / "code.bin"
    binary.write_bytes(b"\x90\xf4")
    with pytest.raises(ImageError, match="cannot start at"):
        load_guest(str(binary), load=0x7000, entry=entry)


@pytest.mark.parametrize("load", [-1, 0xFFFF_FFFF, 1 << 40])
def test_binary_lies_below_four_gigabytes(tmp_path: Path, load: int) -> None:
    binary = tmp_path / "code.bin"
    binary.write_bytes(b"\x90\xf4")
    with pytest.raises(ImageError, match="do not fit below 4 GB"):
        load_guest(str(binary), load=load)


def test_16_bit_binary_starts_in_real_mode(tmp_path: Path) -> None:
    binary = tmp_path / "code.bin"
    binary.write_bytes(b"\x90\xf4")
    low = load_guest(str(binary), load=0x7000, entry=0x7001, bits=16)
    assert (low.bits, low.code_segment, low.entry) == (16, 0, 0x7001)
    high = load_guest(str(binary), load=0x2_0000, bits=16)
    assert (high.code_segment, high.entry) == (0x2000, 0x2_0000)


def test_16_bit_binary_lies_in_the_first_megabyte(tmp_path: Path) -> None:
    binary = tmp_path / "code.bin"
    binary.write_bytes(b"\x90\xf4")
    with pytest.raises(ImageError, match="do not fit in the first megabyte at 0xfffff"):
        load_guest(str(binary), load=0xF_FFFF, bits=16)


def test_16_bit_binary_starts_where_cs_reaches(tmp_path: Path) -> None:
    binary = tmp_path / "code.bin"
    binary.write_bytes(bytes(0x1_8000))
    with pytest.raises(ImageError, match="more than 64 KB after where it is loaded"):
        load_guest(str(binary), load=0x2_0000, entry=0x3_4000, bits=16)


def test_bits_are_16_or_32() -> None:
    with pytest.raises(ScenarioError, match="16 or 32 bits, not 64"):
        load_guest("hello", bits=64)


def test_library_guest_takes_no_address() -> None:
    with pytest.raises(ScenarioError, match="hello is not a flat binary"):
        load_guest("hello", load=0x1000)


def test_boot_sector_makes_a_disk_unless_called_flat(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    contents = bytes(510) + b"\x55\xaa" + bytes(512)
    disk.write_bytes(contents)
    image = load_guest(str(disk))
    assert (image.disks, image.rom, image.entry) == ((contents,), bios().data, 0xFFFF_FFF0)
    assert load_guest(str(disk), load=0x1000).entry == 0x1000


@pytest.mark.parametrize("kilobytes", [64, 128])
def test_rom_is_known_by_its_size(tmp_path: Path, kilobytes: int) -> None:
    rom = tmp_path / "bios.rom"
    contents = bytes((kilobytes << 10) - 16) + b"\xea" + bytes(15)
    rom.write_bytes(contents)
    image = load_guest(str(rom))
    assert (image.rom, image.disks, image.entry, image.bits) == (contents, (), 0xFFFF_FFF0, 16)


@pytest.mark.parametrize("blank", [b"\0", b"\xff"])
def test_rom_has_code_at_its_reset_vector(tmp_path: Path, blank: bytes) -> None:
    rom = tmp_path / "bios.rom"
    rom.write_bytes(blank * (64 << 10))
    with pytest.raises(ImageError, match="nothing at the reset vector"):
        load_guest(str(rom))


def test_source_with_a_signature_is_a_disk_with_lines(tmp_path: Path) -> None:
    source = tmp_path / "boot.asm"
    source.write_text("bits 16\nstart: hlt\ntimes 510 - ($ - $$) db 0\ndw 0xAA55\n")
    image = load_guest(str(source))
    assert image.symbols["start"] == 0x7C00
    assert (image.lines[0].address, image.lines[0].number) == (0x7C00, 2)
    assert image.lines[-1].file == "bios.asm"
    assert len(image.disks[0]) == 512


def test_source_without_one_is_flat_code(tmp_path: Path) -> None:
    source = tmp_path / "flat.asm"
    source.write_text("bits 16\norg 0x500\nnop\n_start: hlt\n")
    image = load_guest(str(source))
    assert (image.bits, image.entry, image.rom) == (16, 0x501, b"")
    with pytest.raises(ScenarioError, match="16-bit code, and a domain's kernel is not"):
        load_guest(str(source), "xen")


@pytest.mark.parametrize("name", ["kernel", "kernel.asm", "kernel.bin"])
def test_elf_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    kernel = tmp_path / name
    kernel.write_bytes(b"\x7fELF\x01\x01\x01")
    with pytest.raises(ImageError, match="ELF file without a multiboot header"):
        load_guest(str(kernel), load=None if name.endswith("asm") else 0x1000)


def test_disk_is_read_or_refused(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"contents")
    assert read_disk(str(disk)) == b"contents"
    with pytest.raises(ImageError, match="there is no file"):
        read_disk(str(tmp_path / "nothing.img"))


def test_a_scenario_file_is_no_guest(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text("pcs: []\n")
    with pytest.raises(ImageError, match="scenario and no guest"):
        load_guest(str(scenario))


def test_directory_is_no_guest(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a directory"):
        load_guest(str(tmp_path))


def test_empty_file_is_no_guest(tmp_path: Path) -> None:
    empty = tmp_path / "empty.bin"
    empty.touch()
    with pytest.raises(ImageError, match="is empty"):
        load_guest(str(empty), load=0)


def test_unreadable_file_gives_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = tmp_path / "locked.bin"
    locked.write_bytes(b"\x90")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(ImageError, match="cannot be read: Permission denied"):
        load_guest(str(locked), load=0)


def test_iterations_are_not_for_files(tmp_path: Path) -> None:
    binary = tmp_path / "code.bin"
    binary.write_bytes(b"\x90\xf4")
    with pytest.raises(ScenarioError, match="only guests of the library take iterations"):
        load_guest(str(binary), load=0, iterations=3)


def test_name_that_no_file_can_have_gives_the_reason() -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        load_guest("a" * 5000 + ".bin")


def test_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    huge = tmp_path / "huge.img"
    with huge.open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(ImageError, match="1024 are the most"):
        load_guest(str(huge))
