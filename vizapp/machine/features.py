"""What a PC has beyond interrupt controllers, timer, serial port and text screen."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class Features(NamedTuple):
    """A full PC's equipment; plain data, part of a scenario.

    Attributes:
        start: the date that the real-time clock shows at power-on.
        disks: contents of up to two IDE disks; the machine never changes them.
        fpu: the floating-point unit, of which only the control instructions are there.
        apic: a local APIC and an I/O APIC, with MP tables in the BIOS area.
        a20: whether the firmware has opened the gate of address line 20.
        mac: six bytes, the address of a network adapter; None: there is none.
        station: the adapter is on a switch of its own, with a ``devices.station`` at the other end.
        relayed: the adapter does nothing by itself, see ``devices.relayed_lance``.
        carried: adapter and disks are a virtual machine's, and somebody else has what is behind them: see
            ``devices.carried_lance`` and ``devices.carried_drive``. Of the disks only the sizes count then.
        large_pages: the processor has 4 MB pages and PAE, which not every monitor can give to its guest.
    """

    start: datetime = datetime(2009, 1, 1)
    disks: tuple[bytes, ...] = ()
    fpu: bool = False
    apic: bool = True
    a20: bool = True
    mac: bytes | None = None
    station: bool = False
    relayed: bool = False
    carried: bool = False
    large_pages: bool = True
