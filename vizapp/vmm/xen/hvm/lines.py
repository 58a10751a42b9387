"""The interrupt lines of an HVM domain: who holds them, and the virtual CPU that they wake.

A line is high while the device model, a PCI wire that is routed to it, or a pending event (if the guest has
chosen that line for its events) holds it.

Source: Xen 3.1, arch/x86/hvm/irq.c (hvm_isa_irq_assert, hvm_pci_intx_assert, hvm_set_callback_irq_level).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.vmm.xen import runstate
from vizapp.vmm.xen.hvm import abi

if TYPE_CHECKING:
    from vizapp.vmm.xen.hvm.state import HvmState
    from vizapp.vmm.xen.hvm.vm import HvmVm
    from vizapp.vmm.xen.hypervisor import Hypervisor

_WIRES_OF_A_DEVICE = 4
_TIMER_LINE = 0


def change(xen: Hypervisor, vm: HvmVm, state: HvmState) -> None:
    """Let the lines follow a new state, and wake the virtual CPU if one of them interrupts it."""
    before, after = levels(vm.state_of_hvm), levels(state)
    vm.domain.hvm = state
    vm.devices.advance()
    for line in range(1, abi.ISA_LINES):
        if (before ^ after) >> line & 1:
            vm.devices.line(line)(bool(after >> line & 1))
    wake_if_interrupted(xen, vm)


def levels(state: HvmState) -> int:
    """Bits of the ISA lines that are high."""
    lines = state.lines
    callback = callback_line(state)
    if state.callback and callback:
        lines |= 1 << callback
    for wire in range(_WIRES_OF_A_DEVICE * 32):
        if state.wires >> wire & 1:
            route = state.links[link_of(wire)]
            lines |= 1 << route if route else 0
    return lines & ~(1 << _TIMER_LINE)


def link_of(wire: int) -> int:
    """The PCI link that a wire is connected to: they are swizzled, so that devices share them evenly."""
    device, pin = divmod(wire, _WIRES_OF_A_DEVICE)
    return device + pin & abi.LINKS - 1


def callback_line(state: HvmState) -> int:
    """The ISA line on which the guest wants its events; 0: none."""
    value = state.params[abi.PARAM_CALLBACK_IRQ]
    kind, which = value >> abi.CALLBACK_SHIFT, value & 0xFFFF_FFFF
    if kind == abi.CALLBACK_GSI:
        return which if which < abi.ISA_LINES else 0
    if kind == abi.CALLBACK_INTX:  # domain, bus, device and function, pin
        wire = (which >> 11 & 0x1F) * _WIRES_OF_A_DEVICE + (which & 3)
        return state.links[link_of(wire)]
    return 0


def follow_events(xen: Hypervisor, vm: HvmVm) -> None:
    """The callback's line is as high as the pending byte says."""
    state = vm.state_of_hvm
    pending = xen.shared_of(vm.domain).pending
    if state.callback != pending and callback_line(state):
        change(xen, vm, state._replace(callback=pending))


def wake_if_interrupted(xen: Hypervisor, vm: HvmVm) -> None:
    """A virtual CPU in HLT goes on with an interrupt."""
    if vm.halted and vm.devices.interrupt_pending:
        vm.halted = False
        vm.domain.blocked = False
        runstate.resume(xen, vm.domain)


def pass_time(xen: Hypervisor, vm: HvmVm) -> None:
    """The machine's timer has interrupted: devices whose time has come act."""
    vm.devices.advance()
    if vm.halted and not vm.devices.interrupt_pending:
        vm.waits += 1
    wake_if_interrupted(xen, vm)


def next_event(vm: HvmVm) -> int | None:
    """The cycle at which a device of a domain next has something for its virtual CPU; None: none will."""
    if not (vm.halted or vm.domain is vm.xen.domain) or (vm.halted and vm.waits > vm.devices.waking_events):
        return None
    return vm.devices.next_event()
