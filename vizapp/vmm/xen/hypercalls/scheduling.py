"""Giving up the processor, stopping, and being woken: sched_op, set_timer_op, vcpu_op.

Source: Xen's public headers sched.h and vcpu.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.vmm.xen import abi

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

SHORTEST_PERIOD = 1_000_000  # nanoseconds; the hypervisor refuses a faster periodic timer


def _block(xen: Hypervisor) -> int:
    # Enabling events and sleeping is one act: an event between the two would be slept through.
    xen.shared.masked = False
    xen.domain.blocked = not xen.shared.pending
    return 0


def sched_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Yield, block until an event, shut the domain down, or poll."""
    command = a[0]
    if command == abi.SCHEDOP_YIELD:
        return 0
    if command == abi.SCHEDOP_BLOCK:
        return _block(xen)
    if command == abi.SCHEDOP_SHUTDOWN:
        xen.shut_down(int.from_bytes(xen.copy_from_guest(a[1], 4), "little"))
        return 0
    return -abi.ENOSYS


def sched_op_compat(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """The older form: the shutdown reason is the argument itself."""
    if a[0] == abi.SCHEDOP_SHUTDOWN:
        xen.shut_down(a[1])
        return 0
    return sched_op(xen, a) if a[0] in (abi.SCHEDOP_YIELD, abi.SCHEDOP_BLOCK) else -abi.ENOSYS


def set_timer_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Arm the one-shot timer at a system time in nanoseconds, low and high half; 0 disarms it."""
    when = a[0] | a[1] << 32
    xen.domain.deadline = xen.cycles_of(when) if when else None
    xen.program_timer()
    return 0


def vcpu_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Periodic and singleshot timer of the one virtual CPU."""
    command, vcpu = a[0], a[1]
    domain = xen.domain
    if vcpu != 0:
        return -abi.ENOENT
    if command == abi.VCPUOP_SET_PERIODIC_TIMER:
        period = int.from_bytes(xen.copy_from_guest(a[2], 8), "little")
        if period < SHORTEST_PERIOD:
            return -abi.EINVAL
        xen.set_period(period)
    elif command == abi.VCPUOP_STOP_PERIODIC_TIMER:
        xen.set_period(0)
    elif command == abi.VCPUOP_SET_SINGLESHOT_TIMER:
        domain.deadline = xen.cycles_of(int.from_bytes(xen.copy_from_guest(a[2], 8), "little"))
        xen.program_timer()
    elif command == abi.VCPUOP_STOP_SINGLESHOT_TIMER:
        domain.deadline = None
        xen.program_timer()
    else:
        return -abi.ENOSYS
    return 0


HYPERCALLS = {
    "sched_op": sched_op,
    "sched_op_compat": sched_op_compat,
    "set_timer_op": set_timer_op,
    "vcpu_op": vcpu_op,
}
