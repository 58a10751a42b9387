"""Starts a domain: what Xen's own boot does before its first guest runs."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.descriptors import CODE_READ, DATA_READ_WRITE, segment
from vizapp.isa.paging import PTE_A, PTE_P, PTE_U
from vizapp.isa.registers import EFLAGS_FIXED, EFLAGS_IF
from vizapp.isa.vectors import BP, OF
from vizapp.messages import N_, Message
from vizapp.vmm import ring0, stubs
from vizapp.vmm.base import READABLE
from vizapp.vmm.frame_allocator import FrameAllocator
from vizapp.vmm.host_tables import HostTables
from vizapp.vmm.xen import abi, domain_builder, entries, timekeeping
from vizapp.vmm.xen.domain import Domain
from vizapp.vmm.xen.hypervisor import Hypervisor
from vizapp.vmm.xen.monitor import GUEST, OWNER, XenMonitor
from vizapp.vmm.xen.page_types import PageType, PageTypes

if TYPE_CHECKING:
    from vizapp.machine.image import Image
    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Options

OWN_AREA: Final = Linear(0xFF00_0000)  # the hypervisor's tables, stubs and stack, within its hole
FIRST_FRAME: Final = 0x100  # the first megabyte is the platform's: text screen, BIOS
OVERHEAD: Final = 2 << 20


class Paravirtual:
    """Runs a guest that was ported to the Xen x86-32 interface."""

    name = "paravirtual"
    title = Message(N_("Paravirtual (Xen)"))
    build = "xen"
    claims_equivalence = False

    def host_memory(self, options: Options) -> int:
        """The domain's memory and the hypervisor's own."""
        return (FIRST_FRAME << PAGE_SHIFT) + options.memory + OVERHEAD

    def start(self, pc: Pc, image: Image, options: Options) -> XenMonitor:
        """Build the hypervisor's tables and the domain, and stand before the IRET that enters it."""
        xen, boot = _make_domain(pc, image, options)
        monitor = XenMonitor(xen)
        ring0.enter_protected(pc, xen.tables, boot.page_directory)
        xen.timer.initialize()
        pc.monitor = monitor
        pc.place_of = monitor.place_of
        ring0.open_doors(pc, xen.tables, guest="entered", nested="nested", idle="woken")
        _first_frame(xen, boot)
        ring0.jump(pc, xen.tables, stubs.EXIT)
        return monitor


def _make_domain(pc: Pc, image: Image, options: Options) -> tuple[Hypervisor, domain_builder.Boot]:
    """The hypervisor's frames and tables, and a domain with ``image`` in it, its page directory pinned."""
    frames = FrameAllocator(FIRST_FRAME, pc.memory.frames)
    tables = HostTables(pc.memory, frames, OWN_AREA, OWNER)
    m2p, m2p_table = _machine_to_physical(pc, frames)
    count = options.memory >> PAGE_SHIFT
    domain = Domain(0, frames.allocate(GUEST, count), count, frames.allocate(GUEST))
    pc.memory.load(
        HostPhysical((m2p << PAGE_SHIFT) + domain.first_frame * 4), pack(f"<{count}I", *range(count))
    )
    _flat_segments(tables)
    for vector, ring in ((BP, 3), (OF, 3), (abi.HYPERCALL_VECTOR, 1)):
        tables.set_gate(vector, dpl=ring)

    boot = domain_builder.build(pc.memory, domain, image)
    xen_slots = {
        abi.M2P_START >> 22: m2p_table << PAGE_SHIFT | PTE_P | PTE_U | PTE_A,
        OWN_AREA >> 22: tables.directory_entry,
    }
    types = PageTypes(pc.memory, domain.owns, xen_slots)
    types.take(domain.shared_frame, PageType.WRITABLE)  # the hypervisor's own use: never a page table
    types.pin(boot.page_directory, PageType.L2)
    types.take(boot.page_directory, PageType.L2)  # CR3 is a use of its own
    domain.page_directory = boot.page_directory
    return Hypervisor(pc, tables, frames, domain, types, m2p, options.paths), boot


def _machine_to_physical(pc: Pc, frames: FrameAllocator) -> tuple[int, int]:
    """The machine-to-physical table and the page table that maps it read-only; their first frames."""
    pages = -(-pc.memory.frames * 4 // PAGE_SIZE)
    first = frames.allocate(READABLE, pages)
    table = frames.allocate(OWNER)
    for page in range(pages):
        entry = first + page << PAGE_SHIFT | PTE_P | PTE_U | PTE_A
        pc.memory.write((table << PAGE_SHIFT) + page * 4, 4, entry)
    return first, table


def _flat_segments(tables: HostTables) -> None:
    """The segments that every guest may use: flat, and ending where the hypervisor begins."""
    for selector, kind in (
        (abi.FLAT_RING1_CS, CODE_READ),
        (abi.FLAT_RING1_DS, DATA_READ_WRITE),
        (abi.FLAT_RING3_CS, CODE_READ),
        (abi.FLAT_RING3_DS, DATA_READ_WRITE),
    ):
        tables.set_descriptor(selector >> 3, segment(0, abi.GUEST_LIMIT, kind, selector & 3))


def _first_frame(xen: Hypervisor, boot: domain_builder.Boot) -> None:
    """The trap frame out of which the domain starts, as if it had always been in ring 1, events masked."""
    frame = xen.frame
    frame.set_general((0, 0, 0, 0, boot.stack, 0, boot.start_info, 0))
    frame.set_selectors((abi.FLAT_RING1_DS, abi.FLAT_RING1_CS, abi.FLAT_RING1_DS, abi.FLAT_RING1_DS, 0, 0))
    frame.eip, frame.eflags = boot.entry, EFLAGS_FIXED | EFLAGS_IF
    xen.shared.masked = True
    entries.set_kernel_stack(xen, abi.FLAT_RING1_DS, boot.stack)
    timekeeping.set_period(xen, xen.domain.period)
    timekeeping.write_record(xen)
    timekeeping.set_wall_clock(xen)
    xen.started()
