"""#VMEXIT: the guest's state goes into its VMCB, the host's comes back from where VMRUN has put it.

    EXITINTINFO   63            32   31   11  10..8  7..0
                  error code         V    EV  TYPE   VECTOR

APM Vol. 2, "#VMEXIT".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32
from vizapp.isa.registers import CR0_PG, CR4_PAE, EFLAGS_RF, EFLAGS_VM
from vizapp.machine import events
from vizapp.machine.faults import TripleFault
from vizapp.machine.guest_mode import HARDWARE_EXCEPTION, SOFTWARE_EXCEPTION, Delivery, VmExit
from vizapp.machine.interrupts import NOT_FAULTS
from vizapp.machine.page_tables import read_pointers
from vizapp.machine.svm import codes, state
from vizapp.machine.svm.checks import EVENT_ERROR, EVENT_VALID
from vizapp.machine.svm.vmcb import Block

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.svm.guest import SvmGuest
    from vizapp.machine.svm.unit import SvmUnit

_DR7_DISABLED: Final = 0x400
TASK_ERROR: Final = 1 << 44
TASK_RF: Final = 1 << 48
_WRITTEN_BACK: Final = 0x10F  # of v_intr: V_TPR and V_IRQ


def packed(event: Delivery) -> int:
    """An event as EXITINTINFO and EVENTINJ have it; INT3 and INTO count as exceptions."""
    kind = HARDWARE_EXCEPTION if event.type == SOFTWARE_EXCEPTION else event.type
    word = event.vector | kind << 8 | EVENT_VALID
    return word if event.error is None else word | EVENT_ERROR | event.error << 32


def unpacked(word: int) -> Delivery | None:
    """The event in an EVENTINJ or EXITINTINFO; None: there is none."""
    if not word & EVENT_VALID:
        return None
    return Delivery(word & 0xFF, word >> 8 & 7, word >> 32 & M32 if word & EVENT_ERROR else None)


def leave(guest: SvmGuest, cpu: Cpu, leaving: VmExit) -> None:
    """Leave the guest for its monitor; raises TripleFault where the host's own state cannot be loaded."""
    unit = guest.unit
    cpu.charge("vm_exit")
    block = unit.block(guest.vmcb)
    before = block.image
    state.store(cpu, block, guest.efer, rip=cpu.eip)
    state.store_guest(cpu, block)
    vectoring = leaving.vectoring
    second = leaving.info.get("exitinfo2", leaving.info.get("guest_physical", 0))
    if leaving.reason == codes.TASK_SWITCH:
        second |= _task_details(cpu, vectoring)
    fill_exit(block, leaving.reason, leaving.qualification, second, vectoring)
    interrupts = block["v_intr"] & ~_WRITTEN_BACK | guest.controls["v_intr"] & _WRITTEN_BACK
    block.update({"interrupt_shadow": int(guest.shadowed), "v_intr": interrupts, "eventinj": 0})
    if unit.has_next_rip:
        block["nrip"] = leaving.info.get("nrip", 0)
    block.write_back()
    unit.exit_images[block.address] = before, block.image
    return_to_host(unit, cpu)
    cpu.notify(events.VM_EXITED, codes.name_of(leaving.reason), exit_payload(block))


def _task_details(cpu: Cpu, vectoring: Delivery | None) -> int:
    """Of EXITINFO2: the error code that the new task is to have, and RF as the old one's TSS would get it."""
    details = TASK_RF if cpu.system_flags & EFLAGS_RF else 0
    if vectoring is None:
        return details
    if vectoring.type == HARDWARE_EXCEPTION and vectoring.vector not in NOT_FAULTS:
        details |= TASK_RF
    return details if vectoring.error is None else details | TASK_ERROR | vectoring.error


def fill_exit(block: Block, code: int, info1: int, info2: int, vectoring: Delivery | None) -> None:
    """The fields that say why."""
    during = 0 if vectoring is None else packed(vectoring)
    block.update({"exitcode": code, "exitinfo1": info1, "exitinfo2": info2, "exitintinfo": during})


def exit_payload(block: Block) -> dict[str, int | str]:
    """What an event tells of an exit."""
    numbers = block.numbers
    code = numbers["exitcode"]
    code = code if code < 1 << 63 else code - (1 << 64)
    return {
        "exitcode": code,
        "name": codes.name_of(code),
        "exitinfo1": numbers["exitinfo1"],
        "exitinfo2": numbers["exitinfo2"],
        "exitintinfo": numbers["exitintinfo"],
        "address": numbers["rip"],
        "vmcb": block.address,
    }


def return_to_host(unit: SvmUnit, cpu: Cpu) -> None:
    """Load the host's state; interrupts wait until its STGI."""
    host = unit.block(unit.hsave)
    unit.guest, cpu.guest_mode = None, None
    unit.gif = False
    unit.efer = host["efer"]
    state.load(cpu, host, not_flags=EFLAGS_VM)
    cpu.debug[7] = _DR7_DISABLED
    if cpu.cr0 & CR0_PG and cpu.cr4 & CR4_PAE:
        pointers = read_pointers(unit.memory, cpu.cr3)
        if pointers is None:
            raise TripleFault(())
        cpu.pointers = pointers
    unit.mmu.switch(0, None, (cpu.cr0, cpu.cr3, cpu.cr4, cpu.pointers))
    state.load_code(cpu, host, 0)
