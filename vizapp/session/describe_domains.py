"""What happens between domains of a hypervisor, as sentences: made and ended, memory, grants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.machine import events as ev
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.machine.events import Event

_SENTENCES: Final = {
    ev.DOMAIN_CREATED: N_(
        "Domain 0 has asked for a domain, and the hypervisor has made one: {cause}. It has no memory yet, "
        "and is paused until its builder has put a kernel into it."
    ),
    ev.DOMAIN_DESTROYED: N_(
        "The hypervisor takes domain {cause} apart: its tables are unpinned, its events closed, and its "
        "frames are wiped and free as soon as nobody maps them."
    ),
    ev.GRANT_MAPPED: N_(
        "Grant {reference} of {cause} is mapped: the hypervisor has checked the grant and written the "
        "page-table entry, and machine frame {frame} is in two domains now."
    ),
    ev.GRANT_UNMAPPED: N_(
        "Grant {reference} of {cause} is no longer in use: machine frame {frame} is its own."
    ),
    ev.GRANT_COPIED: N_(
        "The hypervisor copies {bytes} bytes for a domain, by a grant and without a mapping."
    ),
    ev.IO_REQUESTED: N_(
        "The guest's access to {address} is for its device model in domain 0: Xen has put a request into the "
        "page that both share, and an event tells of it."
    ),
    ev.IO_ANSWERED: N_(
        "The device model has answered the access to {address}: the guest's instruction can go on."
    ),
}
_MOVED: Final = {
    "transfer": N_("Machine frame {frame} changes its owner: one domain has given it, the other takes it."),
    "given": N_("The hypervisor gives {pages} frames of memory to a domain."),
    "taken": N_("A domain gives {pages} frames of memory back to the hypervisor."),
    "setup_table": N_("A domain has its grant table now, in a frame that hypervisor and domain share."),
}


def describe_domain_event(event: Event) -> Message:
    """The sentence for one of ``DESCRIBED``."""
    sentence = _MOVED[event.cause] if event.kind == ev.MEMORY_MOVED else _SENTENCES[event.kind]
    shown: dict[str, str | int | float | Message] = {**event.payload, "cause": event.cause}
    if event.kind in (ev.IO_REQUESTED, ev.IO_ANSWERED):
        shown["address"] = f"{event.payload['address']:#x}"
    if "frame" in event.payload:
        shown["frame"] = f"{event.payload['frame']:#x}"
    return Message(sentence, shown)


DESCRIBED: Final = (*_SENTENCES, ev.MEMORY_MOVED)
