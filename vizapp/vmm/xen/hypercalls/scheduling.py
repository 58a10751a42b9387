"""Giving up the processor, stopping, and being woken: sched_op, set_timer_op, vcpu_op.

Source: Xen's public headers sched.h and vcpu.h; Xen 3.1, common/schedule.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.vmm.xen import abi, timekeeping

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

SHORTEST_PERIOD: Final = 1_000_000  # nanoseconds; the hypervisor refuses a faster periodic timer
# A deadline this far off, or negative, is how old kernels say that they have none: they are woken soon.
_FARTHEST: Final = 1 << 50
_SOON: Final = 100_000_000


def sched_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Yield, block until an event, or shut the domain down."""
    command = a[0]
    if command == abi.SCHEDOP_YIELD:
        return 0
    if command == abi.SCHEDOP_BLOCK:
        # Enabling events and sleeping is one act: an event between the two would be slept through.
        xen.shared.masked = False
        xen.domain.blocked = not xen.shared.pending
        return 0
    if command == abi.SCHEDOP_SHUTDOWN:
        xen.domain.shutdown = xen.space.copy_from(a[1], 4)[0]
        return 0
    return -abi.ENOSYS


def sched_op_compat(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """The older form: the shutdown reason is the argument itself."""
    if a[0] == abi.SCHEDOP_SHUTDOWN:
        xen.domain.shutdown = a[1] & 0xFF
        return 0
    return sched_op(xen, a)


def set_timer_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Arm the one-shot timer at a system time in nanoseconds, low and high half; 0 disarms it."""
    when = a[0] | a[1] << 32
    now = timekeeping.now(xen)
    if when >> 63 or when - now >= _FARTHEST:
        when = now + _SOON
    timekeeping.set_deadline(xen, when or None)
    return 0


def vcpu_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Periodic and singleshot timer of the one virtual CPU."""
    command, vcpu = a[0], a[1]
    if vcpu != 0:
        return -abi.ENOENT
    if command == abi.VCPUOP_SET_PERIODIC_TIMER:
        period = int.from_bytes(xen.space.copy_from(a[2], 8), "little")
        if period < SHORTEST_PERIOD:
            return -abi.EINVAL
        timekeeping.set_period(xen, period)
    elif command == abi.VCPUOP_STOP_PERIODIC_TIMER:
        timekeeping.set_period(xen, 0)
    elif command == abi.VCPUOP_SET_SINGLESHOT_TIMER:
        raw = xen.space.copy_from(a[2], 12)
        when, flags = int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")
        if flags & abi.VCPU_SSHOTTMR_FUTURE and when < timekeeping.now(xen):
            return -abi.ETIME
        timekeeping.set_deadline(xen, when)
    elif command == abi.VCPUOP_STOP_SINGLESHOT_TIMER:
        timekeeping.set_deadline(xen, None)
    else:
        return -abi.ENOSYS
    return 0


HYPERCALLS = {
    "sched_op": sched_op,
    "sched_op_compat": sched_op_compat,
    "set_timer_op": set_timer_op,
    "vcpu_op": vcpu_op,
}
