"""VMRUN: save the host, check the VMCB, load the guest, inject. APM Vol. 2, "VMRUN Instruction"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.machine import events, interrupts
from vizapp.machine.control import load_pointers
from vizapp.machine.guest_mode import (
    HARDWARE_EXCEPTION,
    NMI,
    SOFTWARE_EXCEPTION,
    SOFTWARE_INTERRUPT,
    Delivery,
)
from vizapp.machine.npt import NestedPageTables
from vizapp.machine.page_tables import read_pointers
from vizapp.machine.svm import codes, state
from vizapp.machine.svm.checks import NP_ENABLE, find_fault
from vizapp.machine.svm.guest import SvmGuest
from vizapp.machine.svm.leaving import exit_payload, fill_exit, return_to_host, unpacked
from vizapp.machine.svm.vmcb import Block

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.svm.unit import SvmUnit

_FLUSH_ALL, _FLUSH_ASID = 1, 3
_SHADOW: Final = 1 << 0


def enter(unit: SvmUnit, cpu: Cpu, address: int, return_eip: int) -> None:
    """Enter the guest whose VMCB is at ``address``; the host goes on at ``return_eip``.

    Of a VMCB that cannot be entered it is as if the guest had been left at once, with VMEXIT_INVALID.
    """
    cpu.charge("vm_entry")
    host = unit.block(unit.hsave)
    state.store(cpu, host, unit.efer, rip=return_eip)
    host.write_back()
    block = unit.block(address)
    nested = unit.has_nested_paging and bool(block["np_enable"] & NP_ENABLE)
    problem = find_fault(block, unit.identity, unit.memory, nested=nested)
    if problem is not None:
        _refuse(unit, cpu, block, problem.in_english())
        return
    guest = SvmGuest(unit, address, SvmGuest.cached(block), host_if=bool(cpu.system_flags & r.EFLAGS_IF))
    guest.efer = block["efer"]
    _flush(unit, cpu, block)
    guest.host_cr4 = cpu.cr4
    state.load(cpu, block)
    state.load_guest(cpu, block)
    cpu.shadow = bool(block["interrupt_shadow"] & _SHADOW)
    guest.shadowed = cpu.shadow
    unit.guest, cpu.guest_mode, unit.gif, unit.efer = guest, guest, True, guest.efer
    wide = cpu.cr0 & r.CR0_PG and cpu.cr4 & r.CR4_PAE
    if wide and not nested:
        cpu.pointers = read_pointers(unit.memory, cpu.cr3) or ()
    switch_memory(unit, cpu, guest)
    state.load_code(cpu, block, block["cpl"] & 3)
    event = unpacked(block["eventinj"])
    payload: dict[str, int | str] = {"vmcb": address, "asid": guest.controls["guest_asid"]}
    if event is not None:
        payload |= {"vector": event.vector, "type": event.type}
    cpu.notify(events.VM_ENTERED, "vmrun", payload)
    if wide and nested:  # they are read through the nested tables, which may end in an exit
        load_pointers(cpu, cpu.cr0, cpu.cr3, cpu.cr4)
        cpu.mode_changed()
    if event is not None:
        _inject(unit, cpu, event, block)


def switch_memory(unit: SvmUnit, cpu: Cpu, guest: SvmGuest) -> None:
    """The guest's address space, under its ASID."""
    nested = None
    if unit.has_nested_paging and guest.controls["np_enable"] & NP_ENABLE:
        nested = NestedPageTables(
            unit.memory, guest.controls["n_cr3"], guest.host_cr4, pse36=cpu.identity.has_pse36
        )
    unit.mmu.switch(guest.controls["guest_asid"], nested, (cpu.cr0, cpu.cr3, cpu.cr4, cpu.pointers))


def _flush(unit: SvmUnit, cpu: Cpu, block: Block) -> None:
    control = block["tlb_control"]
    if not control & _FLUSH_ALL:
        return
    cpu.charge("tlb_flush")
    one = control == _FLUSH_ASID and unit.has_flush_by_asid
    unit.mmu.flush_tag(block["guest_asid"] if one else None)


def _inject(unit: SvmUnit, cpu: Cpu, event: Delivery, block: Block) -> None:
    return_eip = cpu.eip
    if event.type == SOFTWARE_INTERRUPT or event.vector in (vectors.BP, vectors.OF):
        # Without the field for it, software has set RIP to what is to be pushed.
        if unit.has_next_rip:
            return_eip = block["nrip"] & 0xFFFF_FFFF
        if event.type == HARDWARE_EXCEPTION:
            event = event._replace(type=SOFTWARE_EXCEPTION)
    elif event.type == NMI:
        event = event._replace(vector=vectors.NMI)
        cpu.nmi_blocked = True
    interrupts.inject(cpu, event, return_eip)


def _refuse(unit: SvmUnit, cpu: Cpu, block: Block, problem: str) -> None:
    cpu.charge("vm_exit")
    fill_exit(block, codes.INVALID, 0, 0, None)
    block.write_back()
    return_to_host(unit, cpu)
    cpu.notify(events.VM_ENTRY_FAILED, "invalid", exit_payload(block) | {"error": problem})
