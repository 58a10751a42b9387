"""The phases of adaptive binary translation: notice what an instruction does, and translate it anew.

walk ─▶ decode ─▶ emulate ─▶ resume ─▶ retranslate ─▶ resume        its FAULTS-th fault on a trace
callout ─▶ emulate ─▶ resume ─▶ retranslate ─▶ resume               it has been quiet, or a window can open
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from vizapp.isa.addresses import M32, PAGE_SHIFT
from vizapp.isa.registers import CS
from vizapp.machine import events
from vizapp.machine.faults import Fault, Unimplemented
from vizapp.machine.operands import effective_address
from vizapp.vmm.binary_translation.adaptation import BY_CALLOUT, BY_PRIORITY, BY_WINDOW, COPY, Record
from vizapp.vmm.binary_translation.simulated_access import memory_operand
from vizapp.vmm.binary_translation.translator import translate
from vizapp.vmm.instruction_fetch import decoded, fetch
from vizapp.vmm.trap_and_emulate import phases as classical

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.vmm.binary_translation.cache import Unit
    from vizapp.vmm.binary_translation.vm import TranslatedVm


def note_fault(vm: TranslatedVm, linear: int) -> None:
    """A page fault at ``linear`` is one of a trace, or of a device; it may be a translated instruction's."""
    if vm.virtual.spot is not None and vm.virtual.spot.unit >= 0:
        vm.adaptation.segment = vm.virtual.key.at(0)
        vm.adaptation.faulted(vm.linear_eip, linear)


def emulate(vm: TranslatedVm) -> str | None:
    """As the classical monitor; of an instruction that is no copy any more, see whether that was needed."""
    linear = vm.linear_eip
    pending = vm.pending.instruction
    if pending is None or vm.virtual.spot is None or vm.adaptation.record(linear).form == COPY:
        return classical.emulate(vm)
    cpu = vm.virtual.cpu
    bits = 32 if cpu.segments[CS].big else 16
    access = _access(vm, decoded(pending[1], pending[0], bits))
    segment, before = vm.virtual.key.at(0), vm.memory.trapped
    following = classical.emulate(vm)
    if following in ("resume", "flush_shadow"):
        vm.adaptation.segment = segment
        number = vm.windows.number(access >> PAGE_SHIFT)
        own = vm.adaptation.record(linear)
        refused = vm.spoiled or (vm.priority.valid and access == vm.priority.linear)
        if number is not None and own.form == BY_WINDOW and own.target == access >> PAGE_SHIFT:
            refused = refused or vm.windows.all[number].open
        vm.adaptation.done(linear, access, trapped=vm.memory.trapped != before, refused=refused)
    return following


def retranslate(vm: TranslatedVm) -> str:
    """Give an instruction another form, in every unit that has it."""
    adaptation, cpu = vm.adaptation, vm.virtual.cpu
    linear, access, segment = adaptation.due, adaptation.access, adaptation.segment
    adaptation.due = -1
    if segment != vm.virtual.key.at(0) or cpu.cpl:
        return "resume"  # what it transferred to is elsewhere; another time will do
    eip = linear - cpu.segments[CS].base & M32
    former = adaptation.record(linear)
    try:
        instruction = _at(vm, eip, fetch)
    except (Fault, Unimplemented):
        return "resume"
    record = _choose(vm, instruction, former, access)
    adaptation.put(linear, record)
    if record._replace(faults=0, quiet=0) == former._replace(faults=0, quiet=0):
        return "resume"
    units = [
        unit
        for unit in vm.cache.units.values()
        if unit.key.at(0) == segment and any(line[0] == eip for line in unit.lines)
    ]
    for unit in units:
        if not _replace(vm, unit):
            return "flush_cache"
    payload: dict[str, int | str] = {
        "address": eip,
        "mnemonic": instruction.mnemonic,
        "bytes": instruction.raw.hex(" "),
        "from": former.form,
        "to": record.form,
        "faults": former.faults,
        "quiet": former.quiet,
        "linear": access & M32 if access >= 0 else 0,
        "units": len(units),
    }
    vm.emit(events.INSTRUCTION_RETRANSLATED, record.form, payload)
    return "resume"


def _choose(vm: TranslatedVm, instruction: Instruction, former: Record, access: int) -> Record:
    """The form for an instruction that accesses a linear address where it was trapped; -1: nowhere."""
    if access < 0:
        return Record(moves=former.moves)
    moved = former.moves + (former.form == BY_WINDOW and former.target != access >> PAGE_SHIFT)
    callout = Record(BY_CALLOUT, former.faults, moves=moved)
    operand = memory_operand(instruction)
    found = vm.mmu.look(access)
    if operand is None or found is None or vm.spoiled:
        return callout
    selector = vm.virtual.selectors[operand.segment]
    if not vm.virtual.is_flat(selector) or vm.virtual.cpu.segments[operand.segment].base:
        return callout
    if vm.priority.claim(access):
        return callout._replace(form=BY_PRIORITY, target=access, selector=selector)
    host = vm.memory.host_frame(found.frame)
    if host is None or vm.memory.read_only(found.frame) or not (found.writable and found.dirty):
        return callout
    page = access >> PAGE_SHIFT
    number = vm.windows.open(page, found.frame, host, vm.refused_in(found.frame))
    if number is None:
        return callout
    return callout._replace(form=BY_WINDOW, target=page, number=number, selector=selector)


def _replace(vm: TranslatedVm, unit: Unit) -> bool:
    """Translate a unit anew where it is wanted; False if there is no room for it."""
    try:
        source = _at(vm, unit.key.eip, partial(translate, table=vm.cache.table(unit.key)))
    except (Fault, Unimplemented):
        return vm.drop([unit], "paging")
    source = vm.place_unit(source)
    again = vm.cache.replace(unit, source)
    if again is None:
        return False
    vm.tell_unit(again, source)
    return True


def _at(vm: TranslatedVm, eip: int, look: Any) -> Any:
    """What a function of the virtual CPU finds at another EIP."""
    cpu = vm.virtual.cpu
    here, cpu.eip = cpu.eip, eip
    try:
        return look(cpu)
    finally:
        cpu.eip = here


def _access(vm: TranslatedVm, instruction: Instruction) -> int:
    """The linear address that an instruction is about to access, if a sequence could do it; -1 if not."""
    operand = memory_operand(instruction)
    if operand is None:
        return -1
    cpu = vm.virtual.cpu
    offset = effective_address(cpu, operand, instruction.address_size)
    return cpu.segments[operand.segment].base + offset & M32
