"""The techniques by name, in the order in which people are shown them."""

from __future__ import annotations

from vizapp.errors import UnknownNameError
from vizapp.messages import N_
from vizapp.vmm.base import Technique
from vizapp.vmm.registry import TECHNIQUES

TITLES = {
    "native": N_("Native"),
    "trap-and-emulate": N_("Trap & emulate"),
    "binary-translation": N_("Binary translation"),
    "paravirtual": N_("Paravirtual (Xen)"),
    "vt-x": N_("VT-x"),
    "amd-v": N_("AMD-V"),
}
ALL = tuple(TITLES)


def technique(name: str) -> Technique:
    """The technique of a name.

    Raises:
        UnknownNameError: there is no such technique.
    """
    if name not in TECHNIQUES:
        raise UnknownNameError("technique", name, ALL)
    return TECHNIQUES[name]()
