"""The translation cache as a map: what lies where, what leads to what, and how much room is left."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa.addresses import M32
from vizapp.session.details.cache_bytes import Region, regions
from vizapp.session.details.cache_lines import NOWHERE, jump_target
from vizapp.vmm.binary_translation.monitor import TranslatingMonitor
from vizapp.vmm.binary_translation.spots import CONTINUATION
from vizapp.vmm.binary_translation.translator import KINDS

if TYPE_CHECKING:
    from vizapp.session.details.registry import Subject
    from vizapp.vmm.binary_translation.cache import TranslationCache


class CachedUnit(NamedTuple):
    """A translation unit in the cache.

    Attributes:
        address: of the guest's code, linear.
        offset, size: in the cache, in bytes.
        kinds: how many of its instructions became what, in the order of ``translator.KINDS``.
        hits: how often execution arrived at its first instruction, in the whole recording.
        chained_in: numbers of the units whose jumps lead here; ``chained_out``: of those its own lead to.
        open: how many of its jumps still call the monitor.
        landing: indirect transfers find it by the lookup table.
        frames: the guest frames whose change would make it untrue: they are traced.
    """

    number: int
    address: int
    offset: int
    size: int
    instructions: int
    kinds: tuple[int, ...]
    hits: int
    elided: bool
    chained_in: tuple[int, ...]
    chained_out: tuple[int, ...]
    open: int
    landing: bool
    frames: tuple[int, ...]


class CacheMap(NamedTuple):
    """All of it, in bytes: ``used`` and ``free`` make ``size``.

    ``units`` and ``regions`` are by offset. ``current`` is the number of the unit that runs, or ran last; -1:
    none. ``traced`` are the guest frames with code that was translated. ``made``, ``chained``, ``dropped``
    and ``flushed`` count what has happened so far.
    """

    base: int
    size: int
    used: int
    free: int
    units: tuple[CachedUnit, ...]
    regions: tuple[Region, ...]
    current: int
    traced: tuple[int, ...]
    made: int
    chained: int
    dropped: int
    flushed: int


def translation_cache(subject: Subject) -> CacheMap | None:
    """The cache of one virtual machine at the cursor; None under a technique that translates nothing."""
    monitor = subject.monitor
    if not isinstance(monitor, TranslatingMonitor):
        return None
    vm = monitor.machine(subject.vm)
    cache = vm.cache
    leads, unmade = _links(cache)
    into: dict[int, list[int]] = {number: [] for number in cache.units}
    for number, targets in leads.items():
        for target in targets:
            into[target].append(number)
    units = []
    for unit in sorted(cache.units.values(), key=lambda unit: unit.start):
        counts = Counter(kind for _, kind, _, _ in unit.lines)
        units.append(
            CachedUnit(
                number=unit.number,
                address=unit.key.base + unit.key.eip & M32,
                offset=unit.start,
                size=unit.end - unit.start,
                instructions=len(unit.lines),
                kinds=tuple(counts[kind] for kind in KINDS),
                hits=subject.heat.get(unit.key.eip, 0),
                elided=unit.elided,
                chained_in=tuple(dict.fromkeys(into[unit.number])),
                chained_out=tuple(dict.fromkeys(leads[unit.number])),
                open=unmade[unit.number],
                landing=unit.number in cache.landings,
                frames=tuple(dict.fromkeys(frame for _, frame in unit.pages)),
            )
        )
    spot = cache.spots.get(vm.pc.cpu.eip - cache.base) if vm.is_current else None
    current = vm.virtual.unit if spot is None or spot.unit == NOWHERE else spot.unit
    made, chained, dropped, flushed = vm.cache_events
    return CacheMap(
        base=cache.base,
        size=cache.size,
        used=cache.used,
        free=cache.size - cache.used,
        units=tuple(units),
        regions=regions(cache),
        current=current if current in cache.units else NOWHERE,
        traced=tuple(sorted(vm.memory.traced)),
        made=made,
        chained=chained,
        dropped=dropped,
        flushed=flushed,
    )


def _links(cache: TranslationCache) -> tuple[dict[int, list[int]], Counter[int]]:
    """By unit, the units that its jumps lead to; and how many of them lead to a continuation still."""
    whole = cache.bytes_at(0, cache.size)
    starts = {unit.start: number for number, unit in cache.units.items()}
    leads: dict[int, list[int]] = {number: [] for number in cache.units}
    unmade: Counter[int] = Counter()
    for offset, spot in cache.spots.items():
        if spot.unit not in cache.units:
            continue
        target = jump_target(whole, offset)
        if target is None:
            continue
        if target in starts:
            leads[spot.unit].append(starts[target])
        elif target in cache.spots and cache.spots[target].kind == CONTINUATION:
            unmade[spot.unit] += 1
    ends = {unit.end: number for number, unit in cache.units.items()}
    for unit in cache.units.values():
        if unit.elided and unit.start in ends:  # it simply comes next
            leads[ends[unit.start]].append(unit.number)
    return leads, unmade
