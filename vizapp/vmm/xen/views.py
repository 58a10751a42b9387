"""The two truths of a paravirtual domain: little differs, for the guest was told where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, GuestPhysical, HostPhysical, Linear
from vizapp.isa.descriptors import SELECTOR_RPL
from vizapp.isa.paging import PTE_FRAME, PTE_P
from vizapp.isa.registers import CS, ECX, EFLAGS_IF, ESP, SS
from vizapp.messages import N_, Message
from vizapp.vmm import stubs
from vizapp.vmm.host_tables import DATA_SELECTOR
from vizapp.vmm.processor_view import cpu_view, general, read_linear
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.emulate import controls

if TYPE_CHECKING:
    from vizapp.vmm.base import CpuView
    from vizapp.vmm.xen.hypervisor import Hypervisor

_LIVE: Final = Message(N_("in the processor"))
_SAVED: Final = Message(N_("in the hypervisor's trap frame"))
_GUEST: Final = Message(N_("in shared_info, and in the processor as it is"))


def processor_view(xen: Hypervisor) -> CpuView:
    """What the processor holds for the guest: live, or in the trap frame while the hypervisor runs."""
    cpu, frame = xen.pc.cpu, xen.frame.read()
    live = cpu_view(cpu, _LIVE if cpu.cpl else _SAVED)
    if cpu.cpl:
        return live
    registers, selectors = frame.general, frame.selectors
    if cpu.eip < xen.tables.code(stubs.GUEST_DOOR) and cpu.esp >= xen.tables.frame_linear:
        # The stub has not saved everything yet; what it has not saved it has not changed either.
        held = list(general(cpu))
        held[ESP] = frame.esp
        if cpu.eip >= xen.tables.code(stubs.ECX_SAVED):
            held[ECX] = frame.ecx
        registers = tuple(held)
        selectors = tuple(
            saved if index in (CS, SS) or now == DATA_SELECTOR else now
            for index, (saved, now) in enumerate(zip(frame.selectors, live.selectors, strict=True))
        )
    return live._replace(
        general=registers,
        eip=frame.eip,
        eflags=frame.eflags,
        selectors=selectors,
        cpl=frame.cs & SELECTOR_RPL,
        limits=(abi.GUEST_LIMIT,) * 6,  # of all segments that a guest can have
    )


def guest_view(xen: Hypervisor) -> CpuView:
    """What a ported kernel goes by: its ring as it is, and the upcall mask for an interrupt flag."""
    held = processor_view(xen)
    seen = controls(xen)
    flags = held.eflags & ~EFLAGS_IF | (0 if xen.shared.masked else EFLAGS_IF)
    return held._replace(eflags=flags, control=(seen.cr0, 0, seen.cr2, seen.cr3, seen.cr4), where=_GUEST)


def translate(xen: Hypervisor, linear: Linear) -> HostPhysical | None:
    """Where the guest's tables, which are the processor's, put a linear address."""
    table = xen.domain.page_directory << PAGE_SHIFT
    for shift in (22, 12):
        entry = xen.memory.read(table + (linear >> shift & 1023) * 4, 4)
        if not entry & PTE_P:
            return None
        table = entry & PTE_FRAME
    return HostPhysical(table | linear & PAGE_MASK)


def guest_translate(xen: Hypervisor, linear: Linear) -> GuestPhysical | None:
    """The pseudo-physical address behind a linear one; None for what is not the domain's memory."""
    machine = translate(xen, linear)
    if machine is None:
        return None
    frame = xen.domain.to_pseudo_physical(machine >> PAGE_SHIFT)
    return GuestPhysical(frame << PAGE_SHIFT | linear & PAGE_MASK) if 0 <= frame < xen.domain.frames else None


def guest_read(xen: Hypervisor, linear: Linear, count: int) -> bytes | None:
    """Bytes as the guest would read them, touching nothing."""
    return read_linear(xen.memory, lambda address: translate(xen, address), linear, count)
