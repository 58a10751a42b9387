"""The fast maps: which pages each ring may read and write without asking, and where their bytes are.

They are a disposable subset of what the address space would answer: an access that finds its page here needs
no translation, because nothing would come of one but the same page.

While the processor is in another address space (a guest's, or its monitor's), those of this one are parked,
and lose what the translation lookaside buffer loses of it meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

from vizapp.isa.addresses import M32, PAGE_SHIFT
from vizapp.machine.mmio import MmioSpace

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory

FastMap: TypeAlias = "dict[int, bytearray]"
RINGS: Final = 4
ALL_LINES: Final = M32 >> PAGE_SHIFT
# Accesses that the processor makes for itself (descriptor tables, TSS, stacks of inner rings) belong to
# no ring: they have the supervisor's rights, maps of their own, and are not shown to ``on_fill``.
NO_RING: Final = RINGS


class ParkedMaps:
    """The maps of an address space that the processor has left.

    Attributes:
        rules: what they depend on besides the translations; see ``Mmu.switch``.
        paged: whether a TLB entry stands behind each page.
        readable, writable, guarded, ceilings, all: as of ``FastMaps``.
    """

    __slots__ = ("all", "ceilings", "guarded", "paged", "readable", "rules", "writable")

    def __init__(self, maps: FastMaps, rules: tuple[bool, ...], *, paged: bool) -> None:
        self.rules = rules
        self.paged = paged
        self.readable, self.writable, self.guarded = maps.readable, maps.writable, maps.guarded
        self.ceilings, self.all = maps.ceilings, maps.all

    def drop_page(self, page: int) -> None:
        """Forget one page in every map."""
        for fast in self.all:
            fast.pop(page, None)


class FastMaps:
    """The maps of the address space that the processor is in, and those that are parked.

    Attributes:
        readable, writable: the fast maps, indexed by ring or ``NO_RING``.
        guarded: by ring, the pages that it may write and that hold decoded code, with their frames: stores to
            code must be seen.
        ceilings: by ring, the last page that its fast maps may have; see ``set_ceiling``.
        all: every one of the maps.
        on_fill: called with (linear page address, frame, write) before a ring first uses a page in a way,
            and again after its map was dropped.
        mmio: the frames at which a device answers instead of memory.
        parked: the maps of other address spaces, by the tag of their TLB entries.
    """

    all: tuple[FastMap | dict[int, int], ...]

    def __init__(self, memory: PhysicalMemory) -> None:
        self.memory = memory
        self._begin()
        self.parked: dict[int, ParkedMaps] = {}
        self.on_fill: Callable[[int, int, bool], None] | None = None
        self.mmio = MmioSpace()
        memory.on_unshare.append(self._page_replaced)
        memory.on_generation.append(self.drop_maps)

    def pages_of(self, frame: int, tag: int | None = None) -> Iterable[int] | None:
        """The linear pages that lead to a frame, here or in a parked space; None: there may be any number."""
        raise NotImplementedError

    def drop_maps(self) -> None:
        """Forget the fast maps, parked ones too; nothing but time is lost."""
        self._drop_own()
        for parked in self.parked.values():
            for fast in parked.all:
                fast.clear()

    def set_ceiling(self, ring: int, page: int) -> None:
        """Keep the fast maps of a ring free of pages above ``page``.

        So whoever looks up a page there knows it to be within a segment that ends with that page.
        """
        if page < self.ceilings[ring]:
            for fast in (self.readable[ring], self.writable[ring]):
                for beyond in [number for number in fast if number > page]:
                    del fast[beyond]
        self.ceilings[ring] = page

    def protect_code(self, frame: int) -> None:
        """A frame holds decoded code from now on: stores to it must go through the memory's own door."""
        self.memory.code_frames.add(frame)
        _drop_frame(self.writable, self.pages_of(frame))
        for tag, parked in self.parked.items():
            _drop_frame(parked.writable, self.pages_of(frame, tag))

    def drop_page(self, page: int) -> None:
        """Forget one page in every map."""
        for fast in self.all:
            fast.pop(page, None)

    def fill(self, page: int, frame: int, write: bool, ring: int) -> None:
        """A ring may use a page from now on without asking, if nothing else has to see it."""
        fast = (self.writable if write else self.readable)[ring]
        if page in fast:
            return
        if self.on_fill is not None and ring != NO_RING:
            self.on_fill(page << PAGE_SHIFT, frame, write)
        if frame >= self.memory.frames or frame in self.mmio.frames or page > self.ceilings[ring]:
            return
        if not write:
            fast[page] = self.memory.page(frame)
        elif frame in self.memory.read_only:
            return
        elif frame in self.memory.code_frames:
            self.guarded[ring][page] = frame
        else:
            fast[page] = self.memory.writable_page(frame)

    def _begin(self) -> None:
        """Have empty maps."""
        self.readable: tuple[FastMap, ...] = tuple({} for _ in range(RINGS + 1))
        self.writable: tuple[FastMap, ...] = tuple({} for _ in range(RINGS + 1))
        self.guarded: tuple[dict[int, int], ...] = tuple({} for _ in range(RINGS + 1))
        self.ceilings = [ALL_LINES] * (RINGS + 1)
        self.all = (*self.readable, *self.writable, *self.guarded)

    def _unpark(self, parked: ParkedMaps) -> None:
        """Have the maps that were parked."""
        self.readable, self.writable, self.guarded = parked.readable, parked.writable, parked.guarded
        self.ceilings, self.all = parked.ceilings, parked.all

    def _drop_own(self) -> None:
        for fast in self.all:
            if fast:
                fast.clear()

    def _page_replaced(self, frame: int) -> None:
        _drop_frame(self.readable, self.pages_of(frame))
        for tag, parked in self.parked.items():
            _drop_frame(parked.readable, self.pages_of(frame, tag))


def _drop_frame(maps: tuple[FastMap, ...], pages: Iterable[int] | None) -> None:
    """Take a frame out of maps that do not say which frame they lead to: ``pages`` do."""
    for fast in maps:
        if pages is None:
            fast.clear()
            continue
        for page in pages:
            fast.pop(page, None)
