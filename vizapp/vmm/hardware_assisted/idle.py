"""Who has the processor: a guest that waits gives it up, and while all wait the monitor idles.

halt ─▶ schedule ─┬▶ look_around      another can run, or the same one again
                  └▶ wait ─▶ (sti; hlt; cli) ─▶ wait ─▶ ... ─▶ schedule
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import HostPhysical
from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine import events
from vizapp.messages import N_, Message
from vizapp.vmm import own_interrupts, ring0, stubs
from vizapp.vmm.hardware_assisted.virtual_cpu import GENERAL
from vizapp.vmm.trap_frame import TrapFrame

if TYPE_CHECKING:
    from vizapp.vmm.hardware_assisted.vm import Vm


def halt(vm: Vm) -> str | None:
    """The virtual CPU executed HLT."""
    cpu = vm.virtual.take(GENERAL)
    if not cpu.eflags & EFLAGS_IF:
        return vm.finish("halted", Message(N_("the guest halted with interrupts disabled")))
    vm.host.machines.halt(vm)
    vm.emit(events.VIRTUAL_CPU_HALTED, "hlt", {"address": cpu.eip})
    return "wait"


def wait(vm: Vm) -> str | None:
    """This machine has nothing to run: wake whom devices interrupt, or let the processor idle till then."""
    host = vm.host
    machines = host.machines
    if following := host.due():
        return following
    machines.look_after()
    if vm.ready and machines.scheduler.slice_end() is None:
        return "look_around"
    if machines.scheduler.any_ready:
        return "schedule"
    if host.pc.stopped is not None:
        return None
    host.timer.arm(machines.deadline())
    ring0.jump(host.pc, host.tables, stubs.IDLE)
    return None


def schedule(vm: Vm) -> str:
    """Give the processor to the machine whose turn it is: its control structure, and what else it had left
    in the processor."""
    following = vm.host.machines.switch()
    if following is not vm:
        if vm.stopped is None:
            vm.virtual.park()
            vm.virtual.give_back()
        following.structure.switch_to()
        if not following.structure.ready:
            following.structure.set_up()
        following.virtual.unpark()
    return "look_around"


def own_interrupt(vm: Vm) -> str | None:
    """An interrupt of the monitor itself, while it idles or lets one in: end it and go back."""
    host = vm.host
    below = vm.stack - host.pc.cpu.esp
    frame = TrapFrame(host.pc.memory, HostPhysical(vm.virtual.pushed_at - below))
    own_interrupts.take(host.pc, host.tables, host.timer, host.interrupted, frame)
    return None
