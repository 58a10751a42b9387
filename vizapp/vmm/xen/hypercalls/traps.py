"""Where the guest kernel wants to be entered: trap table, kernel stack, callbacks.

Source: Xen's public headers xen.h (set_trap_table, stack_switch) and callback.h; Xen 3.1, arch/x86/traps.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import M32
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.continuation import BATCH, Continuation
from vizapp.vmm.xen.domain import Entry
from vizapp.vmm.xen.entries import set_direct_gate, set_kernel_stack
from vizapp.vmm.xen.selectors import deprivileged

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor


def set_trap_table(xen: Hypervisor, a: tuple[int, ...]) -> int | Continuation:
    """Register exception handlers: a list of (vector, flags, cs, address) that ends with address 0."""
    domain = xen.domain
    if a[0] == 0:
        domain.traps.clear()
        set_direct_gate(xen, None)
        return 0
    for index in range(BATCH):
        entry = xen.space.copy_from(a[0] + index * abi.TRAP_INFO_SIZE & M32, abi.TRAP_INFO_SIZE)
        vector, flags = entry[0], entry[1]
        selector = int.from_bytes(entry[2:4], "little")
        address = int.from_bytes(entry[4:8], "little")
        if address == 0:
            return 0
        domain.traps[vector] = Entry(deprivileged(selector), address, flags)
        if vector == abi.SYSTEM_CALL_VECTOR:
            # Straight from ring 3 to the guest kernel: a system call never enters the hypervisor.
            set_direct_gate(xen, domain.traps[vector])
    return Continuation((a[0] + BATCH * abi.TRAP_INFO_SIZE,))


def stack_switch(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Set the stack for entries from ring 3: SS1:ESP1 of the hypervisor's TSS."""
    set_kernel_stack(xen, deprivileged(a[0] & 0xFFFF), a[1])
    return 0


def set_callbacks(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Register the event callback and the failsafe callback; an address of 0 is none."""
    xen.domain.event_callback = _callback(a[0], a[1])
    xen.domain.failsafe_callback = _callback(a[2], a[3])
    return 0


def callback_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Register one callback: u16 type, u16 flags, then CS and EIP."""
    if a[0] == abi.CALLBACKOP_UNREGISTER:
        return _unregister(int.from_bytes(xen.space.copy_from(a[1], 4)[:2], "little"))
    if a[0] != abi.CALLBACKOP_REGISTER:
        return -abi.ENOSYS
    raw = xen.space.copy_from(a[1], 12)
    kind, flags = int.from_bytes(raw[0:2], "little"), int.from_bytes(raw[2:4], "little")
    callback = _callback(int.from_bytes(raw[4:8], "little"), int.from_bytes(raw[8:12], "little"), flags)
    if kind == abi.CALLBACKTYPE_EVENT:
        xen.domain.event_callback = callback
    elif kind == abi.CALLBACKTYPE_FAILSAFE:
        xen.domain.failsafe_callback = callback
    elif kind == abi.CALLBACKTYPE_NMI:
        return 0 if xen.domain.privileged else -abi.EINVAL  # for who has the machine, where none comes
    else:
        return -abi.ENOSYS
    return 0


def _unregister(kind: int) -> int:
    """Of all callbacks only that for NMI can be taken back."""
    if kind == abi.CALLBACKTYPE_NMI:
        return 0
    return -abi.EINVAL if kind in (abi.CALLBACKTYPE_EVENT, abi.CALLBACKTYPE_FAILSAFE) else -abi.ENOSYS


def _callback(selector: int, address: int, flags: int = 0) -> Entry | None:
    if not address:
        return None
    masks = abi.TI_MASK_EVENTS if flags & abi.CALLBACKF_MASK_EVENTS else 0
    return Entry(deprivileged(selector & 0xFFFF), address, masks)


HYPERCALLS = {
    "set_trap_table": set_trap_table,
    "stack_switch": stack_switch,
    "set_callbacks": set_callbacks,
    "callback_op": callback_op,
}
