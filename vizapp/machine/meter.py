"""The cycle counter and what it is made of: how often each input was charged, where and for what.

The counter is never set, only advanced by charges, so that at any moment

    cycles == sum of count x price over all rows

Counts, not cycles, are kept: the same run can be priced again for another processor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from vizapp.machine.inputs import INDEX, INPUTS, INSTRUCTION_CLASSES, NAMES
from vizapp.machine.places import Place


class Purpose(StrEnum):
    """What cycles were spent for."""

    GUEST = "guest"  # the guest's own instructions, run directly or from the translation cache
    TRANSITION = "transition"  # between rings, worlds or address spaces
    MONITOR = "monitor"  # deciding, decoding, emulating
    TRANSLATION = "translation"  # binary translation
    MEMORY = "memory"  # page walks, shadow and nested paging
    IO = "io"  # devices, real and virtual
    IDLE = "idle"  # waiting in HLT


# What a charge is for by nature of its input, wherever it is made; instruction classes and the monitor's
# operations are for the place's own work instead.
_BY_GROUP = {"transition": Purpose.TRANSITION, "memory": Purpose.MEMORY, "idle": Purpose.IDLE}
_BY_INPUT = {"io": Purpose.IO, "uncached": Purpose.IO, "mon_port": Purpose.IO}
NATURE: dict[str, Purpose] = {
    item.name: purpose
    for item in INPUTS
    if (purpose := _BY_INPUT.get(item.name) or _BY_GROUP.get(item.group)) is not None
}


# An access to a device is for the device, whoever makes it: also the guest's own, counted with its work.
_DEVICE = {INDEX[name]: purpose for name, purpose in _BY_INPUT.items()}


class Row(NamedTuple):
    """``times`` charges of ``input`` at ``place`` for ``purpose``."""

    place: Place
    purpose: Purpose
    input: str
    times: int


class Charges:
    """What is always charged together, once or time and again: inputs with their counts."""

    __slots__ = ("counts",)

    def __init__(self, counts: Mapping[str, int]) -> None:
        self.counts = tuple((name, count) for name, count in counts.items() if count)


UNFINISHED = len(NAMES)
"""Behind the inputs: iterations after which a repeated instruction has not retired yet. They cost what they
cost as inputs; this tells them from instructions."""

# Cycles, the row that counts them, and (name, index, count) of each.
_Together: TypeAlias = tuple[int, list[int], tuple[tuple[str, int, int], ...]]


class _Site:
    """A place, and where its charges are counted: its own work, and what the processor paid for there."""

    __slots__ = ("charged", "counts", "in_guest", "own", "paid", "place", "together")

    def __init__(self, place: Place, own: Purpose, counts: list[int]) -> None:
        self.place = place
        self.own = own
        self.in_guest = own == Purpose.GUEST
        self.charged: dict[tuple[str, Purpose | None], tuple[int, list[int]]] = {}
        self.counts = counts
        self.paid: dict[str, tuple[int, list[int], bool]] = {}
        self.together: dict[tuple[Charges, Purpose], _Together] = {}


class Meter:
    """Counts charges and advances the clock; ``prices`` are cycles by input, one for every input.

    Attributes:
        cycles: the clock that RDTSC and timers see.
        place: where the processor is now; ``in_guest`` is whether the code there is the guest's own.
        counts: charges of the place's own work, by input index. The processor's inner loop adds to it
            (with ``prices`` to ``cycles``) instead of calling ``instruction``.
        prices: cycles by input index.
        pending: charges that no event carries yet, by input.
        before_reading: called before anyone looks at the counts; whoever keeps some back then calls ``book``.
    """

    _sites: dict[Place, _Site]
    _site: _Site
    _left: _Site  # where it was before

    def __init__(self, prices: Mapping[str, int]) -> None:
        self.prices: list[int] = [prices[name] for name in NAMES]
        self.cycles = 0
        self._counts: dict[tuple[Place, Purpose], list[int]] = {}
        self.pending: dict[str, int] = {}
        self.before_reading: list[Callable[[], None]] = []
        self._begin(Place())

    def enter(self, place: Place) -> None:
        """From now on the processor is at ``place``."""
        site = self._left  # most often it goes back
        if site.place is not place:
            site = self._sites.get(place) or self._open(place)
            site.place = place  # the one of several that are equal by which it is entered
        self._left, self._site = self._site, site
        self.place, self.in_guest, self.counts = site.place, site.in_guest, site.counts

    def instruction(self, index: int) -> None:
        """Charge one instruction whose class has this index in ``inputs.NAMES``, as the place's own work."""
        self.counts[index] += 1
        self.cycles += self.prices[index]

    def book(self, place: Place, indices: Iterable[int], times: int) -> None:
        """Count what was done at ``place`` as its own work, ``times`` each, and is in ``cycles`` already."""
        counts = self._counts[place, Purpose.GUEST if place.is_guest else Purpose.MONITOR]
        for index in indices:
            counts[index] += times

    def charge(self, input: str, count: int = 1, purpose: Purpose | None = None) -> None:  # noqa: A002
        """Charge ``count`` of ``input``.

        Without a purpose the input's nature decides (a transition, a page walk, a port access), and for
        instruction classes and monitor operations the place: guest work or the monitor's.
        """
        site = self._site
        known = site.charged.get((input, purpose))
        if known is None:
            row = self._row(site.place, purpose or NATURE.get(input, site.own))
            known = site.charged[input, purpose] = INDEX[input], row
        index, row = known
        row[index] += count
        self.cycles += count * self.prices[index]
        self.pending[input] = self.pending.get(input, 0) + count

    def charge_together(self, charges: Charges, purpose: Purpose) -> None:
        """``charge`` each of them for a purpose."""
        site = self._site
        cycles, row, parts = site.together.get((charges, purpose)) or self._together(site, charges, purpose)
        self.cycles += cycles
        pending = self.pending
        for name, index, count in parts:
            row[index] += count
            pending[name] = pending.get(name, 0) + count

    def pay(self, name: str) -> None:
        """Charge what the processor does; an instruction's own class is no part of what an event cost."""
        index, row, told = self._site.paid.get(name) or self._paid(self._site, name)
        row[index] += 1
        self.cycles += self.prices[index]
        if told:
            self.pending[name] = self.pending.get(name, 0) + 1

    def account(self, place: Place, name: str) -> tuple[int, list[int]]:
        """The index of what ``pay`` charges by this name at a place, and its counts until ``load``."""
        index, row, _ = self._paid(self._sites.get(place) or self._open(place), name)
        return index, row

    def take_charges(self) -> tuple[tuple[str, int], ...]:
        """(input, count) pairs of ``charge`` since this was last asked: what an event carries."""
        pending = self.pending
        if not pending:
            return ()
        charges = tuple(pending.items())
        pending.clear()
        return charges

    def rows(self) -> list[Row]:
        """Every count that is not zero, in the order in which places were first entered."""
        self._complete()
        return [
            Row(place, _DEVICE.get(index, purpose), NAMES[index], count)
            for (place, purpose), counts in self._counts.items()
            for index, count in enumerate(counts[:UNFINISHED])
            if count
        ]

    def unfinished(self) -> dict[Place, int]:
        """By place, iterations that were charged there without an instruction retiring."""
        return {
            place: counts[UNFINISHED] for (place, _), counts in self._counts.items() if counts[UNFINISHED]
        }

    def by_purpose(self) -> dict[Purpose, int]:
        """Cycles by purpose, every purpose named; they sum to ``cycles``."""
        self._complete()
        totals = dict.fromkeys(Purpose, 0)
        for (_, purpose), counts in self._counts.items():
            totals[purpose] += sum(map(int.__mul__, counts, self.prices))
            for index in _DEVICE:
                cycles = counts[index] * self.prices[index]
                totals[purpose] -= cycles
                totals[Purpose.IO] += cycles
        return totals

    def save(self) -> dict[str, object]:
        """The counts, the place and the clock as plain data; prices are the scenario's."""
        self._complete()
        return {
            "cycles": self.cycles,
            "place": self.place,
            "counts": {key: tuple(counts) for key, counts in self._counts.items()},
            "pending": dict(self.pending),
        }

    def load(self, saved: Mapping[str, object]) -> None:
        """Take up where ``save`` left off."""
        self._complete()  # what was kept back belongs to the counts that go
        counts, pending, place, cycles = saved["counts"], saved["pending"], saved["place"], saved["cycles"]
        assert isinstance(counts, dict)
        assert isinstance(pending, dict)
        assert isinstance(place, Place)
        assert isinstance(cycles, int)
        self._counts = {key: list(value) for key, value in counts.items()}
        self.pending = dict(pending)
        self.cycles = cycles
        self._begin(place)

    def _begin(self, place: Place) -> None:
        """Be at a place, with whatever has been counted so far."""
        self._sites = {}
        self._site = self._left = self._open(place)
        self.enter(place)

    def _open(self, place: Place) -> _Site:
        own = Purpose.GUEST if place.is_guest else Purpose.MONITOR
        site = self._sites[place] = _Site(place, own, self._row(place, own))
        return site

    def _paid(self, site: _Site, name: str) -> tuple[int, list[int], bool]:
        told = name not in INSTRUCTION_CLASSES
        row = self._row(site.place, NATURE.get(name, site.own)) if told else site.counts
        site.paid[name] = known = INDEX[name], row, told
        return known

    def _together(self, site: _Site, charges: Charges, purpose: Purpose) -> _Together:
        row = self._row(site.place, purpose)
        parts = tuple((name, INDEX[name], count) for name, count in charges.counts)
        cycles = sum(count * self.prices[index] for _, index, count in parts)
        site.together[charges, purpose] = known = cycles, row, parts
        return known

    def _complete(self) -> None:
        for call in self.before_reading:
            call()

    def _row(self, place: Place, purpose: Purpose) -> list[int]:
        key = (place, purpose)
        row = self._counts.get(key)
        if row is None:
            row = self._counts[key] = [0] * (UNFINISHED + 1)
        return row
