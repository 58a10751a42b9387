"""What is loaded into a machine: bytes with their addresses, an entry, and the way back to the source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.messages import N_, Message

BOOT_SECTOR = 0x7C00
SECTOR_BYTES = 512
LOW_MEMORY_END = 0xA_0000


class SourceLine(NamedTuple):
    """A source line that made bytes: ``address`` is linear, ``length`` in bytes, ``number`` from 1.

    ``code`` tells instructions from data.
    """

    address: Linear
    length: int
    file: str
    number: int
    text: str
    code: bool = True


@dataclass(frozen=True, slots=True)
class Image:
    """A guest ready to be loaded.

    Attributes:
        name: the guest's name, or the file's.
        build: ``native``, ``xen`` for one ported to the Xen x86-32 ABI, or ``hvm`` for one that was not but
            has front ends for the devices of a domain of Xen's.
        segments: (guest-physical address, bytes) pairs. Of a Xen build the domain builder makes memory,
            and the addresses are offsets from ``virtual_base``.
        entry: linear address of the first instruction.
        bits: 16 (real mode) or 32 (flat protected mode, ring 0, paging off).
        code_segment: what CS holds at the start in real mode.
        registers: general registers that are not 0 at the start, as (name, value).
        rom: whole pages that end with the first megabyte, and are seen at the end of the address space too.
        disks: contents of the IDE disks that belong to it.
        ramdisk: what is loaded beside a Xen build, for its kernel to find.
        command_line: what a Xen build is told at its start, ASCII.
        pae: whether a Xen build has page tables with 64-bit entries.
        hypercall_address: where it wants its hypercall page; None: at its label ``hypercall_page``, if any.
        size: bytes of memory that it takes from ``virtual_base`` on, where that is more than its segments.
        needs_pc: whether it expects a whole PC around it: clock, keyboard controller, disks, APICs.
        needs_apic: whether it is lost without a local APIC.
        needs_network: whether it expects a network adapter, and a station that answers it.
        spare_disk: contents of the disk that it gets if no other was given to it.
        symbols: label to linear address; ``mark_*`` labels are progress marks.
        lines: the line-to-address map, sorted by address; empty for a binary.
    """

    name: str
    build: str
    segments: tuple[tuple[GuestPhysical, bytes], ...]
    entry: Linear
    bits: int = 32
    virtual_base: Linear = Linear(0)
    symbols: dict[str, Linear] = field(default_factory=dict)
    lines: tuple[SourceLine, ...] = ()
    code_segment: int = 0
    registers: tuple[tuple[str, int], ...] = ()
    rom: bytes = b""
    disks: tuple[bytes, ...] = ()
    ramdisk: bytes = b""
    command_line: str = ""
    pae: bool = False
    hypercall_address: Linear | None = None
    size: int = 0
    needs_pc: bool = False
    needs_apic: bool = False
    needs_network: bool = False
    spare_disk: bytes = b""

    @property
    def contents(self) -> tuple[tuple[int, bytes], ...]:
        """(linear address, bytes) of all that its source lines made, once it runs: a disk has booted."""
        found = [(address + self.virtual_base, data) for address, data in self.segments]
        if self.rom:
            found.append(((1 << 20) - len(self.rom), self.rom))
        if self.rom and self.disks:
            found.append((BOOT_SECTOR, self.disks[0][: LOW_MEMORY_END - BOOT_SECTOR]))
        return tuple(found)

    @property
    def marks(self) -> dict[Linear, str]:
        """The progress marks by address; the local labels that follow one (``mark_x.loop``) are none."""
        return {
            address: name
            for name, address in self.symbols.items()
            if name.startswith("mark_") and "." not in name
        }

    @property
    def hypercall_page(self) -> Linear | None:
        """Where a Xen build wants its hypercall page."""
        return (
            self.symbols.get("hypercall_page") if self.hypercall_address is None else self.hypercall_address
        )

    @property
    def bare_only(self) -> Message | None:
        """Why no monitor that deprivileges can run it; None if one can."""
        if self.bits == 32:
            return None
        sentence = N_(
            "{name} starts in real mode, which has no rings to move in; run it under native, vt-x or amd-v"
        )
        return Message(sentence, {"name": self.name})
