"""Sentences for the monitor's own paging."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.machine.events import Event
    from vizapp.session.moment import LastStep


def describe_page_out(event: Event, step: LastStep) -> Message:
    """Whose page went, and why that one."""
    sentence = N_(
        "The host has no free memory left. The VMM takes guest page {page} from virtual machine {vm}, "
        "chosen at random, and writes it to its own disk; its guest will not notice before it wants it."
    )
    return Message(sentence, _parameters(event))


def describe_page_in(event: Event, step: LastStep) -> Message:
    """What came back, and whether it was paged twice."""
    if event.cause == "guest-disk":
        sentence = N_(
            "Double paging: the guest moves page {page} between memory and its own disk, and the VMM has had "
            "it on another. It is read from the one disk only for the sake of the other."
        )
    else:
        sentence = N_(
            "Guest page {page} of virtual machine {vm} is wanted again: the VMM reads it from its own disk. "
            "The guest has waited, and learns nothing of it."
        )
    return Message(sentence, _parameters(event))


def _parameters(event: Event) -> dict[str, str | int | float | Message]:
    return {"page": f"{event.payload['guest_frame']:#x}", "vm": event.payload["vm"]}
