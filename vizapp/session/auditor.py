"""The auditor: knows what belongs to whom, and checks what the guest really reaches.

It is the session's and not the monitor's: a monitor that maps a page of its own into a guest, or opens a
port, is caught here. What is counted are distinct things reached, not accesses: the engine asks once a
fill of its disposable maps, and how often it fills them must not change a count.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa import vectors
from vizapp.machine.devices.lance import LANCE_PORTS
from vizapp.machine.events import (
    CHANGES_OF_HANDS,
    EXCEPTION_DELIVERED,
    INTERRUPT_DELIVERED,
    NESTED_PAGE_MAPPED,
    VM_ENTERED,
    VM_EXITED,
)
from vizapp.machine.places import DEVICE, HOST, TRANSLATION_CACHE, VM_APP, Place
from vizapp.vmm.base import READABLE, app_owner, cache_owner, segment_owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.events import Event
    from vizapp.vmm.base import Ownership

MONITOR = "vmm"
AUDITED = CHANGES_OF_HANDS | {
    EXCEPTION_DELIVERED,
    INTERRUPT_DELIVERED,
    NESTED_PAGE_MAPPED,
    VM_ENTERED,
    VM_EXITED,
}
"""The kinds of events that it asks for."""
# By the cause of an exit: what of its payload has a port in the upper half of a double word.
_PORT_EXITS = {"io-instruction": "qualification", "ioio": "exitinfo1"}
_NESTED_FAULTS = ("ept-violation", "npf")


def _is_translators(place: Place, owner: str, write: bool) -> bool:
    """Whether a frame of the monitor's is one that translated code works with."""
    if place.component != TRANSLATION_CACHE:
        return False
    return owner == segment_owner(place.vm) or (owner == cache_owner(place.vm) and not write)


def _is_process(place: Place) -> bool:
    """Whether it is where one of several guests' processes runs in a host."""
    return place.component == VM_APP and place.vm >= 0


class Leak(NamedTuple):
    """Something let through: ``kind`` is frame, port, line, or dma of a device to a frame.

    ``number`` tells which one, ``owner`` whose it is.
    ``position`` is that of the step that reached it first.
    """

    position: int
    place: Place
    kind: str
    number: int
    write: bool
    owner: str


class Auditor:
    """Checks one run; told of accesses and events in the order in which they are first recorded.

    ``declare`` gives the map of owners. It is asked at the start, and again before anything is called a
    leak, because memory may have changed hands by the monitor's own books since.
    """

    def __init__(self, declare: Callable[[], Ownership], memory_frames: int) -> None:
        self._declare = declare
        self._memory_frames = memory_frames
        self._ownership = declare()
        self._seen: set[tuple[int, int, str, int, bool]] = set()
        self._entered = -1
        self._nothing_there: Event | None = None  # a nested fault, as long as nothing has been mapped for it
        self._refused = array("Q")
        self._refused_vms = array("h")
        self.leaks: list[Leak] = []

    def access(self, position: int, place: Place, frame: int, write: bool) -> None:
        """Code at ``place``, a guest's or of the process that a guest is for its host, uses a page frame."""
        if (place.is_guest or _is_process(place)) and frame < self._memory_frames:
            self._check(position, place, "frame", frame, write)

    def port(self, position: int, place: Place, port: int, write: bool) -> None:
        """Code at ``place`` has reached an I/O port of the machine."""
        if place.is_guest:
            self._check(position, place, "port", port, write)

    def dma(self, position: int, vm: int, frame: int, write: bool) -> None:
        """A device of virtual machine ``vm`` (-1: of whoever has the machine's) is about to use a frame."""
        if frame < self._memory_frames:
            self._check(position, Place(vm=vm, component=DEVICE), "dma", frame, write)

    def event(self, event: Event) -> None:
        """One of ``AUDITED``: a refusal, memory that changes hands, or an interrupt that goes to somebody."""
        if event.kind == EXCEPTION_DELIVERED:
            refusal = event.payload.get("vector") == vectors.GP
            if refusal and event.source.is_guest and not event.target.is_guest:
                self._refuse(event)
        elif event.kind == VM_EXITED:
            self._exited(event)
        elif event.kind == NESTED_PAGE_MAPPED:
            self._nothing_there = None
        elif event.kind == VM_ENTERED:
            self._entered = event.position
            if self._nothing_there is not None:
                self._refuse(self._nothing_there)
                self._nothing_there = None
        elif event.kind in CHANGES_OF_HANDS:
            self._ownership = self._declare()
            self._forget()
        elif (
            event.kind == INTERRUPT_DELIVERED
            and event.target.is_guest
            and event.position != self._entered  # an entry delivers what the monitor injects
        ):
            lines = self._ownership.lines
            if lines and all(owner == MONITOR for _, owner in lines):
                vector = int(event.payload.get("vector", 0))
                self._note(event.position, event.target, "line", vector, False, MONITOR)

    def _exited(self, event: Event) -> None:
        """An exit is a refusal where the guest wanted a port that is another's, or a page that it has not.

        Below shadow tables such a page is a page fault like any other, and does not count.
        """
        if event.cause in _PORT_EXITS:
            port = int(event.payload[_PORT_EXITS[event.cause]]) >> 16 & 0xFFFF
            if self._owner("port", port) != f"vm{max(event.source.vm, 0)}":
                self._refuse(event)
        elif event.cause in _NESTED_FAULTS:
            self._nothing_there = event

    def _refuse(self, event: Event) -> None:
        self._refused.append(event.position)
        self._refused_vms.append(max(event.source.vm, 0))

    def refused(self, position: int, vm: int | None = None) -> int:
        """How often a guest (None: any) was refused what is not its own, up to a cursor at ``position``."""
        end = bisect_left(self._refused, position)
        return end if vm is None else self._refused_vms[:end].count(vm)

    def let_through(self, position: int, vm: int | None = None) -> int:
        """How many things not its own a guest (None: any) reached, up to a cursor at ``position``."""
        end = bisect_left(self.leaks, position, key=lambda leak: leak.position)
        return end if vm is None else sum(max(leak.place.vm, 0) == vm for leak in self.leaks[:end])

    def drop_after(self, position: int) -> None:
        """Forget what was seen at ``position`` and behind: it did not happen after all."""
        kept = bisect_left(self._refused, position)
        del self._refused[kept:]
        del self._refused_vms[kept:]
        del self.leaks[self.let_through(position) :]
        if self._nothing_there is not None and self._nothing_there.position >= position:
            self._nothing_there = None
        self._forget()

    def _forget(self) -> None:
        """Look again at what was found in order: who may use what has changed."""
        self._seen = {
            (leak.place.vm, leak.place.ring, leak.kind, leak.number, leak.write) for leak in self.leaks
        }

    def _check(self, position: int, place: Place, kind: str, number: int, write: bool) -> None:
        if (place.vm, place.ring, kind, number, write) in self._seen:
            return
        # On the bare machine the only guest has no number, and is the first all the same.
        drivers = kind == "dma" and place.vm < 0
        own = self._owner("port", LANCE_PORTS.start) if drivers else f"vm{max(place.vm, 0)}"
        if self._owner(kind, number) != own:
            self._ownership = self._declare()
        owner = self._owner(kind, number)
        shared = kind != "port" and (own, write) in self._ownership.shares.get(number, ())
        if (
            owner == own
            or shared
            or (owner == READABLE and not write)
            or _is_translators(place, owner, write)
            or (_is_process(place) and owner in (HOST, app_owner(place.vm)))
        ):
            self._seen.add((place.vm, place.ring, kind, number, write))
        else:
            self._note(position, place, kind, number, write, owner)

    def _note(self, position: int, place: Place, kind: str, number: int, write: bool, owner: str) -> None:
        key = (place.vm, place.ring, kind, number, write)
        if key not in self._seen:
            self._seen.add(key)
            self.leaks.append(Leak(position, place, kind, number, write, owner))

    def _owner(self, kind: str, number: int) -> str:
        if kind in ("frame", "dma"):
            frames = self._ownership.frames
            index = bisect_right(frames, number, key=lambda part: part.first) - 1
            return frames[index].owner if index >= 0 and number < frames[index].end else ""
        return next((owner for first, last, owner in self._ownership.ports if first <= number <= last), "")
