"""What the header offers: the techniques that are built, the guests of the library, the processors."""

from __future__ import annotations

from typing import NamedTuple

from vizapp.cost.processors import load_processor, processor_names
from vizapp.guest.catalogue import GUESTS
from vizapp.messages import Message
from vizapp.vmm.registry import TECHNIQUES


class Choices(NamedTuple):
    """What there is to choose from.

    ``techniques`` are those that are built; ``guests`` are (name, description), ``processors`` (name, title).
    """

    techniques: tuple[str, ...]
    guests: tuple[tuple[str, Message], ...]
    processors: tuple[tuple[str, str], ...]


def choices() -> Choices:
    """All that this build has."""
    return Choices(
        techniques=tuple(TECHNIQUES),
        guests=tuple((guest.name, guest.summary) for guest in GUESTS.values()),
        processors=tuple((name, load_processor(name).title) for name in processor_names()),
    )
