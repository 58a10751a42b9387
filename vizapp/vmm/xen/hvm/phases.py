"""The phases while an HVM domain has the processor: the exit loop of ``hardware_assisted``, and Xen's part.

    exit ─▶ read_exit ─▶ ... ─▶ emulate ─┬▶ look_around ─▶ enter ─▶ (the guest runs)
                                         └▶ ask ─▶ events ─▶ schedule ─▶ (domain 0: its device model) ─┐
                      emulate ◀─ answer ◀─ events ◀──────────────── an event of the device model ◀─────┘

Source: Xen 3.1, arch/x86/hvm/hvm.c (hvm_do_resume, hvm_send_assist_req, hvm_hlt).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import HostPhysical
from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine import events
from vizapp.machine.meter import Purpose
from vizapp.messages import N_, Message
from vizapp.vmm import ring0, stubs
from vizapp.vmm.hardware_assisted import phases as shared
from vizapp.vmm.hardware_assisted.virtual_cpu import GENERAL
from vizapp.vmm.physical_timer import VECTORS
from vizapp.vmm.trap_frame import TrapFrame
from vizapp.vmm.xen import phases as xen_phases
from vizapp.vmm.xen import switching
from vizapp.vmm.xen.hvm import calls, emulation

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.vmm.xen.hvm.vm import HvmVm
    from vizapp.vmm.xen.hypervisor import Hypervisor


def run(xen: Hypervisor, vm: HvmVm, name: str) -> str | None:
    """Run one phase; what is Xen's own is charged by itself."""
    own = _OWN.get(name)
    if own is not None:
        return own(vm)
    vm.bill.purpose = shared.PURPOSES.get(name, Purpose.MONITOR)
    vm.bill.path(name)
    changed = _CHANGED.get(name)
    return shared.PHASES[name](vm) if changed is None else changed(vm)


def look_for_events(vm: HvmVm) -> str | None:
    """On the way back into the guest: another domain's turn, sleep, an answer of the device model."""
    due = switching.before_going_on(vm.xen, vm.domain)
    if due != "":
        return due
    return "look_around" if vm.request is None else "answer"


def halt(vm: HvmVm) -> str | None:
    """HLT: until an interrupt; with interrupts disabled for good."""
    cpu = vm.virtual.take(GENERAL)
    if not cpu.eflags & EFLAGS_IF:
        vm.domain.shutdown = 0
        return vm.finish("halted", Message(N_("the guest halted with interrupts disabled")))
    vm.devices.advance()
    vm.emit(events.VIRTUAL_CPU_HALTED, "hlt", {"address": cpu.eip, "vm": vm.index})
    if not vm.devices.interrupt_pending:
        vm.halted, vm.waits = True, 0
        vm.block()
    return "events"


def shut_down(vm: HvmVm) -> str | None:
    """A triple fault: Xen reboots such a domain, that is, tells domain 0 that it wants it."""
    vm.domain.shutdown = 1
    return shared.PHASES["shut_down"](vm)


def interrupted(vm: HvmVm) -> None:
    """An interrupt out of ring 0: the hypervisor idles, or lets one in that has made the guest exit."""
    xen = vm.xen
    below = vm.stack - xen.pc.cpu.esp
    trap = TrapFrame(xen.memory, HostPhysical(vm.virtual.pushed_at - below)).read()
    if trap.entry_vector not in VECTORS:
        text = N_("the hypervisor itself raised an exception at {address}")
        xen.pc.stop("crashed", Message(text, {"address": f"{trap.eip:#010x}"}))
        return
    xen_phases.take_interrupt(xen, trap.entry_vector)
    ring0.jump(xen.pc, xen.tables, stubs.NESTED_EXIT)


_OWN: Final[dict[str, Callable[[HvmVm], str | None]]] = {
    "events": look_for_events,
    "wait": look_for_events,
    "woken": look_for_events,
    "schedule": lambda vm: switching.schedule(vm.xen),
    "idle": lambda vm: xen_phases.idle(vm.xen),
    "nested": interrupted,
}
_CHANGED: Final[dict[str, Callable[[HvmVm], str | None]]] = {
    "halt": halt,
    "shut_down": shut_down,
    "emulate": emulation.emulate,
    "ask": emulation.ask,
    "answer": emulation.answer,
    "undefined": calls.undefined,
    "hypercall": calls.hypercall,
    "continue": calls.serve,
}
