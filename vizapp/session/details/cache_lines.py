"""The translation cache's bytes as lines, each of which is one instruction or one run of bytes that is none.

+00000  int 0xe0                  the monitor's door
+00002  mov ecx, edi              of a unit that is in use
+00004  int 0xe0                  …
+00006  nop                       padding: no unit is shorter than the jump that may have to give it up
+00007  nop
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.addresses import M32
from vizapp.isa.decode import MAX_LENGTH
from vizapp.vmm.binary_translation.spots import CALLOUT, CONTINUATION, LOOKUP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vizapp.session.listing import Disassembler
    from vizapp.vmm.binary_translation.cache import TranslationCache, Unit

NOWHERE: Final = -1
DOORS: Final = {CALLOUT: "callout", CONTINUATION: "continuation", LOOKUP: "lookup"}
"""What a call of the monitor from the cache is for."""
CODE, PADDING, REMNANT = "unit", "padding", "remnant"
_NEAR_JUMPS: Final = {0xE9: 1, **{0x0F00 | opcode: 2 for opcode in range(0x80, 0x90)}}
_NONE: Final = ""


class CacheLine(NamedTuple):
    """An instruction in the translation cache, or bytes there that nothing executes.

    Attributes:
        address: linear; ``offset`` is from the start of the cache.
        guest: the index of the guest instruction that it is for; -1: it brings the unit to its successor.
        door: of a call of the monitor, for what: a value of ``DOORS``; otherwise empty.
        leads_to: of a jump between units the guest's linear address that it stands for; -1: no such jump.
        unit: the number of the unit that it leads to; -1: to a continuation, which calls the monitor.
        ends: with it the guest instruction is done.
        part: ``unit`` of what is executed; ``detour`` of an instruction that was retranslated and lies
            elsewhere; ``padding`` behind a short unit; ``remnant`` of an instruction over which a jump was
            written.
        eip: the guest's, of a stub or a jump that is no unit's; -1: of another line.
    """

    address: int
    offset: int
    raw: bytes
    text: str
    guest: int
    door: str = _NONE
    leads_to: int = NOWHERE
    unit: int = NOWHERE
    ends: bool = False
    part: str = CODE
    eip: int = NOWHERE


class CacheReader:
    """Reads one cache as it is now."""

    def __init__(self, cache: TranslationCache, disassemble: Disassembler) -> None:
        self._cache = cache
        self._disassemble = disassemble
        self._whole = cache.bytes_at(0, cache.size)
        self._starts = {unit.start: number for number, unit in cache.units.items()}

    def of_unit(self, unit: Unit) -> tuple[CacheLine, ...]:
        """A unit that is in use."""
        return tuple(
            line._replace(
                guest=next((i for i, row in enumerate(unit.lines) if row[2] <= line.offset < row[3]), NOWHERE)
            )
            for line in self.lines(unit.start, unit.end, unit)
        )

    def lines(self, start: int, end: int, unit: Unit | None = None) -> Iterator[CacheLine]:
        """From one offset to another, which lies behind an instruction; ``unit`` if they are of one."""
        cache, at = self._cache, start
        while at < end:
            spot = cache.spots.get(at)
            text, instruction = self._disassemble(
                cache.base + at, self._whole[at : min(at + MAX_LENGTH, end)]
            )
            if spot is None or instruction is None:
                length = 1
                while unit is None and at + length < end and at + length not in cache.spots:
                    length += 1
                raw = self._whole[at : at + length]
                part = REMNANT if unit is None else PADDING
                text = text if unit is not None else "db " + ", ".join(f"0x{byte:02x}" for byte in raw)
                yield CacheLine(cache.base + at, at, raw, text, NOWHERE, part=part)
                at += length
                continue
            length = instruction.length
            leads_to, led = self._target(at, unit)
            yield CacheLine(
                address=cache.base + at,
                offset=at,
                raw=self._whole[at : at + length],
                text=text,
                guest=NOWHERE,
                door=DOORS.get(spot.kind, _NONE),
                leads_to=leads_to,
                unit=led,
                ends=spot.ends,
                eip=spot.eip if spot.unit == NOWHERE and not spot.target else NOWHERE,
            )
            at += length

    def _target(self, at: int, unit: Unit | None) -> tuple[int, int]:
        """Of a jump the guest's linear address that it stands for, and the unit that is there."""
        cache = self._cache
        target = jump_target(self._whole, at)
        if target is None:
            return NOWHERE, NOWHERE
        number = self._starts.get(target, NOWHERE)
        if number != NOWHERE:
            key = cache.units[number].key
            return (key.base if unit is None else unit.key.base) + key.eip & M32, number
        if unit is None or target not in cache.spots:
            return NOWHERE, NOWHERE
        return unit.key.base + cache.spots[target].eip & M32, NOWHERE


def jump_target(data: bytes, offset: int) -> int | None:
    """Where in the cache the jump at ``offset`` of its bytes leads, as an offset; None if there is none."""
    length = _NEAR_JUMPS.get(data[offset]) or _NEAR_JUMPS.get(data[offset] << 8 | data[offset + 1])
    if length is None:
        return None
    distance = data[offset + length : offset + length + 4]
    return offset + length + 4 + int.from_bytes(distance, "little", signed=True)
