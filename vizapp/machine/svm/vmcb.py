"""The virtual machine control block: one table of its fields, and a block read from and written to memory.

    000 ┌────────────────────────┐
        │ control area           │  what is intercepted; what the last #VMEXIT was; what to inject
    400 ├────────────────────────┤
        │ state save area        │  the guest's registers
    1000└────────────────────────┘

APM Vol. 2, appendix "Layout of VMCB".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.addresses import PAGE_SIZE, HostPhysical
from vizapp.messages import N_

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.segments import SegmentState

INTERCEPTS, CONTROL, EXIT, SEGMENTS, REGISTERS, CALLS = (
    "intercepts", "control", "exit", "segments", "registers", "calls"
)  # fmt: skip
GROUPS: Final = {
    INTERCEPTS: N_("Intercepts"),
    CONTROL: N_("Control of the guest"),
    EXIT: N_("The last exit"),
    SEGMENTS: N_("Segment and table registers"),
    REGISTERS: N_("Control, debug and general registers"),
    CALLS: N_("System calls and debugging"),
}
"""The groups of fields, with their titles."""

SEGMENT_BYTES: Final = 16
STATE: Final = 0x400
"""Where the state save area begins."""


class Field(NamedTuple):
    """A field: its name, its offset from the block's first byte, its width in bytes, its group, and what it
    is, for people."""

    name: str
    offset: int
    width: int
    group: str
    gloss: str


SEGMENT_OFFSETS: Final = {
    "es": 0x000, "cs": 0x010, "ss": 0x020, "ds": 0x030, "fs": 0x040, "gs": 0x050,
    "gdtr": 0x060, "ldtr": 0x070, "idtr": 0x080, "tr": 0x090,
}  # fmt: skip
"""Of the state save area: selector, attributes, limit and base of each."""


def _segment_fields() -> tuple[Field, ...]:
    fields = []
    for name, offset in SEGMENT_OFFSETS.items():
        at = STATE + offset
        if name not in ("gdtr", "idtr"):
            fields.append(Field(f"{name}.selector", at, 2, SEGMENTS, N_("selector")))
            fields.append(
                Field(f"{name}.attributes", at + 2, 2, SEGMENTS, N_("type, DPL, P, AVL, L, D and G"))
            )
        fields.append(Field(f"{name}.limit", at + 4, 4, SEGMENTS, N_("limit in bytes")))
        fields.append(Field(f"{name}.base", at + 8, 8, SEGMENTS, N_("linear base")))
    return tuple(fields)


FIELDS: Final[tuple[Field, ...]] = (
    Field(
        "intercept_cr", 0x000, 4, INTERCEPTS, N_("reads (bits 0-15) and writes (16-31) of control registers")
    ),
    Field(
        "intercept_dr", 0x004, 4, INTERCEPTS, N_("reads (bits 0-15) and writes (16-31) of debug registers")
    ),
    Field("intercept_exceptions", 0x008, 4, INTERCEPTS, N_("exceptions, a bit each vector")),
    Field("intercept_misc1", 0x00C, 4, INTERCEPTS, N_("interrupts and instructions, first word")),
    Field("intercept_misc2", 0x010, 4, INTERCEPTS, N_("SVM's own instructions and others, second word")),
    Field("pause_filter_count", 0x03E, 2, INTERCEPTS, N_("PAUSEs that pass before one is intercepted")),
    Field("iopm_base_pa", 0x040, 8, INTERCEPTS, N_("where the map of intercepted ports is")),
    Field("msrpm_base_pa", 0x048, 8, INTERCEPTS, N_("where the map of intercepted MSRs is")),
    Field("tsc_offset", 0x050, 8, CONTROL, N_("added to the time stamp counter")),
    Field("guest_asid", 0x058, 4, CONTROL, N_("address space identifier of the guest; the host's is 0")),
    Field("tlb_control", 0x05C, 1, CONTROL, N_("what VMRUN flushes: 0 nothing, 1 all, 3 this ASID")),
    Field("v_intr", 0x060, 4, CONTROL, N_("V_TPR, V_IRQ, its priority, V_INTR_MASKING")),
    Field("v_intr_vector", 0x064, 4, CONTROL, N_("vector of the virtual interrupt")),
    Field("interrupt_shadow", 0x068, 4, CONTROL, N_("the guest is in an interrupt shadow")),
    Field("exitcode", 0x070, 8, EXIT, N_("why the guest was left")),
    Field("exitinfo1", 0x078, 8, EXIT, N_("what the exit code comes with")),
    Field("exitinfo2", 0x080, 8, EXIT, N_("what the exit code comes with, second word")),
    Field("exitintinfo", 0x088, 8, EXIT, N_("the event that was being delivered")),
    Field("np_enable", 0x090, 8, CONTROL, N_("nested paging is on")),
    Field("eventinj", 0x0A8, 8, CONTROL, N_("the event that VMRUN injects")),
    Field("n_cr3", 0x0B0, 8, CONTROL, N_("root of the nested page tables")),
    Field("lbr_virtualization", 0x0B8, 8, CONTROL, N_("last-branch records are the guest's own")),
    Field("clean", 0x0C0, 4, CONTROL, N_("what has not changed since the last VMRUN")),
    Field("nrip", 0x0C8, 8, EXIT, N_("address of the next instruction")),
    Field("fetched_bytes", 0x0D0, 1, EXIT, N_("how many instruction bytes follow")),
    Field("instruction_bytes", 0x0D1, 15, EXIT, N_("bytes of the intercepted instruction")),
    *_segment_fields(),
    Field("cpl", STATE + 0x0CB, 1, REGISTERS, N_("current privilege level")),
    Field("efer", STATE + 0x0D0, 8, REGISTERS, N_("extended features; SVME must be set")),
    Field("cr4", STATE + 0x148, 8, REGISTERS, N_("control register")),
    Field("cr3", STATE + 0x150, 8, REGISTERS, N_("root of the page tables")),
    Field("cr0", STATE + 0x158, 8, REGISTERS, N_("control register")),
    Field("dr7", STATE + 0x160, 8, REGISTERS, N_("debug control")),
    Field("dr6", STATE + 0x168, 8, REGISTERS, N_("debug status")),
    Field("rflags", STATE + 0x170, 8, REGISTERS, N_("flags")),
    Field("rip", STATE + 0x178, 8, REGISTERS, N_("instruction pointer")),
    Field("rsp", STATE + 0x1D8, 8, REGISTERS, N_("stack pointer")),
    Field("rax", STATE + 0x1F8, 8, REGISTERS, N_("accumulator; software moves the other registers")),
    Field("star", STATE + 0x200, 8, CALLS, N_("selectors of SYSCALL")),
    Field("lstar", STATE + 0x208, 8, CALLS, N_("target of SYSCALL in 64-bit mode")),
    Field("cstar", STATE + 0x210, 8, CALLS, N_("target of SYSCALL in compatibility mode")),
    Field("sfmask", STATE + 0x218, 8, CALLS, N_("flags that SYSCALL clears")),
    Field("kernel_gs_base", STATE + 0x220, 8, CALLS, N_("what SWAPGS exchanges")),
    Field("sysenter_cs", STATE + 0x228, 8, CALLS, N_("code segment of SYSENTER")),
    Field("sysenter_esp", STATE + 0x230, 8, CALLS, N_("stack pointer of SYSENTER")),
    Field("sysenter_eip", STATE + 0x238, 8, CALLS, N_("target of SYSENTER")),
    Field("cr2", STATE + 0x240, 8, REGISTERS, N_("address of the last page fault")),
    Field("g_pat", STATE + 0x268, 8, REGISTERS, N_("memory types of the guest, with nested paging")),
    Field("dbgctl", STATE + 0x270, 8, CALLS, N_("control of branch records")),
)
"""Every field, by offset."""

BY_NAME: Final = {field.name: field for field in FIELDS}


_FORMATS: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
# Segment registers are taken whole.
_NUMBERS: Final = tuple(
    field
    for field in FIELDS
    if field.width in _FORMATS and (field.group != SEGMENTS or field.name.startswith(("gdtr", "idtr")))
)
_NAMES: Final = tuple(field.name for field in _NUMBERS)


def _whole() -> Struct:
    """All numbers at once."""
    text, end = "<", 0
    for field in _NUMBERS:
        text += f"{field.offset - end}x{_FORMATS[field.width]}"
        end = field.offset + field.width
    return Struct(text)


_WHOLE: Final = _whole()
_CODECS: Final = {
    field.name: (Struct("<" + _FORMATS[field.width]), field.offset, (1 << 8 * field.width) - 1)
    for field in _NUMBERS
}
_SEGMENTS: Final = {
    name: slice(STATE + offset, STATE + offset + SEGMENT_BYTES) for name, offset in SEGMENT_OFFSETS.items()
}


class Block:
    """A page that holds a VMCB, or a host's state in its form: read at once, written back at once.

    Attributes:
        image: the whole page as it was read, or written back last.
        numbers: the fields that are numbers, by name; ``update`` changes them.
        states: segment registers by name, as far as they have been taken from here or put here.
    """

    def __init__(self, memory: PhysicalMemory, address: int) -> None:
        self._memory = memory
        self.address = address
        self.image = memory.dump(HostPhysical(address), PAGE_SIZE)
        self.numbers: dict[str, int] = dict(zip(_NAMES, _WHOLE.unpack_from(self.image), strict=True))
        self.states: dict[str, SegmentState] = {}
        self._data = bytearray(self.image)

    @property
    def is_current(self) -> bool:
        """Whether memory still has what was read, or written back last."""
        return self._memory.dump(HostPhysical(self.address), PAGE_SIZE) == self.image

    def __getitem__(self, name: str) -> int:
        return self.numbers[name]

    def __setitem__(self, name: str, value: int) -> None:
        codec, offset, mask = _CODECS[name]
        self.numbers[name] = value & mask
        codec.pack_into(self._data, offset, value & mask)

    def update(self, values: Mapping[str, int]) -> None:
        """Change many numbers."""
        numbers = self.numbers
        for name, value in values.items():
            if numbers[name] != value:
                self[name] = value

    def segment(self, name: str) -> bytes:
        """All of a segment register: selector, attributes, limit, base."""
        return bytes(self._data[_SEGMENTS[name]])

    def set_segment(self, name: str, raw: bytes) -> None:
        """Replace all of it."""
        self._data[_SEGMENTS[name]] = raw

    def write_back(self) -> None:
        """Store the block where it was read."""
        self.image = bytes(self._data)
        self._memory.load(HostPhysical(self.address), self.image)


def read_field(memory: PhysicalMemory, address: int, name: str) -> int:
    """One field of the VMCB at a host-physical address."""
    field = BY_NAME[name]
    return memory.read(address + field.offset, field.width)


def read_fields(memory: PhysicalMemory, address: int, names: Iterable[str]) -> list[int]:
    """Some fields of the VMCB at a host-physical address."""
    raw = memory.dump(HostPhysical(address), PAGE_SIZE)
    fields = [BY_NAME[name] for name in names]
    return [int.from_bytes(raw[field.offset : field.offset + field.width], "little") for field in fields]


def write_field(memory: PhysicalMemory, address: int, name: str, value: int) -> None:
    """Store one field of the VMCB at a host-physical address."""
    field = BY_NAME[name]
    memory.write(address + field.offset, field.width, value)
