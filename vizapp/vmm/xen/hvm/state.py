"""What the hypervisor keeps of an HVM domain besides what it keeps of every domain, as plain data."""

from __future__ import annotations

from typing import NamedTuple

from vizapp.vmm.xen.hvm import abi


class HvmState(NamedTuple):
    """Of one HVM domain.

    Attributes:
        params: the values of its HVM parameters.
        port: the channel on which it tells its device model of requests; 0: it has no virtual CPU yet.
        lines: bits of the ISA interrupt lines that the device model holds high.
        callback: the event callback's line is high.
        wires: bits of the PCI interrupt wires that are high, 4 for each device.
        links: the ISA line of each of the four PCI links; 0: none.
    """

    params: tuple[int, ...] = (0,) * abi.PARAMS
    port: int = 0
    lines: int = 0
    callback: bool = False
    wires: int = 0
    links: tuple[int, ...] = (0,) * abi.LINKS

    def with_param(self, index: int, value: int) -> HvmState:
        """The same with one parameter changed."""
        return self._replace(params=(*self.params[:index], value, *self.params[index + 1 :]))
