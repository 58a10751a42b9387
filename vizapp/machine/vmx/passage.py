"""VM entry and VM exit: the passages between root and non-root operation.

    VMLAUNCH, VMRESUME
      controls, host state ── wrong ──▶ the instruction fails (error 7 or 8)
      guest state, MSRs    ── wrong ──▶ host state loaded, exit reason 33 or 34 with bit 31
      guest state loaded ──▶ event injected ──▶ the guest runs
    VM exit
      why it happened, guest state ──▶ VMCS      host state ──▶ processor

SDM Vol. 3, "VM Entries" and "VM Exits".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.machine import events
from vizapp.machine.faults import Shutdown
from vizapp.machine.guest_mode import (
    HARDWARE_EXCEPTION,
    NMI,
    SOFTWARE_INTERRUPT,
    Delivery,
)
from vizapp.machine.interrupts import inject
from vizapp.machine.page_tables import read_pointers
from vizapp.machine.vmx import controls as c
from vizapp.machine.vmx import errors
from vizapp.machine.vmx import fields as f
from vizapp.machine.vmx.checks import (
    INFO_ERROR,
    INFO_TYPE_SHIFT,
    INFO_VALID,
    check_controls,
    check_entry,
    check_host_state,
)
from vizapp.machine.vmx.guest import VmxGuest, Wishes, event_info
from vizapp.machine.vmx.guest_checks import (
    BLOCKED_BY_MOV_SS,
    BLOCKED_BY_STI,
    PDPTES,
    Failure,
    check_guest_state,
)
from vizapp.machine.vmx.msr_areas import load_msrs, store_msrs, unloadable
from vizapp.machine.vmx.reasons import ENTRY_FAILURE, NUMBERS, name_of
from vizapp.machine.vmx.state import (
    GuestSegments,
    HostState,
    load_guest,
    load_host,
    loaded_cr0,
    save_guest,
    save_segments,
)
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.guest_mode import VmExit
    from vizapp.machine.vmx.checks import Values
    from vizapp.machine.vmx.unit import VmxUnit

_STI: Final = "sti"
_NMI_UNBLOCKED: Final = 1 << 12
_FROM_GATE: Final = 3 << 30
_FAULTLESS: Final = frozenset({vectors.DB, vectors.NMI, vectors.BP, vectors.OF, vectors.DF, vectors.MC})
_NESTED: Final = (NUMBERS["ept-violation"], NUMBERS["ept-misconfiguration"])


class EntryError(Exception):
    """The entry did not begin: a VM-instruction error, and which check it was.

    Attributes:
        number: of ``errors.ERRORS``.
        message: what was wrong.
    """

    def __init__(self, number: int, message: Message) -> None:
        super().__init__(number, message.in_english())
        self.number = number
        self.message = message


def enter(unit: VmxUnit, cpu: Cpu, cause: str) -> None:
    """VMLAUNCH or VMRESUME (``cause``) of the current VMCS, whose launch state is right.

    Raises:
        EntryError: controls or host state are invalid; nothing has changed.
        VmExit: the delivery of the injected event exits.
    """
    vmcs = unit.current
    assert vmcs is not None
    values = vmcs.read_all()
    wishes = vmcs.controls_passed
    if wishes is None:
        wrong = check_controls(unit.capable, unit.memory, values)
    else:
        wrong = check_entry(unit.memory, values)
    if wrong is not None:
        raise EntryError(errors.INVALID_CONTROLS, wrong)
    if vmcs.host_passed is None:
        wrong = check_host_state(unit.capable, values)
        if wrong is not None:
            raise EntryError(errors.INVALID_HOST_STATE, wrong)
        vmcs.host_passed = HostState.of(values)
    cpu.charge("vm_entry")
    wishes = vmcs.controls_passed = wishes or Wishes.of(values)
    pointers = _guest_pointers(unit, wishes, values)
    failure = check_guest_state(unit.capable, unit.memory, values)
    if failure is None and pointers is None:
        failure = Failure(PDPTES, Message(N_("a PDPTE of the guest has a reserved bit set")))
    if failure is not None:
        _fail(unit, cpu, values, "invalid-guest-state", failure)
        return
    bad = unloadable(unit.memory, values[f.ENTRY_MSR_LOAD], values[f.ENTRY_MSR_LOAD_COUNT])
    if bad:
        sentence = Message(N_("entry {number} of the MSR area cannot be loaded"), {"number": bad})
        _fail(unit, cpu, values, "msr-loading", Failure(bad, sentence))
        return
    assert pointers is not None
    vmcs.launched = True
    guest = VmxGuest(unit, wishes)
    unit.guest = cpu.guest_mode = guest
    guest.last = _STI if values[f.INTERRUPTIBILITY] & BLOCKED_BY_STI else ""
    if not wishes.vpid:
        unit.mmu.flush_tag(0)
    control = (
        loaded_cr0(cpu, values[f.GUEST_CR0]),
        values[f.GUEST_CR3],
        values[f.GUEST_CR4],
        pointers,
    )
    unit.use_address_space(control)
    vmcs.segments = vmcs.segments or GuestSegments.of(values)
    load_guest(cpu, values, pointers, vmcs.segments)
    load_msrs(cpu, unit.memory, values[f.ENTRY_MSR_LOAD], values[f.ENTRY_MSR_LOAD_COUNT])
    info = values[f.ENTRY_INFO]
    payload = {"address": cpu.eip}
    if info & INFO_VALID:
        payload["event"] = info
        if info & INFO_ERROR:
            payload["error"] = values[f.ENTRY_ERROR]
    cpu.notify(events.VM_ENTERED, cause, payload)
    if info & INFO_VALID:
        _inject(cpu, values, info)


def _guest_pointers(unit: VmxUnit, wishes: Wishes, values: Values) -> tuple[int, ...] | None:
    """The guest's PDPTEs, with PAE: out of memory, or below EPT out of the VMCS. None: malformed."""
    if not (values[f.GUEST_CR0] & r.CR0_PG and values[f.GUEST_CR4] & r.CR4_PAE):
        return ()
    if wishes.ept_pointer:
        return tuple(values[encoding] for encoding in f.GUEST_PDPTES)
    return read_pointers(unit.memory, values[f.GUEST_CR3])


def _inject(cpu: Cpu, values: Values, info: int) -> None:
    """Deliver the event of the entry through the guest's IDT."""
    kind, vector = info >> INFO_TYPE_SHIFT & 7, info & 0xFF
    length = values[f.ENTRY_LENGTH] if kind >= SOFTWARE_INTERRUPT else 0
    error = values[f.ENTRY_ERROR] if info & INFO_ERROR else None
    if kind == NMI:
        cpu.nmi_blocked = True
    inject(cpu, Delivery(vector, kind, error, length), cpu.eip + length & 0xFFFF_FFFF)


def _fail(unit: VmxUnit, cpu: Cpu, values: Values, name: str, failure: Failure) -> None:
    """An entry that ends in its exit: of the VMCS only reason and qualification change."""
    assert unit.current is not None
    cpu.charge("vm_exit")
    reason = NUMBERS[name]
    unit.current.update({
        f.EXIT_REASON: reason | ENTRY_FAILURE,
        f.QUALIFICATION: failure.qualification,
    })  # fmt: skip
    _become_host(unit, cpu, values)
    payload: dict[str, int | str] = {
        "reason": reason | ENTRY_FAILURE,
        "qualification": failure.qualification,
        "detail": failure.message.in_english(),
    }
    cpu.notify(events.VM_ENTRY_FAILED, name, payload)


def leave(unit: VmxUnit, cpu: Cpu, guest: VmxGuest, leaving: VmExit) -> None:
    """Write what happened and the guest's state into the current VMCS, and become the host.

    Raises:
        Shutdown: the host cannot be loaded either: a VMX abort.
    """
    vmcs = unit.current
    assert vmcs is not None
    cpu.charge("vm_exit")
    cpu.shadow = cpu.shadow or guest.shadowed
    # What a debugger set up for the instruction that did not come to its end belongs to nobody.
    cpu.single_step, cpu.traps = False, 0
    values = vmcs.read_all()
    report = _report(cpu, guest, leaving)
    saved = save_guest(
        cpu,
        debug=bool(guest.wishes.exit & c.SAVE_DEBUG),
        pointers=bool(guest.wishes.ept_pointer),
        shadow=BLOCKED_BY_STI if guest.last == _STI else BLOCKED_BY_MOV_SS,
    )
    if _saves_rf(leaving, report):
        saved[f.GUEST_RFLAGS] |= r.EFLAGS_RF
    segments = vmcs.segments
    if segments is None or not segments.are_in(cpu):
        segments = GuestSegments.saved(cpu)
        saved |= save_segments(cpu)
    before = vmcs.image()
    vmcs.update(saved | report | {f.ENTRY_INFO: values[f.ENTRY_INFO] & ~INFO_VALID})
    vmcs.segments = segments
    unit.exit_images[vmcs.address] = before, vmcs.image()
    if leaving.info.get("nmi"):
        cpu.nmi_blocked = True
    if not store_msrs(cpu, unit.memory, values[f.EXIT_MSR_STORE], values[f.EXIT_MSR_STORE_COUNT]):
        _abort(unit, errors.ABORT_SAVING_MSRS)
    payload = _payload(cpu, report)
    if not guest.wishes.vpid:
        unit.mmu.flush_tag(0)
    _become_host(unit, cpu, values)
    cpu.notify(events.VM_EXITED, name_of(leaving.reason), payload)


def _report(cpu: Cpu, guest: VmxGuest, leaving: VmExit) -> dict[int, int]:
    """The exit-information fields."""
    info = leaving.info
    # A double fault that exits is the event itself: what led to it was not being delivered any more.
    double = leaving.info.get("event", 0) & 0xFF == vectors.DF
    vectoring = None if double else leaving.vectoring
    length = info.get("length", 0)
    qualification = leaving.qualification
    if leaving.reason == NUMBERS["task-switch"]:
        if vectoring is None:
            length = guest.length
        else:
            qualification |= _FROM_GATE
    event = info.get("event", 0)
    unblocked = guest.unblocked_nmis_at == cpu.eip and vectoring is None
    if unblocked and event & INFO_VALID and event & 0xFF != vectors.DF:
        event |= _NMI_UNBLOCKED
    if unblocked and leaving.reason in _NESTED:
        qualification |= _NMI_UNBLOCKED
    report = {
        f.EXIT_REASON: leaving.reason,
        f.QUALIFICATION: qualification,
        f.EXIT_INFO: event,
        f.EXIT_ERROR: info.get("error", 0),
        f.EXIT_LENGTH: length if vectoring is None else vectoring.length,
        f.INSTRUCTION_INFO: info.get("instruction_info", 0),
        f.VECTORING_INFO: 0,
        f.VECTORING_ERROR: 0,
    }
    if "guest_linear" in info:
        report[f.GUEST_LINEAR] = info["guest_linear"]
    if "guest_physical" in info:
        report[f.GUEST_PHYSICAL] = info["guest_physical"]
    if vectoring is not None:
        report[f.VECTORING_INFO] = event_info(cpu, vectoring)
        report[f.VECTORING_ERROR] = vectoring.error or 0
    return report


def _saves_rf(leaving: VmExit, report: Values) -> bool:
    """Whether RF would stand in the flags that a handler of this event found."""
    if leaving.reason == NUMBERS["exception-nmi"]:
        return _is_fault(report[f.EXIT_INFO])
    if leaving.reason in _NESTED:
        return leaving.vectoring is None or _is_fault(report[f.VECTORING_INFO])
    return leaving.reason == NUMBERS["task-switch"] and _is_fault(report[f.VECTORING_INFO])


def _is_fault(event: int) -> bool:
    return event >> INFO_TYPE_SHIFT & 7 == HARDWARE_EXCEPTION and event & 0xFF not in _FAULTLESS


_PAYLOAD: Final = (
    ("length", f.EXIT_LENGTH),
    ("event", f.EXIT_INFO),
    ("error", f.EXIT_ERROR),
    ("vectoring", f.VECTORING_INFO),
    ("vectoring_error", f.VECTORING_ERROR),
    ("instruction_info", f.INSTRUCTION_INFO),
    ("guest_linear", f.GUEST_LINEAR),
    ("guest_physical", f.GUEST_PHYSICAL),
)


def _payload(cpu: Cpu, report: Values) -> dict[str, int | str]:
    reason = report[f.EXIT_REASON]
    payload: dict[str, int | str] = {
        "reason": reason,
        "name": name_of(reason),
        "qualification": report[f.QUALIFICATION],
        "address": cpu.eip,
    }
    return payload | {name: report[field] for name, field in _PAYLOAD if report.get(field)}


def _become_host(unit: VmxUnit, cpu: Cpu, values: Values) -> None:
    unit.guest = cpu.guest_mode = None
    pointers: tuple[int, ...] | None = ()
    if values[f.HOST_CR0] & r.CR0_PG and values[f.HOST_CR4] & r.CR4_PAE:
        pointers = read_pointers(unit.memory, values[f.HOST_CR3])
    if pointers is None:
        _abort(unit, errors.ABORT_HOST_PDPTES)
        return
    control = (loaded_cr0(cpu, values[f.HOST_CR0]), values[f.HOST_CR3], values[f.HOST_CR4], pointers)
    unit.use_address_space(control)
    assert unit.current is not None
    load_host(cpu, values, unit.current.host_passed or HostState.of(values), pointers)
    count, area = values[f.EXIT_MSR_LOAD_COUNT], values[f.EXIT_MSR_LOAD]
    if unloadable(unit.memory, area, count):
        _abort(unit, errors.ABORT_LOADING_MSRS)
    load_msrs(cpu, unit.memory, area, count)


def _abort(unit: VmxUnit, indicator: int) -> None:
    """VMX abort: the processor shuts down, and the VMCS says why."""
    assert unit.current is not None
    unit.current.set_abort(indicator)
    raise Shutdown(Message(N_("VMX abort: {reason}"), {"reason": Message(errors.ABORTS[indicator])}))
