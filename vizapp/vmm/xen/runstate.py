"""What a virtual CPU has done with its time: running, ready to run, blocked, or offline, in nanoseconds.

    +0 state (32 bits)   +4 when it was entered (64)   +12 time in each of the four states (4 x 64)

Source: Xen's public header vcpu.h (vcpu_runstate_info, as laid out for i386); Xen 3.1, common/schedule.c.
"""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.vmm.xen import abi
from vizapp.vmm.xen.guest_access import GuestMemoryError

if TYPE_CHECKING:
    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor

RUNNING, RUNNABLE, BLOCKED, OFFLINE = range(4)
BYTES: Final = 44


class RunState(NamedTuple):
    """The present state, since which cycle, and the cycles of each state before it."""

    state: int = OFFLINE
    since: int = 0
    times: tuple[int, int, int, int] = (0, 0, 0, 0)


def update(xen: Hypervisor, domain: Domain) -> None:
    """Note that a domain may be in another state now."""
    state, now = _state(xen, domain), xen.pc.meter.cycles
    old = domain.runstate
    if state != old.state:
        domain.runstate = RunState(state, now, _times(old, now))


def suspend(xen: Hypervisor, domain: Domain) -> None:
    """Something keeps a domain from running that has not kept it before."""
    update(xen, domain)
    xen.scheduler.block(domain.index, xen.pc.meter.cycles)


def resume(xen: Hypervisor, domain: Domain) -> None:
    """Something does not keep it any more; maybe something else does."""
    update(xen, domain)
    if domain.runnable:
        xen.scheduler.wake(domain.index, xen.pc.meter.cycles)


def record(xen: Hypervisor, domain: Domain) -> bytes:
    """The structure as it is now."""
    update(xen, domain)
    held, now = domain.runstate, xen.pc.meter.cycles

    def nanoseconds(cycles: int) -> int:
        return cycles * abi.NANOSECONDS // xen.pc.hertz

    times = (nanoseconds(cycles) for cycles in _times(held, now))
    return pack("<I5Q", held.state, nanoseconds(held.since), *times)


def publish(xen: Hypervisor) -> None:
    """Write the current domain's where it has asked for that; nowhere, if that is not its memory any more."""
    address = xen.domain.runstate_area
    if not address:
        return
    try:
        xen.space.copy_to(address, record(xen, xen.domain))
    except GuestMemoryError:
        return
    xen.pay_references(BYTES // 4)


def _times(held: RunState, now: int) -> tuple[int, int, int, int]:
    running, runnable, blocked, offline = (
        time + (now - held.since if state == held.state else 0) for state, time in enumerate(held.times)
    )
    return running, runnable, blocked, offline


def _state(xen: Hypervisor, domain: Domain) -> int:
    if not domain.ready or domain.stopped is not None or domain.dying or domain.paused or domain.down:
        return OFFLINE
    if domain.blocked:
        return BLOCKED
    return RUNNING if domain is xen.domain else RUNNABLE
