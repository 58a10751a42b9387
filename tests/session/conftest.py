"""Scenarios of shipped guests, each image assembled once."""

from collections.abc import Callable
from functools import cache

import pytest

from vizapp.guest.library import build_guest
from vizapp.machine.image import Image
from vizapp.session.scenario import Scenario

MakeScenario = Callable[..., Scenario]


@cache
def image(guest: str, build: str) -> Image:
    return build_guest(guest, build)


@pytest.fixture
def scenario() -> MakeScenario:
    """``scenario(guest, technique, virtualizable=...)``: a scenario of a library guest."""

    def make(guest: str, technique: str = "native", *, virtualizable: bool = False) -> Scenario:
        ported = technique == "paravirtual"
        return Scenario(
            image(guest, "xen" if ported else "native"),
            technique,
            virtualizable=virtualizable,
            yardstick=image(guest, "native") if ported else None,
        )

    return make
