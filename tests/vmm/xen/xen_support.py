"""Small ported kernels on a PC under the hypervisor, and hypercalls made from outside."""

from __future__ import annotations

import struct
from functools import cache

from vizapp.cost.choice import default_processor
from vizapp.cost.paths import load_paths
from vizapp.cost.processors import load_processor
from vizapp.guest.assembler import assemble
from vizapp.guest.library import build_guest
from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.isa.paging import PTE_P
from vizapp.machine.features import Features
from vizapp.machine.identity import PENTIUM_4, with_large_pages
from vizapp.machine.image import Image
from vizapp.machine.pc import Pc
from vizapp.vmm.base import Hvm, Options, VmOptions
from vizapp.vmm.registry import technique
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.frame_info import FrameInfo, PageType
from vizapp.vmm.xen.hypercalls import call
from vizapp.vmm.xen.paging_format import PLAIN

ENTRIES, FIRST_XEN_SLOT = PLAIN.entries, PLAIN.first_xen_slot
BASE = 0xC000_0000
MEMORY = 8 << 20
PATHS = load_paths("paravirtual").operations()
NUMBER = {name: number for number, name in abi.HYPERCALLS.items()}

# A kernel's start: shared_info mapped, handlers registered, its own stack. Handlers that the body does not
# name save ESP in ``stopped_at`` and their vector in ``vector``, and shut the domain down: the frame stays.
KERNEL = """
        bits 32
        org 0xC0000000
%macro  XEN 1-5
%if %0 > 1
        mov ebx, %2
%endif
%if %0 > 2
        mov ecx, %3
%endif
%if %0 > 3
        mov edx, %4
%endif
%if %0 > 4
        mov esi, %5
%endif
        call hypercall_page + 32 * %1
%endmacro
%macro  STOP 0
        jmp shutdown
%endmacro
%macro  HANDLER 1
handler_%1:
        mov dword [vector], %1
        mov [stopped_at], esp
        STOP
%endmacro
_start: mov esp, stack_top
        mov [start_info], esi
        mov ecx, [esi + 36]
        or ecx, 0x63
        XEN 14, shared_info, ecx, 0, 2
        XEN 0, traps
        XEN 3, 0xE021, stack_top
        XEN 4, 0xE019, upcall, 0xE019, failsafe
        xor eax, eax
"""
REST = """
shutdown:
        XEN 29, 2, poweroff
        HANDLER 3
        HANDLER 6
        HANDLER 13
        HANDLER 14
        HANDLER 0x80
        HANDLER 0x81
%ifndef UPCALL
upcall: mov dword [vector], 0x100
        mov [stopped_at], esp
        STOP
%endif
failsafe:
        mov dx, 0xE021
        mov ds, dx
        mov dword [vector], 0x101
        mov [stopped_at], esp
        STOP
        align 8
%macro  TRAP 2
        db %1, %2
        dw 0xE019
        dd handler_%1
%endmacro
%ifndef GATE_FLAGS
%define GATE_FLAGS 3
%endif
traps:  TRAP 3, 3
        TRAP 6, 0
        TRAP 13, 4
        TRAP 14, 4
        TRAP 0x80, GATE_FLAGS
        TRAP 0x81, 3
        dd 0, 0
start_info: dd 0
vector: dd 0
stopped_at: dd 0
poweroff: dd 0
results: times 16 dd 0
bind:   dd 0, 0, 0
        align 4096
hypercall_page: times 4096 db 0
shared_info: times 4096 db 0
stack:  times 4096 db 0
stack_top:
scratch: times 3 * 4096 db 0
"""
# The ring-3 page is opened, and ring 3 entered at ``application`` by the iret hypercall.
RING_3 = """
        mov edi, [start_info]
        mov edi, [edi + 68]
        mov edx, application
        mov ecx, edx
        sub ecx, 0xC0000000
        shr ecx, 12
        mov ecx, [edi + ecx * 4]
        shl ecx, 12
        or ecx, 0x67
        XEN 14, edx, ecx, 0, 2
        mov eax, 0xE033
        mov ds, ax
        mov es, ax
        push dword 0xE033
        push dword application + 4096
        push dword 0x202
        push dword 0xE02B
        push dword application
        mov eax, 0x1234
        jmp hypercall_page + 32 * 23
"""
APPLICATION = """
        align 4096
application:
"""


@cache
def kernel(body: str, before: str = "", application: str | None = None) -> Image:
    """A kernel with ``body`` after its start; ``application`` is one page of ring 3, which it enters then."""
    source = f"{before}\n{KERNEL}\n{body}\n" + ("" if application is None else RING_3) + REST
    if application is not None:
        source += f"{APPLICATION}\n{application}\n times 4096 - ($ - application) db 0\n"
    assembly = assemble(source, "kernel.asm", bits=32)
    symbols = dict(assembly.symbols)
    return Image(
        "kernel", "xen", ((GuestPhysical(0), assembly.data),), Linear(BASE), virtual_base=Linear(BASE),
        symbols=symbols,
    )  # fmt: skip


library = cache(build_guest)


class Run:
    """A PC with a domain, its events recorded."""

    def __init__(
        self,
        image: Image,
        memory: int = MEMORY,
        name: str = "paravirtual",
        *,
        spare: int = 0,
        slice_cycles: int | None = None,
        features: Features | None = None,
        hvm: str = "",
        nested: bool = False,
        board: Features | None = None,
    ) -> None:
        """``spare`` is memory that is left for other domains, in bytes; ``hvm`` what runs unmodified ones,
        ``board`` a full PC's for those."""
        processor = load_processor(default_processor(hvm, "nested" if nested else "shadow"))
        asked = Hvm(hvm, load_paths(hvm).operations(), nested) if hvm else None
        self.technique = technique(name)
        others = (VmOptions(image, spare, features=board),) if spare else ()
        options = Options(
            memory, PATHS if name == "paravirtual" else {}, others=others, slice_cycles=slice_cycles,
            features=features, hvm=asked,
        )  # fmt: skip
        self.pc = Pc(
            processor.cycles(), self.technique.host_memory(options), processor.hertz,
            with_large_pages(processor.identity() if hvm else PENTIUM_4) if hvm or image.pae else PENTIUM_4,
            features,
        )  # fmt: skip
        self.image = image
        self.prices = processor.cycles()
        self.events = []
        self.pc.listener = self.events.append
        self.monitor = self.technique.start(self.pc, image, options)
        self.pc.marks = image.marks

    @property
    def xen(self):
        return self.monitor.xen

    def run(self, steps: int = 2_000_000) -> Run:
        self.pc.run(max_steps=steps)
        return self

    def until(self, label: str) -> Run:
        """Run to the first instruction at a label, in a guest ring."""
        target = self.image.symbols[label]
        while not (self.pc.cpu.cpl and self.pc.cpu.eip == target):
            assert self.pc.stopped is None
            self.pc.step()
        return self

    @property
    def reason(self) -> str:
        return self.pc.stopped[0] if self.pc.stopped else ""

    @property
    def sentence(self) -> str:
        return self.pc.stopped[1].in_english() if self.pc.stopped else ""

    @property
    def serial(self) -> str:
        return bytes(self.monitor.devices.uart.output).decode("ascii")

    def kinds(self, kind: str) -> list:
        return [event for event in self.events if event.kind == kind]

    def at(self, label: str) -> int:
        return self.image.symbols[label]

    def words(self, where: str | int, count: int = 1) -> tuple[int, ...]:
        """Double words of guest memory at a label or an address."""
        address = self.at(where) if isinstance(where, str) else where
        raw = self.monitor.guest_read(Linear(address), count * 4)
        assert raw is not None
        return struct.unpack(f"<{count}I", raw)

    def word(self, where: str | int) -> int:
        return self.words(where)[0]

    def put(self, where: str | int, data: bytes) -> int:
        """Store bytes in guest memory; the address."""
        address = self.at(where) if isinstance(where, str) else where
        self.xen.space.copy_to(address, data)
        return address

    def call(self, name: str, *arguments: int) -> int:
        """Make a hypercall as the guest would; a negative error as such."""
        result = call(self.xen, NUMBER[name], (*arguments, *[0] * (6 - len(arguments))))
        assert isinstance(result, int)
        return result if result < 1 << 31 else result - (1 << 32)

    def frame_of(self, where: str | int) -> int:
        """The machine frame behind a linear address."""
        host = self.monitor.processor_translate(Linear(self.at(where) if isinstance(where, str) else where))
        assert host is not None
        return host >> 12


def started(body: str = "hlt", **options) -> Run:
    """A kernel that has just come through its start."""
    return Run(kernel(f"ready:\n{body}", **options)).until("ready")


def ending(run: Run) -> tuple:
    """What two runs of one guest must agree on."""
    return (
        run.pc.stopped, run.pc.position, run.pc.instructions, run.pc.meter.cycles, run.serial,
        tuple(event[:7] for event in run.events),
    )  # fmt: skip


def table(memory, frame: int) -> tuple[int, ...]:
    """The entries of a page table."""
    return struct.unpack(f"<{ENTRIES}I", memory.dump(frame << 12, ENTRIES * 4))


def recount(read_table, frames: dict[int, FrameInfo], roots: list[int], owned: dict[int, int]) -> None:
    """Check every count against the tables as they are in memory.

    ``roots`` are uses of directories (CR3), pins aside; ``owned`` uses of writable frames by the hypervisor.
    """
    uses: dict[tuple[int, PageType], int] = {}
    references: dict[int, int] = {}

    def count(frame: int, kind: PageType | None, times: int = 1) -> None:
        references[frame] = references.get(frame, 0) + times
        if kind is not None:
            uses[frame, kind] = uses.get((frame, kind), 0) + times

    for frame in roots:
        count(frame, PageType.L2)
    for frame, times in owned.items():
        count(frame, PageType.WRITABLE, times)
    for frame, info in frames.items():
        if info.pinned:
            count(frame, info.type)
        if not info.uses or info.type not in (PageType.L1, PageType.L2):
            continue
        directory = info.type is PageType.L2
        for entry in read_table(frame)[: FIRST_XEN_SLOT if directory else ENTRIES]:
            if entry & PTE_P:
                kind = PageType.L1 if directory else PageType.WRITABLE if entry & 2 else None
                count(entry >> 12, kind)
    for frame in {*frames, *references}:
        info = frames.get(frame, FrameInfo())
        assert info.references == references.get(frame, 0), f"references of {frame:#x}"
        assert info.uses == uses.get((frame, info.type), 0), f"uses of {frame:#x} as {info.type}"
        others = [kind for (other, kind), times in uses.items() if other == frame and times]
        assert others in ([], [info.type]), f"{frame:#x} is used as {others}"


def recount_machine(run: Run) -> None:
    """``recount`` for a whole domain."""
    xen = run.xen

    recount(
        lambda frame: table(xen.memory, frame),
        xen.types.frames,
        [xen.domain.page_directory],
        {xen.domain.shared_frame: 1},
    )
