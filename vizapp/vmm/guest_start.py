"""How a guest finds its machine: its image in memory, and the processor flat in ring 0 or in real mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.errors import ImageError, ScenarioError
from vizapp.isa.addresses import PAGE_SHIFT, GuestPhysical, HostPhysical
from vizapp.isa.registers import CS
from vizapp.machine import real_mode
from vizapp.machine.segments import paragraph_segment
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.cpu import Cpu
    from vizapp.machine.image import Image
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.guest_memory import GuestMemory

MEGABYTE = 1 << 20
TOP = 1 << 32


def load_image(store: Callable[[GuestPhysical, bytes], None], size: int, image: Image) -> None:
    """``store`` the segments of a 32-bit image in ``size`` bytes of memory.

    Raises:
        ScenarioError: it starts in real mode, where nothing can be deprivileged.
        ImageError: it does not fit.
    """
    if image.bare_only is not None:
        raise ScenarioError(image.bare_only)
    _store_segments(store, size, image)


def power_on(cpu: Cpu, image: Image) -> None:
    """Bring a processor, physical or virtual, to the state in which a 32-bit guest starts."""
    cpu.reset()
    for name, value in image.registers:
        setattr(cpu, name, value)
    cpu.eip = image.entry


def start_bare(memory: PhysicalMemory, cpu: Cpu, size: int, image: Image) -> None:
    """Load any image into the bare machine and bring its processor to where the image starts."""
    _store_segments(lambda at, data: memory.load(HostPhysical(at), data), size, image)
    if image.rom:
        below = HostPhysical(MEGABYTE - len(image.rom))
        memory.load(below, image.rom)
        memory.protect(below, len(image.rom))
        memory.add_rom(HostPhysical(TOP - len(image.rom)), image.rom)
    start_cpu(cpu, image)


def load_any_image(memory: GuestMemory, image: Image) -> None:
    """Load any image into a virtual machine's memory; of a ROM, the copy that ends with the first megabyte.

    Raises:
        ImageError: it does not fit.
    """
    _store_segments(memory.load, memory.size, image)
    below = MEGABYTE - len(image.rom)
    memory.load(GuestPhysical(below), image.rom)
    memory.protect(below >> PAGE_SHIFT, len(image.rom) >> PAGE_SHIFT)


def start_cpu(cpu: Cpu, image: Image) -> None:
    """Bring a processor, physical or virtual, to where an image starts."""
    if image.bits == 32:
        power_on(cpu, image)
        return
    real_mode.power_on(cpu)
    if not image.rom:
        cpu.set_code_segment(paragraph_segment(cpu, CS, image.code_segment), 0)
        cpu.eip = image.entry - cpu.segments[CS].base


def _store_segments(store: Callable[[GuestPhysical, bytes], None], size: int, image: Image) -> None:
    for address, data in image.segments:
        if address + len(data) > size:
            raise ImageError(
                Message(
                    N_("{name} needs {needed} MB of memory and there are {size}"),
                    {"name": image.name, "needed": (address + len(data) - 1 >> 20) + 1, "size": size >> 20},
                )
            )
        store(address, data)
