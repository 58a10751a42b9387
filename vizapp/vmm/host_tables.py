"""The physical GDT, IDT, TSS and address space of a monitor in ring 0 below deprivileged guests.

All of it lies in host memory and is mapped, as supervisor pages, at the same linear addresses in every
address space that the monitor lets the processor use, so that a trap finds its gate, its stack and its code
wherever it happens:

    base + 00000  stub code, 2 pages        base + 05000  ring-0 stack, its trap frame at the top
    base + 02000  IDT                       base + 10000  GDT, 64 KB: the guest's shadow, then the monitor's
    base + 03000  TSS                       base + 20000  LDT, 64 KB: the guest's shadow

The monitor's own descriptors stand where Xen has them, from entry 7168 on; below is the guest's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32, PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.descriptors import (
    CODE_READ,
    DATA_READ_WRITE,
    DESCRIPTOR_BYTES,
    INTERRUPT_GATE_32,
    TSS_32,
    TSS_BYTES,
    TSS_ESP0,
    TSS_IO_MAP,
    TSS_SS0,
    Descriptor,
    Gate,
    pack,
    pack_gate,
    segment,
    system_segment,
    to_bytes,
)
from vizapp.isa.descriptors import LDT as LDT_TYPE
from vizapp.isa.paging import PTE_A, PTE_D, PTE_P, PTE_W
from vizapp.vmm import stubs
from vizapp.vmm.trap_frame import FRAME_BYTES, HARDWARE_TOP, TrapFrame

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.vmm.frame_allocator import FrameAllocator

CODE: Final = 0x0000
IDT: Final = 0x2000
TSS: Final = 0x3000
STACK: Final = 0x5000
GDT: Final = 0x1_0000
LDT: Final = 0x2_0000
TABLE_PAGES: Final = 16  # of the GDT and of the LDT: 64 KB, the most that a limit can name

FIRST_RESERVED: Final = 7168
CODE_SELECTOR: Final = 0xE008
DATA_SELECTOR: Final = 0xE010
TSS_SELECTOR: Final = 0xE040
LDT_SELECTOR: Final = 0xE048
STACK_16_SELECTOR: Final = 0xE050  # the ring-0 stack, for the way back to a 16-bit one

_SUPERVISOR: Final = PTE_P | PTE_A
_WRITABLE: Final = _SUPERVISOR | PTE_W | PTE_D


class HostTables:
    """A monitor's tables in host memory, seen at linear address ``base`` (a multiple of 4 MB).

    Attributes:
        base: linear address of the area.
        page_table: the frame of the page table that maps it.
        frame: the trap frame at the top of the ring-0 stack.
    """

    def __init__(
        self,
        memory: PhysicalMemory,
        frames: FrameAllocator,
        base: Linear,
        owner: str = "vmm",
        entry_bytes: int = 4,
    ) -> None:
        self.base = base
        self._memory = memory
        self._entry_bytes = entry_bytes  # of a page-table entry: 8 with PAE
        self.page_table = frames.allocate(owner)
        self._first = {
            CODE: frames.allocate(owner, stubs.CODE_PAGES),
            IDT: frames.allocate(owner),
            TSS: frames.allocate(owner),
            STACK: frames.allocate(owner),
            GDT: frames.allocate(owner, TABLE_PAGES),
            LDT: frames.allocate(owner, TABLE_PAGES),
        }
        self.frame = TrapFrame(memory, HostPhysical(self.physical(STACK) + PAGE_SIZE - FRAME_BYTES))
        self._map()
        self._fill()

    @property
    def directory_entry(self) -> int:
        """What every page directory holds at index ``base >> 22``."""
        return self.page_table << PAGE_SHIFT | _WRITABLE

    @property
    def frame_linear(self) -> Linear:
        """ESP while the monitor runs: the base of the trap frame."""
        return Linear(self.base + STACK + PAGE_SIZE - FRAME_BYTES)

    def physical(self, offset: int) -> HostPhysical:
        """Where one of the areas is in host memory; ``offset`` is one of this module's constants."""
        return HostPhysical(self._first[offset] << PAGE_SHIFT)

    def door(self, offset: int) -> HostPhysical:
        """The host-physical address of one of the doors of ``stubs``."""
        return HostPhysical(self.physical(CODE) + offset)

    def code(self, offset: int) -> Linear:
        """The linear address of one of the exits of ``stubs``."""
        return Linear(self.base + CODE + offset)

    def map(self, linear: Linear, frame: int, flags: int) -> None:
        """Map a further page of the monitor within what the page table of ``base`` covers."""
        self._memory.write(self._entry(linear), self._entry_bytes, frame << PAGE_SHIFT | flags)

    def remap(self, linear: Linear, frame: int | None, flags: int) -> bool:
        """Map a page of the area to another frame, or to none; whether that changes the entry."""
        entry = 0 if frame is None else frame << PAGE_SHIFT | flags
        if self._memory.read(self._entry(linear), self._entry_bytes) == entry:
            return False
        self._memory.write(self._entry(linear), self._entry_bytes, entry)
        return True

    def page(self, offset: int, index: int) -> int:
        """The monitor's own frame of page ``index`` of one of the areas."""
        return self._first[offset] + index

    def set_descriptor(self, index: int, descriptor: Descriptor) -> None:
        """Write one entry of the physical GDT."""
        self.set_raw_descriptor(index, to_bytes(pack(descriptor)))

    def raw_descriptor(self, index: int) -> bytes:
        """The eight bytes of one entry of the physical GDT."""
        return self._memory.dump(
            HostPhysical(self.physical(GDT) + index * DESCRIPTOR_BYTES), DESCRIPTOR_BYTES
        )

    def set_raw_descriptor(self, index: int, raw: bytes) -> None:
        """Write the eight bytes of one entry of the physical GDT."""
        self._memory.load(HostPhysical(self.physical(GDT) + index * DESCRIPTOR_BYTES), raw)

    def set_gate(self, vector: int, *, dpl: int) -> None:
        """Point the gate of ``vector`` at its entry stub; INT n may use it from rings up to ``dpl``."""
        gate = Gate(CODE_SELECTOR, stubs.entry(self.code(0), vector), INTERRUPT_GATE_32, dpl, present=True)
        self._memory.load(
            HostPhysical(self.physical(IDT) + vector * DESCRIPTOR_BYTES), to_bytes(pack_gate(gate))
        )

    def set_exit_stack(self, esp: int) -> None:
        """Prepare ``stubs.EXIT_16`` for a guest with this ESP, whose upper half it will then have."""
        pointer = esp & 0xFFFF_0000 | self.frame_linear & 0xFFFF
        base = self.frame_linear - pointer & M32
        self.set_descriptor(STACK_16_SELECTOR >> 3, segment(base, M32, DATA_READ_WRITE))
        below = self.frame.address + stubs.STACK_POINTER
        self._memory.write(below, 4, pointer)
        self._memory.write(below + 4, 4, STACK_16_SELECTOR)

    def set_ldt_limit(self, limit: int) -> None:
        """Give the physical LDT descriptor a limit in bytes - 1."""
        self.set_descriptor(LDT_SELECTOR >> 3, system_segment(self.base + LDT, limit, LDT_TYPE))

    def _entry(self, linear: Linear) -> HostPhysical:
        index = (linear >> PAGE_SHIFT) % (PAGE_SIZE // self._entry_bytes)
        return HostPhysical((self.page_table << PAGE_SHIFT) + index * self._entry_bytes)

    def _map(self) -> None:
        areas = (
            (CODE, stubs.CODE_PAGES, _SUPERVISOR),
            (IDT, 1, _SUPERVISOR),
            (TSS, 1, _WRITABLE),
            (STACK, 1, _WRITABLE),
            (GDT, TABLE_PAGES, _WRITABLE),  # the processor sets accessed and busy bits here
            (LDT, TABLE_PAGES, _WRITABLE),
        )
        for offset, pages, flags in areas:
            for page in range(pages):
                linear = Linear(self.base + offset + page * PAGE_SIZE)
                self.map(linear, self._first[offset] + page, flags)

    def _fill(self) -> None:
        self._memory.load(self.physical(CODE), stubs.code_pages())
        for vector in range(256):
            self.set_gate(vector, dpl=0)
        self.set_descriptor(CODE_SELECTOR >> 3, segment(0, M32, CODE_READ))
        self.set_descriptor(DATA_SELECTOR >> 3, segment(0, M32, DATA_READ_WRITE))
        self.set_descriptor(TSS_SELECTOR >> 3, system_segment(self.base + TSS, TSS_BYTES - 1, TSS_32))
        self.set_ldt_limit(LDT_PAGES_LIMIT)
        tss = self.physical(TSS)
        self._memory.write(tss + TSS_ESP0, 4, self.frame_linear + HARDWARE_TOP)
        self._memory.write(tss + TSS_SS0, 4, DATA_SELECTOR)
        # The I/O permission bitmap begins beyond the limit: no port is open to rings 1 to 3.
        self._memory.write(tss + TSS_IO_MAP, 2, TSS_BYTES)


LDT_PAGES_LIMIT: Final = TABLE_PAGES * PAGE_SIZE - 1
