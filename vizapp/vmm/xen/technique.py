"""Starts the initial domain: what Xen's own boot does before its first guest runs."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.descriptors import CODE_READ, DATA_READ_WRITE, segment
from vizapp.isa.paging import PTE_A, PTE_P, PTE_U
from vizapp.isa.registers import CR4_PAE, EFLAGS_FIXED, EFLAGS_IF
from vizapp.isa.vectors import BP, OF
from vizapp.messages import N_, Message
from vizapp.vmm import registry, ring0, stubs
from vizapp.vmm.base import READABLE
from vizapp.vmm.frame_allocator import FrameAllocator
from vizapp.vmm.hardware_assisted.technique import HardwareAssisted
from vizapp.vmm.host_tables import HostTables
from vizapp.vmm.virtual_machine import owner_of
from vizapp.vmm.xen import (
    abi,
    domain_builder,
    entries,
    guest_ports,
    lifecycle,
    physical_irqs,
    runstate,
    switching,
    timekeeping,
)
from vizapp.vmm.xen.hvm import support
from vizapp.vmm.xen.hypervisor import Frames, Hypervisor
from vizapp.vmm.xen.monitor import OWNER, XenMonitor
from vizapp.vmm.xen.page_types import PageTypes
from vizapp.vmm.xen.paging_format import PAE, PLAIN

if TYPE_CHECKING:
    from vizapp.machine.image import Image
    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Hvm, Options
    from vizapp.vmm.xen.paging_format import Format

OWN_AREA: Final = Linear(0xFF00_0000)  # the hypervisor's tables, stubs and stack, within its hole
FIRST_FRAME: Final = 0x100  # the first megabyte is the platform's: text screen, BIOS
LOW_DEVICES: Final = range(0xA0, 0x100)  # frames of the text screen and the BIOS
GUEST: Final = owner_of(0)
OVERHEAD: Final = 2 << 20


class Paravirtual:
    """Runs guests that were ported to the Xen x86-32 interface."""

    name = "paravirtual"
    title = Message(N_("Paravirtual (Xen)"))
    build = "xen"
    claims_equivalence = False

    def host_memory(self, options: Options) -> int:
        """The domains' memory and the hypervisor's own."""
        memory = (FIRST_FRAME << PAGE_SHIFT) + options.all_memory + OVERHEAD
        if options.hvm is None:
            return memory
        return memory + (support.pages_needed(_vendor(options.hvm), options) << PAGE_SHIFT)

    def start(self, pc: Pc, image: Image, options: Options) -> XenMonitor:
        """Build the hypervisor's tables and the initial domain, and stand before the IRET that enters it.

        The other domains' memory is free, and their images are the initial domain's business.
        """
        xen, boot = _make_domain(pc, image, options)
        xen.names = tuple((vm.name or owner_of(i), vm.weight) for i, vm in enumerate(options.machines(image)))
        monitor = XenMonitor(xen, xen.names)
        ring0.enter_protected(pc, xen.tables, boot.page_directory, CR4_PAE if image.pae else 0)
        if options.hvm is not None and not image.pae:  # nested paging takes host tables of 32-bit entries
            xen.hvm = support.HvmSupport(xen, _vendor(options.hvm), options.hvm)
        xen.timer.initialize()
        pc.monitor = monitor
        pc.place_of = monitor.place_of
        pc.awaited_inputs = monitor.awaited_inputs
        pc.give_input = monitor.take_input
        ring0.open_doors(pc, xen.tables, guest="entered", nested="nested", idle="woken")
        _first_frame(xen, boot)
        if xen.hvm is None:
            ring0.jump(pc, xen.tables, stubs.EXIT)
        else:
            xen.hvm.begin()
        return monitor


def _vendor(hvm: Hvm) -> HardwareAssisted:
    """What runs unmodified guests."""
    vendor = registry.technique(hvm.technique)
    assert isinstance(vendor, HardwareAssisted)
    return vendor


def _make_domain(pc: Pc, image: Image, options: Options) -> tuple[Hypervisor, domain_builder.Boot]:
    """The hypervisor's frames and tables, and a domain with ``image`` in it, its tables pinned."""
    form = PAE if image.pae else PLAIN
    allocator = FrameAllocator(FIRST_FRAME, pc.memory.frames)
    tables = HostTables(pc.memory, allocator, OWN_AREA, OWNER, form.entry_bytes)
    m2p, m2p_table = _machine_to_physical(pc, form, allocator)
    _flat_segments(tables, form)
    for vector, ring in ((BP, 3), (OF, 3), (abi.HYPERCALL_VECTOR, 1)):
        tables.set_gate(vector, dpl=ring)
    slots = {
        form.hole: m2p_table << PAGE_SHIFT | PTE_P | PTE_U | PTE_A,
        OWN_AREA: tables.directory_entry,
    }
    xen_slots = {(at >> form.directory_shift) % form.entries: entry for at, entry in slots.items()}
    types = PageTypes(pc.memory, form, xen_slots)
    xen = Hypervisor(pc, tables, form, Frames(allocator, m2p), types, options)
    types.on_free = lambda frame: lifecycle.freed(xen, frame)
    types.has_device = lambda domain, frame: _has_device(xen, domain, frame)

    count = options.memory >> PAGE_SHIFT
    first = allocator.allocate(GUEST, count)
    domain = lifecycle.create(xen, 0, options.name, options.weight)
    assert domain is not None
    domain.privileged = domain.ready = True
    domain.pages = count
    domain.max_pages = options.all_memory >> PAGE_SHIFT
    for index in range(count):
        types.owners[first + index] = domain.id
    pc.memory.load(HostPhysical((m2p << PAGE_SHIFT) + first * 4), pack(f"<{count}I", *range(count)))
    if pc.board.peripherals is not None:
        # Whoever has devices to drive gets them all: ports, their frames below 1 MB, and their lines.
        domain.ports, domain.devices = guest_ports.all_but_own(), (LOW_DEVICES,)
        domain.lines = tuple(line for line in range(physical_irqs.LINES) if line not in physical_irqs.OWN)
    xen.make_current(domain)
    frames = range(first, first + count)
    boot = domain_builder.build(pc.memory, form, frames, domain.shared_frame, image)
    types.pin(boot.page_directory, types.top, domain.id)
    types.take(boot.page_directory, types.top, domain.id)  # CR3 is a use of its own
    domain.page_directory = boot.page_directory
    return xen, boot


def _has_device(xen: Hypervisor, number: int, frame: int) -> bool:
    domain = xen.by_id(number)
    return domain is not None and any(frame in part for part in domain.devices)


def _machine_to_physical(pc: Pc, form: Format, frames: FrameAllocator) -> tuple[int, int]:
    """The machine-to-physical table and the page table that maps it read-only; their first frames."""
    pages = -(-pc.memory.frames * 4 // PAGE_SIZE)
    first = frames.allocate(READABLE, pages)
    table = frames.allocate(OWNER)
    for page in range(pages):
        entry = first + page << PAGE_SHIFT | PTE_P | PTE_U | PTE_A
        pc.memory.write((table << PAGE_SHIFT) + page * form.entry_bytes, form.entry_bytes, entry)
    return first, table


def _flat_segments(tables: HostTables, form: Format) -> None:
    """The segments that every guest may use: flat, and ending where the hypervisor begins."""
    for selector, kind in (
        (abi.FLAT_RING1_CS, CODE_READ),
        (abi.FLAT_RING1_DS, DATA_READ_WRITE),
        (abi.FLAT_RING3_CS, CODE_READ),
        (abi.FLAT_RING3_DS, DATA_READ_WRITE),
    ):
        tables.set_descriptor(selector >> 3, segment(0, form.guest_limit, kind, selector & 3))


def _first_frame(xen: Hypervisor, boot: domain_builder.Boot) -> None:
    """The trap frame out of which the domain starts, as if it had always been in ring 1, events masked."""
    frame, domain = xen.frame, xen.domain
    frame.set_general((0, 0, 0, 0, boot.stack, 0, boot.start_info, 0))
    frame.set_selectors((abi.FLAT_RING1_DS, abi.FLAT_RING1_CS, abi.FLAT_RING1_DS, abi.FLAT_RING1_DS, 0, 0))
    frame.eip, frame.eflags = boot.entry, EFLAGS_FIXED | EFLAGS_IF
    xen.shared.masked = True
    entries.set_kernel_stack(xen, abi.FLAT_RING1_DS, boot.stack)
    xen.scheduler.wake(domain.index, 0)
    timekeeping.set_period(xen, domain, domain.period)
    timekeeping.write_record(xen, domain)
    timekeeping.set_wall_clock(xen, domain)
    switching.take_processor(xen, domain)
    runstate.update(xen, domain)
    xen.started()
