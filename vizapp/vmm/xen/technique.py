"""Starts a domain: what Xen's own boot does before its first guest runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.descriptors import CODE_READ, DATA_READ_WRITE, segment
from vizapp.isa.paging import PTE_A, PTE_P, PTE_U
from vizapp.isa.registers import EFLAGS_FIXED, EFLAGS_IF
from vizapp.isa.vectors import BP, OF
from vizapp.messages import N_, Message
from vizapp.vmm import ring0, stubs
from vizapp.vmm.base import Devices, Options, Ownership
from vizapp.vmm.frame_allocator import FrameAllocator, FrameRange
from vizapp.vmm.host_tables import HostTables
from vizapp.vmm.physical_timer import LINES
from vizapp.vmm.stage import StageWorld, deprivileged_stage
from vizapp.vmm.xen import abi, domain_builder, views
from vizapp.vmm.xen.domain import Domain
from vizapp.vmm.xen.hypervisor import Hypervisor
from vizapp.vmm.xen.page_types import PageType
from vizapp.vmm.xen.services import PLACES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vizapp.isa.addresses import GuestPhysical
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.image import Image
    from vizapp.machine.pc import Pc
    from vizapp.machine.places import Place
    from vizapp.vmm.base import CpuView

OWN_AREA: Final = Linear(0xFF00_0000)  # the hypervisor's tables, stubs and stack, within its hole
FIRST_FRAME: Final = 0x100  # the first megabyte is the platform's: text screen, BIOS
OVERHEAD: Final = 2 << 20
DOMAIN: Final = "vm0"
OWN: Final = "vmm"
READABLE: Final = "readable"  # the machine-to-physical table, which every guest may read


class XenMonitor(Hypervisor):
    """The hypervisor with one domain, as the session sees any monitor."""

    @property
    def devices(self) -> Devices:
        """The machine's own: the hypervisor drives the serial port, and shows guests no device."""
        return Devices(self.pc.pic, self.pc.pit, self.pc.uart, self.pc.screen)

    def place_of(self, cpu: Cpu) -> Place:
        """Ring 0 is the hypervisor, ring 1 the guest kernel, ring 3 applications."""
        return PLACES[cpu.cpl]

    def stage(self) -> tuple[StageWorld, ...]:
        """Xen in ring 0, the ported kernel in ring 1."""
        return deprivileged_stage(Message(N_("Xen")))

    def guest_view(self) -> CpuView:
        """The processor as the ported kernel understands it."""
        return views.guest_view(self)

    def processor_view(self) -> CpuView:
        """What the processor holds for the guest."""
        return views.processor_view(self)

    def guest_translate(self, linear: Linear) -> GuestPhysical | None:
        """Pseudo-physical."""
        return views.guest_translate(self, linear)

    def processor_translate(self, linear: Linear) -> HostPhysical | None:
        """Machine."""
        return views.translate(self, linear)

    def guest_physical(self, address: GuestPhysical) -> HostPhysical | None:
        """Machine address of a pseudo-physical one."""
        inside = address >> PAGE_SHIFT < self.domain.frames
        return self.domain.to_machine(address) if inside else None

    def guest_read(self, linear: Linear, count: int) -> bytes | None:
        """What the guest would read."""
        return views.guest_read(self, linear, count)

    def ownership(self) -> Ownership:
        """Frames by the allocator's books; every port and interrupt line is the hypervisor's."""
        return Ownership(
            (FrameRange(0, FIRST_FRAME, OWN), *self.frames.ranges()),
            ((0, 0xFFFF, OWN),),
            tuple((line, OWN) for line in LINES),
        )


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
        frames = FrameAllocator(FIRST_FRAME, pc.memory.frames)
        tables = HostTables(pc.memory, frames, OWN_AREA)
        m2p, m2p_table = _machine_to_physical(pc, frames)
        xen_slots = {
            abi.M2P_START >> 22: m2p_table << PAGE_SHIFT | PTE_P | PTE_U | PTE_A,
            OWN_AREA >> 22: tables.directory_entry,
        }
        count = options.memory >> PAGE_SHIFT
        domain = Domain(0, frames.allocate(DOMAIN, count), count, frames.allocate(DOMAIN))
        for pfn in range(count):
            pc.memory.write((m2p << PAGE_SHIFT) + (domain.first_frame + pfn) * 4, 4, pfn)
        _flat_segments(tables)
        for vector, ring in ((BP, 3), (OF, 3), (abi.HYPERCALL_VECTOR, 1)):
            tables.set_gate(vector, dpl=ring)

        boot = domain_builder.build(pc.memory, domain, image)
        monitor = XenMonitor(pc, tables, frames, domain, xen_slots, m2p, options.paths)
        monitor.types.pin(boot.page_directory, PageType.L2)
        monitor.types.take(boot.page_directory, PageType.L2)  # CR3 is a use of its own
        # Until here the clock stood still: a loader is not what is measured.
        monitor.types.charge = monitor.pay_entries
        domain.page_directory = boot.page_directory
        domain.kernel_esp = boot.stack
        monitor.shared.masked = True

        ring0.enter_protected(pc, tables, boot.page_directory)
        monitor.timer.initialize()
        pc.monitor = monitor
        pc.place_of = monitor.place_of
        ring0.open_doors(pc, tables, guest="entered", nested="nested", idle="woken")
        _first_frame(monitor, boot)
        ring0.jump(pc, tables, stubs.EXIT)
        return monitor


def _machine_to_physical(pc: Pc, frames: FrameAllocator) -> tuple[int, int]:
    """The machine-to-physical table and the page table that maps it read-only; their first frames."""
    pages = -(-pc.memory.frames * 4 // PAGE_SIZE)
    first = frames.allocate(READABLE, pages)
    table = frames.allocate(OWN)
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


def _first_frame(monitor: Hypervisor, boot: domain_builder.Boot) -> None:
    """The trap frame out of which the domain starts: as if it had always been in ring 1."""
    frame: Mapping[str, int] = {
        "eip": boot.entry, "cs": abi.FLAT_RING1_CS, "eflags": EFLAGS_FIXED | EFLAGS_IF,
        "ss": abi.FLAT_RING1_DS, "ds": abi.FLAT_RING1_DS, "es": abi.FLAT_RING1_DS,
    }  # fmt: skip
    monitor.frame.set_general((0, 0, 0, 0, boot.stack, 0, boot.start_info, 0))
    for name, value in frame.items():
        setattr(monitor.frame, name, value)
    monitor.set_period(monitor.domain.period)
    monitor.update_time()
