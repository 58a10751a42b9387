"""The hypervisor as the PC and the session know it: runs the phases, answers for the two truths."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, GuestPhysical, HostPhysical, Linear
from vizapp.machine.input_log import SERIAL
from vizapp.messages import N_, Message
from vizapp.vmm.base import ControlBlock, CpuView, Devices, Ownership
from vizapp.vmm.frame_allocator import FrameRange
from vizapp.vmm.hardware_assisted import views as hardware_views
from vizapp.vmm.physical_timer import LINES
from vizapp.vmm.stage import StageWorld, deprivileged_stage
from vizapp.vmm.virtual_machine import owner_of
from vizapp.vmm.xen import abi, views
from vizapp.vmm.xen.domain import Channel
from vizapp.vmm.xen.guests import XenGuest
from vizapp.vmm.xen.hvm import phases as hvm_phases
from vizapp.vmm.xen.hvm.stage import hvm_stage
from vizapp.vmm.xen.phases import PHASES
from vizapp.vmm.xen.physical_irqs import CONSOLE_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vizapp.machine.cpu import Cpu
    from vizapp.machine.input_log import Input
    from vizapp.machine.nested_paging import NestedTables
    from vizapp.machine.places import Place
    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hvm.vm import HvmVm
    from vizapp.vmm.xen.hypervisor import Hypervisor

OWNER: Final = "vmm"
_CHOOSE: Final = b"\x01"
_NOTHING: Final = Message(N_("nowhere: there is no such domain"))


class XenMonitor:
    """The hypervisor with its domains.

    Attributes:
        xen: the hypervisor.
        devices: those of the initial domain: the machine's own, of which it drives those that it is given.
    """

    def __init__(self, xen: Hypervisor, names: Sequence[tuple[str, int]]) -> None:
        self.xen = xen
        pc = xen.pc
        # Without devices to drive a domain has no ports.
        board = pc.board if pc.board.peripherals is not None else None
        self.devices = Devices(pc.pic, pc.pit, pc.uart, pc.screen, board)
        self.on_input: Callable[[int, Input], None] | None = None
        self._pseudo_physical = views.PseudoPhysical(xen)
        self._books: tuple[Any, Any, tuple[FrameRange, ...]] | None = None
        self._named = len(names)
        self._guests = [self._guest(index, *named) for index, named in enumerate(names)]

    @property
    def vms(self) -> Sequence[XenGuest]:
        """The domains, those that are still to be created too."""
        while len(self._guests) < len(self.xen.domains):
            number = len(self._guests)
            self._guests.append(self._guest(number, self.xen.domains[number].name, 0))
        return self._guests

    @property
    def current(self) -> int:
        """The index of the domain whose state the processor has."""
        return self.xen.domain.index

    def run_phase(self, name: str) -> str | None:
        """Run one phase; the name of the next, or None when the processor goes on at EIP."""
        vm = self._current_machine
        return PHASES[name](self.xen) if vm is None else hvm_phases.run(self.xen, vm, name)

    def save(self) -> Any:
        """The hypervisor outside machine memory."""
        return self.xen.save()

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self.xen.load(saved)
        del self._guests[max(len(self.xen.domains), self._named) :]

    def place_of(self, cpu: Cpu) -> Place:
        """Ring 0 is the hypervisor, ring 1 a domain's kernel, ring 3 its applications; or an HVM guest."""
        if cpu.guest_mode is not None:
            vm = self._current_machine
            assert vm is not None
            return vm.place(vm.structure.ring_of(cpu))
        return self.xen.places[cpu.cpl]

    def stage(self) -> tuple[StageWorld, ...]:
        """Xen in ring 0, the ported kernels in ring 1; HVM guests in rings of their own."""
        hvm = self.xen.hvm
        if hvm is None:
            return deprivileged_stage(Message(N_("Xen")), [vm.name for vm in self.vms])
        return hvm_stage(hvm, [(vm.name, hvm.is_unmodified(vm.index)) for vm in self.vms])

    def guest_view(self, vm: int = 0) -> CpuView:
        """The processor as the ported kernel understands it."""
        domain, machine = self._domain(vm), self._machine(vm)
        if machine is not None:
            return hardware_views.guest_view(machine)
        return self._nothing() if domain is None else views.guest_view(self.xen, domain)

    def processor_view(self, vm: int = 0) -> CpuView:
        """What the processor holds for the guest."""
        domain, machine = self._domain(vm), self._machine(vm)
        if machine is not None:
            return hardware_views.processor_view(machine)
        return self._nothing() if domain is None else views.processor_view(self.xen, domain)

    def guest_translate(self, linear: Linear, vm: int = 0) -> GuestPhysical | None:
        """Pseudo-physical, or guest-physical."""
        machine = self._machine(vm)
        if machine is not None:
            return hardware_views.guest_translate(machine, linear)
        domain = self._domain(vm)
        return None if domain is None else views.guest_translate(self.xen, domain, linear)

    def processor_translate(self, linear: Linear, vm: int = 0) -> HostPhysical | None:
        """Machine."""
        machine = self._machine(vm)
        if machine is not None:
            return hardware_views.processor_translate(machine, linear)
        domain = self._domain(vm)
        return None if domain is None else views.translate(self.xen, domain, linear)

    def guest_physical(self, address: GuestPhysical, vm: int = 0) -> HostPhysical | None:
        """Machine address of a pseudo-physical one."""
        machine = self._machine(vm)
        if machine is not None:
            return machine.memory.where(address)
        domain = self._domain(vm)
        frame = None if domain is None else self._pseudo_physical.of(domain).get(address >> PAGE_SHIFT)
        return None if frame is None else HostPhysical(frame << PAGE_SHIFT | address & PAGE_MASK)

    def guest_read(self, linear: Linear, count: int, vm: int = 0) -> bytes | None:
        """What the guest would read."""
        machine = self._machine(vm)
        if machine is not None:
            return hardware_views.guest_read(machine, linear, count)
        domain = self._domain(vm)
        return None if domain is None else views.guest_read(self.xen, domain, linear, count)

    def ownership(self) -> Ownership:
        """Frames by the allocator's books; every port and interrupt line is the hypervisor's.

        A domain may use frames of another that it has mapped with the hypervisor's leave, and devices.
        """
        xen = self.xen
        names = {domain.id: owner_of(domain.index) for domain in xen.domains}
        shares: defaultdict[int, frozenset[tuple[str, bool]]] = defaultdict(frozenset)
        for (frame, visitor), (_, writes) in xen.types.visitors.items():
            shares[frame] |= {(names[visitor], False), (names[visitor], writes > 0)}
        for domain in xen.domains:
            for mapped in domain.mapped.values():
                if mapped.flags & abi.GNTMAP_DEVICE_MAP:  # for a device of the domain's, without an entry
                    write = not mapped.flags & abi.GNTMAP_READONLY
                    shares[mapped.frame] |= {(names[domain.id], False), (names[domain.id], write)}
        return Ownership(
            self._frame_owners(),
            ((0, 0xFFFF, OWNER),),
            tuple((line, OWNER) for line in LINES),
            dict(shares),
        )

    def take_input(self, entry: Input) -> None:
        """Something comes from outside, all of it to the machine: the serial port is its console.

        What is typed for one of domain 0's domains says so, as domain 0 wants it (``dom0_console.inc``).
        """
        if entry.source == SERIAL and entry.vm:
            (data,) = entry.data
            domain = self._domain(entry.vm)
            assert isinstance(data, bytes)
            if domain is None:
                return  # it is not there yet: nobody hears
            data = b"%b%d:%b" % (_CHOOSE, domain.id, data.replace(_CHOOSE, 2 * _CHOOSE))
            entry = entry._replace(data=(data,))
        self.xen.pc.board.take_input(entry)

    def awaited_inputs(self) -> tuple[str, ...]:
        """The serial port, if the initial domain is told of what is typed there; and its own devices."""
        xen = self.xen
        hears = any(
            domain.privileged and Channel("virq", abi.VIRQ_CONSOLE) in domain.channels.values()
            for domain in xen.domains
        )
        console = {SERIAL} if hears and CONSOLE_LINE not in xen.lines.waiting else set()
        return tuple(sorted(console.union(xen.pc.board.awaited_inputs())))

    def _frame_owners(self) -> tuple[FrameRange, ...]:
        """The allocator's books and the devices, in order; kept until either changes."""
        xen = self.xen
        books, devices = xen.frames.save(), tuple((d.index, d.devices) for d in xen.domains)
        if self._books is None or self._books[0] is not books or self._books[1] != devices:
            parts = [FrameRange(part.start, len(part), owner_of(i)) for i, own in devices for part in own]
            self._books = books, devices, tuple(sorted((*parts, *xen.frames.ranges())))
        return self._books[2]

    def _guest(self, index: int, name: str, weight: int) -> XenGuest:
        if index == 0:
            return XenGuest(self.xen, index, self.devices, name, weight)
        pc = self.xen.pc
        # Domain 0 prints what a domain writes to its console, behind the number that Xen would print too.
        hardware = Devices(pc.pic, pc.pit, pc.uart, pc.screen, console=f"(d{index}) ")
        return XenGuest(self.xen, index, hardware, name, weight)

    @property
    def _current_machine(self) -> HvmVm | None:
        return None if self.xen.hvm is None else self.xen.hvm.current

    def _machine(self, vm: int) -> HvmVm | None:
        """The virtual machine of an HVM domain."""
        return None if self.xen.hvm is None else self.xen.hvm.vms.get(vm)

    def nested_tables(self, vm: int = 0) -> NestedTables | None:
        """What the processor walks below an HVM guest's tables, under nested paging."""
        machine = self._machine(vm)
        return None if machine is None or machine.nested is None else machine.nested.as_walked()

    def control_block(self, vm: int = 0) -> ControlBlock | None:
        """An HVM guest's VMCS or VMCB."""
        machine = self._machine(vm)
        return None if machine is None else ControlBlock(machine.structure.kind, machine.structure.address)

    def _domain(self, vm: int) -> Domain | None:
        domains = self.xen.domains
        return domains[vm] if vm < len(domains) else None

    def _nothing(self) -> CpuView:
        """Of a domain that is still to be created."""
        live = views.processor_view(self.xen, self.xen.domain)
        return live._replace(
            general=(0,) * 8, eip=0, eflags=0, selectors=(0,) * 6, cpl=1, control=(0,) * 5, where=_NOTHING
        )
