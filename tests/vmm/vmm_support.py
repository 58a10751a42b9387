"""Guests from source, assembled by NASM or written as bytes, on a PC under a technique."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.machine.events import Event
from vizapp.machine.identity import PENTIUM_4, PENTIUM_4_VIRTUALIZABLE
from vizapp.machine.image import Image
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc
from vizapp.vmm.base import Options
from vizapp.vmm.registry import technique

GUESTS = Path(__file__).parents[2] / "assets" / "guests"
ORIGIN = 0x10_0000
HERTZ = 100_000_000
MEMORY = 4 << 20


@lru_cache
def assemble(source: str, *defines: str) -> bytes:
    with TemporaryDirectory() as name:
        file = Path(name) / "guest.asm"
        file.write_text(source)
        output = Path(name) / "guest.bin"
        options = [f"-D{define}" for define in defines]
        command = ["nasm", "-f", "bin", "-w-all", f"-I{GUESTS}/", *options, "-o", str(output), str(file)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        return output.read_bytes()


def image_of(code: bytes, name: str = "test") -> Image:
    return Image(name, "native", ((GuestPhysical(ORIGIN), code),), Linear(ORIGIN))


def library_image(name: str) -> Image:
    return image_of(assemble((GUESTS / f"{name}.asm").read_text(), "NATIVE"), name)


def small_image(body: str) -> Image:
    """A test kernel: ``body`` after the common start of ``KERNEL``."""
    return image_of(assemble(f"bits 32\norg {ORIGIN:#x}\n{body}"))


class Run:
    """A PC with a guest, its events recorded."""

    def __init__(
        self,
        image: Image,
        name: str = "trap-and-emulate",
        *,
        virtualizable: bool = False,
        memory: int = MEMORY,
    ) -> None:
        self.technique = technique(name)
        options = Options(memory=memory, paths={}, virtualizable=virtualizable)
        identity = PENTIUM_4_VIRTUALIZABLE if virtualizable else PENTIUM_4
        prices = dict.fromkeys(NAMES, 1)
        self.pc = Pc(prices, self.technique.host_memory(options), HERTZ, identity)
        self.events: list[Event] = []
        self.pc.listener = self.events.append
        self.monitor = self.technique.start(self.pc, image, options)

    def run(self, steps: int = 2_000_000) -> Run:
        self.pc.run(max_steps=steps)
        return self

    @property
    def serial(self) -> str:
        return bytes(self.monitor.devices.uart.output).decode("ascii")

    @property
    def reason(self) -> str:
        return self.pc.stopped[0] if self.pc.stopped else ""

    def kinds(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]
