"""Interrupts and exceptions through the IDT: gates, stack switch, error codes, double and triple faults.

SDM Vol. 2, "INT n/INTO/INT3/INT1", protected mode; Vol. 3, "Interrupt and Exception Handling". What a gate
to an inner ring leaves on that ring's stack (a gate to the same ring pushes from EFLAGS on):

    ESP + 20  old SS
        + 16  old ESP
        + 12  EFLAGS
        +  8  old CS
        +  4  EIP
        +  0  error code, of the vectors that have one

Out of virtual-8086 mode GS, FS, DS and ES are pushed before SS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import descriptors as d
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.isa.registers import (
    CR0_PE,
    CS,
    DS,
    EFLAGS_IF,
    EFLAGS_NT,
    EFLAGS_RF,
    EFLAGS_TF,
    EFLAGS_VM,
    ES,
    FS,
    GS,
    SS,
)
from vizapp.machine import events, real_mode, virtual_interrupts
from vizapp.machine.debug import report
from vizapp.machine.faults import Fault, TripleFault
from vizapp.machine.guest_mode import (
    EXTERNAL,
    HARDWARE_EXCEPTION,
    NMI,
    PRIVILEGED_SOFTWARE_EXCEPTION,
    SOFTWARE_EXCEPTION,
    SOFTWARE_INTERRUPT,
    Delivery,
    VmExit,
)
from vizapp.machine.passages import entry_key
from vizapp.machine.segments import (
    DescriptorAt,
    SegmentState,
    descriptor_at,
    mark_accessed,
    read_descriptor,
    state_of,
)
from vizapp.machine.stacks import InnerStack, inner_stack, push_frame
from vizapp.machine.tasks import find_task, push_error, switch

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.segmented_access import SystemMemory

_INTERRUPT_GATES: Final = (d.INTERRUPT_GATE_32, d.INTERRUPT_GATE_16)
_GATES: Final = (*_INTERRUPT_GATES, d.TRAP_GATE_32, d.TRAP_GATE_16, d.TASK_GATE)
SOFTWARE_CAUSES: Final = tuple(f"int {vector:#04x}" for vector in range(256))
_CONTRIBUTORY: Final = frozenset({vectors.DE, vectors.TS, vectors.NP, vectors.SS, vectors.GP})
# What is reported after the instruction, or is no fault: RF is not set in the EFLAGS that are pushed.
NOT_FAULTS: Final = frozenset({vectors.DB, vectors.NMI, vectors.BP, vectors.OF, vectors.DF, vectors.MC})


def deliver(
    cpu: Cpu,
    vector: int,
    error: int | None = None,
    *,
    software: bool = False,
    external: bool = False,
    fault: Fault | None = None,
) -> None:
    """Enter a handler; see ``Cpu.deliver``. ``fault`` is what an instruction raised, CR2 not yet loaded.

    Under VMX or SVM the monitor is asked first of each exception, and an exit on the way tells which event
    was being delivered.
    """
    if software:
        enter(cpu, vector, None, software=True, external=False, return_eip=cpu.eip)
        return
    if fault is None and not external:
        fault = Fault(vector, error, cpu.cr2 if vector == vectors.PF else None)
    if fault is not None and fault.length:
        # Delivered as a trap, but of what goes wrong on the way the instruction is the place.
        event, after = Delivery(vector, PRIVILEGED_SOFTWARE_EXCEPTION, None, fault.length), cpu.eip
        cpu.eip = after - fault.length & M32
        _through(cpu, event, fault, asks=False, return_eip=after)
        return
    kind = HARDWARE_EXCEPTION
    if external:
        kind = NMI if vector == vectors.NMI else EXTERNAL
    _through(cpu, Delivery(vector, kind, error), fault, asks=True)


def inject(cpu: Cpu, event: Delivery, return_eip: int) -> None:
    """Deliver what a monitor has put into an entry: it is not asked of the event itself.

    An exception that the delivery meets goes by the rules of any other, and the monitor is asked of it.
    ``return_eip`` is what is pushed.
    """
    _through(cpu, event, None, asks=False, return_eip=return_eip)


def _through(
    cpu: Cpu, event: Delivery, fault: Fault | None, *, asks: bool, return_eip: int | None = None
) -> None:
    """Deliver ``event``, which ``fault`` made, or what comes of the attempt."""
    faults: list[Fault] = [] if fault is None else [fault]
    vectoring = None if fault is None else fault.vectoring
    try:
        while True:
            vector, kind, error, _ = event
            if asks:
                _ask(cpu, event, fault)
            if fault is not None and fault.address is not None:
                cpu.cr2 = fault.address
            if fault is not None and fault.debug:
                report(cpu, fault.debug)
            vectoring = event
            cpu.traps = 0  # what the delivery itself meets is due at the handler
            try:
                if kind == SOFTWARE_INTERRUPT and _stays_in_task(cpu, vector):
                    assert return_eip is not None
                    virtual_interrupts.enter(cpu, vector, return_eip)
                    return
                enter(
                    cpu,
                    vector,
                    error,
                    software=kind in (SOFTWARE_INTERRUPT, SOFTWARE_EXCEPTION),
                    external=kind in (EXTERNAL, NMI),
                    return_eip=cpu.eip if return_eip is None else return_eip,
                    injected=return_eip is not None,
                )
            except Fault as second:
                fault, return_eip = second, None
                faults.append(fault)
                # An exception that would be part of a double fault is intercepted as itself.
                _ask(cpu, Delivery(fault.vector, HARDWARE_EXCEPTION, fault.error), fault)
                if fault.address is not None:
                    cpu.cr2 = fault.address
                first = vector if kind == HARDWARE_EXCEPTION else None
                vector, error = escalate(first, fault, faults)
                asks = vector != fault.vector
                event = Delivery(vector, HARDWARE_EXCEPTION, error)
            else:
                return
    except VmExit as leaving:
        leaving.vectoring = leaving.vectoring or vectoring
        raise


def _stays_in_task(cpu: Cpu, vector: int) -> bool:
    """Whether an INT n that a monitor has injected goes by the table of the 8086 program that runs."""
    return cpu.virtual_8086 and virtual_interrupts.stays_in_task(cpu, vector, injected=True)


def _ask(cpu: Cpu, event: Delivery, fault: Fault | None) -> None:
    """Ask the monitor, if there is one, of an exception."""
    if cpu.guest_mode is not None and event.type == HARDWARE_EXCEPTION:
        detail = None if fault is None else fault.debug or fault.address
        cpu.guest_mode.exception(cpu, event, detail)


def escalate(first: int | None, second: Fault, faults: list[Fault]) -> tuple[int, int | None]:
    """What to deliver after ``second`` hit the delivery of ``first`` (None: an external interrupt).

    SDM Vol. 3, "Interrupt 8 - Double Fault Exception (#DF)", conditions for generating a double fault.
    """
    if first == vectors.DF:
        raise TripleFault(tuple(faults))
    contributes = second.vector in _CONTRIBUTORY
    if first in _CONTRIBUTORY:
        double = contributes
    elif first == vectors.PF:
        double = contributes or second.vector == vectors.PF
    else:
        double = False
    return (vectors.DF, 0) if double else (second.vector, second.error)


def enter(
    cpu: Cpu,
    vector: int,
    error: int | None,
    *,
    software: bool,
    external: bool,
    return_eip: int,
    injected: bool = False,
) -> None:
    """Go to the handler of ``vector``, or raise the Fault that prevents it, with no register changed.

    An interrupt that is ``injected`` is not fetched from the controllers, and costs what an exception does.
    """
    address = cpu.eip
    price = "software_interrupt" if software else "interrupt" if external and not injected else "exception"
    if not cpu.cr0 & CR0_PE:
        real_mode.enter(cpu, vector, return_eip, price)
        error = None
    else:
        flags = cpu.system_flags | cpu.flag_kind.bits(cpu.flag_result, cpu.flag_x, cpu.flag_y)
        if not (software or external or vector in NOT_FAULTS):
            flags |= EFLAGS_RF
        frame = [flags, cpu.segments[CS].selector, return_eip]
        key = entry_key(vector, cpu.cpl, software=software, error=error is not None)
        known = None if cpu.passages is None else cpu.passages.push(cpu, key, error, frame)
        if known is None:
            _pass_gate(cpu, vector, error, frame, price, key)
        else:
            entry, esp = known
            _arrive(cpu, price, entry.kept_flags, entry.offset, esp, entry.stack, entry.code, entry.cpl)

    payload = {"vector": vector, "address": address}
    if error is not None:
        payload["error"] = error
    if software:
        cpu.notify(events.SOFTWARE_INTERRUPT_DELIVERED, SOFTWARE_CAUSES[vector], payload)
    elif external:
        cpu.notify(events.INTERRUPT_DELIVERED, f"interrupt {vector:#04x}", payload)
    else:
        if vector == vectors.PF:
            payload["cr2"] = cpu.cr2
        cpu.notify(events.EXCEPTION_DELIVERED, vectors.name(vector), payload)


def _pass_gate(cpu: Cpu, vector: int, error: int | None, frame: list[int], price: str, key: int) -> None:
    """Through the gate of ``vector`` with ``frame`` (EFLAGS, CS, EIP) to be pushed.

    The way is remembered by ``key``, see ``entry_key``.
    """
    software = price == "software_interrupt"
    virtual_8086 = cpu.virtual_8086
    passages = None if virtual_8086 else cpu.passages
    external_bit = 0 if software else d.ERROR_EXT
    gate_at = _read_gate(cpu, vector, software, external_bit)
    gate = gate_at.gate
    if gate.type == d.TASK_GATE:
        found = find_task(cpu, gate.selector, external=external_bit)
        flags, _, return_eip = frame
        switch(cpu, gate.selector, found, "call", return_eip, flags, external=external_bit)
        if error is not None:
            push_error(cpu, error)
        return
    if d.is_null(gate.selector):
        raise Fault(vectors.GP, external_bit)
    found = read_descriptor(cpu, gate.selector, vectors.GP, external_bit)
    code = found.descriptor
    selector_error = gate.selector & d.SELECTOR_ERROR | external_bit
    if not code.is_code or code.dpl > cpu.cpl:
        raise Fault(vectors.GP, selector_error)
    if not code.present:
        raise Fault(vectors.NP, selector_error)
    if gate.offset > code.limit:
        raise Fault(vectors.GP, external_bit)

    if error is not None:
        frame.append(error)
    cpl = cpu.cpl
    stack, esp = cpu.segments[SS], cpu.esp
    inner: InnerStack | None = None
    if code.dpl < cpl and not code.is_conforming:
        cpl = code.dpl
        frame = [stack.selector, esp, *frame]
        if virtual_8086:
            if cpl:
                raise Fault(vectors.GP, selector_error)
            frame = [*(cpu.segments[index].selector for index in (GS, FS, DS, ES)), *frame]
        inner = inner_stack(cpu, cpl, external_bit)
        stack, esp = inner.stack, inner.esp
        room_error = stack.selector & d.SELECTOR_ERROR | external_bit
        memory: SystemMemory = cpu.implicit
    elif virtual_8086:  # such a task can be left for ring 0 only
        raise Fault(vectors.GP, selector_error)
    else:
        room_error = external_bit
        memory = cpu.space
    mark_accessed(cpu, found)
    esp = push_frame(memory, stack, esp, gate.size, frame, room_error, user=cpl == 3)
    if virtual_8086:
        for index in (ES, DS, FS, GS):
            cpu.set_segment(index, SegmentState(0))
    cleared = EFLAGS_TF | EFLAGS_NT | EFLAGS_RF | EFLAGS_VM
    kept = ~(cleared | EFLAGS_IF if gate.type in _INTERRUPT_GATES else cleared)
    state = state_of(gate.selector & d.SELECTOR_ERROR | cpl, code)
    if inner is not None and passages is not None and gate.size == 4:
        passages.remember_entry(cpu, key, gate_at, found, inner, state, cpl, kept)
    _arrive(cpu, price, kept, gate.offset, esp, stack, state, cpl)


def _arrive(
    cpu: Cpu,
    price: str,
    kept_flags: int,
    offset: int,
    esp: int,
    stack: SegmentState,
    code: SegmentState,
    cpl: int,
) -> None:
    """Be at the handler, its frame pushed."""
    cpu.charge(price)
    cpu.system_flags &= kept_flags
    cpu.halted = cpu.shadow = cpu.single_step = False
    cpu.eip = offset
    cpu.esp = esp
    cpu.change_ring(stack, code, cpl)


def _read_gate(cpu: Cpu, vector: int, software: bool, external_bit: int) -> DescriptorAt:
    """The gate of a vector in the IDT, its type, privilege and presence checked."""
    gate_error = vector * d.DESCRIPTOR_BYTES | d.ERROR_IDT | external_bit
    base, limit = cpu.idtr
    offset = vector * d.DESCRIPTOR_BYTES
    if offset + d.DESCRIPTOR_BYTES - 1 > limit:
        raise Fault(vectors.GP, gate_error)
    found = descriptor_at(cpu, base + offset & M32)
    gate = found.gate
    if gate.type not in _GATES or (software and gate.dpl < cpu.cpl):
        raise Fault(vectors.GP, gate_error)
    if not gate.present:
        raise Fault(vectors.NP, gate_error)
    return found


def software_interrupt(cpu: Cpu, instruction: Instruction, vector: int, *, stays: bool = False) -> None:
    """INT n, INT3 and INTO: the gate's DPL must allow the CPL, unless INT n ``stays`` in an 8086's task."""
    try:
        after = cpu.eip + instruction.length & M32
        if stays:
            virtual_interrupts.enter(cpu, vector, after)
            return
        enter(cpu, vector, None, software=True, external=False, return_eip=after)
    except (Fault, VmExit) as obstacle:
        kind = SOFTWARE_INTERRUPT if instruction.mnemonic == "int" else SOFTWARE_EXCEPTION
        obstacle.vectoring = Delivery(vector, kind, None, instruction.length)
        raise
