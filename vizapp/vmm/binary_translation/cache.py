"""The translation cache: real x86 bytes in the machine's memory, and the monitor's books of them.

    0        units and landings, upward ──▶              ◀── stubs, downward        end
    | miss | unit | unit | landing | unit |       free       | stub | stub | stub |

A unit ends with jumps. One whose target is not translated leads to a stub, a continuation: it calls the
monitor, which translates and patches the jump (chaining). The jump that brings the newest unit to its
successor is overwritten if the successor is placed next. A unit that is dropped keeps its place until the
cache is flushed; its first bytes become a jump to a continuation, so that whatever led to it still does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vizapp.isa.addresses import M32, PAGE_SHIFT, HostPhysical, Linear
from vizapp.vmm.binary_translation import sequences
from vizapp.vmm.binary_translation.layout import LOOKUP_ENTRIES, LOOKUP_TABLE, LOOKUP_TABLES
from vizapp.vmm.binary_translation.sequences import DOOR, JUMP, JUMP_BYTES, dword
from vizapp.vmm.binary_translation.spots import CONTINUATION, Piece, Spot
from vizapp.vmm.binary_translation.translator import CHAINED

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.binary_translation.translator import Source

_NOP: Final = b"\x90"


class Key(NamedTuple):
    """What a translation is of: an EIP in a code segment of 16 or 32 bits, with such a stack."""

    eip: int
    base: int
    limit: int
    bits: int = 32
    stack: int = 32

    @property
    def segment(self) -> tuple[int, ...]:
        """The same for every EIP of the segment."""
        return self[1:]

    def at(self, eip: int) -> Key:
        """Another EIP of the same segment."""
        return self._replace(eip=eip)


class Unit(NamedTuple):
    """A translation unit.

    Attributes:
        start, end: offsets in the cache.
        starts: for each guest instruction (EIP, offset), and for the address behind them.
        code: the guest's bytes as (guest-physical address, count).
        pages: the linear pages that they were read from, with the guest frames that these were.
        counts: instructions by kind, in the order of ``translator.KINDS``.
        lines: of each guest instruction (EIP, kind, offset, end), for who wants to see it.
    """

    number: int
    key: Key
    start: int
    end: int
    starts: tuple[tuple[int, int], ...]
    code: tuple[tuple[int, int], ...]
    pages: tuple[tuple[int, int], ...]
    elided: bool
    lines: tuple[tuple[int, str, int, int], ...]


class TranslationCache:
    """``size`` bytes of cache from host frame ``frame`` on, at linear address ``base``.

    ``segment`` is the host-physical address of the monitor segment, whose lookup tables are the cache's.

    Attributes:
        spots: by offset in the cache.
        ends: by linear address, which guest instruction (linear) an instruction of the cache ends, or None;
            the machine counts by it.
        units: by number.
        landings: by number of a unit, the offset at which the lookup arrives for it.
        top, bottom: the free bytes, from offset to offset.
    """

    def __init__(
        self, memory: PhysicalMemory, frame: int, size: int, base: Linear, segment: HostPhysical
    ) -> None:
        self.base = base
        self.size = size
        self._memory = memory
        self._at = frame << PAGE_SHIFT
        self._segment = segment
        self.spots: dict[int, Spot] = {}
        self.ends: dict[Linear, Linear | None] = {}
        self.units: dict[int, Unit] = {}
        self._by_key: dict[Key, int] = {}
        self._jumps: dict[int, int] = {}  # of jumps that can be patched, the offset of the distance: the stub
        self.landings: dict[int, int] = {}
        self._numbers: dict[tuple[int, ...], int] = {}  # of code segments, in the order of their coming
        self._into: dict[int, tuple[int, ...]] = {}  # by offset of a unit, where distances to it stand
        self._served: dict[int, int] = {}  # by lookup table, the number of the segment that it is for
        self._tail: tuple[int, Key, int] | None = None  # the last unit's jump, where it goes, and the unit
        self._next = 0
        self.top = self.bottom = 0
        self._saved: Any = None
        self.clear()

    @property
    def used(self) -> int:
        """Bytes in use."""
        return self.top + self.size - self.bottom

    def clear(self) -> int:
        """Forget everything; how many units there were."""
        count = len(self.units)
        for table in self._tables():
            table.clear()
        self._memory.load(HostPhysical(self._at), b"\xcc" * self.size)
        self.top, self.bottom, self._tail = 0, self.size, None
        self._put_pieces(0, sequences.missed(), -1, 0, 0)
        self.top = len(DOOR)
        for number in range(LOOKUP_TABLES):
            self._empty(number)
        self._saved = None
        return count

    def table(self, key: Key) -> int:
        """The offset in the monitor segment of the lookup table of a code segment."""
        return LOOKUP_TABLE + self._number(key) % LOOKUP_TABLES * 4 * LOOKUP_ENTRIES

    def serve(self, key: Key) -> int:
        """Make a lookup table that of a code segment; how many doublewords were written for it."""
        number = self._number(key)
        table = number % LOOKUP_TABLES
        former = self._served.get(table)
        if former == number:
            return 0
        self._served[table] = number
        self._saved = None
        if former is None:
            return 0
        self._empty(table)
        return LOOKUP_ENTRIES

    def find(self, key: Key) -> Unit | None:
        """The unit that begins at a guest address."""
        number = self._by_key.get(key)
        return None if number is None else self.units[number]

    def within(self, number: int, key: Key) -> int | None:
        """Where a unit has a guest instruction, as an offset; None too if the unit is gone."""
        unit = self.units.get(number)
        if unit is None or unit.key.at(key.eip) != key:
            return None
        return next((offset for eip, offset in unit.starts if eip == key.eip), None)

    def add(
        self, source: Source, key: Key, code: tuple[tuple[int, int], ...], pages: tuple[tuple[int, int], ...]
    ) -> Unit | None:
        """Place a unit; None if there is no room for it: then the cache has to be cleared first."""
        start = self.top
        former = -1
        elided = self._tail is not None and self._tail[1] == key
        if elided and self._tail is not None:
            start = self._tail[0]
            former = self._tail[2]
        room = sum(len(piece.raw) for item in source.instructions for piece in item.pieces)
        room += 6 * len(source.instructions) + 3 * JUMP_BYTES
        if start + room > self.bottom - 3 * len(DOOR):
            return None
        if elided:
            self._jumps.pop(start + 1, None)
            self._forget(start, JUMP_BYTES)
            if former in self.units:
                self.units[former] = self.units[former]._replace(end=start)
        number, self._next = self._next, self._next + 1
        self._by_key[key] = number
        unit = Unit(number, key, start, start, (), code, pages, elided, ())
        self.units[number] = unit
        unit = self.units[number] = self._write(unit, source)
        self._saved = None
        return unit

    def replace(self, former: Unit, source: Source) -> Unit | None:
        """Place a unit anew, as ``source`` has it now, and let what leads to the former one lead there.

        None if there is no room: then the cache has to be cleared first.
        """
        if self._tail is not None and former.start <= self._tail[0] < former.end:
            self._tail = None
        self._tail = None if self._tail is not None and self._tail[1] == former.key else self._tail
        del self.units[former.number], self._by_key[former.key]
        unit = self.add(source, former.key, former.code, former.pages)
        if unit is None:
            self.units[former.number] = former
            self._by_key[former.key] = former.number
            return None
        self._spot(former.start, Spot(-1, former.key.eip))
        self._put_jump(former.start, bytes((JUMP,)), former.key)
        for site in self._into.pop(former.start, ()):
            if self._target(site) == former.start:
                self._lead(site, unit.start)
        at = self.landings.pop(former.number, None)
        if at is not None:
            self.landings[unit.number] = at
        return unit

    def chain(self, site: int, unit: Unit) -> bool:
        """Patch the jump whose distance is at ``site``; False if it is not there any more, or was already."""
        overwritten = unit.elided and site == unit.start + 1  # what is there now is the unit's own first jump
        if site not in self._jumps or overwritten:
            return False
        del self._jumps[site]
        self._lead(site, unit.start)
        self._saved = None
        return True

    def land(self, unit: Unit) -> bool:
        """Let indirect transfers find a unit; False if there is no room."""
        eip = unit.key.eip
        self.serve(unit.key)
        at = self.landings.get(unit.number)
        if at is None:
            pieces = sequences.landing(eip)
            if self.top + sum(len(piece.raw) for piece in pieces) + JUMP_BYTES > self.bottom:
                return False
            at = self.landings[unit.number] = self.top
            end = self._put_pieces(at, pieces, -1, eip, eip)
            self._spot(end, Spot(-1, eip, target=True))
            self._store(end, bytes((JUMP,)))
            self._lead(end + 1, unit.start)
            self.top, self._tail = end + JUMP_BYTES, None
        self._memory.write(
            self._segment + self.table(unit.key) + 4 * (eip & LOOKUP_ENTRIES - 1), 4, self.base + at
        )
        self._saved = None
        return True

    def drop(self, unit: Unit) -> bool:
        """Forget a unit: what leads to it leads to a continuation. False if there is no room for that."""
        if self.top + len(DOOR) > self.bottom:
            return False
        del self.units[unit.number], self._by_key[unit.key]
        self.landings.pop(unit.number, None)
        if self._tail is not None and unit.start <= self._tail[0] < unit.end:
            self._tail = None
        self._spot(unit.start, Spot(-1, unit.key.eip))
        self._put_jump(unit.start, bytes((JUMP,)), unit.key)
        self._saved = None
        return True

    def bytes_at(self, offset: int, count: int) -> bytes:
        """What is in the cache."""
        return self._memory.dump(HostPhysical(self._at + offset), count)

    def save(self) -> Any:
        """The books as plain data, the same object while nothing changes; the bytes are machine memory."""
        if self._saved is None:
            tables = tuple(dict(table) for table in self._tables())
            self._saved = tables, self._tail, self._next, self.top, self.bottom
        return self._saved

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        tables, self._tail, self._next, self.top, self.bottom = saved
        for table, kept in zip(self._tables(), tables, strict=True):
            table.clear()
            table.update(kept)
        self._saved = saved

    def _tables(self) -> tuple[dict[Any, Any], ...]:
        return (
            self.spots, self.ends, self.units, self._by_key, self._jumps, self.landings, self._numbers,
            self._served, self._into,
        )  # fmt: skip

    def _write(self, unit: Unit, source: Source) -> Unit:
        """The bytes and spots of a unit that is in the books already, so that it can jump to itself."""
        at, key = unit.start, unit.key
        starts: list[tuple[int, int]] = []
        lines: list[tuple[int, str, int, int]] = []
        shadow = False
        item = source.instructions[0]
        for item in source.instructions:
            eip = item.instruction.address
            after = eip + item.instruction.length & M32
            starts.append((eip, at))
            begin = at
            if item.pieces:
                at = self._put_pieces(at, item.pieces, unit.number, eip, after, key.base, shadow)
            if item.jump_ends:
                linear = key.base + eip & M32
                self._spot(at, Spot(unit.number, eip, ends=True, ended=linear, shadow=shadow))
                at = self._put_jump(at, item.jump, key.at(item.target))
            shadow = item.instruction.mnemonic == "sti"
            lines.append((eip, item.kind, begin, at))
        following = source.following
        if item.kind == CHAINED and not item.jump:  # LOOP and its like
            assert following is not None
            self._spot(at, Spot(unit.number, following))
            at = self._put_jump(at, bytes((JUMP,)), key.at(following))
            following = item.target
        self._tail = None
        if following is not None:
            if all(eip != following for eip, _ in starts):
                starts.append((following, at))
            self._spot(at, Spot(unit.number, following, shadow=shadow))
            if at - unit.start >= JUMP_BYTES and not shadow:
                self._tail = (at, key.at(following), unit.number)
            at = self._put_jump(at, bytes((JUMP,)), key.at(following))
        while at - unit.start < JUMP_BYTES:
            self._store(at, _NOP)
            at += 1
        self.top = at
        return unit._replace(end=at, starts=tuple(starts), lines=tuple(lines))

    def _put_pieces(
        self,
        at: int,
        pieces: tuple[Piece, ...],
        unit: int,
        eip: int,
        after: int,
        base: int = 0,
        shadow: bool = False,
    ) -> int:
        """Write instructions; the offset behind them."""
        for index, piece in enumerate(pieces):
            spot = Spot(
                unit, after if piece.after else eip, piece.kind, piece.ends, base + eip & M32,
                piece.ecx, piece.edx, piece.esp, piece.target, piece.flag, shadow and not index,
                eax=piece.eax, ebx=piece.ebx,
            )  # fmt: skip
            self._spot(at, spot)
            self._store(at, piece.raw)
            at += len(piece.raw)
        return at

    def _put_jump(self, at: int, opcode: bytes, target: Key) -> int:
        """A jump to a guest address: to its unit if there is one, or else to a continuation."""
        site = at + len(opcode)
        unit = self.find(target)
        if unit is None:
            self.bottom -= len(DOOR)
            self._spot(self.bottom, Spot(-1, target.eip, CONTINUATION, site=site))
            self._store(self.bottom, DOOR)
            self._jumps[site] = self.bottom
        self._store(at, opcode)
        if unit is None:
            self._store(site, dword(self.bottom - site - 4))
        else:
            self._lead(site, unit.start)
        return site + 4

    def _lead(self, site: int, start: int) -> None:
        """Let the jump whose distance is at ``site`` lead to the unit at ``start``."""
        self._store(site, dword(start - site - 4))
        self._into[start] = (*self._into.get(start, ()), site)

    def _target(self, site: int) -> int:
        """Where the jump with its distance at ``site`` leads; if it is one no more, anywhere."""
        return site + 4 + int.from_bytes(self.bytes_at(site, 4), "little", signed=True)

    def _spot(self, offset: int, spot: Spot) -> None:
        self.spots[offset] = spot
        self.ends[Linear(self.base + offset)] = Linear(spot.ended) if spot.ends else None

    def _forget(self, offset: int, count: int) -> None:
        for at in range(offset, offset + count):
            self.spots.pop(at, None)
            self.ends.pop(Linear(self.base + at), None)

    def _store(self, offset: int, data: bytes) -> None:
        self._memory.load(HostPhysical(self._at + offset), data)

    def _number(self, key: Key) -> int:
        found = self._numbers.get(key.segment)
        if found is None:
            found = self._numbers[key.segment] = len(self._numbers)
            self._saved = None
        return found

    def _empty(self, table: int) -> None:
        """Let every entry of a lookup table lead to the monitor."""
        at = HostPhysical(self._segment + LOOKUP_TABLE + 4 * LOOKUP_ENTRIES * table)
        self._memory.load(at, self.base.to_bytes(4, "little") * LOOKUP_ENTRIES)
