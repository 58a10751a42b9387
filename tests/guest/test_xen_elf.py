"""Kernels of others for Xen: what their notes say, and how they come to lie in memory."""

from __future__ import annotations

import contextlib

import pytest
from xen_elf_support import (
    ENTRY,
    FEATURES,
    HYPERCALL_PAGE,
    LOADER,
    PADDR_OFFSET,
    PAE_MODE,
    VIRT_BASE,
    XEN_VERSION,
    elf,
    note,
)

from vizapp.errors import ImageError
from vizapp.guest.loader import load_guest

BASE = 0xC000_0000
CODE = bytes(range(256)) * 32  # two pages
NOTES = note(VIRT_BASE, BASE) + note(ENTRY, BASE + 0x10_0004) + note(HYPERCALL_PAGE, BASE + 0x10_1000)


def load(tmp_path, data: bytes, build: str = "xen"):
    path = tmp_path / "kernel"
    path.write_bytes(data)
    return load_guest(str(path), build)


def test_notes_say_where_everything_is(tmp_path):
    image = load(tmp_path, elf(CODE, 0x10_0000, BASE + 0x10_0000, BASE + 0x10_0000, notes=NOTES, bss=0x5000))
    assert (image.build, image.virtual_base, image.entry) == ("xen", BASE, BASE + 0x10_0004)
    assert image.segments == ((0x10_0000, CODE),)
    assert (image.hypercall_page, image.size, image.pae) == (BASE + 0x10_1000, 0x10_7000, False)


def test_an_offset_of_physical_addresses_is_taken_off(tmp_path):
    notes = NOTES + note(PADDR_OFFSET, BASE) + note(PAE_MODE, "yes")
    image = load(tmp_path, elf(CODE, BASE + 0x10_0000, BASE + 0x10_0000, BASE + 0x10_0000, notes=notes))
    assert image.segments[0][0] == 0x10_0000
    assert image.pae


def test_the_older_text_counts_pages(tmp_path):
    text = "GUEST_OS=linux,XEN_VER=xen-3.0,VIRT_BASE=0xC0000000,HYPERCALL_PAGE=0x101,LOADER=generic,PAE=no"
    image = load(tmp_path, elf(CODE, BASE + 0x10_0000, BASE + 0x10_0000, BASE + 0x10_0000, text=text))
    assert (image.entry, image.hypercall_page) == (BASE + 0x10_0000, BASE + 0x10_1000)
    assert image.segments[0][0] == 0x10_0000  # its offset is the virtual base by itself


@pytest.mark.parametrize(
    ("notes", "problem"),
    [
        (note(XEN_VERSION, "xen-2.0"), "a kernel for xen-2.0"),
        (note(LOADER, "bsd"), "wants the loader"),
        (note(PADDR_OFFSET, 0), "VIRT_BASE"),
        (note(VIRT_BASE, BASE) + note(FEATURES, "!auto_translated_physmap"), "auto_translated_physmap"),
        (note(VIRT_BASE, BASE) + note(FEATURES, "a|!supervisor_mode_kernel"), "ring 0"),
        (note(VIRT_BASE, BASE) + note(ENTRY, BASE - 4), "do not fit its segments: 0xbffffffc"),
        (note(VIRT_BASE, BASE) + note(PADDR_OFFSET, BASE), "0x00100000 is outside"),
    ],
)
def test_notes_that_cannot_be_met_are_told(tmp_path, notes, problem):
    with pytest.raises(ImageError, match=problem):
        load(tmp_path, elf(CODE, 0x10_0000, BASE + 0x10_0000, BASE + 0x10_0000, notes=notes))


def test_such_a_kernel_is_for_paravirtual_only(tmp_path):
    data = elf(CODE, 0x10_0000, BASE + 0x10_0000, BASE + 0x10_0000, notes=NOTES)
    with pytest.raises(ImageError, match="ported to Xen"):
        load(tmp_path, data, "native")
    with pytest.raises(ImageError, match="multiboot"):
        load(tmp_path, elf(CODE, 0x10_0000, 0x10_0000, 0x10_0000))


def test_damage_is_told_and_never_an_exception(tmp_path):
    whole = elf(CODE, 0x10_0000, BASE + 0x10_0000, BASE + 0x10_0000, notes=NOTES, text="VIRT_BASE=x")
    for length in (*range(0, 130, 7), len(whole) - 300, len(whole) - 100, len(whole) - 1):
        with contextlib.suppress(ImageError):
            load(tmp_path, whole[:length] or b"\x7fELF")
    for at in range(16, 116, 3):
        broken = bytearray(whole)
        broken[at] ^= 0xFF
        with contextlib.suppress(ImageError):
            load(tmp_path, bytes(broken))
