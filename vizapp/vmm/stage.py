"""What a technique tells the stage: which places exist and how they nest; the drawing is the window's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vizapp.machine.places import APPLICATION, BARE, GUEST_KERNEL, VMM
from vizapp.messages import N_, Message


class StageComponent(NamedTuple):
    """A thing that lives in a ring: ``id`` equals ``Place.component``; ``vm`` is -1 where it serves all.

    ``owner`` is the name of its virtual machine where there are several; ``title`` says what it is there.
    """

    id: str
    title: Message
    ring: int
    vm: int = -1
    owner: str = ""


class StageWorld(NamedTuple):
    """One ring system, inner rings first: ``id`` equals ``Place.world``."""

    id: str
    title: Message
    components: tuple[StageComponent, ...]


def bare_stage() -> tuple[StageWorld, ...]:
    """A kernel in ring 0 and its applications in ring 3, with nothing beneath."""
    return (
        StageWorld(
            BARE,
            Message(N_("the processor")),
            (
                StageComponent(GUEST_KERNEL, Message(N_("kernel")), 0),
                StageComponent(APPLICATION, Message(N_("applications")), 3),
            ),
        ),
    )


def deprivileged_stage(monitor: Message, vms: Sequence[str] = ("",)) -> tuple[StageWorld, ...]:
    """A monitor in ring 0, the guest kernels pushed out to ring 1, applications where they were.

    ``vms`` are the names of the virtual machines, which stand side by side.
    """
    guests: list[StageComponent] = []
    for index, name in enumerate(vms):
        owner = name if len(vms) > 1 else ""
        guests.append(StageComponent(GUEST_KERNEL, Message(N_("guest kernel")), 1, index, owner))
        guests.append(StageComponent(APPLICATION, Message(N_("applications")), 3, index, owner))
    return (
        StageWorld(
            BARE,
            Message(N_("the processor")),
            (
                StageComponent(VMM, monitor, 0),
                *sorted(guests, key=lambda component: component.ring),
            ),
        ),
    )
