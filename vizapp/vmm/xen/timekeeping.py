"""Domains' time: the record from which one reads the clock, its timers, and the machine's one timer below.

System time is in nanoseconds since the machine started; inside the hypervisor everything is in cycles.

Source: Xen 3.1, arch/x86/time.c and common/schedule.c; the public headers xen.h and vcpu.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import M32
from vizapp.vmm.xen import abi, event_channels
from vizapp.vmm.xen.domain import TIMER
from vizapp.vmm.xen.hvm import lines

if TYPE_CHECKING:
    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor


def cycles_of(xen: Hypervisor, nanoseconds: int) -> int:
    """The cycle at which system time reaches a value."""
    return -(-nanoseconds * xen.pc.hertz // abi.NANOSECONDS)


def now(xen: Hypervisor) -> int:
    """System time."""
    return xen.pc.meter.cycles * abi.NANOSECONDS // xen.pc.hertz


def set_period(xen: Hypervisor, domain: Domain, nanoseconds: int) -> None:
    """Start, change or stop (0) the periodic timer."""
    domain.period = nanoseconds
    domain.tick = xen.pc.meter.cycles + cycles_of(xen, nanoseconds) if nanoseconds else None
    program(xen)


def set_deadline(xen: Hypervisor, domain: Domain, nanoseconds: int | None) -> None:
    """Set the singleshot timer to a system time, or stop it."""
    domain.deadline = None if nanoseconds is None else cycles_of(xen, nanoseconds)
    program(xen)


def set_poll_deadline(xen: Hypervisor, domain: Domain, nanoseconds: int) -> None:
    """Let a poll for events end at a system time; 0: never."""
    domain.poll_deadline = cycles_of(xen, nanoseconds) if nanoseconds else None
    program(xen)


def next_deadline(xen: Hypervisor, domain: Domain) -> int | None:
    """The first cycle at which a timer of a domain is due.

    None when nothing is, or it listens to none, or cannot run whatever happens.
    """
    if not domain.ready or domain.stopped is not None or domain.dying or domain.paused or domain.down:
        return None
    due = [domain.poll_deadline]
    vm = xen.machine_of(domain)
    if vm is not None:
        due.append(lines.next_event(vm))
    if TIMER in domain.channels.values():
        due += [domain.deadline, domain.tick]
    return min((cycle for cycle in due if cycle is not None), default=None)


def program(xen: Hypervisor) -> None:
    """Let the machine's timer interrupt when a domain's timer is due or the slice of the current one ends."""
    xen.timer.arm(deadline(xen))


def deadline(xen: Hypervisor) -> int | None:
    """The first cycle at which the hypervisor has something to do; None: nothing is due."""
    due = [next_deadline(xen, domain) for domain in xen.domains]
    due.append(xen.scheduler.deadline())
    return min((cycle for cycle in due if cycle is not None), default=None)


def listen(xen: Hypervisor, domain: Domain) -> None:
    """A domain has just begun to listen: ticks that it could not hear are over."""
    _skip_ticks(xen, domain)
    program(xen)


def expire(xen: Hypervisor) -> None:
    """Send the timer's virtual interrupt wherever a deadline has passed, and go on to the next."""
    for domain in xen.domains:
        if domain is xen.domain or next_deadline(xen, domain) is not None:
            _expire(xen, domain)
    program(xen)


def set_wall_clock(xen: Hypervisor, domain: Domain) -> None:
    """Tell when the machine started: at no time in particular, so that every run is the same."""
    shared = xen.shared_of(domain)
    shared.write(abi.SHARED_WALLCLOCK, 4, 2)  # a version: even, and a first time written
    shared.write(abi.SHARED_WALLCLOCK + 4, 8, 0)  # seconds and nanoseconds


def write_record(xen: Hypervisor, domain: Domain) -> None:
    """Write the time record: system time at a cycle, and how to scale what has passed since."""
    shift, scale = time_scale(xen.pc.hertz)
    base, shared = abi.VCPU_TIME, xen.shared_of(domain)
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


def _expire(xen: Hypervisor, domain: Domain) -> None:
    cycles = xen.pc.meter.cycles
    rung = _skip_ticks(xen, domain)
    if domain.deadline is not None and domain.deadline <= cycles:
        domain.deadline, rung = None, True
    if domain is xen.domain:
        write_record(xen, domain)
    vm = xen.machine_of(domain)
    if vm is not None:
        lines.pass_time(xen, vm)
    if rung:
        event_channels.raise_virq(xen, domain, abi.VIRQ_TIMER)
    if domain.poll_deadline is not None and domain.poll_deadline <= cycles:
        domain.poll_deadline = None
        event_channels.unblock(xen, domain)


def _skip_ticks(xen: Hypervisor, domain: Domain) -> bool:
    """Move the periodic timer past the present; whether it was due."""
    cycles = xen.pc.meter.cycles
    if domain.tick is None or domain.tick > cycles:
        return False
    period = cycles_of(xen, domain.period)
    domain.tick += (cycles - domain.tick) // period * period + period
    return True
