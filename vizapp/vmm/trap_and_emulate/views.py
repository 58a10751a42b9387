"""The two truths of the classical monitor: the guest's processor as it believes, and as it is held for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.isa.descriptors import SELECTOR_RPL, unpack
from vizapp.isa.registers import CS, ECX, EFLAGS_RF, ESP, SS
from vizapp.messages import N_, Message
from vizapp.vmm import stubs
from vizapp.vmm.base import CpuView
from vizapp.vmm.host_tables import DATA_SELECTOR
from vizapp.vmm.processor_view import cpu_view, general
from vizapp.vmm.trap_and_emulate.virtual_cpu import VIRTUAL_FLAGS

if TYPE_CHECKING:
    from vizapp.vmm.trap_and_emulate.vm import Vm

IN_PROCESSOR: Final = Message(N_("in the processor"))
ON_STACK: Final = Message(N_("saved on the monitor's stack"))
VIRTUAL: Final = Message(N_("on the virtual CPU"))


def processor_view(vm: Vm) -> CpuView:
    """What the processor holds for the guest; while the monitor runs, what the trap frame keeps of it."""
    cpu = vm.pc.cpu
    live = cpu_view(cpu, IN_PROCESSOR)
    if not vm.is_current:
        cr0, _, cr2, _, cr4 = live.control
        live = live._replace(control=(cr0, 0, cr2, vm.shadow.directory << PAGE_SHIFT, cr4))
    elif cpu.cpl:
        return live
    frame = vm.tables.frame.read()
    if entering(vm):
        # The stub has not saved everything yet; what it has not saved it has not changed either.
        registers = list(general(cpu))
        registers[ESP] = frame.esp
        if vm.stub_offset(cpu.eip) >= stubs.ECX_SAVED:
            registers[ECX] = frame.ecx
        selectors = tuple(
            held if index in (CS, SS) or state.selector == DATA_SELECTOR else state.selector
            for index, (held, state) in enumerate(zip(frame.selectors, cpu.segments, strict=True))
        )
    else:
        registers, selectors = list(frame.general), frame.selectors
    return live._replace(
        general=tuple(registers),
        eip=frame.eip,
        eflags=frame.eflags & ~EFLAGS_RF,
        selectors=selectors,
        cpl=selectors[CS] & SELECTOR_RPL,
        limits=tuple(_limit(vm, selector) for selector in selectors),
        where=ON_STACK,
    )


def guest_view(vm: Vm) -> CpuView:
    """What the guest sees, wherever it is at this moment."""
    cpu = vm.virtual.cpu
    virtual = cpu_view(cpu, VIRTUAL)
    if vm.held or (not vm.pc.cpu.cpl and not entering(vm)):
        return virtual
    real = processor_view(vm)
    real_ring = real.cpl
    cpl = real_ring if real_ring > 1 else min(cpu.cpl, 1)
    selectors = tuple(_as_seen(vm, index, selector, cpl) for index, selector in enumerate(real.selectors))
    return virtual._replace(
        general=real.general,
        eip=real.eip,
        eflags=real.eflags & ~VIRTUAL_FLAGS | cpu.eflags & VIRTUAL_FLAGS,
        selectors=selectors,
        cpl=cpl,
        limits=tuple(
            virtual.limits[index]
            if selector == vm.virtual.selectors[index]
            else vm.virtual.loaded(selector).limit
            for index, selector in enumerate(real.selectors)
        ),
    )


def entering(vm: Vm) -> bool:
    """Whether the processor is on its way in from the guest, before the first phase took the state over."""
    if vm.held or not vm.is_current:
        return False
    cpu = vm.pc.cpu
    return not cpu.cpl and vm.stub_offset(cpu.eip) <= stubs.GUEST_DOOR


def _as_seen(vm: Vm, index: int, selector: int, cpl: int) -> int:
    """A selector of the processor as the guest's own: unchanged ones as the virtual CPU has them."""
    if selector == vm.virtual.selectors[index]:
        return vm.virtual.cpu.segments[index].selector
    if index in (CS, SS):
        return selector & ~SELECTOR_RPL | cpl
    return selector


def _limit(vm: Vm, selector: int) -> int:
    """The limit of the descriptor that the processor finds at a selector now; 0 of a null one."""
    if selector & ~SELECTOR_RPL == 0:
        return 0
    raw = vm.virtual.physical_descriptor(selector)
    return unpack(int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:], "little")).limit
