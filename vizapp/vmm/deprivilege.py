"""Deprivileged descriptors: guest segments without ring 0 and without the monitor's part of linear space.

Two things change. A descriptor of DPL 0 becomes one of DPL 1, because the guest kernel runs in ring 1 (rings
1 to 3 stay; virtual rings 0 and 1 share one: ring compression). And no segment may reach the monitor, whose
pages are supervisor pages like the guest kernel's and which paging therefore does not protect from ring 1:

    0                                            top              4 GB
    |------------- guest linear space ------------|--- monitor ---|
    |======== limit ffffffff, as the guest asked =================|
    |======== limit, as the processor gets it ====|                 beyond it: #GP or #SS, then emulation

Gates, TSS and LDT descriptors lose their present bit, so that whatever uses them traps. Shadowed like this a
table can be read by the guest through LAR and LSL, which then tell the truth about the shadow: DPL 1 and a
short limit.
"""

from __future__ import annotations

from typing import Final

from vizapp.isa.addresses import M32, PAGE_MASK, HostPhysical, Linear
from vizapp.isa.descriptors import (
    AR_DB,
    AR_DPL_SHIFT,
    AR_G,
    AR_P,
    DESCRIPTOR_BYTES,
    SELECTOR_ERROR,
    SELECTOR_RPL,
    TYPE_ACCESSED,
    TYPE_EXPAND_DOWN,
    Descriptor,
    pack,
    to_bytes,
    unpack,
)
from vizapp.machine.memory import PhysicalMemory

_BYTE_GRANULAR_LIMIT: Final = 0xF_FFFF


def ring(virtual: int) -> int:
    """The ring in which code of a virtual ring runs."""
    return virtual or 1


def selector(virtual: int, cpl: int) -> int:
    """CS or SS as the processor must hold it at virtual CPL ``cpl``: its RPL is the real ring."""
    return virtual if virtual & SELECTOR_ERROR == 0 else virtual & ~SELECTOR_RPL | ring(cpl)


def segment(descriptor: Descriptor, top: Linear) -> Descriptor:
    """A code or data descriptor as the guest may have it: DPL 1 for 0, nothing from ``top`` on in reach."""
    base, limit, access = descriptor
    if descriptor.dpl == 0:
        access |= 1 << AR_DPL_SHIFT
    descriptor = Descriptor(base, limit, access)
    if descriptor.is_data and access & TYPE_EXPAND_DOWN:
        return descriptor if _expand_down_is_safe(descriptor, top) else _out_of_reach(descriptor, top)
    if base >= top:
        return _out_of_reach(descriptor, top)
    return _with_limit(descriptor, min(limit, top - 1 - base))


def shadow_entry(raw: bytes, top: Linear) -> bytes:
    """The eight bytes that stand for a guest's descriptor in the processor's table."""
    low, high = int.from_bytes(raw[:4], "little"), int.from_bytes(raw[4:8], "little")
    descriptor = unpack(low, high)
    if descriptor.is_system:
        return to_bytes((low, high & ~(AR_P << 8)))
    return to_bytes(pack(segment(descriptor, top)))


def _with_limit(descriptor: Descriptor, limit: int) -> Descriptor:
    """The descriptor with at most this limit, which page granularity rounds down to the end of a page."""
    if limit >= descriptor.limit:
        return descriptor
    if limit > _BYTE_GRANULAR_LIMIT:
        rounded = limit if limit & PAGE_MASK == PAGE_MASK else (limit & ~PAGE_MASK) - 1
        return Descriptor(descriptor.base, rounded, descriptor.access | AR_G)
    return Descriptor(descriptor.base, limit, descriptor.access & ~AR_G)


def _expand_down_is_safe(descriptor: Descriptor, top: Linear) -> bool:
    """Whether the offsets above the limit, up to 64 KB or 4 GB, stay below ``top``, wrapping allowed."""
    lowest = descriptor.base + descriptor.limit + 1
    highest = descriptor.base + (M32 if descriptor.access & AR_DB else 0xFFFF)
    if lowest > highest or highest < top:
        return True
    return lowest > M32 and highest - M32 - 1 < top


def _out_of_reach(descriptor: Descriptor, top: Linear) -> Descriptor:
    """A segment of the same kind in which no access succeeds, so that each traps and is emulated.

    Data: expand-down with the highest limit has no valid offset. Code: one byte, in a page that the monitor
    never maps (its last, at the very top of the linear space).
    """
    if descriptor.is_data:
        return Descriptor(0, M32, descriptor.access | TYPE_EXPAND_DOWN | AR_DB | AR_G)
    return Descriptor(M32 & ~PAGE_MASK, 0, descriptor.access & ~AR_G)


class DescriptorShadow:
    """The processor's copy of one of the guest's descriptor tables, kept in step by ``refresh``.

    The table has ``capacity`` entries at a host-physical address; ``reserved`` on belong to the monitor and
    what the guest has there does not appear. Nothing traps when the guest changes a descriptor in memory, so
    ``refresh`` runs whenever the monitor is about to return to the guest; until then the old shadow serves,
    as a loaded segment register would.
    """

    def __init__(self, memory: PhysicalMemory, address: HostPhysical, reserved: int, top: Linear) -> None:
        self._memory = memory
        self._address = address
        self._reserved = reserved
        self._top = top
        self._source = b""  # the guest's table, as it was when last copied
        self._shadow = b""  # what was written for it

    @property
    def entries(self) -> int:
        """How many descriptors are shadowed now."""
        return len(self._source) // DESCRIPTOR_BYTES

    def source(self, index: int) -> bytes | None:
        """The guest's descriptor that the shadow entry ``index`` was made from; None beyond the table."""
        raw = self._source[index * DESCRIPTOR_BYTES : (index + 1) * DESCRIPTOR_BYTES]
        return raw if len(raw) == DESCRIPTOR_BYTES else None

    def entry(self, index: int) -> bytes | None:
        """The shadow entry ``index``; None beyond the table."""
        raw = self._shadow[index * DESCRIPTOR_BYTES : (index + 1) * DESCRIPTOR_BYTES]
        return raw if len(raw) == DESCRIPTOR_BYTES else None

    def refresh(self, table: bytes) -> int:
        """Bring the shadow in step with the guest's table; how many entries were rewritten."""
        # Trailing zeros are as good as no entries: loading either faults alike.
        table = table[: self._reserved * DESCRIPTOR_BYTES].rstrip(b"\0")
        table += bytes(-len(table) % DESCRIPTOR_BYTES)
        if table == self._source:
            return 0
        written = 0
        shadow = bytearray()
        for offset in range(0, max(len(table), len(self._source)), DESCRIPTOR_BYTES):
            raw = table[offset : offset + DESCRIPTOR_BYTES]
            old = self._shadow[offset : offset + DESCRIPTOR_BYTES]
            if raw and raw == self._source[offset : offset + DESCRIPTOR_BYTES]:
                shadow += old
                continue
            entry = shadow_entry(raw, self._top) if raw else bytes(DESCRIPTOR_BYTES)
            self._memory.load(HostPhysical(self._address + offset), entry)
            written += 1
            if raw:
                shadow += entry
        self._source, self._shadow = table, bytes(shadow)
        return written

    def accessed(self) -> tuple[int, ...]:
        """Entries whose accessed bit the processor has set in the shadow since this was last asked."""
        current = self._memory.dump(self._address, len(self._shadow))
        if current == self._shadow:
            return ()
        found = tuple(
            offset // DESCRIPTOR_BYTES
            for offset in range(0, len(current), DESCRIPTOR_BYTES)
            if current[offset + 5] & ~self._shadow[offset + 5] & TYPE_ACCESSED
        )
        self._shadow = current
        return found

    def note_accessed(self, index: int) -> None:
        """The guest's own descriptor was given its accessed bit: not a change to copy."""
        offset = index * DESCRIPTOR_BYTES + 5
        source = bytearray(self._source)
        source[offset] |= TYPE_ACCESSED
        self._source = bytes(source)

    def save(self) -> tuple[bytes, bytes]:
        """The state, as plain data."""
        return self._source, self._shadow

    def load(self, saved: tuple[bytes, bytes]) -> None:
        """Take up a saved state; the shadow itself is in machine memory."""
        self._source, self._shadow = saved
