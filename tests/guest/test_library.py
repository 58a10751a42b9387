"""The shipped guests: their bytes are NASM's, and both builds of one are the same program."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest

from tests.goldens.make import nasm_golden, results
from vizapp.errors import ScenarioError, UnknownNameError
from vizapp.guest import catalogue, library
from vizapp.guest.catalogue import GROUPS, GUESTS, guest_directory
from vizapp.isa.decode import decode
from vizapp.machine.image import Image

build_guest = cache(library.build_guest)

BUILDS = [(guest.name, build) for guest in GUESTS.values() for build in guest.builds]
NATIVE = [guest.name for guest in GUESTS.values() if "native" in guest.builds]
XEN = [guest.name for guest in GUESTS.values() if "xen" in guest.builds]
PORTED = [name for name in XEN if name in NATIVE]
DRIVES_DEVICES = "dom0"
LOOPING = [guest for guest in GUESTS.values() if guest.iterations is not None]


def bytes_of(image: Image) -> bytes:
    ((_, data),) = image.segments
    return data


def marks(image: Image) -> list[str]:
    """Those of progress; a front end's look at its ring is none."""
    return [name for _, name in sorted(image.marks.items()) if not name.startswith("mark_ring_")]


@pytest.mark.parametrize(("name", "build"), BUILDS)
def test_bytes_are_those_of_nasm(name: str, build: str) -> None:
    assert bytes_of(build_guest(name, build)) == nasm_golden(name, build).read_bytes()


@pytest.mark.parametrize("name", NATIVE)
def test_native_build_is_loaded_flat_at_one_megabyte_and_starts_there(name: str) -> None:
    image = build_guest(name)
    assert [address for address, _ in image.segments] == [0x10_0000]
    assert (image.entry, image.bits, image.build, image.virtual_base) == (0x10_0000, 32, "native", 0)


@pytest.mark.parametrize("name", XEN)
def test_xen_build_is_linked_at_the_virtual_base_and_names_its_hypercall_page(name: str) -> None:
    image = build_guest(name, "xen")
    assert [address for address, _ in image.segments] == [0]
    assert image.entry == image.virtual_base == 0xC000_0000
    assert image.symbols["hypercall_page"] % 4096 == 0
    assert image.symbols["shared_info"] % 4096 == 0


@pytest.mark.parametrize("name", PORTED)
def test_both_builds_have_the_same_marks_in_the_same_order(name: str) -> None:
    assert marks(build_guest(name)) == marks(build_guest(name, "xen")) != []


@pytest.mark.parametrize("name", PORTED)
def test_application_is_the_same_instructions_in_both_builds(name: str) -> None:
    native, xen = build_guest(name), build_guest(name, "xen")
    if "application" not in native.symbols:
        return
    lengths = {image.symbols["application_end"] - image.symbols["application"] for image in (native, xen)}
    assert len(lengths) == 1
    starts = [
        [
            line.address - image.symbols["application"]
            for line in image.lines
            if in_application(image, line.address)
        ]
        for image in (native, xen)
    ]
    assert starts[0] == starts[1] != []


def in_application(image: Image, address: int) -> bool:
    return image.symbols.get("application", 1 << 32) <= address < image.symbols.get("application_end", 0)


@pytest.mark.parametrize("name", [name for name in XEN if name != DRIVES_DEVICES])
def test_ported_kernel_has_no_privileged_instruction(name: str) -> None:
    image = build_guest(name, "xen")
    data = bytes_of(image)
    privileged = []
    for line in image.lines:
        if not line.code:
            continue
        offset = line.address - image.virtual_base
        end = offset + line.length
        while offset < end and not in_application(image, line.address):
            instruction = decode(data[offset : offset + 15], line.address)
            if instruction.opcode.privilege == "privileged":
                privileged.append((line.number, line.text))
            offset += instruction.length
    assert privileged == []


@pytest.mark.parametrize("guest", LOOPING, ids=lambda guest: guest.name)
def test_source_and_library_agree_on_the_default_iterations(guest) -> None:
    default = bytes_of(build_guest(guest.name))
    assert bytes_of(build_guest(guest.name, iterations=guest.iterations)) == default
    assert bytes_of(build_guest(guest.name, iterations=guest.iterations + 1)) != default


@pytest.mark.parametrize("name", GUESTS)
def test_every_guest_has_a_group_words_and_a_known_result(name: str) -> None:
    guest = GUESTS[name]
    assert guest.group in GROUPS
    assert guest.title.in_english()
    assert guest.summary.in_english().endswith(".")
    assert name not in NATIVE or len(results()[name]) == 8


def test_library_lists_every_source() -> None:
    assert {path.stem for path in guest_directory().glob("*.asm")} == set(GUESTS)


@pytest.mark.parametrize("path", sorted(guest_directory().iterdir()), ids=lambda path: path.name)
def test_sources_fit_the_code_panel(path) -> None:
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), 1):
        assert len(line) < 78, f"{path.name}:{number}"
        assert line == line.rstrip()
        assert "\t" not in line


def test_unknown_guest_suggests_a_near_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean minikernel"):
        build_guest("minikernal")


def test_unknown_build_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="build named zen"):
        build_guest("hello", "zen")


def test_build_that_a_guest_has_not_is_refused() -> None:
    with pytest.raises(ScenarioError, match="sensitive has no xen build, only: native"):
        build_guest("sensitive", "xen")


def test_iterations_are_for_guests_that_loop() -> None:
    with pytest.raises(ScenarioError, match=r"hello does not loop.*: syscall, page-fault, in, .*compute"):
        build_guest("hello", iterations=3)


@pytest.mark.parametrize("iterations", [0, -1, 1_000_001])
def test_iterations_have_bounds(iterations: int) -> None:
    with pytest.raises(ScenarioError, match="are not between 1 and 1000000"):
        build_guest("syscall", iterations=iterations)


def test_a_source_that_is_edited_is_assembled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = shutil.copytree(guest_directory(), tmp_path / "guests")
    for module in (catalogue, library):
        monkeypatch.setattr(module, "guest_directory", lambda: directory)
    before = library.build_guest("hello")
    assert library.build_guest("hello") is before
    included = directory / "abi_native.inc"
    included.write_text(included.read_text(encoding="utf-8") + "\nnop\n", encoding="utf-8")
    assert bytes_of(library.build_guest("hello")) != bytes_of(before)
