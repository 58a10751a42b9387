"""Hot code as compiled blocks: which there are, where they may run, and how their work gets into the books.

A block is compiled once execution has arrived at an address often enough, and is kept by where its bytes lie
in physical memory and by what it takes for granted. ``View.linked`` leads from EIP to it, for one set of
segments and one place; like ``CodeCache.hot`` it is disposable, and dropped along with it:

    EIP ──linked──▶ Link ──▶ Block                              the common case
    EIP ──page that is in CodeCache.linked──▶ frame ──▶ Block   fills linked

Blocks that are left often for one another become a region, which goes from one to the next by itself; see
``hot_regions``.

Running blocks must not be told from stepping. So a block runs only if nothing is due before its end; what it
executed is counted by exits taken, and turned into charges when somebody looks at the meter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.machine.block_books import BlockBooks
from vizapp.machine.decoded import BRANCH, instruction_of
from vizapp.machine.engine.block_source import Facts
from vizapp.machine.engine.blocks import compile_block
from vizapp.machine.engine.deopt import DEOPTIMIZE, recover, recover_region
from vizapp.machine.fast_maps import ALL_LINES, RINGS
from vizapp.machine.guarded import GuardedMemory
from vizapp.machine.hot_regions import EXITS, HotRegions
from vizapp.machine.linked_blocks import TOO_FAR, Compiled, Joined, View, holds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizapp.isa.instruction import Instruction
    from vizapp.machine.code_cache import CodeCache
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.doors import Door
    from vizapp.machine.linked_blocks import Link
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.meter import Meter
    from vizapp.machine.mmu import Mmu

# Arrivals at an address before it is compiled. That takes about as long as executing its instructions one by
# one this many times.
ARRIVALS: Final = 200
# Blocks that were changed under a frame before it is left alone, and failures of a block close together.
_REWRITES: Final = 16
_FAILURES: Final = 16
_CLOSE: Final = 100  # instructions
_PATIENCE: Final = 1000  # arrivals before another look at an address that had no block
_VIEWS: Final = 512
_SPACES: Final = 64
# Steps and cycles after which running blocks looks up: numbers below 2**30 are the fast ones.
_STRETCH: Final = 1 << 29
# Units from which on it is not for want of room if a region is left soon.
_ROOM_ENOUGH: Final = 64
# Instructions after which a loop gives control back.
LOOP: Final = 1 << 14


class HotBlocks:
    """The blocks of one PC.

    Attributes:
        doors: host-physical addresses that no block goes through.
        guarded: where stores of blocks beside code go.
    """

    _views: dict[tuple[object, ...], View]  # of the address space that the processor is in
    _recent: list[View | None]  # by ring

    def __init__(self, memory: PhysicalMemory, mmu: Mmu, code: CodeCache, meter: Meter) -> None:
        self.doors: Mapping[HostPhysical, Door] = {}
        self._memory = memory
        self._mmu = mmu
        self._code = code
        self._meter = meter
        self._books = BlockBooks(meter)
        self._spaces: dict[int, dict[tuple[object, ...], View]] = {}
        self._switched(mmu.tlb.tag)
        self._frames: dict[int, dict[tuple[int, int, Facts], Compiled | None]] = {}
        self._covered: dict[int, bytearray] = {}
        self.guarded = GuardedMemory(mmu, memory, code.covered)
        self._regions = HotRegions(self.guarded)
        self._rewrites: dict[int, int] = {}
        self._unsettled = False
        memory.on_code_write.append(self._written)
        code.on_unlink.append(self.unlink)
        mmu.on_switched.append(self._switched)
        meter.before_reading.append(self.settle)

    @property
    def heat(self) -> dict[int, int] | None:
        """If there, how often execution arrived at each EIP of the guest; see ``Pc.heat``."""
        return self._books.heat

    @heat.setter
    def heat(self, heat: dict[int, int] | None) -> None:
        self._books.heat = heat

    def view(self, cpu: Cpu) -> View:
        """For the processor's segments and the meter's place as they are now; prepares the fast maps."""
        cpl, place, segments = cpu.cpl, self._meter.place, cpu.segments
        view = self._recent[cpl]
        if view is None or view.place is not place or view.registers != segments:
            key = (place, cpl, *map(id, segments))
            view = self._views.get(key)
            if view is None:
                if len(self._views) >= _VIEWS:
                    self._views.clear()
                    self._recent = [None] * RINGS
                view = self._views[key] = View(place, segments, cpu.stack_mask, cpl)
            self._recent[cpl] = view
        if self._mmu.ceilings[cpl] != view.ceiling:
            self._mmu.set_ceiling(cpl, view.ceiling)
        return view

    def arrive(self, view: View, eip: int) -> Link | None:
        """Execution has come to an EIP: the block there, linked by now if it is worth it and possible."""
        if eip in view.linked:
            return view.linked[eip]
        count = view.arrivals.get(eip, 0) + 1
        view.arrivals[eip] = count
        return self._link(view, eip) if count > ARRIVALS else None

    def run(self, view: View, link: Link, cpu: Cpu, position: int, last: int, due: int) -> int:
        """Run blocks from ``link`` on while there are any and they are over before the bounds.

        Adds to the meter's cycles; returns the position. The bounds are those of single instructions: none
        begins once ``last`` steps or ``due`` cycles have passed.
        """
        steps = last - position
        steps = min(steps, _STRETCH)
        room = due - self._meter.cycles
        room = min(room, _STRETCH)
        end, whole_room = steps, room
        linked = view.linked
        first, done = cpu.eip, -1
        self._unsettled = True
        following: Link | None = link
        while following is not None:
            run, reach, dear, limit, size, costs, runs, compiled, region = following
            if reach > steps or dear >= room:
                units = 0 if region is None else self._units(region[0], steps, room)
                if region is not None and units:
                    joined, tally = region
                    try:
                        done, cost = joined.region.run(cpu, units, tally)
                    except DEOPTIMIZE as error:
                        stopped = recover_region(error, joined.region, cpu, tally)
                        steps, room, done = steps - stopped.steps, room - stopped.cost, stopped.done
                        self._failed(joined.parts[stopped.piece], position + end - steps)
                        break
                    steps, room = steps - done, room - cost
                    following = linked[cpu.eip] if cpu.eip in linked else self.arrive(view, cpu.eip)
                    if units > _ROOM_ENOUGH:
                        self._note(joined, done)
                    continue
                whole = costs[size]
                if size > steps or whole >= room:
                    break
                limit = min(steps, (room - 1) // whole * size if whole else steps) - size
            try:
                done = run(cpu, limit)
            except DEOPTIMIZE as error:
                done = recover(error, compiled.block, cpu)
                self._failed(compiled, position + end - steps + done)
                following = None
            else:
                try:
                    following = linked[cpu.eip]
                except KeyError:
                    following = self.arrive(view, cpu.eip)
            steps -= done
            if done <= size:
                room -= costs[done]
                count = runs[done] + 1
                runs[done] = count
                if count == EXITS:
                    self._join(view, compiled)
            else:
                passes, rest = divmod(done, size)
                room -= passes * costs[size] + costs[rest]
                runs[size] += passes
                if rest:
                    runs[rest] += 1
        if self._books.heat is not None and done >= 0:
            self._books.ran(first, cpu.eip if done else None)
        self._meter.cycles += whole_room - room
        return position + end - steps

    def settle(self) -> None:
        """Enter what blocks have done into the meter's counts and into ``heat``."""
        if not self._unsettled:
            return
        self._unsettled = False
        for blocks in self._frames.values():
            for compiled in blocks.values():
                if compiled is not None:
                    self._books.enter(compiled)
        for joined in self._regions:
            self._books.enter_region(joined)
        self._books.settle()

    def unlink(self, tag: int | None = None) -> None:
        """Forget which EIP leads where, in one address space or in all; nothing but time is lost."""
        for views in self._spaces.values() if tag is None else (self._spaces.get(tag, {}),):
            for view in views.values():
                view.linked.clear()
                view.crossings.clear()
                view.entered.clear()
                view.returns.clear()

    def forget(self) -> None:
        """Forget every block: where one may go has changed."""
        for frame in list(self._frames):
            self._drop(frame)

    def revalidate(self) -> None:
        """Memory was restored: keep the blocks that are still there."""
        self.unlink()
        for frame, blocks in self._frames.items():
            page = self._memory.page(frame)
            for joined in [*self._regions.of(frame)]:
                if not all(holds(page, part) for part in joined.parts):
                    self._regions.part(joined)
            for key in [key for key, compiled in blocks.items() if not holds(page, compiled)]:
                del blocks[key]

    def _switched(self, tag: int) -> None:
        """The processor is in the address space with this tag."""
        if len(self._spaces) >= _SPACES and tag not in self._spaces:
            self._spaces.clear()
        self._views = self._spaces.setdefault(tag, {})
        self._recent = [None] * RINGS

    def _link(self, view: View, eip: int) -> Link | None:
        page = view.code.base + eip & M32
        frame = self._code.linked.get(page >> PAGE_SHIFT)
        if frame is None or self._rewrites.get(frame, 0) > _REWRITES:
            return None
        key = (page & PAGE_MASK, eip, view.facts)
        blocks = self._frames.get(frame)
        if blocks is None:
            blocks = self._frames[frame] = {}
            self._covered[frame] = bytearray(PAGE_SIZE)
        if key in blocks:
            compiled = blocks[key]
        else:
            compiled = blocks[key] = self._compile(view, eip, frame, view.facts)
            self._cover(frame, page & PAGE_MASK, compiled)
        if compiled is not None and compiled.failures > _FAILURES and not compiled.block.guarded:
            # Most likely it stores beside code.
            self._books.enter(compiled)
            compiled = blocks[key] = self._compile(view, eip, frame, view.facts._replace(guarded=True))
        if compiled is None:
            view.linked[eip] = None
            return None
        if compiled.failures > _FAILURES:
            view.arrivals[eip] = -_PATIENCE
            return None
        size, joined = len(compiled.prices), compiled.joined
        runs = compiled.runs.get(view.place)
        if runs is None:
            runs = compiled.runs[view.place] = [0] * (size + 1)
        region = None
        if joined is not None:
            region = joined, joined.runs.setdefault(view.place, [0] * joined.region.size)
        passes = max(1, LOOP // size) if compiled.block.loops else 1
        link = view.linked[eip] = (
            compiled.block.run,
            passes * size if joined is None else TOO_FAR,
            passes * compiled.costs[size],
            (passes - 1) * size,
            size,
            compiled.costs,
            runs,
            compiled,
            region,
        )
        return link

    def _join(self, view: View, compiled: Compiled) -> None:
        """A block has been left often: from now on it runs together with those that it leads to."""
        eip = compiled.block.addresses[0]
        joined = compiled.joined
        if joined is None and not compiled.asked:
            frame = self._code.linked.get(view.code.base + eip >> PAGE_SHIFT & ALL_LINES)
            if frame is not None and frame in self._frames:
                joined = self._regions.join(view, frame, self._frames[frame], compiled)
        if joined is not None:
            for part in joined.parts:
                self._link(view, part.block.addresses[0])

    def _compile(self, view: View, head: int, frame: int, facts: Facts) -> Compiled | None:
        code = view.code
        page = code.base + head >> PAGE_SHIFT
        prices: dict[int, int] = {}

        def fetch(eip: int) -> Instruction | None:
            linear = Linear(code.base + eip & M32)
            offset = linear & PAGE_MASK
            if linear >> PAGE_SHIFT != page & ALL_LINES or linear in self._code.marks:
                return None
            if linear in self._code.translated:
                ended = self._code.translated[linear]
                if ended is None or ended in self._code.marks:
                    return None
            if HostPhysical(frame << PAGE_SHIFT | offset) in self.doors:
                return None
            found = self._code.peek(frame, offset, view.facts.bits)
            if found is None:
                return None
            _, price, kind, raw, _ = found
            if kind & ~BRANCH or eip + len(raw) - 1 > code.limit:
                return None
            prices[eip] = price
            return instruction_of(found)

        block = compile_block(head, fetch, facts, self.guarded)
        if block is None:
            return None
        offsets = [code.base + eip & PAGE_MASK for eip in block.addresses]
        return Compiled(block, offsets, [prices[eip] for eip in block.addresses], self._meter)

    def _cover(self, frame: int, head: int, compiled: Compiled | None) -> None:
        covered = self._covered[frame]
        covered[head] = 1
        if compiled is not None:
            for offset, instruction in zip(compiled.offsets, compiled.block.instructions, strict=True):
                covered[offset : offset + instruction.length] = b"\1" * instruction.length

    def _written(self, frame: int, offset: int, count: int) -> None:
        covered = self._covered.get(frame)
        if covered is not None and 1 in covered[offset : offset + count]:
            self._rewrites[frame] = self._rewrites.get(frame, 0) + 1
            self._drop(frame)

    def _drop(self, frame: int) -> None:
        self.unlink()
        for compiled in self._frames[frame].values():
            if compiled is not None:
                self._books.enter(compiled)
        for joined in self._regions.of(frame):
            self._books.enter_region(joined)
        self._regions.drop(frame)
        del self._frames[frame], self._covered[frame]

    def _units(self, joined: Joined, steps: int, room: int) -> int:
        """For how many units of a region there is room."""
        most_steps, most_cost = joined.region.unit
        units = steps // most_steps
        return min(units, (room - 1) // most_cost) if most_cost else units

    def _note(self, joined: Joined, steps: int) -> None:
        """A region has been left; where that happens soon each time it is not made again."""
        joined.note(steps)
        if joined.too_short:
            self._books.enter_region(joined)
            self._regions.part(joined)
            for part in joined.parts:
                part.asked = True
            self.unlink()

    def _failed(self, compiled: Compiled, position: int) -> None:
        """A block that fails again and again costs more than it saves: it is not linked any more as it is."""
        if position - compiled.failed_at < _CLOSE:
            compiled.failures += 1
            if compiled.failures > _FAILURES:
                self.unlink()
                for joined in [joined for joined in self._regions if compiled in joined.parts]:
                    self._books.enter_region(joined)
                    self._regions.part(joined)
        else:
            compiled.failures = 0
        compiled.failed_at = position
