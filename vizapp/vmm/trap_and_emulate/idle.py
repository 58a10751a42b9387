"""The phases of virtual CPUs that have nothing to run: others get the processor, or it waits in the monitor's
own HLT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import HostPhysical
from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine import events
from vizapp.messages import N_, Message
from vizapp.vmm import own_interrupts, ring0, stubs
from vizapp.vmm.trap_frame import TrapFrame

if TYPE_CHECKING:
    from vizapp.vmm.trap_and_emulate.vm import Vm

HALTED: Final = Message(N_("the guest halted with interrupts disabled"))


def halt(vm: Vm) -> str | None:
    """The virtual CPU executed HLT."""
    if not vm.virtual.cpu.eflags & EFLAGS_IF:
        return vm.stop("halted", HALTED)
    vm.host.machines.halt(vm)
    vm.emit(events.VIRTUAL_CPU_HALTED, "hlt", {"address": vm.virtual.cpu.eip})
    return "wait"


def wait(vm: Vm) -> str | None:
    """This machine has nothing to run: wake whom devices interrupt, or let the processor idle till then."""
    machines = vm.host.machines
    if following := vm.host.due():
        return following
    machines.look_after()
    if vm.ready and machines.scheduler.slice_end() is None:
        return "inject" if vm.devices.interrupt_pending else "resume"
    if machines.scheduler.any_ready:
        return "schedule"
    if vm.pc.stopped is not None:
        return None
    vm.timer.arm(machines.deadline())
    ring0.jump(vm.pc, vm.tables, stubs.IDLE)
    return None


def schedule(vm: Vm) -> str:
    """Give the processor to the machine whose turn it is: its address space, and with it its tables."""
    following = vm.host.machines.switch()
    if following is not vm:
        ring0.load_cr3(vm.pc, following.shadow.directory)
        following.virtual.reload = True
    return "resume"


def nested(vm: Vm) -> None:
    """An interrupt while the monitor idles: end it and go back into the idle loop, which then looks again."""
    cpu = vm.pc.cpu
    below = vm.tables.frame_linear - cpu.esp
    frame = TrapFrame(vm.pc.memory, HostPhysical(vm.tables.frame.address - below))
    own_interrupts.take(vm.pc, vm.tables, vm.timer, vm.host.interrupted, frame)


def acknowledge(vm: Vm, vector: int) -> None:
    """End a physical interrupt at the controller, and take from the device what it was for."""
    own_interrupts.acknowledge(vm.timer, vm.host.interrupted, vector)
