"""A unit of guest kernel code beside its translation, with what each guest instruction has become.

guest                         cache
0 | mov ecx, edi     ident    | mov ecx, edi            guest 0
1 | cli           in-cache    | mov dword gs:[0xc], 0   guest 1
2 | jge 0x100020   chained    | jge 0xffd00040          guest 2, leads to 0x100020, unit 7
                              | jmp 0xffd3fffe          of no instruction: leads to 0x100014, no unit yet
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, NamedTuple

from vizapp.isa.addresses import M32
from vizapp.isa.decode import MAX_LENGTH
from vizapp.session.details.cache_lines import NOWHERE, CacheReader
from vizapp.session.listing import Disassembler
from vizapp.vmm.binary_translation.adaptation import COPY
from vizapp.vmm.binary_translation.engine import TRANSLATED
from vizapp.vmm.binary_translation.monitor import TranslatingMonitor

if TYPE_CHECKING:
    from vizapp.session.details.cache_lines import CacheLine
    from vizapp.session.details.registry import Subject
    from vizapp.vmm.binary_translation.cache import TranslationCache, Unit
    from vizapp.vmm.binary_translation.vm import TranslatedVm


class GuestLine(NamedTuple):
    """A guest instruction.

    Attributes:
        address: linear.
        kind: what became of it, one of ``translator.KINDS``.
        first, end: which lines of the cache are its, as a range of indices; empty where a jump is elided.
        hits: how often execution arrived here, in the whole recording.
        form: how it is translated: ``copy``, or after retranslation as ``adaptation`` names it.
        faults: how many traces it has hit as a copy, since it was one last.
    """

    address: int
    raw: bytes
    text: str
    kind: str
    first: int
    end: int
    hits: int = 0
    form: str = COPY
    faults: int = 0


class TranslatedUnit(NamedTuple):
    """A unit: where its guest's code begins (``address``, linear) and where in the cache it lies.

    ``elided``: it follows the unit that leads to it, whose jump was overwritten. ``at_guest`` and
    ``at_cache`` are the indices of the lines that run next, -1 where the guest is elsewhere.
    """

    number: int
    address: int
    offset: int
    size: int
    elided: bool
    guest: tuple[GuestLine, ...]
    cache: tuple[CacheLine, ...]
    at_guest: int = NOWHERE
    at_cache: int = NOWHERE


class Translation(NamedTuple):
    """The translation of the guest instruction at ``address`` (linear).

    ``mode`` is how the guest goes on from where it is: ``translated``, ``direct`` (an application) or
    ``interpreted``. ``unit`` is None where the instruction has no translation. ``way`` is how it has run, see
    ``session.ways``; ``asked`` says that it is another than the guest's next.
    """

    address: int
    mode: str
    unit: TranslatedUnit | None
    way: str = ""
    asked: bool = False


def translation(subject: Subject) -> Translation | None:
    """The unit with the address asked about; without one, that of the guest's next instruction.

    None under a technique that translates nothing.
    """
    monitor = subject.monitor
    if not isinstance(monitor, TranslatingMonitor):
        return None
    vm = monitor.machine(subject.vm)
    seen = monitor.guest_view(subject.vm)
    here = seen.code_base + seen.eip & M32
    at_cache = _offset(vm)
    linear = here if subject.address is None else subject.address
    mode = TRANSLATED if at_cache != NOWHERE else vm.virtual.choice.engine
    unit = _running(vm, at_cache)
    if unit is None or linear not in _addresses(unit):
        unit = _unit_with(vm.cache, linear)
    shown = None if unit is None else _show(subject, vm, unit, here, at_cache)
    return Translation(linear, mode, shown, subject.way(linear), linear != here)


def _offset(vm: TranslatedVm) -> int:
    """Where in the cache the processor is for this guest; -1 if it is elsewhere."""
    offset = vm.pc.cpu.eip - vm.cache.base
    return offset if vm.is_current and vm.pc.cpu.cpl == 1 and offset in vm.cache.spots else NOWHERE


def _running(vm: TranslatedVm, at_cache: int) -> Unit | None:
    spot = vm.cache.spots.get(at_cache)
    return vm.cache.units.get(vm.virtual.unit if spot is None else spot.unit)


def _unit_with(cache: TranslationCache, linear: int) -> Unit | None:
    """The newest unit with an instruction at an address, best of all its first."""
    with_it = [unit for unit in cache.units.values() if linear in _addresses(unit)]
    first = [unit for unit in with_it if unit.key.base + unit.key.eip & M32 == linear]
    found = first or with_it
    return found[-1] if found else None


def _addresses(unit: Unit) -> tuple[int, ...]:
    return tuple(unit.key.base + eip & M32 for eip, _, _, _ in unit.lines)


def _show(subject: Subject, vm: TranslatedVm, unit: Unit, here: int, at_cache: int) -> TranslatedUnit:
    disassemble = Disassembler()
    lines = CacheReader(vm.cache, disassemble).of_unit(unit)
    offsets = [line.offset for line in lines]
    ties = [(bisect_left(offsets, begin), bisect_left(offsets, end)) for _, _, begin, end in unit.lines]
    code = b"".join(vm.memory.dump(at, count) for at, count in unit.code)
    guest: list[GuestLine] = []
    for index, (address, (eip, kind, _, _)) in enumerate(zip(_addresses(unit), unit.lines, strict=True)):
        text, instruction = disassemble(address, code[:MAX_LENGTH], unit.key.bits)
        length = 1 if instruction is None else instruction.length
        hits = subject.heat.get(eip, 0)
        record = vm.adaptation.record(address)
        guest.append(
            GuestLine(address, code[:length], text, kind, *ties[index], hits, record.form, record.faults)
        )
        code = code[length:]
    addresses = [line.address for line in guest]
    return TranslatedUnit(
        number=unit.number,
        address=addresses[0],
        offset=unit.start,
        size=unit.end - unit.start,
        elided=unit.elided,
        guest=tuple(guest),
        cache=lines,
        at_guest=addresses.index(here) if here in addresses else NOWHERE,
        at_cache=next((index for index, line in enumerate(lines) if line.offset == at_cache), NOWHERE),
    )
