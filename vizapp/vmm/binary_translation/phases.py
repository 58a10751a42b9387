"""The phases of a translating monitor; those that it shares with the classical one are that one's.

door of the cache ─▶ arrive ─┬▶ find ─┬▶ translate ─┬▶ chain ─▶ resume ─▶ (the cache, or direct execution)
                             │        └─────────────┘
                             └▶ callout ─▶ emulate ─▶ resume
fault, interrupt ─▶ arrive ─▶ as under trap-and-emulate, with the state that the cache's spot tells
resume ─┬▶ translate              the next instruction has no translation yet
        ├▶ drop_units             the guest has written to code that was translated, or to a page table
        └▶ retranslate            see ``retranslation``
translate, chain, drop_units, retranslate ─▶ flush_cache ─▶ resume
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SHIFT, Linear
from vizapp.isa.registers import CR0_EM, CR0_MP, CR0_TS, EFLAGS_VM
from vizapp.machine import events
from vizapp.machine.faults import Fault, Unimplemented
from vizapp.machine.meter import Purpose
from vizapp.vmm import ring0
from vizapp.vmm.binary_translation.engine import INTERPRETED, TRANSLATED
from vizapp.vmm.binary_translation.layout import DOOR_VECTOR
from vizapp.vmm.binary_translation.retranslation import emulate, note_fault, retranslate
from vizapp.vmm.binary_translation.spots import CALLOUT, LOOKUP
from vizapp.vmm.binary_translation.translator import translate
from vizapp.vmm.binary_translation.vm import NO_LINK
from vizapp.vmm.trap_and_emulate import idle
from vizapp.vmm.trap_and_emulate import phases as classical
from vizapp.vmm.trap_and_emulate.vm import Pending

if TYPE_CHECKING:
    from vizapp.vmm.binary_translation.cache import Unit
    from vizapp.vmm.binary_translation.vm import TranslatedVm

NEAR: Final = 32  # bytes, within which one look at a page table is enough; see ``Traces.written``
_X87_CONTROL: Final = CR0_MP | CR0_EM | CR0_TS


def arrive(vm: TranslatedVm) -> str:
    """A trap out of the guest, or a call out of the cache."""
    vm.virtual.capture(vm.tables.frame)
    if vm.passage.is_open:
        vm.passage.close()
    vm.leave_cache()
    vm.take_in()
    vm.held = True
    vm.pending = Pending()
    vm.link = NO_LINK
    spot = vm.virtual.spot
    if spot is None or vm.tables.frame.entry_vector != DOOR_VECTOR:
        return classical.judge(vm)
    if spot.kind == CALLOUT:
        return "callout"
    vm.link = (spot.site, spot.kind == LOOKUP)
    return "find"


def find(vm: TranslatedVm) -> str:
    """The cache needs the translation of the next guest instruction."""
    return "translate" if vm.cache.find(vm.virtual.key) is None else "chain"


def translate_unit(vm: TranslatedVm) -> str | None:
    """Translate a unit from the guest's next instruction on."""
    cpu, key = vm.virtual.cpu, vm.virtual.key
    try:
        source = translate(cpu, vm.cache.table(key))
    except Fault as fault:
        vm.link = NO_LINK
        return vm.reflect(fault)
    except Unimplemented as limit:
        return vm.stop("crashed", limit.message)
    source = vm.place_unit(source)
    unit = vm.cache.add(source, key, *vm.origin(source))
    if unit is None:
        return "flush_cache"
    vm.trace(unit)
    vm.tell_unit(unit, source)
    return "resume" if vm.link == NO_LINK else "chain"


def chain(vm: TranslatedVm) -> str:
    """Let what called for a unit lead to it by itself from now on."""
    site, by_lookup = vm.link
    vm.link = NO_LINK
    unit = vm.cache.find(vm.virtual.key)
    if unit is None:
        return "resume"
    if by_lookup:
        vm.bill.charge("mon_memory_reference", 8)
        if not vm.cache.land(unit):
            return "flush_cache"
    elif vm.cache.chain(site, unit):
        vm.bill.charge("mon_memory_reference", 1)
        vm.count(chained=1)
        payload = {"address": unit.key.eip, "site": site, "offset": unit.start}
        vm.emit(events.CHAIN_PATCHED, f"{unit.key.eip:#010x}", payload)
    return "resume"


def drop_units(vm: TranslatedVm) -> str:
    """The guest's memory has changed where code of it was translated: forget the units of those pages."""
    touched, vm.memory.touched = vm.memory.touched, ()
    vm.tables_written(place for at, size in touched for place in (*range(at, at + size, NEAR), at + size - 1))
    near = {
        frame for at, size in touched for frame in range(at >> PAGE_SHIFT, (at + size - 1 >> PAGE_SHIFT) + 1)
    }
    vm.descriptors_written(touched)
    if not near & vm.memory.traced:
        return "resume"
    there = [unit for unit in vm.cache.units.values() if any(frame in near for _, frame in unit.pages)]
    frames = {
        frame
        for unit in there
        for start, count in unit.code
        for at, size in touched
        if start < at + size and at < start + count
        for frame in (start >> PAGE_SHIFT,)
    }
    stale = [unit for unit in there if any(frame in frames for _, frame in unit.pages)]
    return "resume" if vm.drop(stale, "write") else "flush_cache"


def flush_cache(vm: TranslatedVm) -> str:
    """The cache is full: begin anew."""
    vm.link = NO_LINK
    vm.pc.settle_heat()
    units = vm.empty_cache()
    vm.bill.charge("mon_memory_reference", 256)
    vm.count(flushed=1)
    vm.emit(events.CACHE_FLUSHED, "full", {"units": units})
    return "resume"


def walk(vm: TranslatedVm) -> str:
    """A page fault; a write to a traced page that the guest's tables grant the monitor carries out."""
    following = classical.walk(vm)
    hidden, linear = vm.pending.hidden, vm.pc.cpu.cr2
    if following != "fill_shadow" or hidden is None:
        if following == "decode" and linear < vm.tables.base and vm.is_device(linear):
            note_fault(vm, linear)
        return following
    frame = hidden.translation.frame
    if vm.memory.covers(frame) or vm.memory.read_only(frame):
        if hidden.write:
            vm.pending = Pending()
            note_fault(vm, linear)
            return "decode"  # what it writes to ROM vanishes
        # As long as its D bit seems clear the shadow is read-only.
        translation = hidden.translation._replace(dirty=False)
        vm.pending = Pending(hidden=hidden._replace(translation=translation))
    return following


def fill_shadow(vm: TranslatedVm) -> str:
    """Fill the shadow, and trace the page tables that it is filled from."""
    hidden = vm.pending.hidden
    assert hidden is not None
    if not vm.shadow.has_room(hidden.linear):
        vm.traces.clear()
    following = classical.fill_shadow(vm)
    found = hidden.translation
    if not vm.eager:
        return following
    tables = {at >> PAGE_SHIFT: vm.memory.host_frame(at >> PAGE_SHIFT) for at, _, _ in found.entries}
    for page in vm.traces.add(hidden.linear, found, tables):
        ring0.invlpg(vm.pc, page)
    return following


def flush_shadow(vm: TranslatedVm) -> str:
    """The guest has flushed its translations: where its tables now have other pages, units are stale."""
    following = "resume"
    if vm.eager and vm.mmu.flush_requested and vm.mmu.paging and not vm.mmu.reshaped:
        vm.switch_shadow()
    else:
        if vm.mmu.flush_requested:
            vm.traces.clear()
        following = classical.flush_shadow(vm)
    vm.check_windows()
    vm.virtual.stale = True
    here: dict[int, int | None] = {}
    stale: list[Unit] = []
    for unit in vm.cache.units.values():
        for page, frame in unit.pages:
            if page not in here:
                at = vm.mmu.probe(Linear(page << PAGE_SHIFT))
                here[page] = None if at is None else at >> PAGE_SHIFT
            if here[page] != frame:
                stale.append(unit)
                break
    vm.bill.charge("mon_lookup", len(here))
    return following if vm.drop(stale, "paging") else "flush_cache"


def resume(vm: TranslatedVm) -> str | None:
    """Back to the guest: to its application, to the translation of its kernel, or by the monitor's hand."""
    if vm.memory.touched:
        return "drop_units"
    if vm.adaptation.due >= 0:
        return "retranslate"
    following = classical.due(vm)
    if following != classical.ENTER:
        return following
    if vm.memory.touched:  # by a device, just now
        return "drop_units"
    virtual = vm.virtual
    choice = virtual.choice
    if choice.engine == INTERPRETED:
        vm.select(choice)
        return "decode"
    if choice.engine == TRANSLATED:
        key = virtual.key
        offset = vm.cache.within(virtual.unit, key)
        if offset is None:
            unit = vm.cache.find(key)
            if unit is None:
                return "translate"
            offset = unit.start
        vm.select(choice)
        prepare(vm)
        pending = vm.devices.interrupt_pending
        virtual.refresh()
        if virtual.rewritten:
            vm.check_segments()
        vm.check_hosts()
        vm.priority.show()
        vm.state_read.show(virtual.cpu)
        exit_stub = virtual.commit_translated(vm.tables.frame, offset, pending=pending)
        vm.bill.charge("mon_memory_reference", vm.cache.serve(key))
        vm.enter_cache()
    elif virtual.cpu.eflags & EFLAGS_VM:
        vm.select(choice)
        prepare(vm)
        vm.passage.open()
        exit_stub = virtual.commit_virtual_8086(vm.tables.frame)
    elif not virtual.reachable:
        return "decode"
    else:
        vm.select(choice)
        prepare(vm)
        exit_stub = virtual.commit(vm.tables.frame)
    classical.leave(vm, exit_stub)
    return None


def prepare(vm: TranslatedVm) -> None:
    """What the guest needs of the processor: the timer, CR4, and who may use the x87."""
    classical.prepare(vm)
    cr0 = vm.pc.cpu.cr0 & ~_X87_CONTROL | vm.virtual.cpu.cr0 & _X87_CONTROL
    if cr0 != vm.pc.cpu.cr0:
        ring0.load_cr0(vm.pc, cr0)


def schedule(vm: TranslatedVm) -> str:
    """Give the processor to the machine whose turn it is, and with it its cache."""
    vm.pc.settle_heat()
    following = idle.schedule(vm)
    current = vm.host.machines.current
    assert isinstance(current, type(vm))
    vm.pc.code.translated = current.cache.ends
    return following


PHASES: Final[dict[str, Callable[[TranslatedVm], str | None]]] = {
    **classical.PHASES,
    "arrive": arrive,
    "callout": classical.decode_instruction,
    "find": find,
    "translate": translate_unit,
    "chain": chain,
    "drop_units": drop_units,
    "flush_cache": flush_cache,
    "walk": walk,
    "fill_shadow": fill_shadow,
    "emulate": emulate,
    "retranslate": retranslate,
    "flush_shadow": flush_shadow,
    "resume": resume,
    "schedule": schedule,
}
PURPOSES: Final = {
    **classical.PURPOSES,
    "find": Purpose.TRANSLATION,
    "translate": Purpose.TRANSLATION,
    "chain": Purpose.TRANSLATION,
    "retranslate": Purpose.TRANSLATION,
    "drop_units": Purpose.TRANSLATION,
    "flush_cache": Purpose.TRANSLATION,
}
"""Of the phases whose work is not the monitor's own deciding and emulating."""
