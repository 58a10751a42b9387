"""The two truths below VT-x and AMD-V: the registers as the guest sees them, and as the processor has them.

They differ less than under a monitor that deprivileges: the guest is in its own rings. What differs is what
the monitor owns: bits of CR0 and CR4 that a read shadow or an intercept stands for, CR3 under shadow paging.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.registers import CS
from vizapp.machine.cpu_state import save_cpu
from vizapp.machine.page_tables import read_pointers
from vizapp.messages import N_, Message
from vizapp.vmm.base import CpuView
from vizapp.vmm.processor_view import general, read_linear

if TYPE_CHECKING:
    from vizapp.isa.addresses import GuestPhysical, HostPhysical, Linear
    from vizapp.machine.cpu_state import CpuState
    from vizapp.vmm.hardware_assisted.vm import Vm

IN_PROCESSOR: Final = Message(N_("in the processor"))
BY_MONITOR: Final = Message(N_("with the monitor"))


def is_running(vm: Vm) -> bool:
    """Whether the guest is on the processor now."""
    return vm.pc.cpu.guest_mode is not None and vm.host.machines.is_current(vm)


def guest_view(vm: Vm) -> CpuView:
    """What the guest sees, wherever it is at this moment."""
    if not is_running(vm):
        state = _entering(vm, vm.virtual.peek())
        return _view(state, vm.structure.saved_where if not vm.virtual.held else BY_MONITOR)
    cpu = vm.pc.cpu
    cr0, cr3, cr4 = vm.structure.live_control(vm.virtual.cpu, cpu)
    state = vm.structure.live_state(vm.virtual.cpu, save_cpu(cpu))
    return _view(state._replace(control=(cr0, cpu.cr2, cr3, cr4)), IN_PROCESSOR)


def processor_view(vm: Vm) -> CpuView:
    """What the processor holds for the guest: live, or where it is kept while the guest is off it."""
    if is_running(vm):
        return _view(save_cpu(vm.pc.cpu), IN_PROCESSOR)
    state = _entering(vm, vm.virtual.peek())
    cr0, cr3, cr4 = vm.structure.real_control()
    return _view(state._replace(control=(cr0, state.control[1], cr3, cr4)), vm.structure.saved_where)


def _entering(vm: Vm, state: CpuState) -> CpuState:
    """The same, while a stub has the general registers half way between the stack and the processor."""
    cpu, host = vm.pc.cpu, vm.host
    if not host.machines.is_current(vm) or vm.pc.phase is not None:
        return state
    offset = cpu.eip - host.switch_code
    saved = vm.structure.registers_in_stub(offset, general(cpu), state.general)
    return state._replace(general=saved)


def follow_paging(vm: Vm) -> None:
    """Let the walk of the guest's tables begin where the guest has its CR3 now: it loads that by itself."""
    if is_running(vm):
        cpu = vm.pc.cpu
        cr0, cr3, cr4 = vm.structure.live_control(vm.virtual.cpu, cpu)
        pointers = cpu.pointers
    else:
        cr0, _, cr3, cr4 = vm.virtual.peek().control
        pointers = read_pointers(vm.memory, cr3) or ()
    requested = vm.mmu.flush_requested
    vm.mmu.configure(cr0, cr3, cr4, pointers)
    vm.mmu.flush_requested = requested


def guest_translate(vm: Vm, linear: Linear) -> GuestPhysical | None:
    """Through the guest's own tables."""
    if vm.nested is not None:
        follow_paging(vm)
    return vm.mmu.probe(linear)


def processor_translate(vm: Vm, linear: Linear) -> HostPhysical | None:
    """Through the shadow, or through the guest's tables and the nested ones."""
    if vm.shadow is not None:
        return vm.shadow.translate(linear)
    guest = guest_translate(vm, linear)
    assert vm.nested is not None
    return None if guest is None else vm.nested.translate(guest)


def guest_read(vm: Vm, linear: Linear, count: int) -> bytes | None:
    """Through the guest's tables and the p2m."""

    def translate(at: Linear) -> HostPhysical | None:
        guest = guest_translate(vm, at)
        return None if guest is None else vm.memory.host(guest)

    return read_linear(vm.pc.memory, translate, linear, count)


def _view(state: CpuState, where: Message) -> CpuView:
    code = state.segments[CS]
    return CpuView(
        general=state.general,
        eip=state.eip,
        eflags=state.eflags,
        selectors=tuple(segment.selector for segment in state.segments),
        cpl=state.cpl,
        control=(state.control[0], 0, *state.control[1:]),
        gdtr=(state.gdtr.base, state.gdtr.limit),
        idtr=(state.idtr.base, state.idtr.limit),
        ldtr=state.ldtr.selector,
        tr=state.tr.selector,
        limits=tuple(segment.limit for segment in state.segments),
        where=where,
        code_base=code.base,
        code_bits=32 if code.big else 16,
    )
