"""A virtual machine of a translating monitor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, Linear
from vizapp.machine import events
from vizapp.machine.places import APPLICATION, TRANSLATION_CACHE, Place
from vizapp.vmm import ring0
from vizapp.vmm.binary_translation.traced_memory import TracedMemory
from vizapp.vmm.binary_translation.translator import KINDS
from vizapp.vmm.binary_translation.virtual_cpu import TranslatedCpu
from vizapp.vmm.trap_and_emulate.vm import MONITOR, Host, Parts, Vm

if TYPE_CHECKING:
    from vizapp.vmm.base import VmOptions
    from vizapp.vmm.binary_translation.cache import TranslationCache, Unit
    from vizapp.vmm.binary_translation.translator import Source
    from vizapp.vmm.virtual_devices import VirtualDevices

NO_LINK: Final = (-1, False)


def places_of(vm: int) -> tuple[Place, ...]:
    """By ring, where the processor is while virtual machine ``vm`` has it."""
    cache = Place(ring=1, vm=vm, component=TRANSLATION_CACHE)
    return (MONITOR, cache, cache, Place(ring=3, vm=vm, component=APPLICATION))


class TranslatedVm(Vm):
    """The virtual machine as the monitor holds it.

    Attributes:
        link: what is to lead to the unit being looked for: (site of a jump or -1, whether the lookup does).
        kinds: instructions put into the cache so far, by kind in the order of ``KINDS``.
        cache_events: units, chains patched, units dropped, flushes so far.
    """

    memory: TracedMemory
    virtual: TranslatedCpu

    def __init__(
        self, host: Host, index: int, options: VmOptions, memory: TracedMemory, devices: VirtualDevices,
        parts: Parts,
    ) -> None:  # fmt: skip
        super().__init__(host, index, options, memory, devices, parts)
        self.places = places_of(index)
        self.link: tuple[int, bool] = NO_LINK
        self.kinds: tuple[int, ...] = (0,) * len(KINDS)
        self._cached = 0
        self._entered: int | None = None  # what the PC had retired when the cache was last entered
        self.cache_events: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def cache(self) -> TranslationCache:
        """Its translations."""
        return self.virtual.cache

    @property
    def cached(self) -> int:
        """Guest instructions that the cache has done."""
        return self._cached + (0 if self._entered is None else self.pc.instructions - self._entered)

    @property
    def translated(self) -> Mapping[str, int]:
        """Instructions put into the cache so far, by kind."""
        return dict(zip(KINDS, self.kinds, strict=True))

    def enter_cache(self) -> None:
        """From now on what retires is the cache's."""
        self._entered = self.pc.instructions

    def leave_cache(self) -> None:
        """From now on it is not."""
        self._cached, self._entered = self.cached, None

    @property
    def place(self) -> Place:
        """Where the guest will be when it runs on."""
        return self.places[3 if self.virtual.cpu.cpl == 3 else 1]

    def count(self, *, units: int = 0, chained: int = 0, dropped: int = 0, flushed: int = 0) -> None:
        """Add to ``cache_events``."""
        before = self.cache_events
        self.cache_events = (
            before[0] + units, before[1] + chained, before[2] + dropped, before[3] + flushed
        )  # fmt: skip

    def origin(self, source: Source) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
        """Where a unit's code lies: (guest-physical address, count) of bytes, and (page, guest frame)."""
        base = self.virtual.key.base
        pages = []
        for page in source.pages:
            at = self.mmu.probe(Linear(page << PAGE_SHIFT))
            assert at is not None
            pages.append((page, at >> PAGE_SHIFT))
        frames = dict(pages)
        code: list[tuple[int, int]] = []
        for item in source.instructions:
            linear = base + item.instruction.address & 0xFFFF_FFFF
            count = item.instruction.length
            here = min(count, PAGE_MASK + 1 - (linear & PAGE_MASK))
            code.append((frames[linear >> PAGE_SHIFT] << PAGE_SHIFT | linear & PAGE_MASK, here))
            if here < count:
                code.append((frames[linear + here >> PAGE_SHIFT & 0xF_FFFF] << PAGE_SHIFT, count - here))
        return tuple(code), tuple(pages)

    def trace(self, unit: Unit) -> None:
        """Let every write to the pages of a unit come to the monitor."""
        for _, frame in unit.pages:
            if frame in self.memory.traced:
                continue
            self.memory.traced |= {frame}
            host = self.memory.host_frame(frame)
            for linear in () if host is None else self.shadow.mappings(host):
                self.shadow.drop(linear)
                ring0.invlpg(self.pc, linear)

    def drop(self, units: list[Unit], cause: str) -> bool:
        """Forget units; False if the cache has to be flushed instead."""
        if not units:
            return True
        dropped = 0
        for unit in units:
            if not self.cache.drop(unit):
                return False
            self.bill.charge("mon_memory_reference", 4)
            dropped += 1
        self.count(dropped=dropped)
        still = {frame for unit in self.cache.units.values() for _, frame in unit.pages}
        self.memory.traced &= still
        self.emit(
            events.UNITS_DROPPED,
            cause,
            {"units": dropped, "frame": units[0].pages[0][1], "address": units[0].key.eip},
        )
        return True

    def save(self) -> dict[str, Any]:
        """Everything outside machine memory, as plain data."""
        return {
            **super().save(),
            "link": self.link,
            "kinds": self.kinds,
            "cached": (self._cached, self._entered),
            "cache_events": self.cache_events,
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up a saved state."""
        super().load(saved)
        self.link, self.kinds = saved["link"], saved["kinds"]
        self._cached, self._entered = saved["cached"]
        self.cache_events = saved["cache_events"]
