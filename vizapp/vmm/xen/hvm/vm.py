"""The virtual machine of an HVM domain, as the exit loop of ``hardware_assisted`` knows machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vizapp.isa.registers import CR0_PE, EFLAGS_FIXED
from vizapp.machine import real_mode
from vizapp.machine.mp_tables import MP_BASE, mp_tables
from vizapp.machine.segments import load_paragraphs
from vizapp.vmm.hardware_assisted.virtual_cpu import EVERYTHING
from vizapp.vmm.hardware_assisted.vm import Vm
from vizapp.vmm.processor_view import set_general
from vizapp.vmm.xen import runstate
from vizapp.vmm.xen.hvm.board import HvmBoard
from vizapp.vmm.xen.hvm.memory import DomainMemory
from vizapp.vmm.xen.hvm.requests import Answers

if TYPE_CHECKING:
    from vizapp.machine.faults import Fault
    from vizapp.messages import Message
    from vizapp.vmm.trap_frame import SavedRegisters
    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hvm.requests import Access
    from vizapp.vmm.xen.hvm.state import HvmState
    from vizapp.vmm.xen.hypervisor import Hypervisor


class HvmVm(Vm):
    """One HVM domain's; its state as a domain is in ``domain``.

    Attributes:
        xen: the hypervisor.
        answers: the device model's, to the instruction that is being carried out.
        request: what the device model has been asked and has not answered.
        halted: the virtual CPU waits in HLT.
    """

    xen: Hypervisor

    def connect(self, xen: Hypervisor) -> None:
        """The hypervisor has put it together and takes it over."""
        self.xen = xen
        self.answers = Answers()
        self.request: Access | None = None
        self.halted = False
        self.board.answers = self.answers

    @property
    def domain(self) -> Domain:
        """The domain that it is of."""
        return self.xen.domains[self.index]

    @property
    def state_of_hvm(self) -> HvmState:
        """What the domain has besides what every domain has."""
        state = self.domain.hvm
        assert state is not None
        return state

    @property
    def board(self) -> HvmBoard:
        """Its devices."""
        assert isinstance(self.devices, HvmBoard)
        return self.devices

    @property
    def physmap(self) -> DomainMemory:
        """Its memory."""
        assert isinstance(self.memory, DomainMemory)
        return self.memory

    @property
    def ready(self) -> bool:
        """Whether its domain has something to run."""
        return self.domain.runnable

    def finish(self, reason: str, message: Message) -> str | None:
        """The guest has ended or died; the others go on."""
        self.answers.clear()
        self.request = None
        self.xen.stop(self.domain, reason, message)
        return self.xen.next_phase

    def reflect(self, fault: Fault) -> str:
        """A fault takes the place of the instruction."""
        self.answers.clear()
        return super().reflect(fault)

    def block(self) -> None:
        """The virtual CPU waits."""
        self.domain.blocked = True
        runstate.suspend(self.xen, self.domain)

    def executed(self) -> None:
        """The instruction is through, or one iteration of it."""
        self.answers.clear()

    def set_context(self, saved: SavedRegisters, cr0: int) -> None:
        """Registers to start from: flat 32-bit protected mode without paging, or real mode if CR0 says so."""
        cpu = self.virtual.cpu
        self.virtual.held = EVERYTHING
        if cr0 and not cr0 & CR0_PE:
            real_mode.power_on(cpu)
            load_paragraphs(cpu, saved.selectors, 0)
        else:
            cpu.reset()
        set_general(cpu, saved.general)
        cpu.eip = saved.eip
        cpu.eflags = saved.eflags | EFLAGS_FIXED
        self.event = None
        self.mmu.flush_requested = False
        self._tell_of_apics()

    def _tell_of_apics(self) -> None:
        """What firmware does where the board has APICs: tables for the kernel, if nobody put any there."""
        peripherals = self.board.peripherals
        if peripherals is None or peripherals.apic is None:
            return
        leaf = self.virtual.cpu.identity.leaf(1)
        tables = mp_tables(MP_BASE, leaf.eax, leaf.edx)
        if not any(self.memory.dump(MP_BASE, len(tables))):
            self.memory.load(MP_BASE, tables)

    def save(self) -> dict[str, Any]:
        """Everything outside machine memory."""
        return {
            **super().save(),
            "answers": self.answers.save(),
            "request": self.request,
            "halted": self.halted,
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up a saved state."""
        super().load(saved)
        self.answers.load(saved["answers"])
        self.request, self.halted = saved["request"], saved["halted"]
