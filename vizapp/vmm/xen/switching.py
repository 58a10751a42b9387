"""From one domain to another: what the processor holds of the old one is put away, the new one's is loaded.

    trap frame, debug registers, floating-point state     into the domain, which is the hypervisor's memory
    GDT and LDT                                           their pages mapped where the processor looks
    SS1:ESP1, the direct gate of INT 0x80, CR0.TS, CR3    as the new domain has set them

While no domain can run the last one's state stays in the processor: most often it is the next too.

Source: Xen 3.1, arch/x86/domain.c (context_switch).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.registers import CR0_TS
from vizapp.machine import events
from vizapp.machine.meter import Purpose
from vizapp.vmm import ring0
from vizapp.vmm.xen import abi, address_spaces, entries, runstate, segment_tables, timekeeping
from vizapp.vmm.xen.places import HYPERVISOR

if TYPE_CHECKING:
    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor

_FPU_WORDS = 27  # that FNSAVE writes
_DEBUG_REGISTERS = 8


def before_going_on(xen: Hypervisor, domain: Domain) -> str | None:
    """The phase due before a domain goes on: another's turn, or sleep; "" if none is, None if all is over."""
    if domain.shutdown is not None and domain.stopped is None:
        xen.shut_down(domain, domain.shutdown)
    if xen.pc.stopped is not None:
        return None
    if xen.scheduler.must_switch(xen.pc.meter.cycles):
        return "schedule"
    parked = xen.scheduler.account_of(domain.index).parked
    return "idle" if parked or not domain.runnable else ""


def schedule(xen: Hypervisor) -> str:
    """Give the processor to the domain whose turn it is; the phase that goes on with it."""
    xen.pay("schedule")
    former = xen.domain
    chosen = xen.domains[xen.scheduler.switch(xen.pc.meter.cycles)]
    if chosen is not former:
        _switch(xen, former, chosen)
    timekeeping.program(xen)
    return "events"


def leave_processor(xen: Hypervisor, domain: Domain) -> None:
    """What the machine counts from now on is not this domain's."""
    domain.before, domain.spent = retired(xen, domain), spent(xen, domain)
    domain.on_processor = False


def take_processor(xen: Hypervisor, domain: Domain) -> None:
    """What the machine counts from now on is this domain's."""
    domain.mark = (xen.pc.instructions, xen.pc.emulated)
    domain.spent_mark = tuple(xen.pc.meter.by_purpose().values())
    domain.on_processor = True


def retired(xen: Hypervisor, domain: Domain) -> tuple[int, int]:
    """Guest instructions of a domain that have retired, and how many of them the hypervisor did."""
    if not domain.on_processor:
        return domain.before
    (done, emulated), (mark, emulated_mark) = domain.before, domain.mark
    return done + xen.pc.instructions - mark, emulated + xen.pc.emulated - emulated_mark


def spent(xen: Hypervisor, domain: Domain) -> tuple[int, ...]:
    """Cycles by purpose while a domain had the processor, or the hypervisor had it on its behalf."""
    if not domain.on_processor:
        return domain.spent
    now = xen.pc.meter.by_purpose().values()
    return tuple(
        before + current - mark
        for before, current, mark in zip(domain.spent, now, domain.spent_mark, strict=True)
    )


def processor_time(xen: Hypervisor, domain: Domain) -> int:
    """Nanoseconds for which a domain has had the processor and did not sleep."""
    by_purpose = dict(zip(Purpose, spent(xen, domain), strict=True))
    cycles = sum(by_purpose.values()) - by_purpose[Purpose.IDLE]
    return cycles * abi.NANOSECONDS // xen.pc.hertz


def _switch(xen: Hypervisor, former: Domain, chosen: Domain) -> None:
    cpu = xen.pc.cpu
    xen.pay("switch")
    leave_processor(xen, former)
    left = xen.machine_of(former)
    if left is not None:
        assert xen.hvm is not None
        xen.hvm.leave(left)
    elif not former.dying:
        former.registers = xen.frame.read()
        former.debug = tuple(cpu.debug)
        if cpu.identity.has_fpu:
            former.fpu = cpu.fpu
            xen.pay_references(_FPU_WORDS)
    xen.make_current(chosen)
    take_processor(xen, chosen)
    entered = xen.machine_of(chosen)
    if entered is not None:
        assert xen.hvm is not None
        xen.hvm.enter(entered)
    else:
        if former.hvm is not None and xen.hvm is not None:
            xen.hvm.restore_host()
        load(xen, chosen)
    timekeeping.write_record(xen, chosen)
    runstate.update(xen, former)
    runstate.update(xen, chosen)
    runstate.publish(xen)
    payload = {"vm": chosen.index, "from": former.index}
    xen.pc.emit(events.VM_SCHEDULED, chosen.name, payload, HYPERVISOR, HYPERVISOR)


def load(xen: Hypervisor, domain: Domain) -> None:
    """Put what a domain has of the processor into it, which is in another's hands."""
    cpu = xen.pc.cpu
    assert domain.registers is not None
    xen.frame.write(domain.registers)
    xen.reload = True
    if tuple(cpu.debug) != domain.debug:
        cpu.debug[:] = domain.debug
        xen.pc.meter.charge("mon_instruction", _DEBUG_REGISTERS)
    if cpu.identity.has_fpu:
        cpu.fpu = domain.fpu
        xen.pay_references(_FPU_WORDS)
    segment_tables.map_tables(xen, domain)
    entries.set_kernel_stack(xen, domain.kernel_ss, domain.kernel_esp)
    entries.set_direct_gate(xen, domain.traps.get(abi.SYSTEM_CALL_VECTOR))
    ring0.load_cr0(xen.pc, cpu.cr0 & ~CR0_TS | (CR0_TS if domain.task_switched else 0))
    address_spaces.flush(xen)
