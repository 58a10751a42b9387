"""The two truths of a translating monitor: while the cache runs the guest has EIP, CS and GS of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.registers import CS, EAX, EBX, ECX, EDX, EFLAGS_IF, EFLAGS_VM, ESP, SS
from vizapp.vmm import stubs
from vizapp.vmm.binary_translation.layout import (
    CODE_SELECTOR,
    SPILLED_EAX,
    SPILLED_EBX,
    SPILLED_ECX,
    SPILLED_EDX,
    TARGET,
    VIRTUAL_IF,
)
from vizapp.vmm.binary_translation.monitor_segment import moved
from vizapp.vmm.binary_translation.translator import size_of
from vizapp.vmm.processor_view import cpu_view
from vizapp.vmm.trap_and_emulate import views
from vizapp.vmm.trap_and_emulate.virtual_cpu import VIRTUAL_FLAGS

if TYPE_CHECKING:
    from vizapp.vmm.base import CpuView
    from vizapp.vmm.binary_translation.vm import TranslatedVm


def guest_view(vm: TranslatedVm) -> CpuView:
    """What the guest sees, wherever it is at this moment."""
    view = _guest_view(vm)
    virtual = vm.virtual
    if view.eflags & EFLAGS_VM:
        return view._replace(code_base=view.selectors[CS] << 4, code_bits=16)
    code = virtual.cpu.segments[CS]
    if view.selectors[CS] != code.selector:
        code = virtual.loaded(view.selectors[CS])
    return view._replace(code_base=code.base, code_bits=size_of(code))


def _guest_view(vm: TranslatedVm) -> CpuView:
    if vm.held or (not vm.pc.cpu.cpl and not views.entering(vm)):
        return views.guest_view(vm)
    real = views.processor_view(vm)
    if real.eflags & EFLAGS_VM:
        eflags = real.eflags & ~VIRTUAL_FLAGS | vm.virtual.cpu.eflags & VIRTUAL_FLAGS
        return cpu_view(vm.virtual.cpu, views.VIRTUAL)._replace(
            general=real.general, eip=real.eip, eflags=eflags, selectors=real.selectors, cpl=3
        )
    if real.selectors[CS] != CODE_SELECTOR:
        return views.guest_view(vm)
    virtual = cpu_view(vm.virtual.cpu, views.VIRTUAL)
    eip, general, flag = state(vm, real.eip, real.general, _vector(vm))
    eflags = real.eflags & ~VIRTUAL_FLAGS | virtual.eflags & VIRTUAL_FLAGS & ~EFLAGS_IF | flag
    return virtual._replace(general=general, eip=eip, eflags=eflags, cpl=0)


def state(
    vm: TranslatedVm, eip: int, general: tuple[int, ...], vector: int = -1
) -> tuple[int, tuple[int, ...], int]:
    """EIP, general registers and IF of the guest, with the processor in the cache at ``eip``."""
    spot, slot = vm.virtual.spot_of(eip, vector), vm.virtual.segment.slot
    registers = list(general)
    flag = registers[ECX] if spot.flag else slot(VIRTUAL_IF)
    if spot.ecx:
        registers[ECX] = slot(SPILLED_ECX)
    if spot.edx:
        registers[EDX] = slot(SPILLED_EDX)
    if spot.eax:
        registers[EAX] = slot(SPILLED_EAX)
    if spot.ebx:
        registers[EBX] = slot(SPILLED_EBX)
    registers[ESP] = moved(registers[ESP], spot.esp, vm.virtual.cpu.segments[SS].stack_mask)
    return (slot(TARGET) if spot.target else spot.eip), tuple(registers), flag & EFLAGS_IF


def _vector(vm: TranslatedVm) -> int:
    """By which gate the processor has come in, while it runs the stubs; -1 while it is in the cache."""
    cpu = vm.pc.cpu
    if cpu.cpl:
        return -1
    offset = vm.stub_offset(cpu.eip)
    return offset // stubs.SLOT_BYTES if offset < stubs.SAVE else vm.tables.frame.entry_vector
