"""The opcode table: one ``Opcode`` a row, and its indexes by opcode byte and by mnemonic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from vizapp.isa import classes
from vizapp.isa.classes import Privilege
from vizapp.isa.table import UNIMPLEMENTED, Row, rows

SEGMENT_NAMES = ("ES", "CS", "SS", "DS", "FS", "GS")
MEMORY_ONLY = frozenset({"M", "Ma", "Mp", "Mq", "Mdq", "Ms", "Mw"})
X87 = range(0xD8, 0xE0)
_PREFIXES = ("NP", "66", "F3")
_SYSTEM_GROUP = 0x01  # after 0F: the one group whose register forms are instructions of their own
_MODRM = MEMORY_ONLY | {"Eb", "Ev", "Ew", "Ed", "Rd"}


@dataclass(frozen=True, slots=True, eq=False)
class Opcode:
    """One row of the table, compared by identity.

    Attributes:
        index: place in ``OPCODES``.
        mnemonic: NASM's name, lower case, one for both operand sizes (see ``vizapp.isa.table``).
        encoding: opcode bytes, ModRM and immediates as the SDM prints them: ``80 /0 ib``.
        operands: SDM operand codes: ``("Eb", "Ib")``.
        operation: what the semantics are keyed by: the mnemonic with ``_`` for a space, except where one
            mnemonic names two things: ``mov_to_segment`` and ``mov_from_segment``, also ``_control`` and
            ``_debug``, ``push_segment``, ``pop_segment``, ``jmp_indirect``, ``call_indirect``.
        privilege: ``innocuous``, ``sensitive`` or ``privileged``.
        cost: price class between registers, a name of ``machine.inputs``.
        memory_cost: price class with an operand in memory.
        flags_read: EFLAGS bits that it may read.
        flags_written: EFLAGS bits that it may change, those left undefined included.
        flags_undefined: of the written ones, those that the manual leaves undefined.
        two_byte: whether 0F precedes ``code``.
        code: the opcode byte; of a ``+r`` row the lowest of eight.
        digit: the opcode extension in ModRM's reg field, or None.
        has_modrm: whether a ModRM byte follows.
        plus_register: whether the low three bits of the opcode byte are a register.
        lockable: whether LOCK may precede a form with memory as its destination.
        modrm: the whole ModRM byte where it is part of the opcode, or None.
        prefix: ``66`` or ``F3`` where that prefix is part of the opcode, ``NP`` where none of its like may
            stand before it, otherwise empty.
        three_byte: whether 0F 38 precedes ``code``.
        repeatable: whether REP, REPE and REPNE mean something.
    """

    index: int
    mnemonic: str
    encoding: str
    operands: tuple[str, ...]
    operation: str
    privilege: Privilege
    cost: str
    memory_cost: str
    flags_read: int
    flags_written: int
    flags_undefined: int
    two_byte: bool
    code: int
    digit: int | None
    has_modrm: bool
    plus_register: bool
    lockable: bool
    repeatable: bool
    modrm: int | None = None
    prefix: str = ""
    three_byte: bool = False

    def __reduce__(self) -> tuple[object, tuple[int]]:
        # A pickled opcode is its place in the table, so it is itself again in another process.
        return _opcode_at, (self.index,)


def _opcode_at(index: int) -> Opcode:
    return OPCODES[index] if index < len(OPCODES) else ESCAPE


def _operation(mnemonic: str, operands: tuple[str, ...]) -> str:
    first, second = (*operands, "", "")[:2]
    for code, name in (("Sw", "segment"), ("Cd", "control"), ("Dd", "debug")):
        if first == code:
            return f"{mnemonic}_to_{name}"
        if second == code:
            return f"{mnemonic}_from_{name}"
    if first in SEGMENT_NAMES:
        return f"{mnemonic}_segment"
    if mnemonic in ("jmp", "call") and first == "Ev":
        return f"{mnemonic}_indirect"
    return mnemonic.replace(" ", "_")


def _whole_modrm(rest: list[str], code: int, two_byte: bool) -> int | None:
    takes_one = code == _SYSTEM_GROUP if two_byte else code in X87
    return int(rest[0], 16) if takes_one and rest[0][0] != "/" else None


def _opcode(index: int, row: Row) -> Opcode:
    parts = row.encoding.split()
    prefix = parts.pop(0) if parts[0] in _PREFIXES and len(parts) > 1 else ""
    two_byte = parts[0] == "0F" and len(parts) > 1
    three_byte = two_byte and parts[1] == "38" and len(parts) > 2
    escapes = int(two_byte) + int(three_byte)
    code = int(parts[escapes], 16)
    modrm = _whole_modrm(parts[escapes + 1 :], code, two_byte)
    digits = [int(part[1]) for part in parts if part[0] == "/" and part != "/r"]
    operation = _operation(row.mnemonic, row.operands)
    memory_is_first = bool(row.operands) and row.operands[0][0] in "EMO"
    read, written, undefined = classes.flags(row.mnemonic)
    return Opcode(
        index=index,
        mnemonic=row.mnemonic,
        encoding=row.encoding,
        operands=row.operands,
        operation=operation,
        privilege=classes.privilege(operation),
        cost=classes.cost(operation),
        memory_cost=classes.memory_cost(operation, memory_is_first),
        flags_read=read,
        flags_written=written,
        flags_undefined=undefined,
        two_byte=two_byte,
        code=code,
        digit=digits[0] if digits else None,
        has_modrm="/" in row.encoding or modrm is not None or any(code in _MODRM for code in row.operands),
        plus_register="+r" in parts,
        lockable=row.mnemonic in classes.LOCKABLE and memory_is_first,
        repeatable=row.mnemonic in classes.STRINGS,
        modrm=modrm,
        prefix=prefix,
        three_byte=three_byte,
    )


OPCODES: tuple[Opcode, ...] = tuple(_opcode(index, row) for index, row in enumerate(rows()))
"""Every row, in the order in which an assembler prefers them."""

PAUSE = next(opcode for opcode in OPCODES if opcode.mnemonic == "pause")
"""F3 90, the one instruction here that a prefix turns into another."""

ESCAPE = _opcode(len(OPCODES), Row("D8 /r", "esc", ("Ee",)))
"""Any instruction of the x87 as the processor itself sees it; the name is the 8086's. In no index."""

WITH_MODRM = {
    (opcode.code | (0x0F00 if opcode.two_byte else 0), opcode.modrm): opcode
    for opcode in OPCODES
    if opcode.modrm is not None
}
"""By opcode (0x0Fxx with the escape) and ModRM byte."""


def _varied() -> dict[int, tuple[Opcode, ...]]:
    found: dict[int, tuple[Opcode, ...]] = {}
    for opcode in OPCODES:
        if opcode.two_byte and opcode.prefix and opcode.modrm is None:
            number = (0x0F_3800 if opcode.three_byte else 0x0F00) | opcode.code
            found[number] = (*found.get(number, ()), opcode)
    return found


VARIED: dict[int, tuple[Opcode, ...]] = _varied()
"""By opcode (0x0Fxx, 0x0F38xx): the rows of which a prefix, or that there is none, chooses one."""

Slot: TypeAlias = Opcode | tuple[Opcode | None, ...] | None
"""What an opcode byte leads to: an instruction, eight by ModRM's reg field, or none."""


def _maps() -> tuple[list[Slot], list[Slot]]:
    maps: list[list[Slot]] = [[None] * 256, [None] * 256]
    # +r rows first, so that 90 is NOP and not XCHG EAX, EAX
    for opcode in sorted(OPCODES, key=lambda opcode: not opcode.plus_register):
        if opcode.prefix or opcode.modrm is not None:
            continue
        slots = maps[int(opcode.two_byte)]
        if opcode.digit is not None:
            group = slots[opcode.code]
            members: list[Opcode | None] = list(group) if isinstance(group, tuple) else [None] * 8
            members[opcode.digit] = opcode
            slots[opcode.code] = tuple(members)
        else:
            for code in range(opcode.code, opcode.code + (8 if opcode.plus_register else 1)):
                slots[code] = opcode
    return maps[0], maps[1]


ONE_BYTE, TWO_BYTE = _maps()
"""By opcode byte, without and with the 0F escape."""


def _by_mnemonic() -> dict[str, tuple[Opcode, ...]]:
    found: dict[str, list[Opcode]] = {}
    for opcode in OPCODES:
        found.setdefault(opcode.mnemonic, []).append(opcode)
    return {mnemonic: tuple(forms) for mnemonic, forms in found.items()}


BY_MNEMONIC: dict[str, tuple[Opcode, ...]] = _by_mnemonic()
"""The forms of each mnemonic, in order of preference."""


def _unimplemented() -> Iterator[tuple[int, str]]:
    for name, codes in UNIMPLEMENTED.items():
        for code in codes:
            yield code, name


UNIMPLEMENTED_SETS: dict[int, str] = dict(_unimplemented())
"""Opcode (0x0Fxx with the escape) to the name of the instruction set that it belongs to."""
