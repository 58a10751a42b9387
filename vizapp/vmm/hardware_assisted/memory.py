"""The guest's memory: hidden page faults and shadow tables, or nested faults and nested tables.

shadow    #PF ─▶ walk ─┬▶ fill_shadow ─▶ look_around        the guest's tables grant it: a hidden fault
                       ├▶ inject_fault                      they do not: a true one
                       └▶ decode                       a device, or nothing, is there
nested    nested fault ─▶ nested_fault ─┬▶ map_nested ─▶ look_around
                                        └▶ decode
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT
from vizapp.isa.paging import PF_U, PF_W
from vizapp.machine import events
from vizapp.machine.faults import Fault
from vizapp.vmm import hidden_fault
from vizapp.vmm.hardware_assisted.vm import Pending
from vizapp.vmm.hidden_fault import Hidden

if TYPE_CHECKING:
    from vizapp.vmm.hardware_assisted.vm import Vm


def walk(vm: Vm) -> str:
    """A page fault: a true one if the guest's own tables refuse the access, a hidden one if they grant it."""
    leaving = vm.pending.exit
    error = leaving.error or 0
    write = bool(error & PF_W)
    if vm.shadow is None:
        return vm.reflect(Fault(leaving.vector, error, leaving.address))
    try:
        found = vm.mmu.translate(leaving.address, write, bool(error & PF_U))
    except Fault as fault:
        return vm.reflect(fault)
    assert vm.traces is not None
    traced = vm.traces.covers(found.frame)
    if traced and write:
        at = found.frame << PAGE_SHIFT | leaving.address & PAGE_MASK
        vm.pending = Pending(leaving, traced=at)
        return "trace"
    read_only = traced or vm.memory.read_only(found.frame)
    if vm.memory.host_frame(found.frame) is None or (write and read_only):
        return _carry_out(vm)  # a device answers, or there is nothing: ones are read and writes vanish
    if read_only:
        found = found._replace(writable=False)
    vm.pending = Pending(leaving, hidden=Hidden(leaving.address, found, write))
    return "fill_shadow"


def fill_shadow(vm: Vm) -> str:
    """Map the page that the guest's tables grant, and let the instruction run again."""
    hidden, shadow = vm.pending.hidden, vm.shadow
    assert hidden is not None
    assert shadow is not None
    linear, found, _ = hidden
    frame = vm.memory.host_frame(found.frame)
    assert frame is not None
    if not shadow.has_room(linear):
        _empty_shadow(vm, "no page table is free")
    payload = hidden_fault.fill(shadow, hidden, frame)
    assert vm.traces is not None
    tables = {at >> PAGE_SHIFT: vm.memory.host_frame(at >> PAGE_SHIFT) for at, _, _ in found.entries}
    for page in vm.traces.add(linear, found, tables):
        vm.structure.forget_translation(page)
    vm.emit(events.PAGE_SHADOWED, hidden.cause, payload)
    return "look_around"


def trace(vm: Vm) -> str:
    """The guest is about to change one of its page tables: forget what was made from there; do it."""
    assert vm.traces is not None
    for linear in vm.traces.written(vm.pending.traced):
        vm.structure.forget_translation(linear)
        vm.emit(events.SHADOW_FLUSHED, "trace", {"linear": linear, "pages": 1})
    return _carry_out(vm)


def flush_translations(vm: Vm) -> str:
    """The guest has flushed its translations, or one: forget what shadow and processor have of them."""
    mmu, shadow, structure = vm.mmu, vm.shadow, vm.structure
    if shadow is None:
        structure.forget_translations()
    elif mmu.flush_requested:
        _empty_shadow(vm, "the guest's CR3")
    else:
        for linear in mmu.invalidated:
            if shadow.drop(linear):
                structure.forget_translation(linear)
            vm.emit(events.SHADOW_FLUSHED, "invlpg", {"linear": linear, "pages": 1})
    mmu.flush_requested = False
    mmu.invalidated = ()
    return "look_around"


def nested_fault(vm: Vm) -> str:
    """The nested tables do not grant an access yet, or there is no memory to grant."""
    leaving = vm.pending.exit
    write = bool((leaving.error or 0) & PF_W)
    frame = leaving.address >> PAGE_SHIFT
    own = vm.structure.own_frame(frame)
    host, read_only = own or vm.memory.host_frame(frame), vm.memory.read_only(frame)
    if host is None or (write and read_only):
        return _carry_out(vm)
    vm.pending = Pending(leaving, nested=(frame, host, not read_only))
    return "map_nested"


def map_nested(vm: Vm) -> str:
    """Enter the page in the nested tables, and let the instruction run again."""
    assert vm.pending.nested is not None
    assert vm.nested is not None
    frame, host, writable = vm.pending.nested
    if not vm.nested.has_room(frame):
        vm.nested.clear()
        vm.structure.forget_translations()
    entry = vm.nested.map(frame, host, writable=writable)
    address = vm.pending.exit.address
    payload = {"guest_physical": address, "guest_frame": frame, "host_frame": host, "entry": entry}
    vm.emit(events.NESTED_PAGE_MAPPED, "nested-fill", payload)
    return "look_around"


def _carry_out(vm: Vm) -> str:
    """The virtual CPU has to do what the processor cannot: deliver an event, or run an instruction."""
    return "decode" if vm.event is None else "deliver_event"


def _empty_shadow(vm: Vm, cause: str) -> None:
    """Drop the shadow, and what the processor remembers of it."""
    assert vm.shadow is not None
    assert vm.traces is not None
    pages = vm.shadow.flush()
    vm.traces.clear()
    vm.structure.forget_translations()
    vm.emit(events.SHADOW_FLUSHED, cause, {"pages": pages})
