"""Giving up the processor, stopping, and being woken: sched_op, set_timer_op, vcpu_op.

Source: Xen's public headers sched.h and vcpu.h; Xen 3.1, common/schedule.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.vmm.xen import abi, runstate, timekeeping
from vizapp.vmm.xen import control_abi as c
from vizapp.vmm.xen.hypercalls.arguments import Structure

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

SHORTEST_PERIOD: Final = 1_000_000  # nanoseconds; the hypervisor refuses a faster periodic timer
# A deadline this far off, or negative, is how old kernels say that they have none: they are woken soon.
_FARTHEST: Final = 1 << 50
_SOON: Final = 100_000_000
_MOST_POLLED: Final = 128
_MOST_VCPUS: Final = 32


def sched_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Yield, block until an event, shut a domain down, or wait for one of some ports."""
    command, argument, domain = a[0], a[1], xen.domain
    cycles = xen.pc.meter.cycles
    if command == abi.SCHEDOP_YIELD:
        xen.scheduler.give_way(domain.index, cycles)
        return 0
    if command == abi.SCHEDOP_BLOCK:
        # Enabling events and sleeping is one act: an event between the two would be slept through.
        xen.shared.masked = False
        if not xen.shared.pending:
            _sleep(xen, ())
        return 0
    if command == abi.SCHEDOP_SHUTDOWN:
        domain.shutdown = xen.space.copy_from(argument, 4)[0]
        return 0
    if command == abi.SCHEDOP_POLL:
        return _poll(xen, Structure(xen, argument, 16))
    if command == abi.SCHEDOP_REMOTE_SHUTDOWN:
        if not domain.privileged:
            return -abi.EPERM
        request = Structure(xen, argument, 8)
        other = xen.by_id(request[0, 2])
        if other is None:
            return -abi.ESRCH
        xen.shut_down(other, request[4, 4] & 0xFF)
        return 0
    return -abi.ENOSYS


def _poll(xen: Hypervisor, request: Structure) -> int:
    """{ports, count, timeout}: sleep until one of them is pending, whether masked or not, or until then."""
    count = request[4, 4]
    if count > _MOST_POLLED:
        return -abi.EINVAL
    raw = xen.space.copy_from(request[0, 4], count * 4)
    ports = tuple(int.from_bytes(raw[at : at + 4], "little") for at in range(0, len(raw), 4))
    for port in ports:
        if port >= abi.EVENT_CHANNELS:
            return -abi.EINVAL
        if xen.shared.bit(abi.SHARED_PENDING, port):
            return 0
    if request[8, 8] and request[8, 8] <= timekeeping.now(xen):
        return 0
    _sleep(xen, ports or (0,))
    timekeeping.set_poll_deadline(xen, xen.domain, request[8, 8])
    return 0


def _sleep(xen: Hypervisor, ports: tuple[int, ...]) -> None:
    xen.domain.blocked, xen.domain.poll = True, ports
    runstate.suspend(xen, xen.domain)


def sched_op_compat(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """The older form: the shutdown reason is the argument itself."""
    if a[0] == abi.SCHEDOP_SHUTDOWN:
        xen.domain.shutdown = a[1] & 0xFF
        return 0
    return sched_op(xen, a) if a[0] in (abi.SCHEDOP_YIELD, abi.SCHEDOP_BLOCK) else -abi.ENOSYS


def set_timer_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Arm the one-shot timer at a system time in nanoseconds, low and high half; 0 disarms it."""
    when = a[0] | a[1] << 32
    now = timekeeping.now(xen)
    if when >> 63 or when - now >= _FARTHEST:
        when = now + _SOON
    timekeeping.set_deadline(xen, xen.domain, when or None)
    return 0


def vcpu_op(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Timers and state of the one virtual CPU."""
    command, vcpu = a[0], a[1]
    if vcpu != 0:
        return -abi.ENOENT if vcpu < _MOST_VCPUS else -abi.EINVAL
    if command == abi.VCPUOP_INITIALISE:
        xen.space.copy_from(a[2], c.CONTEXT_BYTES)
        return -abi.EEXIST  # it has run since the domain was started
    if command in (abi.VCPUOP_UP, abi.VCPUOP_IS_UP):
        return int(command == abi.VCPUOP_IS_UP)
    if command == abi.VCPUOP_DOWN:
        xen.domain.down = True
        runstate.suspend(xen, xen.domain)
        return 0
    if command == abi.VCPUOP_GET_RUNSTATE_INFO:
        xen.space.copy_to(a[2], runstate.record(xen, xen.domain))
        return 0
    if command == abi.VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA:
        address = Structure(xen, a[2], 8)[0, 8]
        if address + runstate.BYTES > xen.format.hole:
            return -abi.EFAULT
        xen.domain.runstate_area = address
        runstate.publish(xen)
        return 0
    if command == abi.VCPUOP_SET_PERIODIC_TIMER:
        period = int.from_bytes(xen.space.copy_from(a[2], 8), "little")
        if period < SHORTEST_PERIOD:
            return -abi.EINVAL
        timekeeping.set_period(xen, xen.domain, period)
    elif command == abi.VCPUOP_STOP_PERIODIC_TIMER:
        timekeeping.set_period(xen, xen.domain, 0)
    elif command == abi.VCPUOP_SET_SINGLESHOT_TIMER:
        raw = xen.space.copy_from(a[2], 12)
        when, flags = int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")
        if flags & abi.VCPU_SSHOTTMR_FUTURE and when < timekeeping.now(xen):
            return -abi.ETIME
        timekeeping.set_deadline(xen, xen.domain, when)
    elif command == abi.VCPUOP_STOP_SINGLESHOT_TIMER:
        timekeeping.set_deadline(xen, xen.domain, None)
    else:
        return -abi.ENOSYS
    return 0


HYPERCALLS = {
    "sched_op": sched_op,
    "sched_op_compat": sched_op_compat,
    "set_timer_op": set_timer_op,
    "vcpu_op": vcpu_op,
}
