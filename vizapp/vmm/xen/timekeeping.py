"""A domain's time: the record from which it reads the clock, its two timers, and the machine's one below.

System time is in nanoseconds since the machine started; inside the hypervisor everything is in cycles.

Source: Xen 3.1, arch/x86/time.c and common/schedule.c; the public headers xen.h and vcpu.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import M32
from vizapp.vmm.xen import abi, event_channels
from vizapp.vmm.xen.domain import TIMER

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor


def cycles_of(xen: Hypervisor, nanoseconds: int) -> int:
    """The cycle at which system time reaches a value."""
    return -(-nanoseconds * xen.pc.hertz // abi.NANOSECONDS)


def now(xen: Hypervisor) -> int:
    """System time."""
    return xen.pc.meter.cycles * abi.NANOSECONDS // xen.pc.hertz


def set_period(xen: Hypervisor, nanoseconds: int) -> None:
    """Start, change or stop (0) the periodic timer."""
    xen.domain.period = nanoseconds
    xen.domain.tick = xen.pc.meter.cycles + cycles_of(xen, nanoseconds) if nanoseconds else None
    program(xen)


def set_deadline(xen: Hypervisor, nanoseconds: int | None) -> None:
    """Set the singleshot timer to a system time, or stop it."""
    xen.domain.deadline = None if nanoseconds is None else cycles_of(xen, nanoseconds)
    program(xen)


def next_deadline(xen: Hypervisor) -> int | None:
    """The first cycle at which a timer is due; None when nothing is, or the domain listens to none."""
    if TIMER not in xen.domain.channels.values():
        return None
    due = [cycle for cycle in (xen.domain.deadline, xen.domain.tick) if cycle is not None]
    return min(due, default=None)


def program(xen: Hypervisor) -> None:
    """Let the machine's timer interrupt at the next deadline."""
    xen.timer.arm(next_deadline(xen))


def listen(xen: Hypervisor) -> None:
    """The domain has just begun to listen: ticks that it could not hear are over."""
    _skip_ticks(xen)
    program(xen)


def expire(xen: Hypervisor) -> None:
    """Send the timer's virtual interrupt if a deadline has passed, and go on to the next."""
    domain = xen.domain
    rung = _skip_ticks(xen)
    if domain.deadline is not None and domain.deadline <= xen.pc.meter.cycles:
        domain.deadline, rung = None, True
    write_record(xen)
    if rung:
        for port, channel in sorted(domain.channels.items()):
            if channel == TIMER:
                event_channels.send(xen, port)
    program(xen)


def set_wall_clock(xen: Hypervisor) -> None:
    """Tell when the machine started: at no time in particular, so that every run is the same."""
    xen.shared.write(abi.SHARED_WALLCLOCK, 4, 2)  # a version: even, and a first time written
    xen.shared.write(abi.SHARED_WALLCLOCK + 4, 8, 0)  # seconds and nanoseconds


def write_record(xen: Hypervisor) -> None:
    """Write the time record: system time at a cycle, and how to scale what has passed since."""
    shift, scale = time_scale(xen.pc.hertz)
    base, shared = abi.VCPU_TIME, xen.shared
    version = shared.read(base, 4)
    # Odd while the record is being written, so that a guest that reads it now tries again.
    shared.write(base, 4, version + 1 & M32)
    shared.write(base + 8, 8, xen.pc.meter.cycles)
    shared.write(base + 16, 8, now(xen))
    shared.write(base + 24, 4, scale)
    shared.write(base + 28, 1, shift & 0xFF)
    shared.write(base, 4, version + 2 & M32)
    xen.pay_references(7)


def time_scale(hertz: int) -> tuple[int, int]:
    """Shift and 32-bit multiplier with which a guest scales cycles to nanoseconds.

    ``ns = ((cycles << shift) * multiplier) >> 32``, with the multiplier as large as 32 bits hold.
    """

    def multiplier(shift: int) -> int:
        numerator = abi.NANOSECONDS << 32
        return (numerator >> shift if shift >= 0 else numerator << -shift) // hertz

    shift = 32
    while multiplier(shift - 1) <= M32:
        shift -= 1
    return shift, multiplier(shift)


def _skip_ticks(xen: Hypervisor) -> bool:
    """Move the periodic timer past the present; whether it was due."""
    domain, cycles = xen.domain, xen.pc.meter.cycles
    if domain.tick is None or domain.tick > cycles:
        return False
    period = cycles_of(xen, domain.period)
    domain.tick += (cycles - domain.tick) // period * period + period
    return True
