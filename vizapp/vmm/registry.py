"""The techniques that exist, by name. Adding one takes its own module or package, and one line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from vizapp.errors import UnknownNameError
from vizapp.vmm.base import Technique
from vizapp.vmm.native import Native
from vizapp.vmm.trap_and_emulate.technique import TrapAndEmulate
from vizapp.vmm.xen.technique import Paravirtual

TECHNIQUES: Final[dict[str, Callable[[], Technique]]] = {
    "native": Native,
    "trap-and-emulate": TrapAndEmulate,
    "paravirtual": Paravirtual,
}


def technique(name: str) -> Technique:
    """The technique of that name; UnknownNameError with the nearest one otherwise."""
    try:
        return TECHNIQUES[name]()
    except KeyError:
        raise UnknownNameError("technique", name, TECHNIQUES) from None
