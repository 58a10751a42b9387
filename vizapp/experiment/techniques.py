"""The techniques by name: those that run, and those that the survey names and this version does not have."""

from __future__ import annotations

from vizapp.errors import ScenarioError, UnknownNameError
from vizapp.messages import N_, Message
from vizapp.vmm.base import Technique
from vizapp.vmm.registry import TECHNIQUES

ALL = ("native", "trap-and-emulate", "binary-translation", "paravirtual", "vt-x", "amd-v")
TITLES = {
    "native": N_("Native"),
    "trap-and-emulate": N_("Trap & emulate"),
    "binary-translation": N_("Binary translation"),
    "paravirtual": N_("Paravirtual (Xen)"),
    "vt-x": N_("VT-x"),
    "amd-v": N_("AMD-V"),
}


def technique(name: str) -> Technique:
    """The technique of a name.

    Raises:
        UnknownNameError: there is no such technique.
        ScenarioError: there is, and this version does not have it.
    """
    if name in TECHNIQUES:
        return TECHNIQUES[name]()
    if name in ALL:
        raise ScenarioError(
            Message(
                N_("{name} is not in this version of vizapp; there are: {known}"),
                {"name": name, "known": ", ".join(TECHNIQUES)},
            )
        )
    raise UnknownNameError("technique", name, ALL)
