"""How a guest finds its machine: its image in memory, the processor flat in ring 0, no paging."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.errors import ImageError
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.isa.addresses import GuestPhysical
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.image import Image


def load_image(store: Callable[[GuestPhysical, bytes], None], size: int, image: Image) -> None:
    """``store`` the segments of a 32-bit image in ``size`` bytes of memory; ImageError if they do not fit."""
    if image.bits != 32:
        raise ImageError(
            Message(
                N_("{name} starts in real mode, which this technique cannot run"),
                {"name": image.name},
            )
        )
    for address, data in image.segments:
        if address + len(data) > size:
            raise ImageError(
                Message(
                    N_("{name} needs {needed} MB of memory and there are {size}"),
                    {"name": image.name, "needed": (address + len(data) - 1 >> 20) + 1, "size": size >> 20},
                )
            )
        store(address, data)


def power_on(cpu: Cpu, image: Image) -> None:
    """Bring a processor, physical or virtual, to the state in which a guest starts."""
    cpu.reset()
    cpu.eip = image.entry
