"""The rings of split devices, read out of domain 0's memory: indices, slots, and how far its back ends are.

    0 ... answers ... rsp_prod ... taken, at work ... taken ... requests ... req_prod ... free

Indices only grow; a slot is an index modulo the number of slots. Source: Xen's public headers io/ring.h,
io/blkif.h and io/netif.h; ``dom0_back.inc`` for the back ends' own table.
"""

from __future__ import annotations

from struct import unpack_from
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.addresses import M32, PAGE_SIZE, Linear

if TYPE_CHECKING:
    from vizapp.session.details.registry import Subject

TABLE: Final = "backs"
TABLE_END: Final = "backs_end"
ENTRY_BYTES: Final = 80
VIF, VBD = 1, 2
SLOTS_AT: Final = 64
STATES: Final = ("", "initialising", "init-wait", "initialised", "connected", "closing", "closed")
REQUEST, TAKEN, ANSWER = "request", "taken", "answer"


class Slot(NamedTuple):
    """A slot in use: the index of what is in it, what is in it, and the fields of that."""

    number: int
    kind: str
    fields: dict[str, int]


class Ring(NamedTuple):
    """A ring that a domain shares with domain 0.

    ``name`` is ``disk``, ``send`` or ``receive``, ``domain`` whose front end it belongs to. ``taken`` and
    ``answered`` are the back end's private indices; ``slots`` is how many there are, ``used`` those that hold
    something the other end has not had yet, and the last answer.
    """

    name: str
    domain: int
    state: str
    slots: int
    req_prod: int
    req_event: int
    rsp_prod: int
    rsp_event: int
    taken: int
    answered: int
    used: tuple[Slot, ...]


class _Format(NamedTuple):
    slots: int
    slot_bytes: int
    request: tuple[str, tuple[str, ...]]
    answer: tuple[str, tuple[str, ...]]


FORMATS: Final = {
    "disk": _Format(
        32, 108,
        ("<BBHQQIBB", ("operation", "segments", "handle", "id", "sector", "reference", "first", "last")),
        ("<QBxh", ("id", "operation", "status")),
    ),
    "send": _Format(
        256, 12,
        ("<IHHHH", ("reference", "offset", "flags", "id", "size")),
        ("<Hh", ("id", "status")),
    ),
    "receive": _Format(
        256, 8,
        ("<HxxI", ("id", "reference")),
        ("<HHHh", ("id", "offset", "flags", "status")),
    ),
}  # fmt: skip


def rings(subject: Subject) -> tuple[Ring, ...] | None:
    """Every ring that a back end of domain 0 is connected to; None where there is no domain 0."""
    first, end = subject.symbols.get(TABLE), subject.symbols.get(TABLE_END)
    if first is None or end is None:
        return None
    found = []
    for where in range(first, end, ENTRY_BYTES):
        raw = _read(subject, where, ENTRY_BYTES)
        if raw is None:
            continue
        kind, domain, _, state = unpack_from("<4I", raw)
        sending, _, receiving = unpack_from("<3I", raw, 24)
        taken, answered, rx_taken, rx_answered = unpack_from("<4I", raw, 40)
        if kind in (VIF, VBD) and sending:
            name = "disk" if kind == VBD else "send"
            found.append(_ring(subject, name, domain, state, sending, taken, answered))
        if kind == VIF and receiving:
            found.append(_ring(subject, "receive", domain, state, receiving, rx_taken, rx_answered))
    return tuple(ring for ring in found if ring is not None)


def _ring(
    subject: Subject, name: str, domain: int, state: int, page: int, taken: int, answered: int
) -> Ring | None:
    raw = _read(subject, page, PAGE_SIZE)
    if raw is None:
        return None
    form = FORMATS[name]
    req_prod, req_event, rsp_prod, rsp_event = unpack_from("<4I", raw)
    # A domain may write what it likes there: no more is shown than there are slots.
    waiting = min(req_prod - rsp_prod & M32, form.slots)
    used = [] if not rsp_prod else [_slot(raw, form, rsp_prod - 1, ANSWER)]
    for number in range(waiting):
        index = rsp_prod + number & M32
        kind = TAKEN if (index - taken & M32) >= 1 << 31 else REQUEST
        used.append(_slot(raw, form, index, kind))
    shown = STATES[state] if state < len(STATES) else str(state)
    return Ring(
        name,
        domain,
        shown,
        form.slots,
        req_prod,
        req_event,
        rsp_prod,
        rsp_event,
        taken,
        answered,
        tuple(used),
    )


def _slot(raw: bytes, form: _Format, index: int, kind: str) -> Slot:
    layout, names = form.answer if kind == ANSWER else form.request
    at = SLOTS_AT + index % form.slots * form.slot_bytes
    # The 64-bit fields of a disk request are aligned to four bytes on the i386, as here.
    return Slot(index, kind, dict(zip(names, unpack_from(layout, raw, at), strict=True)))


def _read(subject: Subject, where: int, count: int) -> bytes | None:
    return subject.monitor.guest_read(Linear(where), count, 0)
