"""What lies at one place of the translation cache, byte by byte: a unit, or what is between units.

Of everything from the cache's start up to its free bytes, and behind them, this tells what it is:

    door           the call of the monitor to which empty entries of the lookup tables lead
    unit           a unit that is in use
    landing        where the lookup arrives; its unit may have been given up since
    dropped        a unit that was given up: a jump that leads on, then what nothing executes any more
    continuation   the stubs that jumps lead to whose target has no translation
    free           nothing yet
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.session.details.cache_lines import NOWHERE, CacheReader
from vizapp.session.listing import Disassembler
from vizapp.vmm.binary_translation import sequences
from vizapp.vmm.binary_translation.monitor import TranslatingMonitor
from vizapp.vmm.binary_translation.sequences import DOOR, JUMP_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vizapp.session.details.cache_lines import CacheLine
    from vizapp.session.details.registry import Subject
    from vizapp.vmm.binary_translation.cache import TranslationCache

_LANDING_BYTES: Final = sum(len(piece.raw) for piece in sequences.landing(0)) + JUMP_BYTES


class Region(NamedTuple):
    """Bytes of the cache that are no unit's: ``door``, ``landing``, ``dropped`` or ``continuation``."""

    kind: str
    offset: int
    size: int


class CacheBytes(NamedTuple):
    """What lies at an address: its kind, the number of a unit (-1: none), and every byte of it."""

    kind: str
    number: int
    offset: int
    size: int
    lines: tuple[CacheLine, ...]


def cache_bytes(subject: Subject) -> CacheBytes | None:
    """The unit or region with the linear address asked about; without one, what runs or ran last.

    None under a technique that translates nothing, and of an address that is not in the cache.
    """
    monitor = subject.monitor
    if not isinstance(monitor, TranslatingMonitor):
        return None
    vm = monitor.machine(subject.vm)
    cache = vm.cache
    address = subject.address
    if address is None:
        spot = cache.spots.get(vm.pc.cpu.eip - cache.base) if vm.is_current else None
        running = cache.units.get(vm.virtual.unit if spot is None or spot.unit == NOWHERE else spot.unit)
        address = cache.base + (0 if running is None else running.start)
    offset = address - cache.base
    if not 0 <= offset < cache.size:
        return None
    reader = CacheReader(cache, Disassembler())
    for number, unit in cache.units.items():
        if unit.start <= offset < unit.end:
            return CacheBytes("unit", number, unit.start, unit.end - unit.start, reader.of_unit(unit))
    for kind, start, size in regions(cache):
        if start <= offset < start + size:
            return CacheBytes(kind, NOWHERE, start, size, tuple(reader.lines(start, start + size)))
    return CacheBytes("free", NOWHERE, cache.top, cache.bottom - cache.top, ())


def regions(cache: TranslationCache) -> tuple[Region, ...]:
    """What lies between the units, up to the free bytes and behind them."""
    edges = sorted((unit.start, unit.end) for unit in cache.units.values())
    found: list[Region] = []
    at = 0
    for start, end in (*edges, (cache.top, cache.top)):
        found += _between(cache, at, start)
        at = max(at, end)
    if cache.bottom < cache.size:
        found.append(Region("continuation", cache.bottom, cache.size - cache.bottom))
    return tuple(found)


def _between(cache: TranslationCache, at: int, end: int) -> Iterator[Region]:
    while at < end:
        if not at:
            kind, stop = "door", len(DOOR)
        elif _is_landing(cache, at):
            kind, stop = "landing", at + _LANDING_BYTES
        else:
            kind, stop = "dropped", at + JUMP_BYTES
            while stop < end and not _begins(cache, stop):
                stop += 1
        yield Region(kind, at, stop - at)
        at = stop


def _begins(cache: TranslationCache, at: int) -> bool:
    """Whether something else begins here: only in landings and at given-up units are spots of no unit."""
    spot = cache.spots.get(at)
    return spot is not None and spot.unit == NOWHERE


def _is_landing(cache: TranslationCache, at: int) -> bool:
    spot = cache.spots.get(at)
    return spot is not None and spot.unit == NOWHERE and spot.target
