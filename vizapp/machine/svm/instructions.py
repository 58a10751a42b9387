"""SVM's instructions: APM Vol. 3, "VMRUN", "VMLOAD", "VMSAVE", "VMMCALL", "STGI", "CLGI", "INVLPGA".

Without EFER.SVME, and on a processor that has no SVM, each is #UD; so is VMMCALL that no monitor intercepts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from vizapp.isa import vectors
from vizapp.isa.addresses import M32, PAGE_MASK
from vizapp.isa.registers import FS, GS
from vizapp.machine.faults import Fault
from vizapp.machine.operands import next_eip
from vizapp.machine.svm import state
from vizapp.machine.svm.entry import enter
from vizapp.machine.svm.unit import STORED, SvmUnit

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

_BY_VMLOAD: Final = (("fs", FS), ("gs", GS))
_SYSENTER: Final = ("sysenter_cs", "sysenter_esp", "sysenter_eip")


def _unit(cpu: Cpu) -> SvmUnit:
    """SVM, switched on, used from ring 0 of protected mode."""
    unit = cpu.unit
    if not isinstance(unit, SvmUnit) or not unit.enabled or not cpu.protected:
        raise Fault(vectors.UD)
    if cpu.cpl:
        raise Fault(vectors.GP, 0)
    return unit


def _address(cpu: Cpu, instruction: Instruction) -> int:
    return cpu.eax & (M32 if instruction.address_size == 4 else 0xFFFF)


def _block(cpu: Cpu, instruction: Instruction) -> int:
    """The physical address of a VMCB, in rAX."""
    address = _address(cpu, instruction)
    if address & PAGE_MASK:
        raise Fault(vectors.GP, 0)
    return address


def vmrun(cpu: Cpu, instruction: Instruction) -> None:
    """VMRUN rAX."""
    unit = _unit(cpu)
    enter(unit, cpu, _block(cpu, instruction), next_eip(cpu, instruction))


def vmload(cpu: Cpu, instruction: Instruction) -> None:
    """VMLOAD rAX: what VMRUN leaves to software of the processor's hidden state."""
    load_rest(_unit(cpu), cpu, _block(cpu, instruction))
    cpu.eip = next_eip(cpu, instruction)


def vmsave(cpu: Cpu, instruction: Instruction) -> None:
    """VMSAVE rAX."""
    save_rest(_unit(cpu), cpu, _block(cpu, instruction))
    cpu.eip = next_eip(cpu, instruction)


def load_rest(unit: SvmUnit, cpu: Cpu, address: int) -> None:
    """What VMLOAD loads from the VMCB at a host-physical address."""
    block = unit.block(address)
    for name, index in _BY_VMLOAD:
        cpu.set_segment(index, state.load_segment(block, name))
    cpu.tr, cpu.ldtr = (state.load_segment(block, name) for name in ("tr", "ldtr"))
    cpu.sysenter = [block[name] & M32 for name in _SYSENTER]
    unit.stored = {name: block[name] for name in STORED}
    cpu.mode_changed()


def save_rest(unit: SvmUnit, cpu: Cpu, address: int) -> None:
    """What VMSAVE stores there."""
    block = unit.block(address)
    for name, index in _BY_VMLOAD:
        state.store_segment(block, name, cpu.segments[index])
    state.store_segment(block, "tr", cpu.tr)
    state.store_segment(block, "ldtr", cpu.ldtr)
    block.update(dict(zip(_SYSENTER, cpu.sysenter, strict=True)))
    block.update(unit.stored)
    block.write_back()


def vmmcall(cpu: Cpu, instruction: Instruction) -> None:
    """VMMCALL is for a monitor that intercepts it."""
    raise Fault(vectors.UD)


def stgi(cpu: Cpu, instruction: Instruction) -> None:
    """STGI: interrupts and NMI come again."""
    _unit(cpu).gif = True
    cpu.eip = next_eip(cpu, instruction)


def clgi(cpu: Cpu, instruction: Instruction) -> None:
    """CLGI: interrupts and NMI wait."""
    _unit(cpu).gif = False
    cpu.eip = next_eip(cpu, instruction)


def invlpga(cpu: Cpu, instruction: Instruction) -> None:
    """INVLPGA rAX, ECX: forget the page at a linear address of the address space with that ASID."""
    unit = _unit(cpu)
    cpu.charge("invlpg")
    unit.mmu.invalidate_tagged(_address(cpu, instruction), cpu.ecx)
    cpu.eip = next_eip(cpu, instruction)


HANDLERS: Final[dict[str, Callable[[Cpu, Instruction], None]]] = {
    "vmrun": vmrun,
    "vmload": vmload,
    "vmsave": vmsave,
    "vmmcall": vmmcall,
    "stgi": stgi,
    "clgi": clgi,
    "invlpga": invlpga,
}
"""By ``Opcode.operation``."""
