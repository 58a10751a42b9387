"""A virtual machine of a translating monitor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, Linear
from vizapp.isa.registers import CR0_PE
from vizapp.machine import events
from vizapp.machine.places import APPLICATION, TRANSLATION_CACHE, Place
from vizapp.vmm import ring0
from vizapp.vmm.binary_translation.adaptation import Adaptation
from vizapp.vmm.binary_translation.engine import Choice
from vizapp.vmm.binary_translation.traced_memory import TracedMemory
from vizapp.vmm.binary_translation.translator import KINDS
from vizapp.vmm.binary_translation.virtual8086 import Passage
from vizapp.vmm.binary_translation.virtual_cpu import TranslatedCpu
from vizapp.vmm.guest_start import start_cpu
from vizapp.vmm.hardware_assisted.traces import Traces
from vizapp.vmm.trap_and_emulate.vm import MONITOR, Host, Parts, Vm

if TYPE_CHECKING:
    from vizapp.vmm.base import VmOptions
    from vizapp.vmm.binary_translation.cache import TranslationCache, Unit
    from vizapp.vmm.binary_translation.task_priority import TaskPriority
    from vizapp.vmm.binary_translation.translator import Source
    from vizapp.vmm.binary_translation.virtual_state import VirtualState
    from vizapp.vmm.binary_translation.windows import Windows
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
        adaptation: which instructions are translated otherwise than as copies.
        traces: the guest's page tables that the shadow was made from.
        windows: through which sequences write to traced pages.
        priority: the task priority, which sequences have too; ``state_read``: what else they read.
        tables_at: where the guest's descriptor tables lie: (guest-physical address, count).
        tables_hit: how often a write has met their traces.
        spoiled: no window opens before the cache is flushed: a segment that sequences take for flat is not.
        passage: the way into virtual-8086 mode.
        eager: the shadow follows each change of the guest's tables; else the guest's flushes empty it.
        engine: how it was let run last, and why.
    """

    memory: TracedMemory
    virtual: TranslatedCpu
    windows: Windows
    priority: TaskPriority
    state_read: VirtualState
    passage: Passage

    def __init__(
        self, host: Host, index: int, options: VmOptions, memory: TracedMemory, devices: VirtualDevices,
        parts: Parts,
    ) -> None:  # fmt: skip
        super().__init__(host, index, options, memory, devices, parts)
        self.places = places_of(index)
        self.link: tuple[int, bool] = NO_LINK
        self.kinds: tuple[int, ...] = (0,) * len(KINDS)
        self.engine = Choice("", "")
        self._cached = 0
        self._entered: int | None = None  # what the PC had retired when the cache was last entered
        self.cache_events: tuple[int, int, int, int] = (0, 0, 0, 0)
        self.adaptation = Adaptation()
        self.eager = True
        self.traces = Traces(self.shadow)
        memory.is_table = self.traces.covers
        self.spoiled = False
        self.tables_at: tuple[tuple[int, int], ...] = ()
        self.tables_hit = 0
        self.virtual.on_tables = self.trace_descriptors
        self.virtual.gates.is_true = self._tables_untouched

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

    def select(self, choice: Choice) -> None:
        """Go on by an engine; a change from one to another is told."""
        if choice.engine != self.engine.engine:
            self.emit(
                events.ENGINE_SELECTED,
                choice.cause,
                {"engine": choice.engine, "before": self.engine.engine, "address": self.virtual.cpu.eip},
            )
        self.engine = choice

    def stub_offset(self, eip: int) -> int:
        """See ``Vm``; virtual-8086 mode has stubs of its own."""
        own = eip - self.passage.base
        return own if own >= 0 else super().stub_offset(eip)

    def frame_leaves(self, host: int) -> None:
        """See ``Vm``; windows lead to it too."""
        super().frame_leaves(host)
        self.windows.close_frame(host)

    def power_on(self) -> bool:
        """The reset line: its ROM runs again; False where there is none."""
        if self.image is None or not self.image.rom:
            return False
        start_cpu(self.virtual.cpu, self.image)
        self.mmu.reshape()
        return True

    @property
    def place(self) -> Place:
        """Where the guest will be when it runs on."""
        return self.places[3 if self.virtual.cpu.cpl == 3 else 1]

    def is_device(self, linear: int) -> bool:
        """Whether the guest's tables lead to a device in memory."""
        at = self.mmu.probe(linear)
        return at is not None and at >> PAGE_SHIFT in self.memory.mmio.frames

    def tell_unit(self, unit: Unit, source: Source) -> None:
        """A unit has been put into the cache."""
        self.bill.charge("mon_decode", len(source.instructions))
        self.bill.charge("mon_memory_reference", (unit.end - unit.start + 3) // 4)
        counts = source.counts
        self.count(units=1)
        self.kinds = tuple(before + counts[kind] for before, kind in zip(self.kinds, KINDS, strict=True))
        payload: dict[str, int | str] = {
            "address": unit.key.eip,
            "instructions": len(source.instructions),
            "offset": unit.start,
            "bytes": unit.end - unit.start,
            "elided": int(unit.elided),
            "base": unit.key.base,
            "lines": " ".join(f"{eip - unit.key.eip & M32:x}={kind}" for eip, kind, _, _ in unit.lines),
        }
        payload.update({kind.replace("-", "_"): counts[kind] for kind in KINDS})
        self.emit(events.UNIT_TRANSLATED, f"{unit.key.eip:#010x}", payload)

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

    def place_unit(self, source: Source) -> Source:
        """A unit's instructions in the forms that they have by now."""
        return self.adaptation.apply(source, self.virtual.key.base, self.cache.size)

    def refused_in(self, frame: int) -> tuple[tuple[int, int], ...]:
        """What no window may write to in a guest frame: translated code and descriptors, (address, count)."""
        code = [piece for unit in self.cache.units.values() for piece in unit.code]
        return tuple(piece for piece in (*code, *self.tables_at) if piece[0] >> PAGE_SHIFT == frame)

    def trace_descriptors(self, pieces: tuple[tuple[int, int], ...]) -> None:
        """The shadows of descriptors were made from there: let every write come to the monitor."""
        if pieces == self.tables_at:
            return
        self.tables_at = pieces
        former = self.memory.described
        self.memory.described = frozenset(address >> PAGE_SHIFT for address, _ in pieces)
        self.windows.refuse(pieces)
        for frame in sorted(self.memory.described - former):
            self._protect(frame)

    def descriptors_written(self, touched: Iterable[tuple[int, int]]) -> None:
        """Somebody has written there: if it was to a descriptor table, what was made of it is stale."""
        for at, size in touched:
            if any(start < at + size and at < start + count for start, count in self.tables_at):
                self.virtual.stale = True
                self.tables_hit += 1
                self.emit(events.SHADOW_FLUSHED, "descriptors", {"address": at, "pages": 0})

    def _tables_untouched(self) -> bool:
        mmu = self.mmu
        changed = self.virtual.stale or self.memory.touched or mmu.flush_requested or mmu.invalidated
        return not changed and bool(self.virtual.cpu.cr0 & CR0_PE)

    def _protect(self, frame: int) -> None:
        """Take the right to write to a guest frame from all who have it."""
        host = self.memory.host_frame(frame)
        for linear in () if host is None else self.shadow.protect(host):
            ring0.invlpg(self.pc, linear)

    def empty_cache(self) -> int:
        """Forget all translations; how many units there were."""
        units = self.cache.clear()
        self.memory.traced = frozenset()
        self.memory.touched = ()
        self.windows.clear()
        self.priority.clear()
        self.adaptation.forget_sequences()
        self.spoiled = False
        return units

    def take_in(self) -> None:
        """The monitor has come in: hear what sequences have written where it matters."""
        self.priority.take()
        self.tables_written(self.windows.take_written())

    def tables_written(self, addresses: Iterable[int]) -> None:
        """Page tables have changed at these guest-physical addresses: forget what was made of them."""
        for address in addresses:
            if not self.traces.covers(address >> PAGE_SHIFT):
                continue
            for linear in self.traces.written(address):
                ring0.invlpg(self.pc, linear)
                self.emit(events.SHADOW_FLUSHED, "trace", {"linear": linear, "pages": 1})
            self.traces.release(address >> PAGE_SHIFT)

    def switch_shadow(self) -> None:
        """The guest has loaded CR3: go on with the shadow of that address space, as far as there is one.

        Traces have kept it true, so nothing of it need be forgotten.
        """
        for linear in self.mmu.invalidated:
            self.shadow.drop(linear)
        root = self.virtual.cpu.cr3 >> PAGE_SHIFT
        known = self.shadow.select(root)
        ring0.load_cr3(self.pc, self.shadow.directory)
        self.mmu.flush_requested, self.mmu.invalidated = False, ()
        payload = {"root": root << PAGE_SHIFT, "pages": self.shadow.filled}
        self.emit(events.SHADOW_SWITCHED, "known" if known else "new", payload)

    def check_windows(self) -> None:
        """The guest has flushed translations: close the windows of pages that it has put elsewhere."""
        self.priority.check()
        for number, window in enumerate(self.windows.all):
            found = self.mmu.look(window.page << PAGE_SHIFT) if window.open else None
            right = found is not None and found.frame == window.frame and found.writable and found.dirty
            if window.open and not right:
                self.windows.close(number)

    def check_hosts(self) -> None:
        """Close the windows of frames that are elsewhere in the machine by now, or nowhere."""
        for number, window in enumerate(self.windows.all):
            if window.open and self.memory.host_frame(window.frame) != window.host:
                self.windows.close(number)

    def check_segments(self) -> None:
        """The guest's descriptors have changed: what sequences take for flat may not be."""
        self.virtual.rewritten = False
        if all(self.virtual.is_flat(selector) for selector in self.adaptation.selectors):
            return
        self.spoiled = True
        self.priority.valid = False
        self.windows.close_all()

    def trace(self, unit: Unit) -> None:
        """Let every write to the pages of a unit come to the monitor."""
        self.windows.refuse(unit.code)
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
            "engine": tuple(self.engine),
            "kinds": self.kinds,
            "cached": (self._cached, self._entered),
            "cache_events": self.cache_events,
            "adaptation": self.adaptation.save(),
            "traces": self.traces.save(),
            "windows": self.windows.save(),
            "priority": self.priority.save(),
            "spoiled": self.spoiled,
            "tables_at": self.tables_at,
            "tables_hit": self.tables_hit,
            "state_read": self.state_read.save(),
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up a saved state."""
        super().load(saved)
        self.link, self.kinds = saved["link"], saved["kinds"]
        self.engine = Choice(*saved["engine"])
        self._cached, self._entered = saved["cached"]
        self.cache_events = saved["cache_events"]
        self.adaptation.load(saved["adaptation"])
        self.traces.load(saved["traces"])
        self.windows.load(saved["windows"])
        self.priority.load(saved["priority"])
        self.spoiled = saved["spoiled"]
        self.tables_at, self.tables_hit = saved["tables_at"], saved["tables_hit"]
        self.state_read.load(saved["state_read"])
