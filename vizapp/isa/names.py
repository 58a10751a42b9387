"""Every name that an assembler knows for a row of the opcode table, NASM's spellings included."""

from __future__ import annotations

from typing import NamedTuple

from vizapp.isa.instruction import Memory, Operand, Register
from vizapp.isa.opcodes import BY_MNEMONIC
from vizapp.isa.registers import DS, EAX, EBX, EDI, EDX, ES, ESI
from vizapp.isa.table import CONDITIONS


class Name(NamedTuple):
    """What a spelling stands for: a mnemonic, and the operand or address size that the spelling fixes."""

    mnemonic: str
    operand_size: int | None = None
    address_size: int | None = None


_CONDITION_ALIASES = {
    "c": "b", "nae": "b", "nb": "ae", "nc": "ae", "e": "z", "ne": "nz", "na": "be", "nbe": "a",
    "pe": "p", "po": "np", "nge": "l", "nl": "ge", "ng": "le", "nle": "g",
}  # fmt: skip

CONDITION_CODES: dict[str, int] = {name: code for code, name in enumerate(CONDITIONS)}
CONDITION_CODES |= {alias: CONDITION_CODES[name] for alias, name in _CONDITION_ALIASES.items()}
"""Every condition's name to its code (SDM Vol. 1, "EFLAGS Condition Codes")."""

_SPELLINGS: dict[str, Name] = {
    "cbw": Name("cbw", 2),
    "cwde": Name("cbw", 4),
    "cwd": Name("cwd", 2),
    "cdq": Name("cwd", 4),
    "jcxz": Name("jcxz", None, 2),
    "jecxz": Name("jcxz", None, 4),
    "retn": Name("ret"),
    "wait": Name("fwait"),
    "sal": Name("shl"),
    "xlatb": Name("xlat"),
    "loopz": Name("loope"),
    "loopnz": Name("loopne"),
    "icebp": Name("int1"),
    "int01": Name("int1"),
    "int03": Name("int3"),
}


def _names() -> dict[str, Name]:
    names = {mnemonic: Name(mnemonic) for mnemonic in BY_MNEMONIC if " " not in mnemonic}
    for stem in STRING_OPERANDS:
        del names[stem]
        names |= {stem + letter: Name(stem, size) for letter, size in (("b", 1), ("w", 2), ("d", 4))}
    for stem in ("pushf", "popf", "pusha", "popa", "iret"):
        names |= {stem + letter: Name(stem, size) for letter, size in (("w", 2), ("d", 4))}
    for stem in ("j", "set", "cmov"):
        names |= {stem + alias: Name(stem + canonical) for alias, canonical in _CONDITION_ALIASES.items()}
    return names | _SPELLINGS


STRING_OPERANDS = {
    "movs": "YX", "cmps": "XY", "stos": "YA", "lods": "AX", "scas": "AY", "ins": "YD", "outs": "DX",
}  # fmt: skip


def implied_operands(mnemonic: str, size: int, segment: int = DS) -> tuple[Operand, ...]:
    """The operands of a string instruction or XLAT, which assembly does not write.

    Args:
        mnemonic: of the opcode table.
        size: of the elements, 1, 2 or 4 bytes.
        segment: in place of DS.
    """
    if mnemonic == "xlat":
        return (Memory(segment, EBX, None, 1, 0, 1),)
    operands: dict[str, Operand] = {
        "X": Memory(segment, ESI, None, 1, 0, size),
        "Y": Memory(ES, EDI, None, 1, 0, size),
        "A": Register(EAX, size),
        "D": Register(EDX, 2),
    }
    return tuple(operands[letter] for letter in STRING_OPERANDS[mnemonic])


NAMES: dict[str, Name] = _names()
