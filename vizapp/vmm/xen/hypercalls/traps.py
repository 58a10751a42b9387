"""Where the guest kernel wants to be entered: trap table, kernel stack, callbacks.

Source: Xen's public headers xen.h (set_trap_table, stack_switch) and callback.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.vmm.xen import abi
from vizapp.vmm.xen.domain import Entry

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

SYSTEM_CALL_VECTOR = 0x80


def deprivileged(selector: int) -> int:
    """A selector with an RPL of at least 1: no guest names ring 0."""
    return selector if selector & 3 else selector | 1


def set_trap_table(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Register exception handlers: a list of (vector, flags, cs, address) that ends with address 0."""
    domain = xen.domain
    if a[0] == 0:
        domain.traps.clear()
        xen.set_direct_gate(None)
        return 0
    for index in range(256):
        entry = xen.copy_from_guest(a[0] + index * abi.TRAP_INFO_SIZE, abi.TRAP_INFO_SIZE)
        vector, flags = entry[0], entry[1]
        selector = int.from_bytes(entry[2:4], "little")
        address = int.from_bytes(entry[4:8], "little")
        if address == 0:
            break
        domain.traps[vector] = Entry(deprivileged(selector), address, flags)
        if vector == SYSTEM_CALL_VECTOR:
            # Straight from ring 3 to the guest kernel: a system call never enters the hypervisor.
            xen.set_direct_gate(domain.traps[vector])
    return 0


def stack_switch(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Set the stack for entries from ring 3: SS1:ESP1 of the hypervisor's TSS."""
    xen.set_kernel_stack(deprivileged(a[0] & 0xFFFF), a[1])
    return 0


def set_callbacks(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Register the event callback and the failsafe callback."""
    xen.domain.event_callback = Entry(deprivileged(a[0] & 0xFFFF), a[1])
    xen.domain.failsafe_callback = Entry(deprivileged(a[2] & 0xFFFF), a[3])
    return 0


def callback_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Register or unregister one callback: u16 type, u16 flags, then CS and EIP."""
    raw = xen.copy_from_guest(a[1], 12)
    kind = int.from_bytes(raw[0:2], "little")
    entry = Entry(deprivileged(int.from_bytes(raw[4:6], "little")), int.from_bytes(raw[8:12], "little"))
    if a[0] not in (abi.CALLBACKOP_REGISTER, abi.CALLBACKOP_UNREGISTER):
        return -abi.ENOSYS
    registered = entry if a[0] == abi.CALLBACKOP_REGISTER else None
    if kind == abi.CALLBACKTYPE_EVENT:
        xen.domain.event_callback = registered
    elif kind == abi.CALLBACKTYPE_FAILSAFE:
        xen.domain.failsafe_callback = registered
    else:
        return -abi.ENOSYS
    return 0


HYPERCALLS = {
    "set_trap_table": set_trap_table,
    "stack_switch": stack_switch,
    "set_callbacks": set_callbacks,
    "callback_op": callback_op,
}
