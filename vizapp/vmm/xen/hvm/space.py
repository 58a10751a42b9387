"""An HVM guest's memory as the hypervisor reaches it: through the guest's own tables and its physmap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa import vectors
from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, HostPhysical
from vizapp.isa.paging import PF_P, PF_U, PF_W
from vizapp.machine.faults import Fault
from vizapp.vmm.xen.guest_access import DirectSpace

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor


class HvmSpace(DirectSpace):
    """The linear memory of the current domain of ``xen``, which is an HVM domain."""

    def __init__(self, xen: Hypervisor) -> None:
        super().__init__(xen.memory, xen.format, lambda: 0, xen.pay_references)
        self._xen = xen

    def translate(self, linear: int, *, write: bool, user: bool) -> HostPhysical:
        """The machine address.

        Raises:
            Fault: the guest's tables do not grant it, or there is no page.
        """
        vm = self._xen.machine_of(self._xen.domain)
        assert vm is not None
        frame = vm.memory.host_frame(vm.mmu.translate(linear, write, user).frame)
        if frame is None:
            raise Fault(vectors.PF, PF_P | (PF_W if write else 0) | (PF_U if user else 0), linear)
        return HostPhysical(frame << PAGE_SHIFT | linear & PAGE_MASK)
