"""The porting diff: what the port of a guest changed, and nothing that it did not."""

from __future__ import annotations

from functools import cache

import pytest

from vizapp.guest import library
from vizapp.guest.catalogue import GUESTS
from vizapp.guest.port import ported_lines, porting_diff

build_guest = cache(library.build_guest)

PORTED = [guest.name for guest in GUESTS.values() if {"native", "xen"} <= set(guest.builds)]


def texts(name: str, side: str, file: str) -> list[str]:
    diff = porting_diff(build_guest(name), build_guest(name, "xen"))
    return [line.text.split(";")[0].strip() for line in diff if (line.side, line.file) == (side, file)]


def test_build_compared_with_itself_has_no_difference() -> None:
    image = build_guest("rings")
    assert {line.side for line in porting_diff(image, image)} == {"both"}
    assert ported_lines(image, image) == frozenset()


def test_port_of_rings_changed_what_is_privileged_and_nothing_else() -> None:
    changed = texts("rings", "ported", "rings.asm")
    assert [text for text in changed if text.isupper() or "_" in text][:3] == [
        "START_KERNEL",
        "call    open_application",
        "RETURN_FROM_INTERRUPT",
    ]
    assert "lea     eax, [ebx + ebx]" not in changed
    same = texts("rings", "both", "rings.asm")
    assert "cli" in same
    assert "int     0x80" in same


def test_port_of_popf_replaced_the_instruction_that_betrays() -> None:
    assert "popf" in " ".join(texts("popf", "native", "popf.asm"))
    assert "mov     byte [UPCALL_MASK], 1" in texts("popf", "ported", "popf.asm")


@pytest.mark.parametrize("name", PORTED)
def test_diff_holds_every_line_of_both_builds_once(name: str) -> None:
    native, xen = build_guest(name), build_guest(name, "xen")
    diff = porting_diff(native, xen)
    assert sum(line.side != "ported" for line in diff) == len(native.lines)
    assert sum(line.side != "native" for line in diff) == len(xen.lines)
    assert {file for file, _ in ported_lines(native, xen)} >= {"support_xen.inc", f"{name}.asm"}
