"""What the exit loop asks of all virtual machines together, answered by the hypervisor for its domains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.vmm.hardware_assisted.vm import Vm
from vizapp.vmm.virtual_machines import VirtualMachines
from vizapp.vmm.xen import timekeeping
from vizapp.vmm.xen.hvm import lines
from vizapp.vmm.xen.places import HYPERVISOR

if TYPE_CHECKING:
    from vizapp.messages import Message
    from vizapp.vmm.xen.hypervisor import Hypervisor


class HvmDomains(VirtualMachines[Vm]):
    """The HVM domains of ``xen``; its scheduler has them among the others."""

    def __init__(self, xen: Hypervisor) -> None:
        super().__init__(xen.pc, (), HYPERVISOR)
        self._xen = xen

    @property
    def current(self) -> Vm:
        """The machine of the current domain, which is one."""
        assert self._xen.hvm is not None
        return self._xen.hvm.vms[self._xen.domain.index]

    def is_current(self, vm: Vm) -> bool:
        """Whether its domain has the processor, or had it last."""
        return self._xen.domain.index == vm.index

    def stop(self, vm: Vm, reason: str, message: Message) -> bool:
        """A machine has ended; whether the run goes on."""
        self._xen.stop(self._xen.domains[vm.index], reason, message)
        return self._xen.pc.stopped is None

    def look_after(self) -> None:
        """The event callback's line follows what is pending; on the way into the guest."""
        assert self._xen.hvm is not None
        vm = self._xen.hvm.vms[self._xen.domain.index]
        lines.follow_events(self._xen, vm)
        domain = vm.domain
        if domain.shutdown is not None and domain.stopped is None:
            self._xen.shut_down(domain, domain.shutdown)

    def must_switch(self) -> bool:
        """Whether another domain is to have the processor."""
        return self._xen.scheduler.must_switch(self._xen.pc.meter.cycles)

    def deadline(self) -> int | None:
        """When the hypervisor has to be brought in."""
        return timekeeping.deadline(self._xen)
