"""The monitor's own paging: guests that together believe to have more memory than there is, and a disk.

    guest frame ──p2m──▶ host frame                         in memory
                   └───▶ its block of the swap area         paged out, or not used yet: reads as zeros

A guest frame gets a host frame when somebody uses it: the guest, by a hidden fault, or the monitor for it (an
emulated instruction, a device). When none is free, one is taken from a guest. Which one is chosen at random,
as ESX did (Waldspurger, "Memory Resource Management in VMware ESX Server", OSDI 2002, on page replacement):
the monitor does not know which pages a guest will want, and a choice as clever as the guest's own would be
the same page that the guest is just about to page out itself. Then it is read from the one disk to be written
to the other: double paging. That happens here too, and is counted: a page that comes in for a transfer of the
guest's own disk.

The swap area has a block for each guest frame, in order. Its contents stand in the machine's memory behind
all that the PC has, where nothing leads that the processor can reach.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from vizapp.errors import ScenarioError
from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical
from vizapp.machine import events
from vizapp.machine.meter import Purpose
from vizapp.messages import N_, Message
from vizapp.vmm.virtual_machine import owner_of

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc
    from vizapp.machine.places import Place
    from vizapp.vmm.base import Options
    from vizapp.vmm.bill import Bill
    from vizapp.vmm.frame_allocator import FrameAllocator
    from vizapp.vmm.guest_memory import GuestMemory

LEAST_FRAMES: Final = 32  # of the guests together: more than any single step of the monitor's uses
# Half a turn of a disk of 10,000 revolutions a minute (that of Barham et al. 2003), for a page of an area
# that lies in one piece; to move the arm there takes longer, and is not counted.
WAIT_SECONDS: Final = 60 / 10_000 / 2
_SEED: Final = 0x2545_F491
_M32: Final = 0xFFFF_FFFF


def guest_frames(options: Options, own_pages: int) -> int | None:
    """Host frames for the guests if they have to share less than they believe to have; None otherwise.

    ``own_pages`` are the monitor's.

    Raises:
        ScenarioError: what is left beside the monitor is not enough to run them at all.
    """
    if options.host_memory is None:
        return None
    frames = (options.host_memory >> PAGE_SHIFT) - own_pages
    if frames < LEAST_FRAMES:
        least = own_pages + LEAST_FRAMES << PAGE_SHIFT
        sentence = N_(
            "{memory} KB of host memory are not enough: the monitor needs {own} KB for its work on these "
            "guests, and with the least for them it is {least} KB"
        )
        parameters = {"memory": options.host_memory >> 10, "own": own_pages << 2, "least": least >> 10}
        raise ScenarioError(Message(sentence, parameters))
    return None if frames << PAGE_SHIFT >= options.all_memory else frames


class HostPager:
    """Who of the guests has which of ``limit`` host frames; the swap area begins at frame ``area``.

    Events and costs are told as from ``place``, those of what is loaded before the clock runs are not.

    Attributes:
        quiet: nothing is told nor charged.
    """

    def __init__(
        self, pc: Pc, frames: FrameAllocator, bill: Bill, place: Place, limit: int, area: int
    ) -> None:
        self._pc = pc
        self._frames = frames
        self._bill = bill
        self._place = place
        self._limit = limit
        self._next_block = area
        self._blocks: list[int] = []
        self._memories: list[GuestMemory] = []
        self._unmap: list[Callable[[int], None]] = []
        self.quiet = True
        self._resident: list[tuple[int, int]] = []  # (virtual machine, guest frame)
        self._where: dict[tuple[int, int], int] = {}  # its place in the list
        self._on_disk: set[tuple[int, int]] = set()
        self._touched: dict[tuple[int, int], None] = {}  # since the phase began
        self._random = _SEED
        self._saved: Any = None

    def adopt(self, memory: GuestMemory) -> None:
        """A further virtual machine's memory, none of which it has yet."""
        number = len(self._memories)
        pages = len(memory.p2m)
        memory.p2m = tuple(range(self._next_block, self._next_block + pages))
        memory.bring_in = partial(self.use, number)
        self._blocks.append(self._next_block)
        self._memories.append(memory)
        self._unmap.append(_nothing)
        self._next_block += pages

    def on_leaving(self, number: int, unmap: Callable[[int], None]) -> None:
        """Call ``unmap`` with a host frame before it is taken from a virtual machine."""
        self._unmap[number] = unmap

    def begin(self) -> None:
        """A phase begins: what the one before has used may go."""
        if self._touched:
            self._touched.clear()
            self._saved = None
        for memory in self._memories:
            memory.transfer = False

    def use(self, number: int, frame: int) -> int:
        """The host frame behind a guest frame, which is in memory from now on."""
        memory, page = self._memories[number], (number, frame)
        if page not in self._touched:
            self._touched[page] = None
            self._saved = None
        host = memory.p2m[frame]
        if host < self._blocks[0]:
            return host
        return self._bring_in(page, host)

    def save(self) -> Any:
        """The state, as plain data, the same object while nothing changes."""
        if self._saved is None:
            self._saved = (
                tuple(self._resident), frozenset(self._on_disk), tuple(self._touched), self._random,
            )  # fmt: skip
        return self._saved

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        resident, on_disk, touched, self._random = saved
        self._resident, self._on_disk = list(resident), set(on_disk)
        self._where = {page: index for index, page in enumerate(resident)}
        self._touched = dict.fromkeys(touched)
        self._saved = saved

    def _bring_in(self, page: tuple[int, int], block: int) -> int:
        number, frame = page
        host = self._free_frame(owner_of(number))
        was_out = page in self._on_disk
        if was_out:
            self._on_disk.remove(page)
            self._copy(block, host)
            self._told(
                "page_in",
                events.PAGE_SWAPPED_IN,
                "guest-disk" if self._memories[number].transfer else "use",
                {"vm": number, "guest_frame": frame, "host_frame": host},
            )
        else:
            self._pc.memory.load(HostPhysical(host << PAGE_SHIFT), bytes(PAGE_SIZE))
            if not self.quiet:
                self._bill.charge("mon_memory_reference", PAGE_SIZE // 4)
        self._set(number, frame, host)
        self._where[page] = len(self._resident)
        self._resident.append(page)
        self._saved = None
        return host

    def _free_frame(self, owner: str) -> int:
        if len(self._resident) < self._limit:
            return self._frames.allocate(owner)
        page = self._victim()
        number, frame = page
        host = self._memories[number].p2m[frame]
        self._unmap[number](host)
        block = self._blocks[number] + frame
        self._copy(host, block)
        self._on_disk.add(page)
        self._set(number, frame, block)
        last = self._resident.pop()
        index = self._where.pop(page)
        if last != page:
            self._resident[index] = last
            self._where[last] = index
        self._frames.give(host, 1, owner)
        payload: dict[str, int | str] = {"vm": number, "guest_frame": frame, "host_frame": host}
        self._told("page_out", events.PAGE_SWAPPED_OUT, owner, payload)
        return host

    def _victim(self) -> tuple[int, int]:
        """A page at random, but none that the present phase has used."""
        resident = self._resident
        if len(self._touched) >= len(resident) - 1:  # a long transfer: keep what it used last
            self._touched = dict.fromkeys(list(self._touched)[-LEAST_FRAMES // 2 :])
        start = self._draw() % len(resident)
        for step in range(len(resident)):
            page = resident[(start + step) % len(resident)]
            if page not in self._touched:
                return page
        return resident[start]

    def _draw(self) -> int:
        """The next of Marsaglia's 32-bit xorshift numbers: the same in every run."""
        x = self._random
        x ^= x << 13 & _M32
        x ^= x >> 17
        x ^= x << 5 & _M32
        self._random = x
        return x

    def _set(self, number: int, frame: int, host: int) -> None:
        memory = self._memories[number]
        memory.p2m = (*memory.p2m[:frame], host, *memory.p2m[frame + 1 :])

    def _copy(self, source: int, target: int) -> None:
        memory = self._pc.memory
        memory.load(
            HostPhysical(target << PAGE_SHIFT), memory.dump(HostPhysical(source << PAGE_SHIFT), PAGE_SIZE)
        )

    def _told(self, path: str, kind: str, cause: str, payload: dict[str, int | str]) -> None:
        """The driver's work, the wait for the disk, and the event."""
        if self.quiet:
            return
        pc, bill = self._pc, self._bill
        purpose, bill.purpose = bill.purpose, Purpose.IO
        bill.path(path)
        bill.purpose = purpose
        pc.meter.charge("idle_cycle", int(pc.hertz * WAIT_SECONDS), Purpose.IO)
        pc.emit(kind, cause, payload, self._place, self._place)


def _nothing(host: int) -> None:
    """Nothing is mapped yet."""
