"""What is known of a guest before it runs: which techniques cannot run it, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vizapp.errors import VizappError
from vizapp.guest.library import GUESTS
from vizapp.guest.real_mode import BOOT_ADDRESS
from vizapp.messages import N_, Message
from vizapp.session.protocol import RunTo
from vizapp.ui.selection import FIRST_TRAP
from vizapp.vmm.registry import TECHNIQUES, maker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vizapp.machine.image import Image
    from vizapp.session.protocol import Command

HYPERCALL_PAGE = "hypercall_page"


class GuestFacts(NamedTuple):
    """What decides how a guest is opened.

    ``obstacles`` are the techniques that cannot run it, with the reason; ``needs_pc`` is the image's;
    ``boots`` says that the BIOS will fetch it from a disk.
    """

    obstacles: Mapping[str, Message]
    needs_pc: bool = False
    boots: bool = False

    @property
    def opening(self) -> tuple[Command, ...]:
        """What brings it to where there is something to see: its own first instruction, or its first trap."""
        return (RunTo(BOOT_ADDRESS),) if self.boots else FIRST_TRAP


NOTHING_KNOWN = GuestFacts({})


def guest_facts(guest: str, load: Callable[[str, str], Image]) -> GuestFacts:
    """Facts of a guest of the library or of a file; ``load`` makes the image of (guest, build).

    Nothing is known of a guest that cannot be loaded: opening it says what is wrong.
    """
    if guest in GUESTS:
        builds = GUESTS[guest].builds
        names = [name for name in TECHNIQUES if maker(name).build not in builds]
        return GuestFacts({name: _not_ported(guest) for name in names})
    try:
        image = load(guest, "native")
    except VizappError:
        return NOTHING_KNOWN
    found = {name: _obstacle(guest, image, name, load) for name in TECHNIQUES}
    return GuestFacts(
        {name: why for name, why in found.items() if why is not None}, image.needs_pc, _boots(image)
    )


def _obstacle(guest: str, image: Image, name: str, load: Callable[[str, str], Image]) -> Message | None:
    if name == "native":
        return None
    if image.bare_only is not None:
        return image.bare_only
    build = maker(name).build
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


def _not_ported(name: str) -> Message:
    return Message(N_("{name} was not ported to this monitor's calls"), {"name": name})
