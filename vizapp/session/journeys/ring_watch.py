"""Watches the rings of domain 0's back ends: asked to look, it tells of slots that an index has passed."""

from __future__ import annotations

from collections.abc import Callable
from struct import unpack_from
from typing import NamedTuple

from vizapp.isa.addresses import M32
from vizapp.session.details.rings import ENTRY_BYTES, FORMATS, SLOTS_AT, VBD, VIF

_HEADER = 16
_PORT, _SECTOR = 20, 56


class Change(NamedTuple):
    """A slot that an index has passed: a request was put into it, or an answer.

    ``place`` is the index, which only grows, and ``number`` the slot's in the ring.

    ``indices`` are the four that both ends see, and ``taken``, how far the back end was.
    """

    domain: int
    ring: str
    answer: bool
    place: int
    number: int
    fields: dict[str, int]
    indices: dict[str, int]


class RingWatch:
    """``read`` reads domain 0's memory, ``table`` is where its back ends' table begins and ends."""

    def __init__(
        self,
        read: Callable[[int, int], bytes | None],
        table: tuple[int, int],
        tell: Callable[[Change], None],
    ) -> None:
        self._read = read
        self._table = table
        self._tell = tell
        self._known: dict[tuple[int, str, int], tuple[int, int]] = {}
        self._devices: dict[tuple[int, bool], tuple[int, int]] = {}  # channel and first sector

    def port(self, domain: int, *, disk: bool) -> int:
        """Domain 0's port to the device of a domain, 0 if it has none."""
        return self._devices.get((domain, disk), (0, 0))[0]

    def first_sector(self, domain: int) -> int:
        """Where the disk of a domain begins on the machine's."""
        return self._devices.get((domain, True), (0, 0))[1]

    def look(self) -> None:
        """Tell of every slot that has been filled since the last look."""
        start, end = self._table
        table = self._read(start, end - start)
        if table is None:
            return
        for at in range(0, end - start, ENTRY_BYTES):
            kind, domain = unpack_from("<2I", table, at)
            ring, _, receiving = unpack_from("<3I", table, at + 24)
            taken, _, receive_taken, _ = unpack_from("<4I", table, at + 40)
            if kind not in (VIF, VBD) or not ring:
                continue
            self._devices[domain, kind == VBD] = (
                unpack_from("<I", table, at + _PORT)[0],
                unpack_from("<I", table, at + _SECTOR)[0],
            )
            self._compare(domain, "disk" if kind == VBD else "send", ring, taken)
            if kind == VIF and receiving:
                self._compare(domain, "receive", receiving, receive_taken)

    def _compare(self, domain: int, name: str, page: int, taken: int) -> None:
        header = self._read(page, _HEADER)
        if header is None:
            return
        requests, request_event, answers, answer_event = unpack_from("<4I", header)
        key = domain, name, page
        known_requests, known_answers = self._known.get(key, (0, 0))
        if (requests, answers) == (known_requests, known_answers):
            return
        self._known[key] = requests, answers
        indices = {
            "req_prod": requests, "req_event": request_event,
            "rsp_prod": answers, "rsp_event": answer_event, "taken": taken,
        }  # fmt: skip
        slots = FORMATS[name].slots
        # A domain may write what it likes there: a jump over more than there are slots is none.
        for answer, before, now in ((False, known_requests, requests), (True, known_answers, answers)):
            for index in range(before, before + min(now - before & M32, slots)):
                self._slot(domain, name, page, index & M32, answer=answer, indices=indices)

    def _slot(
        self, domain: int, name: str, page: int, index: int, *, answer: bool, indices: dict[str, int]
    ) -> None:
        form = FORMATS[name]
        layout, names = form.answer if answer else form.request
        raw = self._read(page + SLOTS_AT + index % form.slots * form.slot_bytes, form.slot_bytes)
        if raw is not None:
            fields = dict(zip(names, unpack_from(layout, raw), strict=True))
            self._tell(Change(domain, name, answer, index, index % form.slots, fields, indices))
