"""What a port changed: the lines of a guest's source that make other code in its two builds."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from vizapp.isa.addresses import Linear
from vizapp.isa.decode import DecodeError, decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vizapp.machine.image import Image, SourceLine

LONGEST_INSTRUCTION = 15
Side: TypeAlias = Literal["both", "native", "ported"]
Place: TypeAlias = "tuple[str, int]"


class DiffLine(NamedTuple):
    """A line of the porting diff.

    Attributes:
        side: in which builds it stands: ``both``, or it went (``native``) or came (``ported``).
        file: the source file's name.
        number: the line in it, from 1.
        text: as written; a macro's bytes belong to the line that calls it.
    """

    side: Side
    file: str
    number: int
    text: str


class _Made(NamedTuple):
    """A source line and the instructions that it made: (mnemonic, privilege class) each."""

    place: Place
    text: str
    code: tuple[tuple[str, str], ...]


def ported_lines(native: Image, ported: Image) -> frozenset[Place]:
    """The (file, number) of the lines of ``ported`` that are new in it or make other instructions there.

    Operands do not count: addresses and selectors differ between the builds everywhere.
    """
    return changed_lines(porting_diff(native, ported))


def changed_lines(diff: Iterable[DiffLine]) -> frozenset[Place]:
    """The (file, number) of the lines that a port brought, out of its whole diff."""
    return frozenset((line.file, line.number) for line in diff if line.side == "ported")


def porting_diff(native: Image, ported: Image) -> tuple[DiffLine, ...]:
    """The source lines of both builds of one guest, in the order of their addresses."""
    old, new = list(_made(native)), list(_made(ported))
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    found: list[DiffLine] = []
    for operation, first, last, start, end in matcher.get_opcodes():
        if operation == "equal":
            found += _lines("both", old[first:last])
        else:
            found += _lines("native", old[first:last])
            found += _lines("ported", new[start:end])
    return tuple(found)


def _lines(side: Side, made: list[_Made]) -> list[DiffLine]:
    return [DiffLine(side, *line.place, line.text) for line in made]


def _made(image: Image) -> Iterator[_Made]:
    for line in image.lines:
        yield _Made((line.file, line.number), line.text, tuple(_instructions(image, line)))


def _instructions(image: Image, line: SourceLine) -> Iterator[tuple[str, str]]:
    """What the bytes of a line are as code; nothing for data."""
    code = _bytes_of(image, line) if line.code else b""
    while code:
        try:
            instruction = decode(code[:LONGEST_INSTRUCTION], Linear(line.address), image.bits)
        except DecodeError:  # an instruction that the source spells but the product does not do
            yield ("db", code.hex())
            return
        yield (instruction.mnemonic, instruction.opcode.privilege)
        code = code[instruction.length :]


def _bytes_of(image: Image, line: SourceLine) -> bytes:
    address = line.address - image.virtual_base
    for start, data in image.segments:
        if start <= address < start + len(data):
            return data[address - start : address - start + line.length]
    return b""
