"""The monitor as the PC and the session know it: runs the phases, answers for the two truths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import GuestPhysical, HostPhysical, Linear
from vizapp.machine.meter import Purpose
from vizapp.machine.places import Place
from vizapp.vmm.base import ControlBlock, CpuView, Ownership
from vizapp.vmm.hardware_assisted import views
from vizapp.vmm.hardware_assisted.phases import PHASES, PURPOSES
from vizapp.vmm.hardware_assisted.stage import two_ring_systems
from vizapp.vmm.physical_timer import LINES
from vizapp.vmm.virtual_machines import KEYBOARD_LINE, SERIAL_LINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.cpu import Cpu
    from vizapp.machine.input_log import Input
    from vizapp.machine.nested_paging import NestedTables
    from vizapp.vmm.hardware_assisted.vm import Host, Vm
    from vizapp.vmm.stage import StageWorld
    from vizapp.vmm.virtual_machines import VirtualMachines

OWNER: Final = "vmm"


class HardwareAssistedMonitor:
    """A monitor with its virtual machines.

    Attributes:
        host: what they share.
        devices: the first machine's.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.devices = self.vms[0].devices.devices
        self.on_input: Callable[[int, Input], None] | None = None
        host.machines.on_input = self._given

    @property
    def machines(self) -> VirtualMachines[Vm]:
        """The machines with their scheduler."""
        return self.host.machines

    @property
    def vms(self) -> tuple[Vm, ...]:
        """All virtual machines, by number."""
        return self.host.machines.vms

    @property
    def current(self) -> int:
        """The number of the one that has the processor, or had it last."""
        return self.host.machines.scheduler.current

    def _given(self, vm: int, entry: Input) -> None:
        if self.on_input is not None:
            self.on_input(vm, entry)

    def run_phase(self, name: str) -> str | None:
        """Run one phase and charge its path."""
        bill = self.host.bill
        if following := self.host.run(name):
            return following
        bill.purpose = PURPOSES.get(name, Purpose.MONITOR)
        bill.path(name)
        return PHASES[name](self.host.machines.current)

    def save(self) -> Any:
        """The virtual machines outside machine memory."""
        host = self.host
        kernel = None if host.kernel is None else host.kernel.save()
        return host.frames.save(), host.timer.save(), host.machines.save(), kernel

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        frames, timer, machines, kernel = saved
        self.host.frames.load(frames)
        self.host.timer.load(timer)
        self.host.machines.load(machines)
        if self.host.kernel is not None:
            self.host.kernel.load(kernel)

    def place_of(self, cpu: Cpu) -> Place:
        """In the guest's world by its own rings, or in the monitor."""
        if cpu.guest_mode is None:
            return self.host.place
        vm = self.host.machines.current
        return vm.place(vm.structure.ring_of(cpu))

    def stage(self) -> tuple[StageWorld, ...]:
        """Two ring systems: the monitor's, and the guests'."""
        host = self.host
        names = [vm.name for vm in self.vms]
        return two_ring_systems(host.place.world, host.guest_world, names, kernel=host.kernel is not None)

    def guest_view(self, vm: int = 0) -> CpuView:
        """The virtual CPU, wherever its state is."""
        return views.guest_view(self.vms[vm])

    def processor_view(self, vm: int = 0) -> CpuView:
        """What the processor holds for the guest."""
        return views.processor_view(self.vms[vm])

    def guest_translate(self, linear: Linear, vm: int = 0) -> GuestPhysical | None:
        """Through the guest's own tables."""
        return views.guest_translate(self.vms[vm], linear)

    def processor_translate(self, linear: Linear, vm: int = 0) -> HostPhysical | None:
        """Through the shadow, or through the guest's tables and the nested ones."""
        return views.processor_translate(self.vms[vm], linear)

    def guest_physical(self, address: GuestPhysical, vm: int = 0) -> HostPhysical | None:
        """Through the p2m."""
        return self.vms[vm].memory.host(address)

    def guest_read(self, linear: Linear, count: int, vm: int = 0) -> bytes | None:
        """Through the guest's tables and the p2m."""
        return views.guest_read(self.vms[vm], linear, count)

    def nested_tables(self, vm: int = 0) -> NestedTables | None:
        """What the processor walks below the guest's tables; None under shadow paging."""
        machine = self.vms[vm]
        return None if machine.nested is None else machine.nested.as_walked()

    def control_block(self, vm: int = 0) -> ControlBlock | None:
        """The guest's VMCS or VMCB."""
        structure = self.vms[vm].structure
        return ControlBlock(structure.kind, structure.address)

    def ownership(self) -> Ownership:
        """A guest has its memory and nothing else; every port and line of the machine is the monitor's."""
        kernel = self.host.kernel
        lines: tuple[int, ...] = (*LINES, KEYBOARD_LINE, SERIAL_LINE)
        ports: tuple[tuple[int, int, str], ...] = ((0, 0xFFFF, OWNER),)
        if kernel is not None:
            lines, ports = (*lines, *kernel.lines), (*kernel.ports, *ports)
        return Ownership(self.host.frames.ranges(), ports, tuple((line, OWNER) for line in lines))
