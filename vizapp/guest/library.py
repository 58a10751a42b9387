"""The guest library's builds, assembled from ``assets/guests``."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from vizapp.errors import ScenarioError, UnknownNameError
from vizapp.guest.catalogue import BUILDS, GUESTS, Guest, guest_directory
from vizapp.guest.source import assemble_image
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vizapp.machine.image import Image

MOST_ITERATIONS = 1_000_000
SPARE_SECTORS = 2048


def find_guest(name: str) -> Guest:
    """The guest of a name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in GUESTS:
        raise UnknownNameError("guest", name, GUESTS)
    return GUESTS[name]


def build_guest(
    name: str,
    build: str = "native",
    iterations: int | None = None,
    defines: Mapping[str, str] | None = None,
) -> Image:
    """One build of a guest, assembled.

    Args:
        name: a key of ``GUESTS``.
        build: ``native``, for the bare machine at 0x00100000, ``xen``, linked at 0xC0000000, or ``hvm``, as
            ``native`` but with Xen's front ends instead of drivers.
        iterations: loop count of a guest that loops; its own default if None.
        defines: more macros for the source, as ``-D`` gives them to NASM.

    Raises:
        UnknownNameError: there is no such guest, or no such build at all.
        ScenarioError: the guest has not this build, or does not loop, or not so often.
    """
    guest = find_guest(name)
    if build not in BUILDS:
        raise UnknownNameError("build", build, BUILDS)
    if build not in guest.builds:
        raise ScenarioError(
            Message(
                N_("{guest} has no {build} build, only: {builds}"),
                {"guest": name, "build": build, "builds": ", ".join(guest.builds)},
            )
        )
    macros = dict(defines or {})
    if iterations is not None:
        _check_iterations(guest, iterations)
        macros["ITERATIONS"] = str(iterations)
    return _assembled(name, build, tuple(sorted(macros.items())), guest_directory(), _as_written())


# Scenarios, yardsticks and comparisons want the same few builds again and again.
@lru_cache(maxsize=64)
def _assembled(
    name: str,
    build: str,
    macros: tuple[tuple[str, str], ...],
    directory: Path,
    _sources: tuple[tuple[str, int, int], ...],
) -> Image:
    guest = GUESTS[name]
    image = assemble_image(guest.source, name, build, dict(macros), (directory,))
    return replace(
        image,
        needs_pc=guest.needs_apic or guest.needs_network or guest.needs_disk,
        needs_apic=guest.needs_apic,
        needs_network=guest.needs_network,
        spare_disk=spare_disk() if guest.needs_disk else b"",
    )


def _as_written() -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of every source of the library: another once a person has edited one of them."""
    with os.scandir(guest_directory()) as entries:
        stats = ((entry.name, entry.stat()) for entry in entries)
        return tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats))


@lru_cache(maxsize=1)
def spare_disk() -> bytes:
    """The disk that a guest gets which drives one: every 16 bytes say which sector and which part it is."""
    return b"".join(
        b"block %06d %02d\n" % (sector, part) for sector in range(SPARE_SECTORS) for part in range(32)
    )


def _check_iterations(guest: Guest, iterations: int) -> None:
    if guest.iterations is None:
        raise ScenarioError(
            Message(
                N_("{guest} does not loop, so it takes no iterations; these do: {looping}"),
                {
                    "guest": guest.name,
                    "looping": ", ".join(
                        other.name for other in GUESTS.values() if other.iterations is not None
                    ),
                },
            )
        )
    if not 1 <= iterations <= MOST_ITERATIONS:
        raise ScenarioError(
            Message(
                N_("{iterations} iterations are not between 1 and {most}"),
                {"iterations": iterations, "most": MOST_ITERATIONS},
            )
        )
