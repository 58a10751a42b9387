"""The phases of an exception: emulated for the guest, handed to its handler, or the end of the domain.

Source: Xen 3.1, arch/x86/traps.c, do_general_protection, do_page_fault and do_guest_trap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import vectors
from vizapp.isa.addresses import M32, Linear
from vizapp.isa.descriptors import ERROR_EXT, ERROR_IDT, SELECTOR_RPL
from vizapp.machine import events
from vizapp.messages import N_, Message
from vizapp.vmm.host_tables import LDT
from vizapp.vmm.xen import abi, emulate, segment_tables, writable_tables
from vizapp.vmm.xen.frame_info import RefusedError
from vizapp.vmm.xen.hypervisor import Trap
from vizapp.vmm.xen.places import HYPERVISOR
from vizapp.vmm.xen.views import guest_read

if TYPE_CHECKING:
    from vizapp.machine.places import Place
    from vizapp.vmm.xen.hypervisor import Hypervisor

_INT_BYTES: Final = 2
_SHOWN_BYTES: Final = 8


def exception(xen: Hypervisor) -> str:
    """An exception of the guest: what Xen makes of it."""
    frame = xen.frame
    vector, error, ring = frame.entry_vector, frame.error_code, frame.cs & SELECTOR_RPL
    if vector == vectors.PF:
        xen.fault_address = xen.pc.cpu.cr2
        page = segment_tables.wanted_ldt_page(xen, xen.fault_address)
        if page is not None:
            return _ldt_fault(xen, page)
        if writable_tables.is_wanted(xen, error):
            return "emulate"
    if vector == vectors.UD and emulate.is_forced_cpuid(xen):
        return "emulate"
    if vector == vectors.GP:
        if error & (ERROR_IDT | ERROR_EXT) == ERROR_IDT:
            _software_interrupt(xen, error >> 3, ring)
            return "bounce"
        if error == 0 and (ring == 1 or _may_reach_ports(xen)):
            return "emulate"
    xen.trap = Trap(vector, error if vector in vectors.WITH_ERROR_CODE else None)
    return "bounce"


def _ldt_fault(xen: Hypervisor, page: int) -> str:
    """The processor has missed a page of the LDT: it is the guest's, and mapped when it is needed."""
    xen.pay("bounce")
    if segment_tables.map_ldt_page(xen, page):
        return "events"
    # The guest is told of the address that it has given, at which there is nothing that serves.
    offset = xen.fault_address - (xen.tables.base + LDT)
    xen.fault_address = xen.domain.ldt[0] + offset & M32
    xen.trap = Trap(vectors.PF, xen.frame.error_code)
    return "bounce"


def _may_reach_ports(xen: Hypervisor) -> bool:
    """Whether an application's #GP may be an access to a port that its domain has opened to it."""
    return xen.domain.iopl == 3 or bool(xen.domain.io_bitmap[1])


def _software_interrupt(xen: Hypervisor, vector: int, ring: int) -> None:
    """INT n: every gate has DPL 0, so that it arrives as #GP, and the trap table says who may raise it."""
    entry = xen.domain.traps.get(vector)
    if entry is not None and entry.flags & abi.TI_DPL >= ring:
        xen.frame.eip = xen.frame.eip + _INT_BYTES & M32
        xen.trap = Trap(vector)
    else:
        xen.trap = Trap(vectors.GP, xen.frame.error_code)


def emulate_instruction(xen: Hypervisor) -> str:
    """An instruction that trapped: done for the guest, or handed back as its #GP."""
    xen.pay("emulate")
    if xen.frame.entry_vector == vectors.UD:
        address, place = xen.frame.eip, xen.places[xen.frame.cs & SELECTOR_RPL]
        emulate.forced_cpuid(xen)
        _emulated(xen, "cpuid", address, emulate.FORCED_CPUID, place)
        return "events"
    if xen.frame.entry_vector == vectors.PF:
        return _store_into_table(xen)
    xen.trap = Trap(vectors.GP, 0)
    cpu = emulate.virtual_cpu(xen)
    address, ring = cpu.eip, xen.frame.cs & SELECTOR_RPL
    instruction = emulate.trapped_instruction(cpu)
    if instruction is None:
        return "bounce"
    try:
        if not emulate.run(xen, cpu, instruction, ring):
            return "bounce"
        emulate.commit(xen, cpu)
    except RefusedError as refusal:
        xen.refused(instruction.mnemonic, refusal)
        return "bounce"
    through = not instruction.repeat or xen.frame.eip != address
    _emulated(xen, instruction.mnemonic, address, instruction.raw, xen.places[ring], through=through)
    return "events"


def _store_into_table(xen: Hypervisor) -> str:
    """A store into a page table, done as an update; or the page fault that it was."""
    address = xen.frame.eip
    instruction = writable_tables.run(xen)
    if instruction is None:
        xen.trap = Trap(vectors.PF, xen.frame.error_code)
        return "bounce"
    _emulated(xen, instruction.mnemonic, address, instruction.raw, xen.places[1])
    return "events"


def _emulated(
    xen: Hypervisor, mnemonic: str, address: int, code: bytes, place: Place, *, through: bool = True
) -> None:
    """Tell of an instruction, and count it once it is ``through``: a repeated one may go on later."""
    if through and place.vm and not xen.pc.marks_by_vm:
        xen.pc.count_emulated()
    elif through:
        xen.pc.count_emulated(Linear(address), place.vm)  # the code segments of guests begin at 0
    payload: dict[str, int | str] = {"mnemonic": mnemonic, "address": address, "bytes": code.hex(" ")}
    if not through:
        payload["again"] = 1
    xen.pc.emit(events.INSTRUCTION_EMULATED, mnemonic, payload, place, HYPERVISOR)


def bounce_trap(xen: Hypervisor) -> str | None:
    """Hand an exception to the handler that the guest registered, or end the domain for want of one."""
    frame = xen.frame
    vector, error = xen.trap
    entry = xen.domain.traps.get(vector)
    if entry is None:
        _no_handler(xen, vector)
        return xen.next_phase
    xen.pay("bounce")
    if vector == vectors.PF and error is not None:
        xen.shared.write(abi.VCPU_CR2, 4, xen.fault_address)
    address, source = frame.eip, xen.places[frame.cs & SELECTOR_RPL]
    if not xen.push(entry, error, mask=bool(entry.flags & abi.TI_MASK_EVENTS)):
        return xen.next_phase
    payload: dict[str, int | str] = {"vector": vector, "address": address, "handler": entry.offset}
    if error is not None:
        payload["error"] = error
    if vector == vectors.PF:
        payload["cr2"] = xen.fault_address
    kind = events.FAULT_REFLECTED if vector in vectors.NAMES else events.SYSTEM_CALL_REFLECTED
    xen.pc.emit(kind, vectors.name(vector), payload, source, xen.places[1])
    return "events"


def _no_handler(xen: Hypervisor, vector: int) -> None:
    """The domain's last sentence: which instruction Xen cannot honour and why, or which exception it was."""
    eip, error = xen.frame.eip, xen.frame.error_code
    raw = next(
        (code for n in range(_SHOWN_BYTES, 0, -1) if (code := guest_read(xen, xen.domain, Linear(eip), n))),
        b"",
    )
    here = {"address": f"{eip:#010x}", "bytes": raw.hex(" ") or "?"}
    instruction = emulate.trapped_instruction(emulate.virtual_cpu(xen))
    in_kernel = vector == vectors.GP and xen.frame.cs & SELECTOR_RPL == 1
    if in_kernel and instruction is not None and instruction.opcode.privilege != "innocuous":
        text = N_("{mnemonic} at {address} ({bytes}): Xen cannot honour it, for {reason}")
        reason = emulate.why_not(instruction.opcode.operation, error)
        xen.crash(Message(text, {**here, "mnemonic": instruction.mnemonic.upper(), "reason": reason}))
    else:
        text = N_("{exception} at {address} ({bytes}), and the guest has registered no handler for it")
        xen.crash(Message(text, {**here, "exception": vectors.name(vector)}))
