"""The phases of a virtual CPU that has nothing to run: the processor waits in the monitor's own HLT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import vectors
from vizapp.isa.addresses import HostPhysical
from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine import events
from vizapp.messages import N_, Message
from vizapp.vmm import ring0, stubs
from vizapp.vmm.physical_timer import TIMER_VECTOR, VECTORS
from vizapp.vmm.trap_frame import TrapFrame

if TYPE_CHECKING:
    from vizapp.vmm.trap_and_emulate.vm import Vm

# As of the bare machine: a timer whose edges come and go without an interrupt will not wake the guest.
_WAKING_EVENTS: Final = 4


def halt(vm: Vm) -> str | None:
    """The virtual CPU executed HLT."""
    if not vm.virtual.cpu.eflags & EFLAGS_IF:
        vm.stop("halted", Message(N_("the guest halted with interrupts disabled")))
        return None
    vm.waits = 0
    vm.emit(events.VIRTUAL_CPU_HALTED, "hlt", {"address": vm.virtual.cpu.eip})
    return "wait"


def wait(vm: Vm) -> str | None:
    """Nothing to run until a virtual device acts: let the processor idle until the physical timer says so."""
    vm.devices.advance()
    if vm.devices.interrupt_pending:
        return "inject"
    deadline = vm.devices.next_event()
    vm.waits += 1
    if deadline is None or vm.waits > _WAKING_EVENTS:
        vm.stop("halted", Message(N_("the guest halted, and no interrupt that could wake it is coming")))
        return None
    vm.timer.arm(deadline)
    ring0.jump(vm.pc, vm.tables, stubs.IDLE)
    return None


def nested(vm: Vm) -> None:
    """An interrupt while the monitor idles: end it and go back into the idle loop, which then looks again."""
    cpu = vm.pc.cpu
    below = vm.tables.frame_linear - cpu.esp
    frame = TrapFrame(vm.pc.memory, HostPhysical(vm.tables.frame.address - below))
    if frame.entry_vector not in VECTORS:
        message = Message(
            N_("the monitor itself raised {fault} at {address}"),
            {"fault": vectors.name(frame.entry_vector), "address": f"{frame.eip:#010x}"},
        )
        vm.stop("crashed", message)
        return
    if frame.entry_vector == TIMER_VECTOR:
        vm.timer.acknowledge()
    ring0.jump(vm.pc, vm.tables, stubs.NESTED_EXIT)
