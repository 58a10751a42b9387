"""The techniques that exist, by name. Adding one takes its own module or package, and one line here.

A technique's module, and with it the machine, is loaded when the technique is made and not when it is named:
the window names them all and runs none, for its sessions are other processes.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final, NamedTuple, Protocol, cast

from vizapp.errors import UnknownNameError
from vizapp.vmm.base import Technique


class Abilities(NamedTuple):
    """What a technique gives to its guests.

    Attributes:
        several: it runs several virtual machines.
        real_mode: a guest may start, and run, in real mode.
        full_pc: the board of a full PC, see ``machine.features``.
        large_pages: a full PC's processor has 4 MB pages and PAE.
        inputs: what comes from outside while the guest runs reaches its devices.
        overcommits: its guests may have more memory together than the PC has.
        lends_devices: the first guest drives the machine's own devices, as far as the monitor lets it.
        relays_frames: a process, or the monitor's own kernel, models its guests' network adapters, so that a
            frame takes no time on a line.
        drives_devices: the monitor has drivers for an adapter and a disk of the machine, and its guests share
            them.
        hides_cpuid: what CPUID says is the monitor's to choose. Where it executes directly, as on any
            processor without VT-x or AMD-V, what one guest's board makes it say the others and the machine
            have too.
    """

    several: bool = True
    real_mode: bool = True
    full_pc: bool = True
    large_pages: bool = True
    inputs: bool = True
    overcommits: bool = False
    lends_devices: bool = False
    hides_cpuid: bool = True
    relays_frames: bool = False
    drives_devices: bool = False


class Maker(Protocol):
    """Makes a technique, and says without making it which build of a library guest it needs."""

    @property
    def build(self) -> str:
        """``native`` or ``xen``, as the technique's own ``build``."""
        ...

    @property
    def abilities(self) -> Abilities:
        """What its guests get."""
        ...

    def __call__(self) -> Technique:
        """The technique."""
        ...


class Registered(NamedTuple):
    """A technique by the module below ``vizapp.vmm`` and the class in it."""

    build: str
    module: str
    name: str
    abilities: Abilities = Abilities()

    def __call__(self) -> Technique:
        """Load the module and make the technique."""
        return cast("Technique", getattr(import_module(f"vizapp.vmm.{self.module}"), self.name)())


TECHNIQUES: Final[dict[str, Maker]] = {
    "native": Registered("native", "native", "Native", Abilities(several=False)),
    "trap-and-emulate": Registered(
        "native",
        "trap_and_emulate.technique",
        "TrapAndEmulate",
        Abilities(real_mode=False, large_pages=False, overcommits=True, hides_cpuid=False),
    ),
    "binary-translation": Registered(
        "native",
        "binary_translation.technique",
        "BinaryTranslation",
        Abilities(large_pages=False, overcommits=True, relays_frames=True, drives_devices=True),
    ),
    "vt-x": Registered("native", "vt_x.technique", "VtX", Abilities(relays_frames=True, drives_devices=True)),
    "amd-v": Registered(
        "native", "amd_v.technique", "AmdV", Abilities(relays_frames=True, drives_devices=True)
    ),
    "paravirtual": Registered(
        "xen",
        "xen.technique",
        "Paravirtual",
        Abilities(
            real_mode=False,
            large_pages=False,
            lends_devices=True,
            hides_cpuid=False,
        ),
    ),
}


HOSTED: Final[dict[str, Maker]] = {
    "binary-translation": Registered(
        "native",
        "hosted.technique",
        "HostedTranslation",
        Abilities(large_pages=False, relays_frames=True),
    ),
}
"""Those that can also run beside a host operating system."""


def maker(name: str, io: str = "bare-metal") -> Maker:
    """What makes the technique of that name; UnknownNameError with the nearest one otherwise.

    ``io`` says who has the machine's devices; where nothing else is registered it makes no difference.
    """
    try:
        return HOSTED[name] if io == "hosted" and name in HOSTED else TECHNIQUES[name]
    except KeyError:
        raise UnknownNameError("technique", name, TECHNIQUES) from None


def technique(name: str, io: str = "bare-metal") -> Technique:
    """The technique of that name; UnknownNameError with the nearest one otherwise."""
    return maker(name, io)()
