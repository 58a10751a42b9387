"""What devices do by themselves, as sentences: frames on the line, sectors asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.machine import events as ev
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.machine.events import Event

_REAL: Final = {
    ev.FRAME_SENT: N_(
        "The network adapter has read {bytes} bytes at {address} out of memory by itself, and sends them as "
        "a frame."
    ),
    ev.FRAME_RECEIVED: N_(
        "A frame of {bytes} bytes has come in, and the network adapter has stored it at {address} by itself."
    ),
}
_VIRTUAL: Final = {
    ev.FRAME_SENT: N_(
        "The virtual network adapter has taken a frame of {bytes} bytes at {address} out of the guest's "
        "memory."
    ),
    ev.FRAME_RECEIVED: N_(
        "The virtual network adapter has put a frame of {bytes} bytes into the guest's memory, at {address}."
    ),
}
_BLOCKS: Final = {
    "read": N_("The drive is told to read {count} sectors from sector {block} on."),
    "write": N_("The drive is told to write {count} sectors from sector {block} on."),
}
_SWITCHED: Final = {
    "in": N_(
        "The VMkernel's switch has looked for whom the frame of {bytes} bytes is that has come from the "
        "line: for a virtual machine of its own."
    ),
    "out": N_(
        "The VMkernel's switch has looked for whom the guest's frame of {bytes} bytes is: for somebody "
        "outside. It goes to the ring of the machine's own adapter."
    ),
    "local": N_(
        "The VMkernel's switch has looked for whom the guest's frame of {bytes} bytes is: for another "
        "virtual machine. It goes from memory to memory, and no adapter sees it."
    ),
    "dropped": N_("The VMkernel's switch has found nobody here for a frame of {bytes} bytes, and drops it."),
}


def describe_device(event: Event) -> Message:
    """The sentence for one of ``DEVICE_EVENTS``."""
    shown: dict[str, str | int | float | Message] = dict(event.payload)
    if event.kind == ev.BLOCKS_ASKED:
        return Message(_BLOCKS[event.cause], shown)
    if event.kind == ev.FRAME_SWITCHED:
        return Message(_SWITCHED[event.cause], shown)
    shown["address"] = f"{event.payload['address']:#x}"
    return Message((_VIRTUAL if "vm" in event.payload else _REAL)[event.kind], shown)


DEVICE_EVENTS: Final = (ev.FRAME_SENT, ev.FRAME_RECEIVED, ev.BLOCKS_ASKED, ev.FRAME_SWITCHED)
