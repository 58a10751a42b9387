"""What a world switch of a hosted monitor is for, and what its host does, in a sentence or two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SIZE
from vizapp.machine import events as ev
from vizapp.machine.places import HOST, HOST_KERNEL, HOST_PROCESS, VM_APP, VM_DRIVER, VMM_WORLD
from vizapp.messages import N_, Message
from vizapp.session.describe_effects import hexadecimal
from vizapp.vmm.hosted.layout import CROSS

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
    "end": N_(
        "MOV CR3 in the switch page: back to the host's world, for the last time. The guest has ended, and "
        "so will VMApp, its process; the others go on."
    ),
}


def describe_world_switch(event: Event, step: LastStep) -> Message:
    """Which way, and why."""
    parameters: dict[str, Parameter] = {
        "vector": f"{int(event.payload.get('vector', 0)):#04x}",
        "port": f"{int(event.payload.get('port', 0)):#05x}",
    }
    return Message(_TO_HOST.get(event.cause, _TO_VMM), parameters)


_WHO: Final = {
    HOST_KERNEL: N_("{text}: the host's kernel at ring {ring}, at {address}."),
    VM_DRIVER: N_("{text}: VMDriver, a module of the host's kernel, at ring {ring}, at {address}."),
    VM_APP: N_("{text}: VMApp, the virtual machine's process on the host, at ring {ring}, at {address}."),
    HOST_PROCESS: N_("{text}: a process of the host at ring {ring}, at {address}."),
}
_EVENTS: Final = {
    (ev.SOFTWARE_INTERRUPT_DELIVERED, VM_APP): N_(
        "A system call of VMApp, through gate {vector} of the host's own IDT: the host's kernel is to do for "
        "it what a process may not, or to run the virtual machine."
    ),
    (ev.SOFTWARE_INTERRUPT_DELIVERED, HOST_PROCESS): N_(
        "A system call of a process of the host, through gate {vector} of the host's own IDT."
    ),
    (ev.SOFTWARE_INTERRUPT_DELIVERED, VM_DRIVER): N_(
        "VMDriver raises interrupt {vector}, which had hit the VMM, again: the host's driver is entered as "
        "if the device had asked now."
    ),
    (ev.RETURNED, HOST_KERNEL): N_(
        "IRET: the host's kernel gives the processor back at ring {target}, at {address}."
    ),
}
_INTERRUPTED: Final = N_(
    "A device interrupt, vector {vector}, while the host has the machine: its driver is entered as on any PC."
)
_SWITCH_PAGE: Final = N_(
    "{text}: the switch page, which both worlds have at the same address. It keeps the state of one world "
    "and loads that of the other: tables, control registers, segments, stack."
)
_SCHEDULED: Final = N_(
    "The host's scheduler goes on with another process, the VMApp of {vm}. With its page directory come its "
    "own shared pages and its own switch page, by which VMDriver can reach the world of its VMM and no other."
)
_SOMETHING: Final = N_("The host's world goes on at ring {target}, at {address}.")


def describe_host_code(step: LastStep) -> Message:
    """An instruction of the host's world."""
    before = step.before
    parameters: dict[str, Parameter] = {
        "text": before.own_text or Message(N_("The next instruction")),
        "ring": before.place.ring,
        "address": hexadecimal(before.own_eip),
    }
    if in_switch_page(step):
        return Message(_SWITCH_PAGE, parameters)
    return Message(_WHO.get(before.place.component, _WHO[HOST_KERNEL]), parameters)


def in_switch_page(step: LastStep) -> bool:
    """Whether the step was an instruction of the page by which the worlds are switched."""
    before = step.before
    switches = before.place.world in (HOST, VMM_WORLD) and not before.place.ring and not before.phase
    return switches and CROSS <= before.own_eip < CROSS + PAGE_SIZE


def describe_host_event(event: Event, step: LastStep) -> Message:
    """A passage within the host's world."""
    parameters: dict[str, Parameter] = {
        "vector": f"{int(event.payload.get('vector', 0)):#04x}",
        "target": event.target.ring,
        "address": hexadecimal(step.after.own_eip),
    }
    if event.kind == ev.VM_SCHEDULED:
        return Message(_SCHEDULED, {"vm": event.cause})
    if event.kind == ev.INTERRUPT_DELIVERED:
        return Message(_INTERRUPTED, parameters)
    return Message(_EVENTS.get((event.kind, event.source.component), _SOMETHING), parameters)
