"""The monitor as the PC and the session know it: runs the phases, answers for the two truths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.isa.addresses import GuestPhysical, HostPhysical, Linear
from vizapp.machine.meter import Purpose
from vizapp.machine.places import Place
from vizapp.messages import N_, Message
from vizapp.vmm.base import CpuView, Ownership
from vizapp.vmm.physical_timer import LINES
from vizapp.vmm.processor_view import read_linear
from vizapp.vmm.stage import StageWorld, deprivileged_stage
from vizapp.vmm.trap_and_emulate import views
from vizapp.vmm.trap_and_emulate.phases import PHASES, PURPOSES
from vizapp.vmm.trap_and_emulate.vm import PLACES

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.vmm.trap_and_emulate.vm import Vm

OWNER = "vmm"


class TrapAndEmulateMonitor:
    """A monitor with one virtual machine.

    Attributes:
        vm: the machine.
        devices: its devices.
    """

    def __init__(self, vm: Vm) -> None:
        self.vm = vm
        self.devices = vm.devices.devices

    def run_phase(self, name: str) -> str | None:
        """Run one phase and charge its path."""
        bill = self.vm.bill
        bill.purpose = PURPOSES.get(name, Purpose.MONITOR)
        bill.path(name)
        return PHASES[name](self.vm)

    def save(self) -> Any:
        """The virtual machine outside machine memory."""
        return self.vm.save()

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self.vm.load(saved)

    def place_of(self, cpu: Cpu) -> Place:
        """Ring 0 is the monitor's, rings 1 and 2 the guest kernel's, ring 3 the applications'."""
        return PLACES[cpu.cpl]

    def stage(self) -> tuple[StageWorld, ...]:
        """The monitor below, the guest kernel in ring 1."""
        return deprivileged_stage(Message(N_("virtual machine monitor")))

    def guest_view(self) -> CpuView:
        """The virtual CPU, wherever its state is."""
        return views.guest_view(self.vm)

    def processor_view(self) -> CpuView:
        """What the processor holds for the guest."""
        return views.processor_view(self.vm)

    def guest_translate(self, linear: Linear) -> GuestPhysical | None:
        """Through the guest's own tables."""
        return self.vm.mmu.probe(linear)

    def processor_translate(self, linear: Linear) -> HostPhysical | None:
        """Through the shadow."""
        return self.vm.shadow.translate(linear)

    def guest_physical(self, address: GuestPhysical) -> HostPhysical | None:
        """Through the p2m."""
        return self.vm.memory.host(address)

    def guest_read(self, linear: Linear, count: int) -> bytes | None:
        """Through the guest's tables and the p2m; ones where its tables lead beyond its memory."""

        def translate(at: Linear) -> HostPhysical | None:
            guest = self.vm.mmu.probe(at)
            return None if guest is None else self.vm.memory.host(guest)

        return read_linear(self.vm.pc.memory, translate, linear, count)

    def ownership(self) -> Ownership:
        """The guest has its memory and nothing else; every port and line of the machine is the monitor's."""
        return Ownership(
            self.vm.frames.ranges(), ((0, 0xFFFF, OWNER),), tuple((line, OWNER) for line in LINES)
        )
