"""The hypervisor's phases: entered by traps, interrupts and hypercalls of its domains, left by IRET.

    entered ─┬─ hypercall ─(continue)─┐  ┌─ schedule ◀┐
             ├─ exception ─┬─ emulate ┤  ▼            │ another domain's turn
             │             └─ bounce  ┼─ events ──────┴─▶ resume ─▶ (the guest runs)
             └─ interrupt ────────────┘  ▲ └─▶ idle ─▶ (HLT) ─▶ woken ─┐
                                         └─────────────────────────────┘
    trap out of ring 0 ─▶ nested ─┬▶ (back into the idle loop)
                                  └▶ failsafe ─▶ events        its own IRET to the guest has faulted

Source: Xen 3.1, arch/x86/x86_32/entry.S; Barham et al. (SOSP 2003), section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import vectors
from vizapp.isa.addresses import M32, HostPhysical, Linear
from vizapp.isa.descriptors import SELECTOR_RPL
from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine import events
from vizapp.messages import N_, Message
from vizapp.vmm import ring0, stubs
from vizapp.vmm.physical_timer import TIMER_VECTOR, VECTORS
from vizapp.vmm.trap_frame import TrapFrame
from vizapp.vmm.xen import abi, event_channels, exceptions, switching, timekeeping
from vizapp.vmm.xen.bounce import BadFrameError, pop_frame
from vizapp.vmm.xen.continuation import Continuation
from vizapp.vmm.xen.domain import Channel
from vizapp.vmm.xen.hvm import lines
from vizapp.vmm.xen.hypercalls import call
from vizapp.vmm.xen.physical_irqs import CONSOLE_LINE
from vizapp.vmm.xen.places import HYPERVISOR
from vizapp.vmm.xen.signatures import operation
from vizapp.vmm.xen.views import guest_read

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor

NOTHING_COMES: Final = Message(N_("the domain waits for an event, and none can come"))
_ARGUMENTS: Final = ("ebx", "ecx", "edx", "esi", "edi", "ebp")


def entered(xen: Hypervisor) -> str:
    """What brought us here: dispatch on the vector that the entry stub pushed."""
    xen.pay("entry")
    vector = xen.frame.entry_vector
    if vector == abi.HYPERCALL_VECTOR:
        return "hypercall"
    return "interrupt" if vector in VECTORS else "exception"


def hypercall(xen: Hypervisor) -> str | None:
    """Number in EAX, arguments in EBX ECX EDX ESI EDI EBP."""
    xen.pay("hypercall")
    return serve(xen)


def serve(xen: Hypervisor) -> str | None:
    """Do what the hypercall asks for, or a part of it."""
    frame = xen.frame
    saved = frame.read()
    number = saved.eax
    arguments = (saved.ebx, saved.ecx, saved.edx, saved.esi, saved.edi, saved.ebp)
    if number == abi.IRET:
        return _return_from_trap(xen)
    asked = _operation(xen, number, arguments)
    result = call(xen, number, arguments)
    if isinstance(result, Continuation):
        for name, value in zip(_ARGUMENTS, result.arguments, strict=False):
            setattr(frame, name, value & M32)
        if not interrupt_waits(xen):
            return "continue"
        frame.eip = frame.eip - abi.HYPERCALL_BYTES & M32
        return "events"
    frame.eax = result & M32
    _tell(xen, number, arguments, result & M32, asked)
    return "events"


def _return_from_trap(xen: Hypervisor) -> str | None:
    before = xen.frame.read()
    arguments = (before.ebx, before.ecx, before.edx, before.esi, before.edi)
    xen.pay("iret")
    try:
        xen.pay_references(pop_frame(xen.frame, xen.space, xen.shared))
    except BadFrameError as bad:
        return xen.crash(bad.reason)
    _tell(xen, abi.IRET, arguments, xen.frame.eax)
    return "events"


def _operation(xen: Hypervisor, number: int, arguments: tuple[int, ...]) -> str:
    """Which of its operations a call asks for, for people: looked up before the call changes anything."""

    def word(address: int) -> int | None:
        raw = guest_read(xen, xen.domain, Linear(address), 4)
        return None if raw is None else int.from_bytes(raw, "little")

    return operation(abi.HYPERCALLS.get(number, ""), arguments, word)


def _tell(xen: Hypervisor, number: int, arguments: tuple[int, ...], result: int, asked: str = "") -> None:
    name = abi.HYPERCALLS.get(number, f"hypercall_{number}")
    payload: dict[str, int | str] = {"name": name, "number": number, "result": result}
    payload.update(zip(_ARGUMENTS[:5], arguments, strict=False))
    if asked:
        payload["operation"] = asked
    xen.pc.emit(events.HYPERCALL_MADE, name, payload, xen.places[1], HYPERVISOR)


def interrupt_waits(xen: Hypervisor) -> bool:
    """Whether the machine wants to interrupt, which it cannot while the hypervisor runs."""
    xen.pay_references(1)
    xen.pc.board.advance()
    return xen.pc.pic.intr


def interrupt(xen: Hypervisor) -> str:
    """The machine's timer, or a device of which a domain has the driver."""
    take_interrupt(xen, xen.frame.entry_vector)
    return "events"


def take_interrupt(xen: Hypervisor, vector: int) -> None:
    """Do what the physical interrupt with a vector asks for."""
    xen.pay("interrupt")
    if vector == TIMER_VECTOR:
        xen.timer.acknowledge()
        timekeeping.expire(xen)
        return
    line = xen.lines.line_of(vector)
    if not xen.lines.accept(line):
        return
    if line == CONSOLE_LINE:
        event_channels.raise_global(xen, abi.VIRQ_CONSOLE)
    else:
        bound = Channel("pirq", line)
        for domain in xen.domains:
            for port, channel in sorted(domain.channels.items()):
                if channel == bound:
                    event_channels.raise_port(xen, domain, port)


def look_for_events(xen: Hypervisor) -> str | None:
    """On the way out: another domain's turn, sleep, the event callback, or back to where the guest was."""
    due = switching.before_going_on(xen, xen.domain)
    if due != "":
        return due
    return _upcall(xen) if xen.shared.pending and not xen.shared.masked else "resume"


def _upcall(xen: Hypervisor) -> str | None:
    callback = xen.domain.event_callback
    if callback is None:
        return xen.crash(Message(N_("an event is due, and the guest has registered no event callback")))
    source = xen.places[xen.frame.cs & SELECTOR_RPL]
    xen.pay("upcall")
    if not xen.push(callback, None, mask=True):
        return xen.next_phase
    xen.pc.emit(events.UPCALL_DELIVERED, "event", {"handler": callback.offset}, source, xen.places[1])
    return "resume"


def resume(xen: Hypervisor) -> None:
    """Leave through the exit stub, whose IRET checks where the guest wants to continue."""
    # Real interrupts stay on in every guest; what it may switch off is the upcall.
    xen.frame.eflags |= EFLAGS_IF
    xen.pay("exit")
    ring0.jump(xen.pc, xen.tables, stubs.EXIT_ALL if xen.reload else stubs.EXIT)
    xen.reload = False


def idle(xen: Hypervisor) -> None:
    """Nothing to run: STI, HLT, until a physical interrupt."""
    xen.pay("idle")
    parked = any(xen.scheduler.account_of(domain.index).parked for domain in xen.domains if domain.runnable)
    if not parked and not any(_may_wake(xen, domain) for domain in xen.domains):
        for domain in xen.domains:
            if domain.ready and domain.stopped is None and not domain.dying:
                xen.stop(domain, "halted", NOTHING_COMES)
        return
    timekeeping.program(xen)
    xen.pc.emit(events.VIRTUAL_CPU_HALTED, "sched_op block", {}, HYPERVISOR, HYPERVISOR)
    ring0.jump(xen.pc, xen.tables, stubs.IDLE)


def _may_wake(xen: Hypervisor, domain: Domain) -> bool:
    """Whether a timer or a device can wake a domain that waits; the others wake each other."""
    if domain.stopped is not None or domain.dying or domain.paused or domain.down or not domain.ready:
        return False
    if timekeeping.next_deadline(xen, domain) is None and not xen.lines.bound:
        return False
    vm = xen.machine_of(domain)
    if vm is not None and vm.halted:
        return lines.next_event(vm) is not None
    return domain.poll_deadline is not None or event_channels.can_be_woken(xen, domain)


def woken(xen: Hypervisor) -> str:
    """The idle loop has ended; the trap frame is the guest's again."""
    return "events"


def nested(xen: Hypervisor) -> str | None:
    """A trap out of ring 0: an interrupt while idling, or the processor refused the guest's selectors."""
    below = TrapFrame(xen.memory, HostPhysical(xen.frame.address - xen.tables.frame_linear + xen.pc.cpu.esp))
    trap = below.read()
    if trap.entry_vector in VECTORS:
        take_interrupt(xen, trap.entry_vector)
        ring0.jump(xen.pc, xen.tables, stubs.NESTED_EXIT)
        return None
    if not xen.tables.code(stubs.EXIT_ALL) <= trap.eip <= xen.tables.code(stubs.EXIT_IRET):
        fault = {"exception": vectors.name(trap.entry_vector), "address": f"{trap.eip:#010x}"}
        why = Message(N_("the hypervisor itself raised {exception} at {address}"), {**fault})
        xen.pc.stop("crashed", why)
        return None
    if trap.eip == xen.tables.code(stubs.EXIT_IRET):
        # The exit had restored the registers already, and the trap was pushed over where they had been.
        for name in (*_ARGUMENTS, "eax"):
            setattr(xen.frame, name, getattr(trap, name))
    xen.pc.cpu.esp = xen.tables.frame_linear
    return "failsafe"


def failsafe(xen: Hypervisor) -> str | None:
    """Where the guest wanted to continue cannot be: its failsafe callback gets to know what it wanted."""
    frame, callback = xen.frame, xen.domain.failsafe_callback
    selectors = {"cs": f"{frame.cs:#06x}", "ss": f"{frame.ss:#06x}"}
    if callback is None:
        text = N_("the guest cannot continue with the selectors {cs} and {ss}, and has no failsafe callback")
        return xen.crash(Message(text, {**selectors}))
    if (frame.cs, frame.eip) == (callback.selector, callback.offset):
        return xen.crash(
            Message(N_("the guest's failsafe callback itself cannot be entered at {cs}"), {**selectors})
        )
    xen.pay("bounce")
    segments = (frame.ds, frame.es, frame.fs, frame.gs)
    if not xen.push(callback, None, mask=bool(callback.flags & abi.TI_MASK_EVENTS), segments=segments):
        return xen.next_phase
    frame.ds = frame.es = frame.fs = frame.gs = 0
    xen.reload = True
    return "events"


def turned_on(xen: Hypervisor) -> None:
    """VT-x or AMD-V is on: the initial domain is entered."""
    assert xen.hvm is not None
    xen.hvm.turned_on()


PHASES: Final[dict[str, Callable[[Hypervisor], str | None]]] = {
    "entered": entered,
    "hypercall": hypercall,
    "continue": serve,
    "exception": exceptions.exception,
    "emulate": exceptions.emulate_instruction,
    "bounce": exceptions.bounce_trap,
    "interrupt": interrupt,
    "schedule": switching.schedule,
    "events": look_for_events,
    "resume": resume,
    "idle": idle,
    "woken": woken,
    "nested": nested,
    "failsafe": failsafe,
    "turned_on": turned_on,
}
