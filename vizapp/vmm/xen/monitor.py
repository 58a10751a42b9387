"""The hypervisor as the PC and the session know it: runs the phases, answers for the two truths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import PAGE_SHIFT, GuestPhysical, HostPhysical, Linear
from vizapp.messages import N_, Message
from vizapp.vmm.base import CpuView, Devices, Ownership, SoftwareOnly
from vizapp.vmm.physical_timer import LINES
from vizapp.vmm.sole_guest import SoleGuest
from vizapp.vmm.stage import StageWorld, deprivileged_stage
from vizapp.vmm.xen import views
from vizapp.vmm.xen.phases import PHASES
from vizapp.vmm.xen.places import PLACES

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.cpu import Cpu
    from vizapp.machine.input_log import Input
    from vizapp.machine.places import Place
    from vizapp.vmm.xen.hypervisor import Hypervisor

OWNER: Final = "vmm"
GUEST: Final = "vm0"


class XenMonitor(SoftwareOnly):
    """The hypervisor with one domain.

    Attributes:
        xen: the hypervisor.
        devices: the machine's own, for it drives the serial port and shows guests no device.
    """

    def __init__(self, xen: Hypervisor) -> None:
        self.xen = xen
        self.devices = Devices(xen.pc.pic, xen.pc.pit, xen.pc.uart, xen.pc.screen)
        self.vms = (SoleGuest(xen.pc, self.devices),)
        self.current = 0
        self.on_input: Callable[[int, Input], None] | None = None

    def run_phase(self, name: str) -> str | None:
        """Run one phase; the name of the next, or None when the processor goes on at EIP."""
        return PHASES[name](self.xen)

    def save(self) -> Any:
        """The hypervisor outside machine memory."""
        return self.xen.save()

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self.xen.load(saved)

    def place_of(self, cpu: Cpu) -> Place:
        """Ring 0 is the hypervisor, ring 1 the guest kernel, ring 3 applications."""
        return PLACES[cpu.cpl]

    def stage(self) -> tuple[StageWorld, ...]:
        """Xen in ring 0, the ported kernel in ring 1."""
        return deprivileged_stage(Message(N_("Xen")))

    def guest_view(self, vm: int = 0) -> CpuView:
        """The processor as the ported kernel understands it."""
        return views.guest_view(self.xen)

    def processor_view(self, vm: int = 0) -> CpuView:
        """What the processor holds for the guest."""
        return views.processor_view(self.xen)

    def guest_translate(self, linear: Linear, vm: int = 0) -> GuestPhysical | None:
        """Pseudo-physical."""
        return views.guest_translate(self.xen, linear)

    def processor_translate(self, linear: Linear, vm: int = 0) -> HostPhysical | None:
        """Machine."""
        return views.translate(self.xen, linear)

    def guest_physical(self, address: GuestPhysical, vm: int = 0) -> HostPhysical | None:
        """Machine address of a pseudo-physical one."""
        domain = self.xen.domain
        return domain.to_machine(address) if address >> PAGE_SHIFT < domain.frames else None

    def guest_read(self, linear: Linear, count: int, vm: int = 0) -> bytes | None:
        """What the guest would read."""
        return views.guest_read(self.xen, linear, count)

    def ownership(self) -> Ownership:
        """Frames by the allocator's books; every port and interrupt line is the hypervisor's."""
        return Ownership(
            self.xen.frames.ranges(), ((0, 0xFFFF, OWNER),), tuple((line, OWNER) for line in LINES)
        )
