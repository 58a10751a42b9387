"""What becomes of a privileged instruction in ring 1: the few that Xen emulates, and why not the others.

CPUID is not privileged, and answers for the machine. A ported program that wants the answer for its domain
writes it behind UD2 and the letters "xen", and so makes it trap.

Source: Xen 3.1, arch/x86/traps.c, emulate_privileged_op (with continue_io_string) and
emulate_forced_invalid_op.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa import registers as r
from vizapp.isa.addresses import M32
from vizapp.isa.descriptors import ERROR_IDT, SELECTOR_RPL, unpack
from vizapp.isa.instruction import Immediate, Memory
from vizapp.machine import identity
from vizapp.machine.cpu import Cpu
from vizapp.machine.debug import DR7_GD
from vizapp.machine.faults import Fault, Unimplemented
from vizapp.machine.segments import SegmentState, state_of
from vizapp.messages import N_, Message
from vizapp.vmm.instruction_fetch import fetch
from vizapp.vmm.processor_view import general, set_general
from vizapp.vmm.xen import abi, address_spaces, port_strings
from vizapp.vmm.xen.guest_ports import GuestPorts, may_try
from vizapp.vmm.xen.segment_tables import raw_descriptor

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.vmm.xen.guest_access import DirectSpace
    from vizapp.vmm.xen.hypervisor import Hypervisor

# CLI and STI do nothing on purpose: a POPF that follows could not be trapped, and events would stay masked.
# The caches are the whole machine's. What WRMSR writes is dropped: the registers are the hypervisor's.
IGNORED: Final = frozenset({"cli", "sti", "wbinvd", "invd"})
PORT_ACCESSES: Final = frozenset({"in", "out", "ins", "outs"})
EMULATED: Final = (
    IGNORED
    | PORT_ACCESSES
    | {"clts", "rdmsr", "wrmsr", "mov_to_control", "mov_from_control", "mov_to_debug", "mov_from_debug"}
)

# Reserved bits of DR6 and DR7 are as the processor has them, whatever the guest writes.
_DR6_KEPT, _DR6_SET, _DR7_KEPT, _DR7_SET = 0xFFFF_EFFF, 0xFFFF_0FF0, 0xFFFF_27FF, 0x400

FORCED_CPUID: Final = b"\x0f\x0bxen\x0f\xa2"  # ud2; "xen"; cpuid
# Of leaf 1, EDX: VME, DE, PSE, PGE and SEP, what a guest kernel would need CR4 or ring 0 for.
_HIDDEN: Final = (
    identity.FEATURE_VME
    | identity.FEATURE_DE
    | identity.FEATURE_PSE
    | identity.FEATURE_PGE
    | identity.FEATURE_SEP
)

_TABLES: Final = N_(
    "descriptor tables belong to the hypervisor; a ported kernel uses set_trap_table and set_gdt"
)
_PORTS: Final = N_(
    "ports belong to the hypervisor or to domain 0; a ported kernel uses console_io and event channels"
)
REASONS: Final = {
    "lgdt": _TABLES,
    "lidt": _TABLES,
    "lldt": _TABLES,
    "ltr": N_("the task register belongs to the hypervisor; a ported kernel uses stack_switch"),
    "hlt": N_("the processor is not the guest's to stop; a ported kernel uses sched_op block"),
    "invlpg": N_(
        "the translation buffer is the hypervisor's; a ported kernel uses mmuext_op or a flush flag"
    ),
    "lmsw": N_("protection and paging belong to the hypervisor and stay on"),
    "mov_to_control": N_(
        "a guest has CR0.TS, CR2 and CR3 of the control registers, and valid tables for CR3"
    ),
    "mov_to_debug": N_("a breakpoint in the hypervisor is not for its guests"),
    "in": _PORTS,
    "out": _PORTS,
    "ins": _PORTS,
    "outs": _PORTS,
}
NO_REASON: Final = N_("the hypervisor gives a guest no such thing")
SELECTOR: Final = N_(
    "selector {selector} is none of a guest's; the hypervisor's GDT has e019 and e021 for a kernel, e02b and "
    "e033 for applications"
)
VECTOR: Final = N_("vector {vector} is not in the trap table with the right for the kernel to raise it")


class Controls(NamedTuple):
    """The control registers that a domain sees."""

    cr0: int
    cr2: int
    cr3: int
    cr4: int


def why_not(operation: str, error: int) -> Message:
    """Why the hypervisor does not honour an instruction, and what a ported kernel does instead.

    ``error`` is the error code of its #GP; one that is not 0 names a vector or a selector.
    """
    if error & ERROR_IDT:
        return Message(VECTOR, {"vector": f"{error >> 3:#04x}"})
    if error:
        return Message(SELECTOR, {"selector": f"{error:04x}"})
    return Message(REASONS.get(operation, NO_REASON))


def controls(xen: Hypervisor) -> Controls:
    """The control registers as the domain sees them."""
    cpu = xen.pc.cpu
    cr0 = cpu.cr0 & ~r.CR0_TS | (r.CR0_TS if xen.domain.task_switched else 0)
    return Controls(cr0, xen.shared.read(abi.VCPU_CR2, 4), xen.domain.page_directory << 12, cpu.cr4)


def set_task_switched(xen: Hypervisor, on: bool) -> None:
    """CR0.TS, the one bit of CR0 that a domain may set."""
    xen.domain.task_switched = on
    xen.pc.cpu.cr0 = xen.pc.cpu.cr0 & ~r.CR0_TS | (r.CR0_TS if on else 0)
    xen.pc.meter.charge("mon_instruction")


def set_debug_register(xen: Hypervisor, index: int, value: int) -> int:
    """DR0 to DR7 of the domain, which are the processor's; 0 or a negative error."""
    if index > 7 or index in (4, 5):
        return -abi.EINVAL
    if index == 6:
        value = value & _DR6_KEPT | _DR6_SET
    elif index == 7 and value:
        value = value & _DR7_KEPT | _DR7_SET
    if not _may_watch(xen, index, value):
        return -abi.EPERM
    xen.pc.cpu.debug[index] = value
    xen.pc.meter.charge("mon_instruction")
    return 0


def _may_watch(xen: Hypervisor, index: int, value: int) -> bool:
    """Whether a guest may have this in DRn: nothing in the hypervisor, no GD, no breakpoint on a port."""
    if index < 4:
        return value + 4 <= xen.format.hole
    return index != 7 or not (value & DR7_GD or any(value >> at & 3 == 2 for at in range(16, 32, 2)))


def virtual_cpu(xen: Hypervisor, space: DirectSpace | None = None) -> Cpu:
    """A processor with the guest's state, in the ring that the guest would have without Xen.

    An application that the domain lets access ports has the IOPL for it. ``space`` is another view of the
    guest's memory.
    """
    frame = xen.frame
    outer = frame.cs & SELECTOR_RPL == 3
    cpu = Cpu(space or xen.space, GuestPorts(xen), identity=xen.pc.cpu.identity, tsc=xen.pc.cpu.tsc)
    set_general(cpu, frame.general())
    cpu.eip, cpu.eflags = frame.eip, frame.eflags | (r.EFLAGS_IOPL if outer else 0)
    cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4 = controls(xen)
    cpu.debug = list(xen.pc.cpu.debug)
    cpu.set_code_segment(_segment(xen, frame.cs), 3 if outer else 0)
    for index, selector in enumerate(frame.selectors()):
        if index != r.CS and selector >> 2:
            cpu.set_segment(index, _segment(xen, selector))
    return cpu


def _segment(xen: Hypervisor, selector: int) -> SegmentState:
    raw = raw_descriptor(xen, selector) or bytes(8)
    return state_of(selector, unpack(int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little")))


def is_forced_cpuid(xen: Hypervisor) -> bool:
    """Whether the guest's #UD asks for the CPUID of the domain."""
    frame = xen.frame
    try:
        return xen.space.fetch(frame.eip, len(FORCED_CPUID), frame.cs & SELECTOR_RPL == 3) == FORCED_CPUID
    except Fault:
        return False


def forced_cpuid(xen: Hypervisor) -> None:
    """Answer it."""
    frame = xen.frame
    asked = frame.eax
    frame.eax, frame.ebx, frame.ecx, features = xen.pc.cpu.identity.leaf(asked)
    frame.edx = features & ~_HIDDEN if asked == 1 else features
    frame.eip = frame.eip + len(FORCED_CPUID) & M32


def trapped_instruction(cpu: Cpu) -> Instruction | None:
    """The instruction at EIP; None when it cannot be had or means nothing."""
    try:
        return fetch(cpu)
    except (Fault, Unimplemented):
        return None


def may_access(xen: Hypervisor, cpu: Cpu, instruction: Instruction, ring: int) -> bool:
    """Whether the domain lets code of a ring do an instruction that accesses ports."""
    operands = instruction.operands
    memory = next((operand for operand in operands if isinstance(operand, Memory)), None)
    number = next((operand.value for operand in operands if isinstance(operand, Immediate)), cpu.edx & 0xFFFF)
    narrow = "AL" in instruction.opcode.operands
    size = memory.size if memory is not None else 1 if narrow else instruction.operand_size
    return may_try(xen, ring, number, size)


def run(xen: Hypervisor, cpu: Cpu, instruction: Instruction, ring: int) -> bool:
    """Run it with the machine's own semantics; whether the hypervisor may let it.

    A repeated one goes on until it is through, or an interrupt waits for the hypervisor.
    """
    operation = instruction.opcode.operation
    if operation not in EMULATED or (ring == 3 and operation not in PORT_ACCESSES):
        return False
    if operation in PORT_ACCESSES and not may_access(xen, cpu, instruction, ring):
        return False
    cr0, cr4, debug, eip = cpu.cr0, cpu.cr4, list(cpu.debug), cpu.eip
    try:
        cpu.execute(instruction)
    except (Fault, Unimplemented):
        return False
    while _goes_on(xen, cpu, instruction, eip):
        left = cpu.ecx
        try:
            port_strings.carry(xen, cpu, instruction)
            if cpu.ecx == left:
                cpu.execute(instruction)
        except Fault:  # of this iteration: those before were done, and it will trap again
            break
    breakpoints = all(_may_watch(xen, index, value) for index, value in enumerate(cpu.debug))
    return not (cpu.cr0 ^ cr0) & ~r.CR0_TS and cpu.cr4 == cr4 and (breakpoints or cpu.debug == debug)


def _goes_on(xen: Hypervisor, cpu: Cpu, instruction: Instruction, eip: int) -> bool:
    if not instruction.repeat or cpu.eip != eip:
        return False
    xen.pc.board.advance()
    return not xen.pc.board.interrupts.intr


def commit(xen: Hypervisor, cpu: Cpu) -> None:
    """Let the domain become what the instruction made of the virtual CPU.

    Raises:
        RefusedError: the page directory that it loads breaks the rules; nothing was changed.
    """
    before = controls(xen)
    if cpu.cr3 != before.cr3:
        address_spaces.switch(xen, cpu.cr3 >> 12)
    if cpu.cr2 != before.cr2:
        xen.shared.write(abi.VCPU_CR2, 4, cpu.cr2)
    if cpu.cr0 != before.cr0:
        set_task_switched(xen, bool(cpu.cr0 & r.CR0_TS))
    xen.pc.cpu.debug[:] = cpu.debug
    xen.frame.set_general(general(cpu))
    xen.frame.eip = cpu.eip
