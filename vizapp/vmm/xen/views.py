"""The two truths of a paravirtual domain: little differs, for the guest was told where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, GuestPhysical, HostPhysical, Linear
from vizapp.isa.paging import PTE_FRAME, PTE_P
from vizapp.isa.registers import EFLAGS_IF
from vizapp.messages import N_, Message
from vizapp.vmm.processor_view import cpu_view, read_linear

if TYPE_CHECKING:
    from vizapp.vmm.base import CpuView
    from vizapp.vmm.xen.services import Services

_LIVE: Final = Message(N_("in the processor"))
_SAVED: Final = Message(N_("in the hypervisor's trap frame"))
_GUEST: Final = Message(N_("in shared_info, and in the processor as it is"))


def processor_view(xen: Services) -> CpuView:
    """What the processor holds for the guest: live, or in the trap frame while the hypervisor runs."""
    cpu, frame = xen.pc.cpu, xen.frame
    if cpu.cpl:
        return cpu_view(cpu, _LIVE)
    selectors = frame.selectors()
    live = cpu_view(cpu, _SAVED)
    # FS and GS stay in the processor, and the limits of flat segments are all alike.
    return live._replace(
        general=frame.general(),
        eip=frame.eip,
        eflags=frame.eflags,
        selectors=(*selectors[:4], *live.selectors[4:]),
        cpl=frame.cs & 3,
        limits=(xen.guest_limit,) * 6,
    )


def guest_view(xen: Services) -> CpuView:
    """What a ported kernel goes by: its ring as it is, and the upcall mask for an interrupt flag."""
    held = processor_view(xen)
    controls = xen.controls()
    flags = held.eflags & ~EFLAGS_IF | (0 if xen.shared.masked else EFLAGS_IF)
    return held._replace(
        eflags=flags, control=(controls.cr0, 0, controls.cr2, controls.cr3, controls.cr4), where=_GUEST
    )


def translate(xen: Services, linear: Linear) -> HostPhysical | None:
    """Where the guest's tables, which are the processor's, put a linear address."""
    table = xen.domain.page_directory << PAGE_SHIFT
    for shift in (22, 12):
        entry = xen.memory.read(table + (linear >> shift & 1023) * 4, 4)
        if not entry & PTE_P:
            return None
        table = entry & PTE_FRAME
    return HostPhysical(table | linear & PAGE_MASK)


def guest_translate(xen: Services, linear: Linear) -> GuestPhysical | None:
    """The pseudo-physical address behind a linear one; None for what is not the domain's memory."""
    machine = translate(xen, linear)
    if machine is None:
        return None
    frame = xen.domain.to_pseudo_physical(machine >> PAGE_SHIFT)
    return GuestPhysical(frame << PAGE_SHIFT | linear & PAGE_MASK) if 0 <= frame < xen.domain.frames else None


def guest_read(xen: Services, linear: Linear, count: int) -> bytes | None:
    """Bytes as the guest would read them, touching nothing."""
    return read_linear(xen.memory, lambda address: translate(xen, address), linear, count)
