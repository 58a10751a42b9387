"""What an HVM guest that knows of Xen asks of it: CPUID leaves, the MSR of the hypercall page, hypercalls.

Source: Xen 3.1, arch/x86/traps.c (cpuid_hypervisor_leaves, wrmsr_hypervisor_regs) and arch/x86/hvm/hvm.c
(hvm_do_hypercall, hvm_hypercall_table).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import vectors
from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, HostPhysical
from vizapp.machine import events
from vizapp.machine.faults import Fault
from vizapp.vmm.account import emulated
from vizapp.vmm.hardware_assisted.exits import undefined as shared_undefined
from vizapp.vmm.hardware_assisted.virtual_cpu import CONTROL, GENERAL, SEGMENTS
from vizapp.vmm.instruction_fetch import decoded
from vizapp.vmm.xen import abi as xen_abi
from vizapp.vmm.xen import phases as xen_phases
from vizapp.vmm.xen.continuation import Continuation
from vizapp.vmm.xen.hvm import abi
from vizapp.vmm.xen.hypercalls import call
from vizapp.vmm.xen.places import HYPERVISOR

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.vmm.xen.hvm.vm import HvmVm

_ARGUMENTS: Final = ("ebx", "ecx", "edx", "esi", "edi", "ebp")
_CALL_BYTES: Final = 3  # of VMCALL and of VMMCALL
_VMCALL, _VMMCALL = b"\x0f\x01\xc1", b"\x0f\x01\xd9"


def special(vm: HvmVm) -> str | None:
    """Do what only a guest of Xen's can ask for: the next phase; None: it is an ordinary instruction."""
    kind = vm.pending.exit.kind
    if kind not in ("cpuid", "wrmsr"):
        return None
    cpu = vm.virtual.take(GENERAL)
    if kind == "cpuid" and cpu.eax in range(abi.CPUID_BASE, abi.CPUID_BASE + abi.CPUID_LEAVES):
        cpu.eax, cpu.ebx, cpu.ecx, cpu.edx = _leaf(cpu.eax - abi.CPUID_BASE)
        return _done(vm, cpu)
    if kind == "wrmsr" and cpu.ecx == abi.HYPERCALL_MSR and cpu.cpl == 0:
        if not _fill_page(vm, cpu.eax, cpu.edx):
            return vm.reflect(Fault(vectors.GP, 0))
        return _done(vm, cpu)
    return None


def _leaf(number: int) -> tuple[int, int, int, int]:
    """EAX EBX ECX EDX."""
    if number == 0:
        name = [int.from_bytes(abi.SIGNATURE[at : at + 4], "little") for at in (0, 4, 8)]
        return abi.CPUID_BASE + abi.CPUID_LEAVES - 1, *name  # type: ignore[return-value]
    if number == 1:
        return xen_abi.VERSION_3_1, 0, 0, 0
    return abi.HYPERCALL_PAGES, abi.HYPERCALL_MSR, 0, 0


def _fill_page(vm: HvmVm, low: int, high: int) -> bool:
    """Fill the guest's page with the stubs of the hypercalls; its index is in the low bits."""
    frame = vm.memory.host_frame(low >> PAGE_SHIFT)
    if high or low & PAGE_MASK or frame is None:
        return False
    code = _VMMCALL if vm.structure.kind == "VMCB" else _VMCALL
    page = abi.hypercall_page(tuple(xen_abi.HYPERCALLS), code, xen_abi.IRET)
    vm.xen.memory.load(HostPhysical(frame << PAGE_SHIFT), page)
    vm.xen.pay_references(len(page) // 4)
    return True


def _done(vm: HvmVm, cpu: Cpu) -> str:
    """The instruction is through."""
    leaving, raw = vm.pending.exit, vm.pending.instruction
    instruction = decoded(raw, 0, 32)
    before = vm.linear_eip, cpu.eip, cpu.cpl
    length = leaving.length or instruction.length
    cpu.eip = cpu.eip + length & M32
    cpu.shadow = False
    vm.event = None
    emulated(vm, instruction, vm.bytes_at(before[0], length), *before)
    return "look_around"


def undefined(vm: HvmVm) -> str | None:
    """VMCALL or VMMCALL is a hypercall; the rest of VMX and SVM the guest's processor does not have."""
    return "hypercall" if vm.pending.exit.kind == "call" else shared_undefined(vm)


def hypercall(vm: HvmVm) -> str | None:
    """Number in EAX, arguments in EBX ECX EDX ESI EDI EBP."""
    vm.xen.pay("hypercall")
    cpu = vm.virtual.take(GENERAL, SEGMENTS, CONTROL)
    if cpu.cpl == 3:
        return _answered(vm, cpu, -xen_abi.EPERM)
    return serve(vm)


def serve(vm: HvmVm) -> str | None:
    """Do what the hypercall asks for, or a part of it."""
    cpu = vm.virtual.take(GENERAL, SEGMENTS, CONTROL)
    arguments = tuple(getattr(cpu, name) for name in _ARGUMENTS)
    result = call(vm.xen, cpu.eax, arguments)
    if isinstance(result, Continuation):
        for name, value in zip(_ARGUMENTS, result.arguments, strict=False):
            setattr(cpu, name, value & M32)
        return "look_around" if xen_phases.interrupt_waits(vm.xen) else "continue"
    return _answered(vm, cpu, result)


def _answered(vm: HvmVm, cpu: Cpu, result: int) -> str:
    number = cpu.eax
    name = xen_abi.HYPERCALLS.get(number, f"hypercall_{number}")
    payload: dict[str, int | str] = {"name": name, "number": number, "result": result & M32}
    payload.update((register, getattr(cpu, register)) for register in _ARGUMENTS[:5])
    cpu.eax = result & M32
    cpu.eip = cpu.eip + (vm.pending.exit.length or _CALL_BYTES) & M32
    cpu.shadow = False
    vm.event = None
    vm.pc.count_emulated(vm.linear_eip, vm.index)
    vm.pc.emit(events.HYPERCALL_MADE, name, payload, vm.place(cpu.cpl), HYPERVISOR)
    return "events"
