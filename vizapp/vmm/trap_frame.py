"""The trap frame on a monitor's ring-0 stack, in the order of Xen's ``cpu_user_regs``.

        0 ebx   4 ecx   8 edx  12 esi  16 edi  20 ebp  24 eax        pushed by the entry stub
       28 error_code (word)    30 entry_vector (word)                pushed by the processor or the stub
       32 eip  36 cs   40 eflags  44 esp  48 ss                      pushed by the processor
       52 es   56 ds   60 fs   64 gs                                 stored by the entry stub

ESP0 of the physical TSS points at offset 52, so the processor's own push ends where the frame wants it. A
trap out of ring 0 itself (an interrupt while the monitor idles) pushes neither SS nor ESP: such a frame ends
at offset 44. Fields are read from and written to machine memory; the object holds no state.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from vizapp.isa.addresses import HostPhysical
from vizapp.machine.memory import PhysicalMemory

FRAME_BYTES: Final = 68
HARDWARE_TOP: Final = 52  # where ESP0 points, from the base of the frame

# As above; of a segment register's four bytes two are stored.
FRAME_LAYOUT: Final = Struct("<7I HH I H2x I I H2x H2x H2x H2x H2x")
assert FRAME_LAYOUT.size == FRAME_BYTES


class SavedRegisters(NamedTuple):
    """Everything in a frame, by the order in which it lies there."""

    ebx: int
    ecx: int
    edx: int
    esi: int
    edi: int
    ebp: int
    eax: int
    error_code: int
    entry_vector: int
    eip: int
    cs: int
    eflags: int
    esp: int
    ss: int
    es: int
    ds: int
    fs: int
    gs: int

    @property
    def general(self) -> tuple[int, ...]:
        """EAX ECX EDX EBX ESP EBP ESI EDI."""
        return self.eax, self.ecx, self.edx, self.ebx, self.esp, self.ebp, self.esi, self.edi

    @property
    def selectors(self) -> tuple[int, ...]:
        """ES CS SS DS FS GS."""
        return self.es, self.cs, self.ss, self.ds, self.fs, self.gs


class _Field:
    """A field of the frame: byte offset and size."""

    def __init__(self, offset: int, size: int = 4) -> None:
        self._offset = offset
        self._size = size

    def __get__(self, frame: TrapFrame, owner: type | None = None) -> int:
        return frame.memory.read(frame.address + self._offset, self._size)

    def __set__(self, frame: TrapFrame, value: int) -> None:
        frame.memory.write(frame.address + self._offset, self._size, value)


class TrapFrame:
    """The frame at a host-physical address; it must not cross a page that is not contiguous in memory."""

    ebx = _Field(0)
    ecx = _Field(4)
    edx = _Field(8)
    esi = _Field(12)
    edi = _Field(16)
    ebp = _Field(20)
    eax = _Field(24)
    error_code = _Field(28, 2)
    entry_vector = _Field(30, 2)
    eip = _Field(32)
    cs = _Field(36, 2)
    eflags = _Field(40)
    esp = _Field(44)
    ss = _Field(48, 2)
    es = _Field(52, 2)
    ds = _Field(56, 2)
    fs = _Field(60, 2)
    gs = _Field(64, 2)

    def __init__(self, memory: PhysicalMemory, address: HostPhysical) -> None:
        self.memory = memory
        self.address = address

    def read(self) -> SavedRegisters:
        """The whole frame at once."""
        return SavedRegisters(*FRAME_LAYOUT.unpack(self.memory.dump(self.address, FRAME_BYTES)))

    def write(self, saved: SavedRegisters) -> None:
        """Store the whole frame at once."""
        self.memory.load(self.address, FRAME_LAYOUT.pack(*saved))

    def general(self) -> tuple[int, ...]:
        """EAX ECX EDX EBX ESP EBP ESI EDI."""
        return self.read().general

    def selectors(self) -> tuple[int, ...]:
        """ES CS SS DS FS GS."""
        return self.read().selectors

    def set_general(self, values: tuple[int, ...]) -> None:
        """Store EAX ECX EDX EBX ESP EBP ESI EDI."""
        self.eax, self.ecx, self.edx, self.ebx, self.esp, self.ebp, self.esi, self.edi = values

    def set_selectors(self, values: tuple[int, ...]) -> None:
        """Store ES CS SS DS FS GS."""
        self.es, self.cs, self.ss, self.ds, self.fs, self.gs = values
