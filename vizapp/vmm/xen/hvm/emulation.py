"""Instructions of HVM guests: the shared emulation, with the device model behind ports and addresses.

A string of ports (REP INS, REP OUTS) goes to the device model in one request, with the guest-physical address
of its elements in memory, as far as they lie in one page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical
from vizapp.isa.instruction import Memory
from vizapp.isa.registers import CS, EFLAGS_DF, EFLAGS_TF
from vizapp.machine import events
from vizapp.machine.faults import Fault
from vizapp.machine.meter import Purpose
from vizapp.machine.port_io import may_access
from vizapp.messages import N_, Message
from vizapp.vmm.account import emulated
from vizapp.vmm.hardware_assisted import emulation as shared
from vizapp.vmm.hardware_assisted.virtual_cpu import EVERYTHING
from vizapp.vmm.instruction_fetch import decoded
from vizapp.vmm.xen import event_channels
from vizapp.vmm.xen.hvm import abi, calls
from vizapp.vmm.xen.hvm.board import is_own
from vizapp.vmm.xen.hvm.requests import Access, UnansweredError

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu
    from vizapp.vmm.xen.hvm.vm import HvmVm

_STRINGS: Final = ("ins", "outs")
NO_PAGE: Final = Message(N_("the guest needs its device model, and no page has been set to reach it"))


def emulate(vm: HvmVm) -> str | None:
    """Carry an instruction out as far as the device model's answers go."""
    special = calls.special(vm)
    if special is not None:
        return special
    if vm.pending.fetched:
        access = _string(vm)
        if access is not None:
            vm.request = access
            return "ask"
    vm.answers.restart()
    vm.physmap.answers = vm.answers
    try:
        return shared.emulate(vm)
    except UnansweredError as needed:
        vm.request = needed.access
        return "ask"
    finally:
        vm.physmap.answers = None


def _string(vm: HvmVm) -> Access | None:
    """The request of INS or OUTS; None: it is none, or one element at a time is to be carried out."""
    cpu = vm.virtual.hold_everything()
    instruction = decoded(vm.pending.instruction, 0, 32 if cpu.segments[CS].big else 16)
    if instruction.mnemonic not in _STRINGS or cpu.eflags & EFLAGS_TF:
        return None
    memory, offset, mask = _element(cpu, instruction)
    port, size = cpu.edx & 0xFFFF, memory.size
    count = cpu.ecx & mask if instruction.repeat else 1
    if not count or is_own(port, size):
        return None
    read = instruction.mnemonic == "ins"
    try:
        if not may_access(cpu, port, size):
            return None  # the instruction itself raises what is due
        segment = cpu.segments[memory.segment]
        if offset + size - 1 > segment.limit or not segment.usable:
            return None
        linear = segment.base + offset & M32
        if (linear & PAGE_MASK) + size > PAGE_SIZE:
            return None
        frame = vm.mmu.translate(linear, read, cpu.cpl == 3).frame
    except Fault:
        return None
    if vm.memory.host_frame(frame) is None:
        return None
    down = bool(cpu.eflags & EFLAGS_DF)
    room = (linear & PAGE_MASK) // size + 1 if down else (PAGE_SIZE - (linear & PAGE_MASK)) // size
    # Nor beyond the segment, nor around its end.
    room = min(room, offset // size + 1 if down else (min(segment.limit, mask) - offset + 1) // size)
    address = frame << PAGE_SHIFT | linear & PAGE_MASK
    return Access(abi.TYPE_PIO, port, size, read, address, max(1, min(count, room)), True, down)


def _element(cpu: Cpu, instruction: Instruction) -> tuple[Memory, int, int]:
    """The operand in memory, its offset now, and the mask of offsets."""
    read = instruction.mnemonic == "ins"
    memory = instruction.operands[0 if read else 1]
    assert isinstance(memory, Memory)
    mask = M32 if instruction.address_size == 4 else 0xFFFF
    return memory, (cpu.edi if read else cpu.esi) & mask, mask


def ask(vm: HvmVm) -> str | None:
    """Put the request into the shared page, send the event, and wait."""
    vm.xen.pay("ask", Purpose.IO)
    xen, access, state = vm.xen, vm.request, vm.state_of_hvm
    assert access is not None
    page = vm.memory.host_frame(state.params[abi.PARAM_IOREQ_PFN]) if state.port else None
    if page is None:
        return vm.finish("crashed", NO_PAGE)
    at = HostPhysical(page << PAGE_SHIFT)
    count = xen.memory.read(at + abi.IO_COUNT, 8) + 1
    xen.memory.write(at + abi.IO_COUNT, 8, count)
    xen.memory.load(at, access.packed(abi.STATE_READY))
    xen.pay_references(12)
    _tell(vm, events.IO_REQUESTED, access, access.data)
    vm.block()
    event_channels.send(xen, vm.domain, state.port)
    return "events"


def answer(vm: HvmVm) -> str | None:
    """The virtual CPU goes on: see what the device model has left in the shared page."""
    vm.xen.pay("answer", Purpose.IO)
    xen, access, state = vm.xen, vm.request, vm.state_of_hvm
    assert access is not None
    page = vm.memory.host_frame(state.params[abi.PARAM_IOREQ_PFN])
    if page is None:
        return vm.finish("crashed", NO_PAGE)
    at = HostPhysical(page << PAGE_SHIFT)
    flags = xen.memory.read(at + abi.IO_FLAGS, 1)
    xen.pay_references(1)
    found = flags & abi.STATE_MASK
    if found in (abi.STATE_READY, abi.STATE_INPROCESS):
        vm.block()
        return "events"
    if found != abi.STATE_RESPONSE:
        text = N_("the device model has left its request in state {state}, which is none")
        return vm.finish("crashed", Message(text, {"state": found}))
    xen.memory.write(at + abi.IO_FLAGS, 1, flags & ~abi.STATE_MASK)
    value = xen.memory.read(at + abi.IO_DATA, 8) & (1 << 8 * access.size) - 1
    xen.pay_references(3)
    vm.request = None
    _tell(vm, events.IO_ANSWERED, access, value)
    if access.pointer:
        return _advance(vm, access)
    vm.answers.add(value if access.read else 0)
    return "emulate"


def _tell(vm: HvmVm, kind: str, access: Access, data: int) -> None:
    payload: dict[str, int | str] = {
        "vm": vm.index, "address": access.address, "size": access.size, "read": int(access.read),
        "data": data, "count": access.elements, "pointer": int(access.pointer),
    }  # fmt: skip
    vm.emit(kind, abi.TYPE_NAMES[access.type], payload)


def _advance(vm: HvmVm, access: Access) -> str:
    """The device model has moved the elements of a string: the registers follow."""
    cpu = vm.virtual.take(*EVERYTHING)
    instruction = decoded(vm.pending.instruction, 0, 32 if cpu.segments[CS].big else 16)
    _, offset, mask = _element(cpu, instruction)
    before = vm.linear_eip, cpu.eip, cpu.cpl
    moved = access.size * access.elements
    after = offset + (-moved if access.down else moved) & mask
    register = "edi" if access.read else "esi"
    setattr(cpu, register, getattr(cpu, register) & ~mask & M32 | after)
    left = 0
    if instruction.repeat:
        left = (cpu.ecx & mask) - access.elements
        cpu.ecx = cpu.ecx & ~mask & M32 | left
    if not left:
        cpu.eip = cpu.eip + instruction.length & (M32 if cpu.segments[CS].big else 0xFFFF)
    cpu.shadow = False
    vm.event = None
    emulated(vm, instruction, instruction.raw, *before)
    return "look_around"
