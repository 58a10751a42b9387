"""What a world switch of a hosted monitor is for, in a sentence or two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.machine.events import Event
    from vizapp.messages import Parameter
    from vizapp.session.moment import LastStep

_TO_VMM: Final = N_(
    "MOV CR3 in the switch page: the host's world is left behind, its tables with it, and the VMM has the "
    "whole machine. The page is mapped at the same address in both worlds, so the next instruction is still "
    "there."
)
_TO_HOST: Final = {
    "interrupt": N_(
        "MOV CR3 in the switch page: back to the host's world, because interrupt {vector} is for a driver of "
        "the host. VMDriver will raise it again in the host's own IDT."
    ),
    "timer": N_(
        "MOV CR3 in the switch page: back to the host's world. The timer is the host's, and the VMM needs it "
        "earlier than the host would."
    ),
    "port": N_(
        "MOV CR3 in the switch page: back to the host's world. The device behind port {port} is a model in "
        "VMApp, a process of the host; VMDriver returns to it."
    ),
    "halt": N_(
        "MOV CR3 in the switch page: back to the host's world. The guest has nothing to run, so VMApp will "
        "wait in select(), and other programs of the host have the processor."
    ),
    "serial": N_(
        "MOV CR3 in the switch page: back to the host's world, where VMApp prints what the virtual serial "
        "port has sent."
    ),
}


def describe_world_switch(event: Event, step: LastStep) -> Message:
    """Which way, and why."""
    parameters: dict[str, Parameter] = {
        "vector": f"{int(event.payload.get('vector', 0)):#04x}",
        "port": f"{int(event.payload.get('port', 0)):#05x}",
    }
    return Message(_TO_HOST.get(event.cause, _TO_VMM), parameters)
