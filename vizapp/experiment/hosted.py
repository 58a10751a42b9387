"""The hosted architecture: a monitor beside an operating system that owns the machine's devices."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from vizapp.errors import ScenarioError, UnknownNameError
from vizapp.guest.library import build_guest
from vizapp.messages import N_, Message
from vizapp.vmm.registry import HOSTED, TECHNIQUES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizapp.machine.image import Image
    from vizapp.session.scenario import Scenario

HOST_GUEST: Final = "host"
ARCHITECTURES: Final = ("bare-metal", "hosted", "split")
OPTIMIZATIONS: Final = ("ports", "combining", "notification")
"""Sugerman, Venkitachalam and Lim (2001); see ``vmm.base.Hosted``."""


def with_io(scenario: Scenario, io: str | None, optimizations: Mapping[str, bool]) -> Scenario:
    """The scenario with the I/O architecture that is asked for; None: what its technique has.

    Raises:
        UnknownNameError: there is no such architecture, or no such optimization.
        ScenarioError: the technique has not that architecture.
    """
    if io is not None and io not in ARCHITECTURES:
        raise UnknownNameError("I/O architecture", io, ARCHITECTURES)
    for name in optimizations:
        if name not in OPTIMIZATIONS:
            raise UnknownNameError("optimization", name, OPTIMIZATIONS)
    if optimizations and io != "hosted":
        sentence = N_("{names} are optimizations of a hosted monitor: add --io hosted")
        raise ScenarioError(Message(sentence, {"names": ", ".join(optimizations)}))
    own = "split" if scenario.technique == "paravirtual" else "bare-metal"
    if io in (None, own):
        return scenario
    if io != "hosted" or scenario.technique not in HOSTED:
        able = ", ".join(HOSTED if io == "hosted" else ["paravirtual"] if io == "split" else _others())
        sentence = N_("{technique} does not do its I/O {io}; there do: {known}")
        raise ScenarioError(
            Message(sentence, {"technique": scenario.technique, "io": io or own, "known": able})
        )
    return replace(scenario, io="hosted", host=_host(), hosted=dict(optimizations))


@lru_cache
def _host() -> Image:
    return build_guest(HOST_GUEST)


def _others() -> tuple[str, ...]:
    return tuple(name for name in TECHNIQUES if name != "paravirtual")
