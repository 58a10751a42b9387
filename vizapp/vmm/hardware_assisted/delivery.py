"""Events for the guest: the processor delivers them on entry, or the virtual CPU does where it cannot.

The processor delivers whatever the guest would have got on a machine of its own, through the guest's own
IDT and in its own rings. Where it cannot run the guest as it is (real mode, on a processor whose guests
have to be in protected mode), the virtual CPU does it by the same rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa import vectors
from vizapp.machine import events
from vizapp.machine.faults import Fault, TripleFault, Unimplemented
from vizapp.machine.guest_mode import EXTERNAL, HARDWARE_EXCEPTION, NMI, Delivery
from vizapp.machine.interrupts import escalate
from vizapp.messages import N_, Message
from vizapp.vmm.hardware_assisted.control_structure import DIRECT
from vizapp.vmm.hardware_assisted.virtual_cpu import RESIDUE

if TYPE_CHECKING:
    from vizapp.vmm.hardware_assisted.vm import Vm


def inject_fault(vm: Vm) -> str | None:
    """Hand a fault to the guest; one that came while another was on its way to it may be a double fault."""
    assert vm.pending.fault is not None
    vector, error, linear = vm.pending.fault
    address = vm.linear_eip
    first, vm.event = vm.event, None
    faults = [Fault(vector, error, linear)]
    if first is not None:
        known = first.vector if first.type == HARDWARE_EXCEPTION else None
        try:
            vector, error = escalate(known, faults[0], faults)
        except TripleFault:
            return "shut_down"
    event = Delivery(vector, HARDWARE_EXCEPTION, error)
    if vm.way == DIRECT:
        if linear is not None:
            vm.virtual.take(RESIDUE).cr2 = linear
        vm.event = event
    else:
        ended = deliver(vm, event, linear)
        if ended is not None:
            return ended
    payload = {"vector": vector, "address": address}
    if error is not None:
        payload["error"] = error
    if linear is not None:
        payload["linear"] = linear
    vm.emit(events.FAULT_REFLECTED, vectors.name(vector), payload, to_guest=True)
    return "look_around"


def inject_interrupt(vm: Vm) -> str | None:
    """Interrupt the guest with what its interrupt controller has for it."""
    cpu = vm.virtual.take("general")
    address, count = cpu.eip, cpu.ecx
    event = Delivery(vm.devices.acknowledge(), EXTERNAL)
    if vm.way == DIRECT:
        vm.event = event
    else:
        ended = deliver(vm, event)
        if ended is not None:
            return ended
    # With ECX a repeated instruction tells how far it had come.
    payload = {"vector": event.vector, "instructions": vm.pc.instructions, "address": address, "ecx": count}
    vm.emit(events.INTERRUPT_INJECTED, vectors.name(event.vector), payload, to_guest=True)
    return "look_around"


def deliver(vm: Vm, event: Delivery, linear: int | None = None) -> str | None:
    """Deliver an event on the virtual CPU; the phase that is next if that is the end of the guest."""
    cpu = vm.virtual.hold_everything()
    try:
        if event.type in (EXTERNAL, NMI):
            cpu.deliver(event.vector, external=True)
        else:
            cpu.take(Fault(event.vector, event.error, linear))
    except TripleFault:
        return "shut_down"
    except Unimplemented as limit:
        return vm.finish("crashed", limit.message)
    return None


def deliver_event(vm: Vm) -> str | None:
    """Deliver on the virtual CPU what the processor could not: a stack or a table is not in memory."""
    event, vm.event = vm.event, None
    assert event is not None
    ended = deliver(vm, event)
    return "look_around" if ended is None else ended


def task_switch(vm: Vm) -> str | None:
    """The guest switches tasks, which the processor leaves to its monitor."""
    # A CALL, JMP, IRET or INT does it, once it is run on the virtual CPU.
    return "decode" if vm.event is None else "deliver_event"


def let_interrupt_in(vm: Vm) -> str | None:
    """A physical interrupt has made the guest exit and waits: let it in, through the monitor's own IDT."""
    vm.host.go_to(vm.host.take_interrupt)
    return None


def reset(vm: Vm) -> str | None:
    """The guest has pulled its reset line."""
    if vm.image is None or not vm.image.rom:
        return vm.finish("shutdown", Message(N_("the guest reset the machine")))
    vm.power_on()
    return "look_around"
