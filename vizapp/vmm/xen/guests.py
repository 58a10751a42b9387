"""Domains as the session knows virtual machines: by index, the initial one first; see ``base.Guest``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.machine.meter import Purpose
from vizapp.vmm.virtual_machine import owner_of
from vizapp.vmm.xen import switching

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizapp.messages import Message
    from vizapp.vmm.base import Devices
    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor


class XenGuest:
    """Number ``index`` of a hypervisor's domains, also before it has been created.

    Attributes:
        hardware: what it takes for its devices.
    """

    def __init__(self, xen: Hypervisor, index: int, hardware: Devices, name: str, weight: int) -> None:
        self.index = index
        self.hardware = hardware
        self._xen = xen
        self._name = name
        self._weight = weight

    @property
    def domain(self) -> Domain | None:
        """The domain; None before it has been created."""
        domains = self._xen.domains
        return domains[self.index] if self.index < len(domains) else None

    @property
    def name(self) -> str:
        """For people."""
        return self._name or owner_of(self.index)

    @property
    def weight(self) -> int:
        """Its share of the processor against the others'."""
        return self._weight if self.domain is None else self.domain.weight

    @property
    def instructions(self) -> int:
        """Guest instructions retired."""
        return 0 if self.domain is None else switching.retired(self._xen, self.domain)[0]

    @property
    def emulated(self) -> int:
        """Those that the hypervisor has done in the guest's stead."""
        return 0 if self.domain is None else switching.retired(self._xen, self.domain)[1]

    @property
    def cached(self) -> int:
        """Those that a translation cache has done: without one, none."""
        return 0

    @property
    def translated(self) -> Mapping[str, int]:
        """Nothing is."""
        return {}

    @property
    def stopped(self) -> tuple[str, Message] | None:
        """Why it is over; with the machine it is over too."""
        own = None if self.domain is None else self.domain.stopped
        return own or self._xen.pc.stopped

    @property
    def state(self) -> str:
        """See ``base.Guest``; a domain that has not been created is paused."""
        if self._xen.pc.stopped is not None:
            return "stopped"
        return "paused" if self.domain is None else self.domain.state

    def cycles(self) -> Mapping[Purpose, int]:
        """Cycles by purpose while it had the processor, or the hypervisor had it on its behalf."""
        spent = (0,) * len(Purpose) if self.domain is None else switching.spent(self._xen, self.domain)
        return dict(zip(Purpose, spent, strict=True))
