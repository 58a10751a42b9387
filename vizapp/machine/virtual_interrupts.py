"""VIF and VIP: an interrupt flag for code at CPL 3 that has no say in IF, and INT n that stays in its task.

    CR4.VME   in virtual-8086 mode    CLI, STI, PUSHF, POPF, IRET and INT n take VIF for IF
    CR4.PVI   in protected mode       CLI and STI do

both at CPL 3 with IOPL below 3, where the same instructions would fault. VIP is the operating system's: an
interrupt waits. Setting VIF with VIP set is #GP(0), and so is any instruction that begins with both set. With
VME a map in the TSS says of INT n in virtual-8086 mode which table it goes by:

    TSS | ... 66 base of the map of ports | ... | 32 bytes, a bit a vector | map of ports
                                                 ╰─ base - 32               ╰─ base
    0   the 8086 program's own table at linear address 0, and no change of mode
    1   the IDT if IOPL is 3, otherwise #GP(0)

SDM Vol. 3, "8086 Emulation": "Class 2 - Maskable Hardware Interrupt Handling in Virtual-8086 Mode Using the
Virtual Interrupt Mechanism", "Class 3 - Software Interrupt Handling in Virtual-8086 Mode", "Protected-Mode
Virtual Interrupts".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import descriptors as d
from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.machine import events
from vizapp.machine.faults import Fault
from vizapp.machine.segments import virtual_segment
from vizapp.machine.stacks import push_frame

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu

_BOTH: Final = r.EFLAGS_VIF | r.EFLAGS_VIP
_MAP_BYTES: Final = 32
_VECTOR_BYTES: Final = 4


def replace_if(cpu: Cpu) -> bool:
    """Whether VIF stands for IF now: at CPL 3 with IOPL below 3, by CR4.VME or CR4.PVI."""
    enabled = r.CR4_VME if cpu.system_flags & r.EFLAGS_VM else r.CR4_PVI
    return bool(cpu.cr4 & enabled) and cpu.cpl == 3 and cpu.iopl < 3


def is_pending(cpu: Cpu) -> bool:
    """Whether the next instruction is #GP(0), because an interrupt waits that the task is ready for."""
    return cpu.system_flags & _BOTH == _BOTH and replace_if(cpu)


def shown_flags(flags: int) -> int:
    """FLAGS as PUSHF and INT n push them where VIF stands for IF: with it, and with IOPL 3."""
    shown = flags & 0xFFFF & ~r.EFLAGS_IF | r.EFLAGS_IOPL
    return shown | r.EFLAGS_IF if flags & r.EFLAGS_VIF else shown


def taken_flags(cpu: Cpu, flags: int) -> int:
    """EFLAGS after POPF or IRET has found the 16 bits ``flags``, where VIF stands for IF.

    #GP(0) for TF, and for IF while VIP is set.
    """
    if flags & r.EFLAGS_TF or (flags & r.EFLAGS_IF and cpu.system_flags & r.EFLAGS_VIP):
        raise Fault(vectors.GP, 0)
    kept = 0xFFFF_0000 & ~(r.EFLAGS_RF | r.EFLAGS_VIF) | r.EFLAGS_IF | r.EFLAGS_IOPL
    vif = r.EFLAGS_VIF if flags & r.EFLAGS_IF else 0
    return cpu.eflags & kept | flags & 0xFFFF & ~kept | vif


def require_frame(cpu: Cpu, size: int) -> bool:
    """#GP(0) of PUSHF, POPF and IRET with ``size`` bytes in a virtual-8086 task whose IOPL is below 3.

    With VME it is that of the 32-bit forms alone: then whether VIF stands for IF.
    """
    if not cpu.system_flags & r.EFLAGS_VM or cpu.iopl == 3:
        return False
    if size != 2 or not cpu.cr4 & r.CR4_VME:
        raise Fault(vectors.GP, 0)
    return True


def _is_for_idt(cpu: Cpu, vector: int) -> bool:
    """The bit of a vector in the map; #GP(0) where the TSS has no room for one."""
    tss = cpu.tr
    if not tss.usable or not tss.descriptor.type & 8 or tss.limit < d.TSS_BYTES - 1:
        raise Fault(vectors.GP, 0)
    ports = cpu.implicit.read(tss.base + d.TSS_IO_MAP & M32, 2, False)
    byte = ports - _MAP_BYTES + (vector >> 3) & M32
    if byte > tss.limit:
        raise Fault(vectors.GP, 0)
    return bool(cpu.implicit.read(tss.base + byte & M32, 1, False) >> (vector & 7) & 1)


def stays_in_task(cpu: Cpu, vector: int, *, injected: bool = False) -> bool:
    """Whether INT n in virtual-8086 mode goes by the 8086 program's own table; #GP(0) if by none.

    What a monitor has ``injected`` is no instruction, and IOPL forbids it nothing (SDM Vol. 3, "VM Entries",
    "Details of Vectored-Event Injection").
    """
    if cpu.cr4 & r.CR4_VME and not _is_for_idt(cpu, vector):
        return True
    if cpu.iopl < 3 and not injected:
        raise Fault(vectors.GP, 0)
    return False


def enter(cpu: Cpu, vector: int, return_eip: int) -> None:
    """Call the handler in the table of the 8086 program, as the 8086 itself would."""
    address = cpu.eip
    entry = cpu.implicit.read(vector * _VECTOR_BYTES, _VECTOR_BYTES, False)
    replaced = cpu.iopl < 3
    flags = shown_flags(cpu.eflags) if replaced else cpu.eflags
    frame = [flags, cpu.segments[r.CS].selector, return_eip]
    cpu.esp = push_frame(cpu.space, cpu.segments[r.SS], cpu.esp, 2, frame, 0, user=True)
    cpu.charge("software_interrupt")
    cpu.system_flags &= ~(r.EFLAGS_TF | r.EFLAGS_RF | (r.EFLAGS_VIF if replaced else r.EFLAGS_IF))
    cpu.shadow = cpu.single_step = False
    cpu.eip = entry & 0xFFFF
    cpu.set_code_segment(virtual_segment(entry >> 16), 3)
    cpu.notify(
        events.SOFTWARE_INTERRUPT_DELIVERED, f"int {vector:#04x}", {"vector": vector, "address": address}
    )
