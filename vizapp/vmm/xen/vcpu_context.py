"""The context of a virtual CPU as a structure: what a builder gives a new domain to start from.

Source: Xen's public header arch-x86/xen.h (vcpu_guest_context); Xen 3.1, arch/x86/domain.c
(arch_set_info_guest).
"""

from __future__ import annotations

from struct import Struct, pack_into, unpack_from
from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_MASK
from vizapp.isa.descriptors import DESCRIPTOR_BYTES
from vizapp.isa.registers import CR0_TS, EFLAGS_FIXED, EFLAGS_IF, EFLAGS_IOPL, EFLAGS_VM
from vizapp.vmm.trap_frame import FRAME_LAYOUT, SavedRegisters
from vizapp.vmm.xen import abi, segment_tables, timekeeping
from vizapp.vmm.xen import control_abi as c
from vizapp.vmm.xen.descriptors import PER_PAGE
from vizapp.vmm.xen.domain import NO_TABLE, Entry
from vizapp.vmm.xen.frame_info import RefusedError
from vizapp.vmm.xen.segment_tables import MOST_ENTRIES
from vizapp.vmm.xen.selectors import deprivileged

if TYPE_CHECKING:
    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hvm.vm import HvmVm
    from vizapp.vmm.xen.hypervisor import Hypervisor

_TRAP: Final = Struct("<BBHI")
_VECTORS: Final = 256


def take(xen: Hypervisor, domain: Domain, raw: bytes) -> int:
    """Give a domain that does not run a context; its first one makes it ready. 0 or a negative error."""
    if domain is xen.domain:
        return -abi.EINVAL
    ldt, entries = unpack_from("<2I", raw, c.CTX_LDT_BASE)
    gdt_entries, selector, stack = unpack_from("<3I", raw, c.CTX_GDT_ENTRIES)
    gdt = unpack_from("<16I", raw, c.CTX_GDT_FRAMES)[: -(-gdt_entries // PER_PAGE)]
    if ldt & PAGE_MASK or entries > MOST_ENTRIES or ldt + entries * DESCRIPTOR_BYTES > xen.format.hole:
        return -abi.EINVAL
    if gdt_entries > abi.FIRST_RESERVED_GDT_ENTRY:
        return -abi.EINVAL
    if not domain.ready:
        root = c.frame_of(unpack_from("<I", raw, c.CTX_CONTROL + 12)[0])
        try:
            segment_tables.set_gdt(xen, domain, gdt, gdt_entries)
            xen.types.take(root, xen.types.top, domain.id)
        except RefusedError as refusal:
            xen.refused("setvcpucontext", refusal)
            return -abi.EINVAL
        domain.page_directory = root
        domain.assists = unpack_from("<I", raw, c.CTX_VM_ASSIST)[0]
    segment_tables.set_ldt(xen, domain, ldt, entries)
    _registers(domain, raw)
    domain.traps = _traps(raw)
    domain.kernel_ss, domain.kernel_esp = deprivileged(selector & 0xFFFF), stack
    domain.event_callback = _callback(raw, c.CTX_EVENT_CALLBACK)
    domain.failsafe_callback = _callback(raw, c.CTX_FAILSAFE_CALLBACK)
    domain.task_switched = bool(unpack_from("<I", raw, c.CTX_CONTROL)[0] & CR0_TS)
    debug = unpack_from("<8I", raw, c.CTX_DEBUG)
    if all(address <= xen.format.guest_limit for address in debug[:4]):
        domain.debug = (*debug[:4], 0, 0, debug[6] or domain.debug[6], debug[7] or domain.debug[7])
    domain.down = False
    if not domain.ready:
        domain.ready = True
        timekeeping.set_period(xen, domain, domain.period)
        if domain.runnable:
            xen.scheduler.wake(domain.index, xen.pc.meter.cycles)
    return 0


def take_hvm(xen: Hypervisor, vm: HvmVm, raw: bytes) -> int:
    """Give an HVM domain that does not run its general registers; the first context makes it ready."""
    domain = vm.domain
    if domain is xen.domain or domain.hvm is None or not domain.hvm.port:
        return -abi.EINVAL
    saved = SavedRegisters(*FRAME_LAYOUT.unpack_from(raw, c.CTX_USER_REGS))
    vm.set_context(saved, unpack_from("<I", raw, c.CTX_CONTROL)[0])
    if not domain.ready:
        domain.ready = True
        if domain.runnable:
            xen.scheduler.wake(domain.index, xen.pc.meter.cycles)
    return 0


def give(xen: Hypervisor, domain: Domain) -> bytes:
    """The context of a domain that is not the current one."""
    raw = bytearray(c.CONTEXT_BYTES)
    assert domain.registers is not None
    flags = c.VGCF_ONLINE | (c.VGCF_IN_KERNEL if domain.registers.cs & 3 == 1 else 0)
    pack_into("<I", raw, c.CTX_FLAGS, flags)
    FRAME_LAYOUT.pack_into(raw, c.CTX_USER_REGS, *domain.registers)
    for vector, entry in domain.traps.items():
        _TRAP.pack_into(
            raw, c.CTX_TRAPS + vector * _TRAP.size, vector, entry.flags, entry.selector, entry.offset
        )
    pack_into("<2I", raw, c.CTX_LDT_BASE, *domain.ldt)
    pack_into(f"<{len(domain.gdt)}I", raw, c.CTX_GDT_FRAMES, *domain.gdt)
    pack_into("<3I", raw, c.CTX_GDT_ENTRIES, domain.gdt_entries, domain.kernel_ss, domain.kernel_esp)
    control = xen.pc.cpu.cr0 & ~CR0_TS | (CR0_TS if domain.task_switched else 0)
    root = 0 if domain.page_directory == NO_TABLE else c.cr3_of(domain.page_directory)
    cr2 = xen.shared_of(domain).read(abi.VCPU_CR2, 4)
    pack_into("<5I", raw, c.CTX_CONTROL, control, 0, cr2, root, xen.pc.cpu.cr4)
    pack_into("<8I", raw, c.CTX_DEBUG, *domain.debug)
    for callback, offset in (
        (domain.event_callback, c.CTX_EVENT_CALLBACK), (domain.failsafe_callback, c.CTX_FAILSAFE_CALLBACK),
    ):  # fmt: skip
        if callback is not None:
            pack_into("<2I", raw, offset, callback.selector, callback.offset)
    pack_into("<I", raw, c.CTX_VM_ASSIST, domain.assists)
    return bytes(raw)


def _registers(domain: Domain, raw: bytes) -> None:
    saved = SavedRegisters(*FRAME_LAYOUT.unpack_from(raw, c.CTX_USER_REGS))
    # The processor's IOPL stays 0, and real interrupts stay on, in every guest.
    domain.iopl = (saved.eflags & EFLAGS_IOPL) >> 12
    flags = saved.eflags & ~(EFLAGS_IOPL | EFLAGS_VM) | EFLAGS_IF | EFLAGS_FIXED
    domain.registers = saved._replace(
        cs=deprivileged(saved.cs), ss=deprivileged(saved.ss), eflags=flags, error_code=0, entry_vector=0
    )


def _traps(raw: bytes) -> dict[int, Entry]:
    traps = {}
    for index in range(_VECTORS):
        _, flags, selector, address = _TRAP.unpack_from(raw, c.CTX_TRAPS + index * _TRAP.size)
        if address:
            traps[index] = Entry(deprivileged(selector), address, flags)
    return traps


def _callback(raw: bytes, offset: int) -> Entry | None:
    selector, address = unpack_from("<2I", raw, offset)
    return Entry(deprivileged(selector & 0xFFFF), address) if address else None
