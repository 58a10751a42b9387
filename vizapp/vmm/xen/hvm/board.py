"""The board of an HVM domain: what the hypervisor emulates itself, and the device model at all other ports.

    20 21 A0 A1   interrupt controllers        40-43 61   timer        everything else: the device model

On a full PC's board it emulates the APICs too, which are no ports.

Source: Xen 3.1, arch/x86/hvm/vpic.c, i8254.c, vlapic.c, vioapic.c and intercept.c.
"""

from __future__ import annotations

from typing import Final

from vizapp.machine.devices.pic import PIC_PORTS
from vizapp.machine.devices.pit import PIT_PORTS, PORT_B
from vizapp.vmm.virtual_devices import VirtualDevices
from vizapp.vmm.xen.hvm import abi
from vizapp.vmm.xen.hvm.requests import Access, Answers

OWN: Final = (*PIC_PORTS, PIT_PORTS, range(PORT_B, PORT_B + 1))


def is_own(port: int, size: int) -> bool:
    """Whether the hypervisor answers an access to ports."""
    return any(port in part and port + size <= part.stop for part in OWN)


class HvmBoard(VirtualDevices):
    """Interrupt controllers and timer.

    Attributes:
        answers: the device model's, to the instruction that is being carried out.
    """

    answers: Answers

    def read(self, port: int, size: int) -> int:
        """IN by the guest."""
        if is_own(port, size):
            return super().read(port, size)
        return self.answers.take(Access(abi.TYPE_PIO, port, size, True))

    def write(self, port: int, size: int, value: int) -> None:
        """OUT by the guest."""
        if is_own(port, size):
            super().write(port, size, value)
        else:
            self.answers.take(Access(abi.TYPE_PIO, port, size, False, value & (1 << 8 * size) - 1))
