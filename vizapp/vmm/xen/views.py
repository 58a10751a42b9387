"""The two truths of a paravirtual domain: little differs, for the guest was told where it is."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, GuestPhysical, HostPhysical, Linear
from vizapp.isa.descriptors import SELECTOR_RPL
from vizapp.isa.registers import CR0_TS, CS, ECX, EFLAGS_IF, ESP, SS
from vizapp.messages import N_, Message
from vizapp.vmm import stubs
from vizapp.vmm.host_tables import DATA_SELECTOR
from vizapp.vmm.processor_view import cpu_view, general, read_linear
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.domain import NO_TABLE

if TYPE_CHECKING:
    from vizapp.vmm.base import CpuView
    from vizapp.vmm.trap_frame import SavedRegisters
    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor

_LIVE: Final = Message(N_("in the processor"))
_SAVED: Final = Message(N_("in the hypervisor's trap frame"))
_AWAY: Final = Message(N_("saved by the hypervisor, for another domain has the processor"))
_NOT_YET: Final = Message(N_("nowhere yet: the domain has been given no virtual CPU"))
_GUEST: Final = Message(N_("in shared_info, and in the processor as it is"))


def processor_view(xen: Hypervisor, domain: Domain) -> CpuView:
    """What the processor holds for a guest: live, in the trap frame, or where its domain was put away."""
    cpu = xen.pc.cpu
    if domain is not xen.domain:
        live = cpu_view(cpu, _AWAY if domain.registers is not None else _NOT_YET)
        saved = domain.registers or xen.frame.read()._replace(**dict.fromkeys(_REGISTERS, 0))
        return _of_frame(xen, live, saved)._replace(
            control=(
                live.control[0] & ~CR0_TS | (CR0_TS if domain.task_switched else 0),
                0,
                live.control[2],
                max(domain.page_directory, 0) << PAGE_SHIFT,
                live.control[4],
            )
        )
    frame = xen.frame.read()
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
    return _of_frame(xen, live, frame)._replace(general=registers, selectors=selectors)


def _of_frame(xen: Hypervisor, live: CpuView, frame: SavedRegisters) -> CpuView:
    return live._replace(
        general=frame.general,
        eip=frame.eip,
        eflags=frame.eflags,
        selectors=frame.selectors,
        cpl=frame.cs & SELECTOR_RPL,
        limits=(xen.format.guest_limit,) * 6,  # of all segments that a guest has unless it made others
    )


def guest_view(xen: Hypervisor, domain: Domain) -> CpuView:
    """What a ported kernel goes by: its ring as it is, and the upcall mask for an interrupt flag."""
    held = processor_view(xen, domain)
    shared = xen.shared_of(domain)
    cr0 = held.control[0] & ~CR0_TS | (CR0_TS if domain.task_switched else 0)
    cr2, cr3 = shared.read(abi.VCPU_CR2, 4), max(domain.page_directory, 0) << PAGE_SHIFT
    flags = held.eflags & ~EFLAGS_IF | (0 if shared.masked else EFLAGS_IF)
    return held._replace(eflags=flags, control=(cr0, 0, cr2, cr3, held.control[4]), where=_GUEST)


def translate(xen: Hypervisor, domain: Domain, linear: Linear) -> HostPhysical | None:
    """Where a guest's tables, which are the processor's, put a linear address."""
    if domain.page_directory == NO_TABLE:
        return None
    return xen.format.translate(xen.memory, domain.page_directory, linear)


def guest_translate(xen: Hypervisor, domain: Domain, linear: Linear) -> GuestPhysical | None:
    """The pseudo-physical address behind a linear one; None for what is not the domain's memory."""
    machine = translate(xen, domain, linear)
    if machine is None:
        return None
    frame = machine >> PAGE_SHIFT
    if xen.types.owner(frame) != domain.id or frame == domain.shared_frame or frame in domain.grants:
        return None
    return GuestPhysical(xen.pseudo_physical(frame) << PAGE_SHIFT | linear & PAGE_MASK)


def guest_read(xen: Hypervisor, domain: Domain, linear: Linear, count: int) -> bytes | None:
    """Bytes as the guest would read them, touching nothing."""
    return read_linear(xen.memory, lambda address: translate(xen, domain, address), linear, count)


class PseudoPhysical:
    """Where each pseudo-physical frame of a domain is: the machine-to-physical table read backwards.

    It is made anew when the table or the domain's memory has changed since it was last asked.
    """

    def __init__(self, xen: Hypervisor) -> None:
        self._xen = xen
        self._made: dict[int, tuple[bytes, int, dict[int, int]]] = {}

    def of(self, domain: Domain) -> dict[int, int]:
        """Pseudo-physical frame to machine frame."""
        xen = self._xen
        table = xen.memory.dump(HostPhysical(xen.m2p << PAGE_SHIFT), xen.memory.frames * 4)
        known = self._made.get(domain.index)
        if known is not None and known[0] == table and known[1] == domain.pages:
            return known[2]
        numbers = array("I", table)
        special = {domain.shared_frame, *domain.grants}
        found = {numbers[frame]: frame for frame in xen.types.owned_by(domain.id) if frame not in special}
        self._made[domain.index] = table, domain.pages, found
        return found


_REGISTERS: Final = (
    "ebx", "ecx", "edx", "esi", "edi", "ebp", "eax", "eip", "cs", "eflags", "esp", "ss",
    "es", "ds", "fs", "gs",
)  # fmt: skip
