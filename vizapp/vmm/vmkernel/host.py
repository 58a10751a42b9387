"""What a monitor's host has of a VMkernel: the seam between the two, for any monitor on bare metal.

The monitor asks ``KernelHost.due`` for a phase before it looks for what else is due, gives interrupts of the
machine to ``interrupted``, and lets ``run`` run the phases of ``PHASES``. Without a VMkernel, because the
machine has nothing for it to drive, there is nothing in any of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.machine.meter import Purpose
from vizapp.vmm.physical_timer import PhysicalTimer
from vizapp.vmm.virtual_machines import KEYBOARD_LINE, SERIAL_LINE
from vizapp.vmm.vmkernel.kernel import Vmkernel
from vizapp.vmm.vmkernel.phases import PHASES

if TYPE_CHECKING:
    from vizapp.machine.features import Features
    from vizapp.machine.pc import Pc
    from vizapp.machine.places import Place
    from vizapp.vmm.bill import Bill
    from vizapp.vmm.frame_allocator import FrameAllocator
    from vizapp.vmm.virtual_machines import VirtualMachines


class KernelHost:
    """What virtual machines share, besides what their monitor adds.

    Attributes:
        kernel: carries their frames and sectors, where the machine has an adapter or a disk of its own.
    """

    pc: Pc
    bill: Bill
    frames: FrameAllocator
    timer: PhysicalTimer
    machines: VirtualMachines[Any]
    kernel: Vmkernel | None = None

    def start_kernel(self, monitor: Place, go_on: str) -> None:
        """Give the machine's devices to a VMkernel; its code runs where ``monitor``'s does.

        ``go_on`` is the monitor's phase for a machine that can run.
        """
        self.kernel = Vmkernel.of(self.pc, self.frames, self.bill, monitor, go_on)
        if self.kernel is not None:
            self.timer = PhysicalTimer(self.pc, (KEYBOARD_LINE, SERIAL_LINE, *self.kernel.lines))

    def serve_machines(self) -> None:
        """The virtual machines are all there: let the VMkernel serve them."""
        if self.kernel is not None:
            self.kernel.start(self.machines.vms)
            self.machines.awaits = self.kernel.awaits

    def equip(self, features: Features | None) -> Features | None:
        """The board of a virtual machine, whose adapter and disks are the VMkernel's to carry for."""
        return features if features is None or self.kernel is None else features._replace(carried=True)

    def interrupted(self, line: int) -> None:
        """A device of the machine has interrupted: take from it what it was for, or see to it later."""
        if self.kernel is not None and line in self.kernel.lines:
            self.kernel.interrupted(line)
        else:
            self.machines.hand_over()

    def due(self) -> str:
        """The phase of the VMkernel's that comes next; "" if none does."""
        return "" if self.kernel is None else self.kernel.due()

    def run(self, name: str) -> str | None:
        """Run a phase and charge its path, if it is one of the VMkernel's; None of the others."""
        if self.kernel is None or name not in PHASES:
            return None
        meter = self.pc.meter
        meter.enter(self.kernel.place)
        self.bill.purpose = Purpose.IO
        self.bill.path(name)
        following = PHASES[name](self.kernel, self.machines.current)
        if following not in PHASES:
            meter.enter(self.kernel.monitor)
        return following
