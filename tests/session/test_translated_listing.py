"""The margin of the code panel under binary translation: what becomes of each instruction, by ring."""

from __future__ import annotations

import pytest

from vizapp.isa.addresses import Linear
from vizapp.isa.decode import decode
from vizapp.session.notes import note


@pytest.mark.parametrize(
    ("code", "kernel", "application"),
    [
        ("89c8", "IDENT", "direct"),
        ("fa", "in the cache", "traps"),
        ("cf", "callout", "direct"),
        ("7405", "chained", "direct"),
        ("c3", "lookup", "direct"),
        ("0f0100", "callout", "leaks"),
        ("658b00", "callout", "direct"),
        ("cd80", "callout", "through the VMM"),
    ],
)
def test_notes_tell_translation_from_direct_execution(code: str, kernel: str, application: str) -> None:
    instruction = decode(bytes.fromhex(code), Linear(0x1000))
    found = [note(instruction, "binary-translation", False, application=ring_3) for ring_3 in (False, True)]
    assert [None if item is None else item.in_english() for item in found] == [kernel, application]
