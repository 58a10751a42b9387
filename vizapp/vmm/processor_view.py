"""Reads a processor, and the memory behind linear addresses, without touching anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SIZE, HostPhysical, Linear
from vizapp.vmm.base import CpuView

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.messages import Message


def general(cpu: Cpu) -> tuple[int, ...]:
    """EAX ECX EDX EBX ESP EBP ESI EDI."""
    return cpu.eax, cpu.ecx, cpu.edx, cpu.ebx, cpu.esp, cpu.ebp, cpu.esi, cpu.edi


def set_general(cpu: Cpu, values: tuple[int, ...]) -> None:
    """Set EAX ECX EDX EBX ESP EBP ESI EDI."""
    cpu.eax, cpu.ecx, cpu.edx, cpu.ebx, cpu.esp, cpu.ebp, cpu.esi, cpu.edi = values


def cpu_view(cpu: Cpu, where: Message) -> CpuView:
    """What a processor holds now."""
    return CpuView(
        general=general(cpu),
        eip=cpu.eip,
        eflags=cpu.eflags,
        selectors=tuple(segment.selector for segment in cpu.segments),
        cpl=cpu.cpl,
        control=(cpu.cr0, 0, cpu.cr2, cpu.cr3, cpu.cr4),
        gdtr=(cpu.gdtr.base, cpu.gdtr.limit),
        idtr=(cpu.idtr.base, cpu.idtr.limit),
        ldtr=cpu.ldtr.selector,
        tr=cpu.tr.selector,
        limits=tuple(segment.limit for segment in cpu.segments),
        where=where,
    )


def read_linear(
    memory: PhysicalMemory, translate: Callable[[Linear], HostPhysical | None], linear: Linear, count: int
) -> bytes | None:
    """``count`` bytes at a linear address through ``translate``; None if any of its pages is not there."""
    data = b""
    while len(data) < count:
        at = Linear(linear + len(data) & M32)
        host = translate(at)
        if host is None:
            return None
        data += memory.dump(host, min(count - len(data), PAGE_SIZE - (at & PAGE_MASK)))
    return data
