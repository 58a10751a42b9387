"""The privileged instructions of a monitor's own code, as a phase executes and pays for them.

A phase stands for monitor code in ring 0 that is not spelled out in bytes. What it does to the processor it
does with these, each for the price of the instruction that it stands for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import M32, PAGE_SHIFT, PAGE_SIZE
from vizapp.isa.descriptors import CODE_READ, DATA_READ_WRITE, TSS_32_BUSY, TSS_BYTES, segment, system_segment
from vizapp.isa.descriptors import LDT as LDT_TYPE
from vizapp.isa.registers import CR0_PG, CR0_WP, CR4_PAE, DS, ES, FS, GS, SS
from vizapp.machine.control import load_pointers
from vizapp.machine.doors import Door
from vizapp.machine.segments import SegmentState, TableRegister, state_of, system_state
from vizapp.vmm import stubs
from vizapp.vmm.host_tables import (
    CODE_SELECTOR,
    DATA_SELECTOR,
    GDT,
    IDT,
    LDT,
    LDT_SELECTOR,
    TSS,
    TSS_SELECTOR,
)

if TYPE_CHECKING:
    from vizapp.machine.meter import Purpose
    from vizapp.machine.pc import Pc
    from vizapp.vmm.host_tables import HostTables


def load_cr3(pc: Pc, directory: int) -> None:
    """MOV CR3: switch to the page directory in a frame, forgetting every translation."""
    pc.meter.charge("cr3_write")
    cpu = pc.cpu
    if cpu.cr4 & CR4_PAE:
        load_pointers(cpu, cpu.cr0, directory << PAGE_SHIFT, cpu.cr4)
    cpu.cr3 = directory << PAGE_SHIFT
    pc.cpu.mode_changed()
    pc.mmu.flush()


def load_cr0(pc: Pc, value: int) -> None:
    """MOV CR0."""
    pc.meter.charge("mon_instruction")
    pc.cpu.cr0 = value
    pc.cpu.mode_changed()


def load_cr4(pc: Pc, value: int) -> None:
    """MOV CR4."""
    pc.meter.charge("mon_instruction")
    pc.cpu.cr4 = value
    pc.cpu.mode_changed()


def invlpg(pc: Pc, linear: int) -> None:
    """INVLPG."""
    pc.meter.charge("invlpg")
    pc.mmu.invalidate(linear)


def load_ldt(pc: Pc, tables: HostTables, limit: int | None) -> None:
    """LLDT with the descriptor of the monitor's LDT area, given this limit in bytes - 1; None: no LDT."""
    if limit is None:
        if pc.cpu.ldtr.usable:
            pc.meter.charge("mon_instruction")
            pc.cpu.ldtr = SegmentState(0)
        return
    if pc.cpu.ldtr.usable and pc.cpu.ldtr.limit == limit:
        return
    pc.meter.charge("mon_memory_reference", 2)
    pc.meter.charge("mon_instruction")
    tables.set_ldt_limit(limit)
    pc.cpu.ldtr = system_state(LDT_SELECTOR, system_segment(tables.base + LDT, limit, LDT_TYPE))


def outb(pc: Pc, port: int, value: int, purpose: Purpose | None = None) -> None:
    """OUT of a byte to a device of the machine."""
    pc.meter.charge("mon_port", 1, purpose)
    pc.cpu.ports.write(port, 1, value)


def inb(pc: Pc, port: int, purpose: Purpose | None = None) -> int:
    """IN of a byte from a device of the machine."""
    pc.meter.charge("mon_port", 1, purpose)
    return pc.cpu.ports.read(port, 1)


def outw(pc: Pc, port: int, value: int, purpose: Purpose | None = None) -> None:
    """OUT of a word to a device of the machine."""
    pc.meter.charge("mon_port", 1, purpose)
    pc.cpu.ports.write(port, 2, value)


def inw(pc: Pc, port: int, purpose: Purpose | None = None) -> int:
    """IN of a word from a device of the machine."""
    pc.meter.charge("mon_port", 1, purpose)
    return pc.cpu.ports.read(port, 2)


def jump(pc: Pc, tables: HostTables, offset: int) -> None:
    """Leave the routine: the processor goes on at one of the exits of ``stubs``."""
    pc.cpu.eip = tables.code(offset)


def open_doors(pc: Pc, tables: HostTables, *, guest: str, nested: str, idle: str) -> None:
    """Register the doors of ``stubs`` with the names of the phases that they open."""
    for offset, phase in ((stubs.GUEST_DOOR, guest), (stubs.NESTED_DOOR, nested), (stubs.IDLE_DOOR, idle)):
        pc.doors[tables.door(offset)] = Door(0, phase)


def enter_protected(pc: Pc, tables: HostTables, directory: int, cr4: int = 0) -> None:
    """What a monitor's loader does once, before the clock runs: ring 0, its tables, its address space.

    ESP stands at the base of the trap frame, as it does whenever a door opens; interrupts are off.
    """
    cpu = pc.cpu
    cpu.cr0 |= CR0_PG | CR0_WP
    cpu.cr3 = directory << PAGE_SHIFT
    cpu.cr4 = cr4
    if cr4 & CR4_PAE:
        load_pointers(cpu, cpu.cr0, cpu.cr3, cr4)
    cpu.gdtr = TableRegister(tables.base + GDT, 16 * PAGE_SIZE - 1)
    cpu.idtr = TableRegister(tables.base + IDT, 256 * 8 - 1)
    cpu.ldtr = system_state(LDT_SELECTOR, system_segment(tables.base + LDT, 16 * PAGE_SIZE - 1, LDT_TYPE))
    cpu.tr = system_state(TSS_SELECTOR, system_segment(tables.base + TSS, TSS_BYTES - 1, TSS_32_BUSY))
    data = state_of(DATA_SELECTOR, segment(0, M32, DATA_READ_WRITE))
    for index in (ES, SS, DS):
        cpu.set_segment(index, data)
    for index in (FS, GS):
        cpu.set_segment(index, SegmentState(0))
    cpu.set_code_segment(state_of(CODE_SELECTOR, segment(0, M32, CODE_READ)), 0)
    cpu.esp = tables.frame_linear
    cpu.mode_changed()
