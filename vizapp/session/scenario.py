"""A scenario: everything that decides a run. The same scenario gives the same events, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass, field

from vizapp.machine.image import Image


@dataclass(frozen=True, slots=True)
class Scenario:
    """One guest on one PC under one technique; plain data, so that it can cross to a session process.

    ``memory`` is the guest's, in bytes. ``overrides`` re-price single inputs, in cycles. ``serial_input``
    is what COM1 will receive, available from the start. ``yardstick`` is the native build of a ported guest,
    whose result is compared with this one's. ``disks`` are contents of IDE disks, behind those of the image.
    """

    image: Image
    technique: str = "native"
    processor: str = "pentium-4-672"
    paging: str = "shadow"
    virtualizable: bool = False
    memory: int = 16 << 20
    overrides: dict[str, int] = field(default_factory=dict)
    serial_input: bytes = b""
    exit_port: int | None = None
    log_ports: tuple[int, ...] = ()
    preset: str = ""
    yardstick: Image | None = None
    disks: tuple[bytes, ...] = ()
