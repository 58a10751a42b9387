"""The monitor as the PC and the session know it: runs the phases, answers for the two truths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.isa.addresses import GuestPhysical, HostPhysical, Linear
from vizapp.machine.meter import Purpose
from vizapp.machine.places import Place
from vizapp.messages import N_, Message
from vizapp.vmm.base import CpuView, Ownership, SoftwareOnly
from vizapp.vmm.physical_timer import LINES
from vizapp.vmm.processor_view import read_linear
from vizapp.vmm.stage import StageWorld, deprivileged_stage
from vizapp.vmm.trap_and_emulate import views
from vizapp.vmm.trap_and_emulate.phases import PHASES, PURPOSES
from vizapp.vmm.virtual_machines import KEYBOARD_LINE, SERIAL_LINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.cpu import Cpu
    from vizapp.machine.input_log import Input
    from vizapp.vmm.trap_and_emulate.vm import Host, Vm
    from vizapp.vmm.virtual_machines import VirtualMachines

OWNER = "vmm"


class TrapAndEmulateMonitor(SoftwareOnly):
    """A monitor with its virtual machines.

    Attributes:
        host: what they share.
        vms: the machines, by number.
        devices: those of the first.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.vms: tuple[Vm, ...] = host.machines.vms
        self.devices = self.vm.devices.devices
        self.on_input: Callable[[int, Input], None] | None = None
        host.machines.on_input = self._given

    @property
    def vm(self) -> Vm:
        """The first machine."""
        return self.vms[0]

    @property
    def machines(self) -> VirtualMachines[Vm]:
        """The machines with their scheduler."""
        return self.host.machines

    @property
    def current(self) -> int:
        """The machine that has the processor, or had it last."""
        return self.host.machines.current.index

    def _given(self, vm: int, entry: Input) -> None:
        if self.on_input is not None:
            self.on_input(vm, entry)

    def run_phase(self, name: str) -> str | None:
        """Run one phase and charge its path."""
        bill = self.host.bill
        if self.host.pager is not None:
            self.host.pager.begin()
        if following := self.host.run(name):
            return following
        bill.purpose = PURPOSES.get(name, Purpose.MONITOR)
        bill.path(name)
        return PHASES[name](self.host.machines.current)

    def save(self) -> Any:
        """The virtual machines outside machine memory."""
        host = self.host
        return {
            "frames": host.frames.save(),
            "timer": host.timer.save(),
            "machines": host.machines.save(),
            "pager": None if host.pager is None else host.pager.save(),
            "kernel": None if host.kernel is None else host.kernel.save(),
        }

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self.host.frames.load(saved["frames"])
        self.host.timer.load(saved["timer"])
        self.host.machines.load(saved["machines"])
        if self.host.pager is not None:
            self.host.pager.load(saved["pager"])
        if self.host.kernel is not None:
            self.host.kernel.load(saved["kernel"])

    def place_of(self, cpu: Cpu) -> Place:
        """Ring 0 is the monitor's, rings 1 and 2 a guest kernel's, ring 3 the applications'."""
        return self.host.machines.current.places[cpu.cpl]

    def stage(self) -> tuple[StageWorld, ...]:
        """The monitor below, the guest kernels in ring 1."""
        return deprivileged_stage(Message(N_("virtual machine monitor")), [vm.name for vm in self.vms])

    def guest_view(self, vm: int = 0) -> CpuView:
        """The virtual CPU, wherever its state is."""
        return views.guest_view(self.vms[vm])

    def processor_view(self, vm: int = 0) -> CpuView:
        """What the processor holds for the guest."""
        return views.processor_view(self.vms[vm])

    def guest_translate(self, linear: Linear, vm: int = 0) -> GuestPhysical | None:
        """Through the guest's own tables."""
        return self.vms[vm].mmu.probe(linear)

    def processor_translate(self, linear: Linear, vm: int = 0) -> HostPhysical | None:
        """Through the shadow."""
        return self.vms[vm].shadow.translate(linear)

    def guest_physical(self, address: GuestPhysical, vm: int = 0) -> HostPhysical | None:
        """Through the p2m."""
        return self.vms[vm].memory.where(address)

    def guest_read(self, linear: Linear, count: int, vm: int = 0) -> bytes | None:
        """Through the guest's tables and the p2m; ones where its tables lead beyond its memory."""
        machine = self.vms[vm]

        def translate(at: Linear) -> HostPhysical | None:
            guest = machine.mmu.probe(at)
            return None if guest is None else machine.memory.where(guest)

        return read_linear(machine.pc.memory, translate, linear, count)

    def ownership(self) -> Ownership:
        """A guest has its memory and nothing else; every port and line of the machine is the monitor's."""
        kernel = self.host.kernel
        lines: tuple[int, ...] = (*LINES, KEYBOARD_LINE, SERIAL_LINE)
        ports: tuple[tuple[int, int, str], ...] = ((0, 0xFFFF, OWNER),)
        if kernel is not None:
            lines, ports = (*lines, *kernel.lines), (*kernel.ports, *ports)
        return Ownership(self.host.frames.ranges(), ports, tuple((line, OWNER) for line in lines))
