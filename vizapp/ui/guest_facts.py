"""What is known of a guest before it runs: which techniques cannot run it, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.errors import VizappError
from vizapp.experiment.scenario_file import is_scenario_file, load_scenario_file
from vizapp.experiment.scenarios import make_scenario
from vizapp.guest.catalogue import GUESTS
from vizapp.guest.real_mode import BOOT_ADDRESS
from vizapp.messages import N_, Message
from vizapp.session.protocol import RunTo
from vizapp.ui.selection import FIRST_TRAP, PORTED, Selection, fitting
from vizapp.vmm.registry import TECHNIQUES, maker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vizapp.machine.image import Image
    from vizapp.session.protocol import Command

HYPERCALL_PAGE = "hypercall_page"


class GuestFacts(NamedTuple):
    """What decides how a guest is opened.

    ``obstacles`` are the techniques that cannot run it, with the reason; ``needs_pc`` is the image's;
    ``boots`` says that the BIOS will fetch it from a disk; ``ported`` that it can be a domain of Xen's by
    itself, or else one in hardware only. ``own`` is what a file of several virtual machines
    asks for itself: technique, processor, paging and whether the processor is virtualizable.
    """

    obstacles: Mapping[str, Message]
    needs_pc: bool = False
    boots: bool = False
    own: tuple[str, str, str, bool] | None = None
    ported: bool = True

    def suited(self, selection: Selection) -> Selection:
        """The selection as the guest wants it: under a technique that can run it."""
        if self.own is not None:
            technique, processor, paging, virtualizable = self.own
            return selection._replace(
                technique=technique, processor=processor, paging=paging, virtualizable=virtualizable
            )
        if selection.technique in self.obstacles:
            technique = next(name for name in TECHNIQUES if name not in self.obstacles)
            selection = selection._replace(technique=technique)
        return selection if self.ported else fitting(selection, ported=False)

    @property
    def opening(self) -> tuple[Command, ...]:
        """What brings it to where there is something to see: its own first instruction, or its first trap."""
        return (RunTo(BOOT_ADDRESS),) if self.boots else FIRST_TRAP


NOTHING_KNOWN = GuestFacts({})


def guest_facts(guest: str, load: Callable[[str, str], Image]) -> GuestFacts:
    """Facts of a guest of the library or of a file; ``load`` makes the image of (guest, build).

    Nothing is known of a guest that cannot be loaded: opening it says what is wrong.
    """
    if is_scenario_file(guest):
        return _several(guest)
    if guest in GUESTS:
        builds = GUESTS[guest].builds
        if "native" in builds:
            return GuestFacts({}, ported="xen" in builds)
        names = [name for name in TECHNIQUES if maker(name).build not in builds]
        return GuestFacts(dict.fromkeys(names, _only_ported(guest)))
    try:
        image = load(guest, "native")
    except VizappError:
        return NOTHING_KNOWN
    found = {name: _obstacle(guest, image, name, load) for name in TECHNIQUES}
    obstacles = {name: why for name, why in found.items() if why is not None and name not in PORTED}
    return GuestFacts(
        obstacles, image.needs_pc, _boots(image), ported=all(found[name] is None for name in PORTED)
    )


def _several(file: str) -> GuestFacts:
    """Of a file with several virtual machines: its monitor, and that the others cannot run them."""
    try:
        scenario = load_scenario_file(file, make_scenario)
    except VizappError:
        return NOTHING_KNOWN
    own = (scenario.technique, scenario.processor, scenario.paging, scenario.virtualizable)
    why = other_monitor(scenario.technique)
    return GuestFacts({name: why for name in TECHNIQUES if name != scenario.technique}, own=own)


def other_monitor(technique: str) -> Message:
    """Why a file of several virtual machines runs under one technique only."""
    return Message(N_("the file asks for {technique}"), {"technique": technique})


def _obstacle(guest: str, image: Image, name: str, load: Callable[[str, str], Image]) -> Message | None:
    if name == "native":
        return None
    technique = maker(name)
    if image.bare_only is not None and not technique.abilities.real_mode:
        return image.bare_only
    build = technique.build
    if build == "native":
        return None
    try:
        ported = load(guest, build)
    except VizappError as error:
        return error.message
    # Without the page that hypercalls go through, a guest has no way to ask for anything.
    return None if HYPERCALL_PAGE in ported.symbols else _not_ported(image.name)


def _boots(image: Image) -> bool:
    return image.bits == 16 and bool(image.disks)


def _only_ported(name: str) -> Message:
    return Message(N_("{name} is a kernel for Xen and nothing else"), {"name": name})


def _not_ported(name: str) -> Message:
    return Message(N_("{name} was not ported to this monitor's calls"), {"name": name})
