"""Carrying out an instruction for the guest: as the exit describes it, or as it stands in guest memory.

Where the processor says in an exit all that there is to know (which register, which port), the instruction
is put together from that and guest memory is not looked at. Otherwise it is fetched through the guest's own
tables and decoded. Either way it then runs on the virtual CPU, by the processor's own rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.isa.registers import CS, EFLAGS_IF, EFLAGS_TF
from vizapp.machine.debug import DR6_BS
from vizapp.machine.faults import Fault, TripleFault, Unimplemented
from vizapp.machine.meter import Purpose
from vizapp.vmm.account import emulated
from vizapp.vmm.hardware_assisted.virtual_cpu import CONTROL, GENERAL, REGISTERS, RESIDUE, SEGMENTS
from vizapp.vmm.hardware_assisted.vm import Pending
from vizapp.vmm.instruction_fetch import decoded, fetch

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu
    from vizapp.vmm.hardware_assisted.vm import Vm

# What of the virtual CPU an instruction needs that the exit describes.
_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "cr": (CONTROL, GENERAL, SEGMENTS),
    "dr": (CONTROL, GENERAL, REGISTERS, RESIDUE),
    "rdmsr": (GENERAL, REGISTERS),
    "wrmsr": (GENERAL, REGISTERS),
}


_PORTS: Final = frozenset({"in", "out", "ins", "outs"})
_MOST_ITERATIONS: Final = 64  # of a repeated instruction, in one phase


def decode(vm: Vm) -> str | None:
    """Fetch and decode the guest's instruction through the guest's own tables."""
    cpu = vm.virtual.hold_everything()
    try:
        instruction = fetch(cpu)
    except Fault as fault:
        return vm.reflect(fault)
    except Unimplemented as limit:
        return vm.finish("crashed", limit.message)
    vm.pending = Pending(vm.pending.exit, instruction=instruction.raw, fetched=True)
    return "emulate"


def emulate(vm: Vm) -> str | None:
    """Run the instruction on the virtual CPU, in the ring that the guest is in."""
    pending = vm.pending
    if pending.fetched:
        cpu = vm.virtual.hold_everything()
        instruction = decoded(pending.instruction, 0, 32 if cpu.segments[CS].big else 16)
    else:
        cpu = vm.virtual.take(*_NEEDED.get(pending.exit.kind, (GENERAL,)))
        if pending.exit.kind == "io" and (cpu.cpl > cpu.iopl or cpu.virtual_8086):
            vm.virtual.hold_everything()  # the task's I/O permission bitmap has a say
        instruction = decoded(pending.instruction, 0, 32)
    cpu.single_step = bool(cpu.eflags & EFLAGS_TF)
    before = vm.linear_eip, cpu.eip, cpu.cpl
    try:
        _run(vm, cpu, instruction)
        for _ in range(_MOST_ITERATIONS):
            if not _goes_on(vm, cpu, instruction, before[1]):
                break
            _run(vm, cpu, instruction)
    except Fault as fault:
        return vm.reflect(fault)
    except TripleFault:
        return "shut_down"
    except Unimplemented as limit:
        return vm.finish("crashed", limit.message)
    vm.event = None  # an event that led here was this instruction's own
    raw = instruction.raw if pending.fetched else vm.bytes_at(before[0], pending.exit.length)
    emulated(vm, instruction, raw, *before)
    if cpu.single_step:
        vm.virtual.take(RESIDUE).debug[6] |= DR6_BS
        return vm.reflect(Fault(vectors.DB))
    if vm.mmu.flush_requested or vm.mmu.invalidated:
        return "flush_translations"
    if cpu.halted:
        return "halt"
    return "emulate" if _goes_on(vm, cpu, instruction, before[1]) else "look_around"


def _goes_on(vm: Vm, cpu: Cpu, instruction: Instruction, eip: int) -> bool:
    """Whether a repeated instruction has iterations left, and no interrupt comes between them."""
    if not instruction.repeat or cpu.eip != eip or cpu.single_step:
        return False
    vm.devices.advance()
    return not (vm.devices.interrupt_pending and cpu.eflags & EFLAGS_IF)


def _run(vm: Vm, cpu: Cpu, instruction: Instruction) -> None:
    """The instruction, one iteration of it, or what an exit says that stands for it."""
    leaving = vm.pending.exit
    if instruction.mnemonic in _PORTS:
        vm.bill.purpose = Purpose.IO
        vm.bill.path("device")
        vm.bill.purpose = Purpose.MONITOR
    if vm.pending.fetched:
        cpu.execute(instruction)
    elif leaving.kind == "invlpg":  # the exit gives the linear address
        cpu.shadow = False
        cpu.space.invalidate(leaving.address)
        cpu.eip = cpu.eip + leaving.length & M32
    else:
        cpu.execute(instruction)
        cpu.eip = cpu.eip + leaving.length - instruction.length & M32
    vm.executed()
