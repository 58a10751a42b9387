"""The techniques that exist, by name. Adding one takes its own module or package, and one line here.

A technique's module, and with it the machine, is loaded when the technique is made and not when it is named:
the window names them all and runs none, for its sessions are other processes.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final, NamedTuple, Protocol, cast

from vizapp.errors import UnknownNameError
from vizapp.vmm.base import Technique


class Maker(Protocol):
    """Makes a technique, and says without making it which build of a library guest it needs."""

    @property
    def build(self) -> str:
        """``native`` or ``xen``, as the technique's own ``build``."""
        ...

    def __call__(self) -> Technique:
        """The technique."""
        ...


class Registered(NamedTuple):
    """A technique by the module below ``vizapp.vmm`` and the class in it."""

    build: str
    module: str
    name: str

    def __call__(self) -> Technique:
        """Load the module and make the technique."""
        return cast("Technique", getattr(import_module(f"vizapp.vmm.{self.module}"), self.name)())


TECHNIQUES: Final[dict[str, Maker]] = {
    "native": Registered("native", "native", "Native"),
    "trap-and-emulate": Registered("native", "trap_and_emulate.technique", "TrapAndEmulate"),
    "paravirtual": Registered("xen", "xen.technique", "Paravirtual"),
}


def maker(name: str) -> Maker:
    """What makes the technique of that name; UnknownNameError with the nearest one otherwise."""
    try:
        return TECHNIQUES[name]
    except KeyError:
        raise UnknownNameError("technique", name, TECHNIQUES) from None


def technique(name: str) -> Technique:
    """The technique of that name; UnknownNameError with the nearest one otherwise."""
    return maker(name)()
