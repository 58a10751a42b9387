"""What the window looks at, and where in a run it opens and stops."""

from __future__ import annotations

from typing import NamedTuple

from vizapp.cost.choice import (
    DEFAULT_PROCESSOR,
    PAGINGS,
    default_processor,
    fits,
    hardware_of,
    uses_virtualization,
)
from vizapp.cost.processors import load_processor
from vizapp.experiment.scenarios import HVM
from vizapp.experiment.split import SPLIT
from vizapp.machine.events import (
    EXCEPTION_DELIVERED,
    HYPERCALL_MADE,
    INTERRUPT_DELIVERED,
    MACHINE_STOPPED,
    SOFTWARE_INTERRUPT_DELIVERED,
    SYSTEM_CALL_REFLECTED,
    VM_EXITED,
    WORLD_SWITCHED,
)
from vizapp.session.protocol import NextEvent
from vizapp.vmm.registry import HOSTED, TECHNIQUES

# Passages into ring 0, or out of the guest's world: what "next trap" stops at.
TRAP_KINDS = frozenset(
    {
        EXCEPTION_DELIVERED,
        SOFTWARE_INTERRUPT_DELIVERED,
        INTERRUPT_DELIVERED,
        HYPERCALL_MADE,
        VM_EXITED,
        WORLD_SWITCHED,
    }
)
# A ported guest has other instructions, so its progress is counted in marks, which both builds have.
PORTED = frozenset({"paravirtual"})
# Where another guest opens: at its first trap, for it may make no system call.
FIRST_TRAP = (NextEvent(TRAP_KINDS | {MACHINE_STOPPED}),)
# Where the window opens: past the first system call, so that every ring has been seen, and then at a trap.
OPENING = (
    NextEvent(frozenset({SYSTEM_CALL_REFLECTED, SOFTWARE_INTERRUPT_DELIVERED, MACHINE_STOPPED})),
    NextEvent(frozenset({EXCEPTION_DELIVERED, MACHINE_STOPPED})),
)


def opening_of(guest: str) -> tuple[NextEvent, ...]:
    """The commands that bring a guest to where its first frame shows something."""
    return OPENING if guest == Selection().guest else FIRST_TRAP


class Selection(NamedTuple):
    """What is looked at: a guest under a technique on a processor; ``build`` None is the one that fits.

    ``paging`` and ``intercepts``, exits that shall be made or not, count under VT-x and AMD-V only; ``io`` is
    who has the guest's devices, one of ``surroundings`` of the technique.
    """

    guest: str = "minikernel"
    technique: str = "trap-and-emulate"
    processor: str = DEFAULT_PROCESSOR
    virtualizable: bool = True
    build: str | None = None
    paging: str = "shadow"
    intercepts: tuple[tuple[str, bool], ...] = ()
    io: str = "bare-metal"


def surroundings(technique: str, *, ported: bool = True) -> tuple[str, ...]:
    """Who can have the devices of a technique's guests; the first is what it has if nobody chooses.

    ``bare-metal`` is the monitor, or under Xen whatever the guest needs; ``hosted`` a host operating system,
    ``split`` domain 0 with its back ends, and ``hvm`` its device model, for a guest that was not ported: one
    that is not ``ported`` at all can have nothing else there.
    """
    if technique in HOSTED:
        return "bare-metal", "hosted"
    if technique in PORTED:
        return ("bare-metal", SPLIT, HVM) if ported else (HVM,)
    return ("bare-metal",)


def in_hardware(selection: Selection) -> bool:
    """Whether the selection needs VT-x or AMD-V, and so has a choice of paging."""
    return uses_virtualization(selection.technique) or selection.io == HVM


def fitting(selection: Selection, *, ported: bool = True) -> Selection:
    """The selection on a processor that its technique can be on: its own, else the technique's default.

    ``ported``: its guest was, to the techniques that need it.
    """
    possible = surroundings(selection.technique, ported=ported)
    if selection.io not in possible:
        selection = selection._replace(io=possible[0])
    if not in_hardware(selection):
        return selection._replace(paging="shadow")
    processor = load_processor(selection.processor)
    technique = hardware_of(processor) if selection.io == HVM else selection.technique
    if fits(processor, technique, selection.paging):
        return selection
    return selection._replace(processor=default_processor(technique, selection.paging))


def racers(selection: Selection) -> dict[str, Selection]:
    """The same guest under every technique that can be on the processor, by technique.

    VT-x and AMD-V take the paging that is chosen; where neither is, the best that the processor has.
    """
    processor = load_processor(selection.processor)
    found: dict[str, Selection] = {}
    for name in TECHNIQUES:
        wanted = PAGINGS[::-1] if selection.technique != name else (selection.paging,)
        paging = next((kind for kind in wanted if fits(processor, name, kind)), None)
        if paging is not None:
            own = selection.intercepts if name == selection.technique else ()
            runner = selection._replace(
                technique=name, virtualizable=True, build=None, paging=paging, intercepts=own
            )
            io = selection.io if selection.io in surroundings(name) else "bare-metal"
            runner = runner._replace(io=io)
            found[name] = runner if in_hardware(runner) else runner._replace(paging="shadow")
    return found


def racing(selection: Selection) -> tuple[str, str, dict[str, str]]:
    """What makes it the same race: the guest, the processor, and who has the devices under each technique."""
    return selection.guest, selection.processor, {name: one.io for name, one in racers(selection).items()}


def raced(selection: Selection, *, ported: bool = True) -> dict[str, str]:
    """By technique, who has the devices where the guest races under it."""
    return {
        name: runner.io if runner.io in surroundings(name, ported=ported) else HVM
        for name, runner in racers(selection).items()
    }
