"""The assembler's bytes are NASM's: every form of the opcode table, and every feature of the language."""

from __future__ import annotations

import pytest

from tests.goldens.nasm_forms import FORMS, LANGUAGE
from vizapp.guest.assembler import assemble


@pytest.mark.parametrize("bits", [16, 32])
def test_every_form(bits: int) -> None:
    rows = [line.split(" ", 2) for line in FORMS.read_text(encoding="utf-8").splitlines()]
    forms = [(text, code) for mode, code, text in rows if int(mode) == bits]
    assert len(forms) > 4000
    assembly = assemble("\n".join(text for text, _ in forms), bits=bits)
    made = {
        line.number: assembly.data[line.address : line.address + line.length].hex() for line in assembly.lines
    }
    different = [
        (text, code, made.get(number))
        for number, (text, code) in enumerate(forms, 1)
        if made.get(number) != code
    ]
    assert different == []


@pytest.mark.parametrize("name", sorted(path.stem for path in LANGUAGE.glob("*.asm")))
def test_the_language(name: str) -> None:
    source = (LANGUAGE / f"{name}.asm").read_text(encoding="utf-8")
    assert assemble(source, f"{name}.asm").data == (LANGUAGE / f"{name}.bin").read_bytes()
