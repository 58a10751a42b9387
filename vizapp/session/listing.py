"""Guest code for the code panel: real bytes of memory disassembled, beside the source lines they came from.

The window of lines depends on EIP alone and moves a block at a time, so the listing stands still while
the guest executes through it, and looks the same whichever way the cursor came.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

import capstone

from vizapp.isa.addresses import Linear
from vizapp.isa.decode import DecodeError, decode
from vizapp.machine.image import BOOT_SECTOR, SECTOR_BYTES
from vizapp.session.frames import CodeLine
from vizapp.session.notes import note

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from vizapp.isa.instruction import Instruction
    from vizapp.machine.image import Image, SourceLine

BLOCK = 16  # lines by which the window moves
MARGIN = 8  # lines shown before the block and after it
LONGEST = 15  # bytes of an instruction
NOP = b"\x90"
_LABEL = re.compile(r"^\s*([\w.$@]+):")


def _unknown(_address: int) -> str:
    return ""


class _Row(NamedTuple):
    """An instruction of the image: where, its bytes, and the source line if it is the line's first."""

    address: int
    raw: bytes
    source: SourceLine | None


class Disassembler:
    """Capstone's text of single instructions, remembered."""

    def __init__(self) -> None:
        self._engines = {
            16: capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_16),
            32: capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32),
        }
        self._known: dict[tuple[int, bytes, int], tuple[str, Instruction | None]] = {}

    def __call__(self, address: int, raw: bytes, bits: int = 32) -> tuple[str, Instruction | None]:
        """The text of the instruction at the start of ``raw``, and its decoded form if it is one."""
        key = (address, raw, bits)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._read(address, raw, bits)
        return found

    def _read(self, address: int, raw: bytes, bits: int) -> tuple[str, Instruction | None]:
        try:
            instruction = decode(raw, Linear(address), bits)
        except DecodeError:
            return "db " + ", ".join(f"0x{byte:02x}" for byte in raw[:1]), None
        for _, _, mnemonic, operands in self._engines[bits].disasm_lite(instruction.raw, address, 1):
            return f"{mnemonic} {operands}".rstrip(), instruction
        return instruction.mnemonic, instruction


class _Map:
    """Rows in the order of their addresses."""

    def __init__(self, rows: list[_Row]) -> None:
        self.rows = rows
        self._addresses = [row.address for row in rows]

    def index(self, eip: int) -> int | None:
        """The row that begins at ``eip``."""
        index = bisect_left(self._addresses, eip)
        return index if index < len(self.rows) and self._addresses[index] == eip else None

    def behind(self, eip: int) -> int | None:
        """The row that ends at ``eip``: after a HLT that is the last, EIP is where no code follows."""
        index = bisect_left(self._addresses, eip) - 1
        if index < 0:
            return None
        row = self.rows[index]
        return index if row.address + len(row.raw) == eip else None


class Listing:
    """The code of one image as it lies in memory now."""

    def __init__(self, image: Image, technique: str, virtualizable: bool) -> None:
        self.disassemble = Disassembler()
        self._image = image
        self._technique = technique
        self._virtualizable = virtualizable
        self._maps: dict[int, _Map] = {}
        self._labels = {int(address): name for name, address in sorted(image.symbols.items(), reverse=True)}

    def title(self, eip: int, bits: int) -> str:
        """The source file and the address: ``minikernel.asm · 0x00101000``."""
        index = self._map(bits).index(eip)
        row = self._map(bits).rows[index] if index is not None else None
        name = PurePath(row.source.file).name if row is not None and row.source else self._image.name
        return f"{name} · {eip:#010x}"

    def lines(
        self,
        eip: int,
        bits: int,
        read: Callable[[int, int], bytes | None],
        heat: Mapping[int, int],
        breakpoints: Collection[int],
        ported: Collection[tuple[str, int]] = (),
        *,
        application: bool = False,
        way: Callable[[int], str] = _unknown,
    ) -> tuple[CodeLine, ...]:
        """The window around ``eip``, a linear address in a code segment of ``bits``.

        ``read`` gives guest bytes at a linear address, None where none are.
        ``application``: it is code of ring 3, as far as ``way`` does not know how a line has run.
        ``ported`` are the source lines, (file, number), that the port changed.
        """
        made = []
        for row in self._window(eip, bits, read):
            raw = read(row.address, len(row.raw)) or row.raw
            line = self._line(row, raw, bits, application=application, way=way(row.address))
            made.append(
                line._replace(
                    heat=heat.get(row.address, 0),
                    current=row.address == eip,
                    breakpoint=row.address in breakpoints,
                    changed_by_port=bool(row.source and (row.source.file, row.source.number) in ported),
                )
            )
        return tuple(made)

    def whole(self) -> tuple[CodeLine, ...]:
        """Every line of the image, as it will be loaded; of a binary, straight on from its first byte.

        Of a disk without source it is the boot sector.
        """
        bits = self._image.bits
        rows = self._map(bits).rows
        if not rows:
            for start, data in self._image.contents:
                rows = [*rows, *self._straight(start, data)]
        elif self._image.disks and not any(row.address == BOOT_SECTOR for row in rows):
            rows = [*self._straight(BOOT_SECTOR, self._image.disks[0][:SECTOR_BYTES]), *rows]
        return tuple(self._line(row, row.raw, bits) for row in rows)

    def _straight(self, address: int, data: bytes) -> list[_Row]:
        rows = []
        while data:
            _, instruction = self.disassemble(address, data[:LONGEST], self._image.bits)
            length = instruction.length if instruction is not None else 1
            rows.append(_Row(address, data[:length], None))
            address, data = address + length, data[length:]
        return rows

    def _line(
        self, row: _Row, raw: bytes, bits: int, *, application: bool = False, way: str = ""
    ) -> CodeLine:
        text, instruction = self.disassemble(row.address, raw, bits)
        source, comment, label = _split(row.source)
        return CodeLine(
            address=row.address,
            raw=raw,
            text=text,
            mark="innocuous" if instruction is None else instruction.opcode.privilege,
            note=None
            if instruction is None
            else note(instruction, self._technique, self._virtualizable, application=application, way=way),
            label=self._labels.get(row.address, label),
            source=source,
            comment=comment,
            line=row.source.number if row.source else 0,
        )

    def _map(self, bits: int) -> _Map:
        """The image's rows as code of ``bits``; made when first wanted."""
        found = self._maps.get(bits)
        if found is None:
            found = self._maps[bits] = _Map(self._read_image(bits))
        return found

    def _window(self, eip: int, bits: int, read: Callable[[int, int], bytes | None]) -> list[_Row]:
        code = self._map(bits)
        index = code.index(eip)
        if index is None:
            index = code.behind(eip)
        if index is None:
            return self._sweep(eip, bits, read)
        block = index // BLOCK * BLOCK
        return code.rows[max(0, block - MARGIN) : block + BLOCK + MARGIN]

    def _sweep(self, eip: int, bits: int, read: Callable[[int, int], bytes | None]) -> list[_Row]:
        """Code that is not in the image's map: straight on from EIP."""
        rows: list[_Row] = []
        address = eip
        while len(rows) < BLOCK + MARGIN:
            available = next((got for count in range(LONGEST, 0, -1) if (got := read(address, count))), None)
            if available is None:
                break
            _, instruction = self.disassemble(address, available, bits)
            raw = available[:1] if instruction is None else instruction.raw
            rows.append(_Row(address, raw, None))
            address += len(raw)
        return rows

    def _read_image(self, bits: int) -> list[_Row]:
        rows: list[_Row] = []
        for source in self._image.lines:
            data = self._bytes(int(source.address), source.length) if source.code else b""
            if len(data) > 1 and not data.strip(NOP):
                continue  # the padding of an ALIGN
            address, first = int(source.address), True
            while data:
                _, instruction = self.disassemble(address, data, bits)
                if instruction is None:
                    break
                rows.append(_Row(address, instruction.raw, source if first else None))
                data, address, first = data[instruction.length :], address + instruction.length, False
        rows.sort(key=lambda row: row.address)
        return rows

    def _bytes(self, linear: int, count: int) -> bytes:
        for start, data in self._image.contents:
            if start <= linear < start + len(data):
                return data[linear - start : linear - start + count]
        return b""


def _split(source: SourceLine | None) -> tuple[str, str, str]:
    """(statement, comment, label) of a source line."""
    if source is None:
        return "", "", ""
    statement, _, comment = source.text.partition(";")
    label = _LABEL.match(statement)
    if label is not None:
        statement = statement[label.end() :]
    return statement.strip(), comment.strip(), label[1] if label else ""
