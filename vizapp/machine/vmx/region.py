"""The VMCS region in memory: vizapp's own layout, as each processor has its own.

      0  revision identifier (bit 31 clear)          8  launch state: 0 clear, 1 launched
      4  VMX-abort indicator                        16  the fields by encoding, 8 bytes each

Only software that goes by VMREAD and VMWRITE is sure to find a field. What a real processor keeps of the
current VMCS to itself is written through here, so memory alone has all of it, in a checkpoint too; what is
kept besides is the fields as they were decoded last, and is good while memory has the same bytes. SDM Vol. 3,
"Format of the VMCS Region".
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_SIZE, HostPhysical
from vizapp.machine.vmx.fields import (
    CONTROL,
    ENTRY_ERROR,
    ENTRY_INFO,
    ENTRY_LENGTH,
    FIELDS,
    GUEST_BASES,
    GUEST_LIMITS,
    GUEST_RIGHTS,
    GUEST_SELECTORS,
    HOST,
)

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.vmx.guest import Wishes
    from vizapp.machine.vmx.state import GuestSegments, HostState

REVISION: Final = 0x5641_5001
"""The revision identifier of this layout: what IA32_VMX_BASIC tells and VMPTRLD wants to find."""

REGION_BYTES: Final = PAGE_SIZE
ABORT: Final = 4
LAUNCH_STATE: Final = 8
CLEAR, LAUNCHED = 0, 1
_FIRST: Final = 16
_SLOT: Final = 8

OFFSETS: Final[dict[int, int]] = {
    field.encoding: _FIRST + _SLOT * index for index, field in enumerate(FIELDS)
}
"""Where each field lies in the region, by encoding."""

# A field that is narrower than its slot leaves the rest of it alone.
_ALL: Final = Struct("<" + "".join({2: "H6x", 4: "I4x", 8: "Q"}[field.width] for field in FIELDS))
_ENCODINGS: Final = tuple(field.encoding for field in FIELDS)
_INDEX: Final = {field.encoding: index for index, field in enumerate(FIELDS)}
_WIDTH_MASKS: Final = {field.encoding: (1 << 8 * field.width) - 1 for field in FIELDS}
# What the judgement of the controls and of the host state rests on: not on the event to be injected.
_CONTROLS: Final = frozenset(field.encoding for field in FIELDS if field.type == CONTROL) - {
    ENTRY_INFO,
    ENTRY_ERROR,
    ENTRY_LENGTH,
}
_HOST: Final = frozenset(field.encoding for field in FIELDS if field.type == HOST)
_SEGMENTS: Final = frozenset((*GUEST_SELECTORS, *GUEST_BASES, *GUEST_LIMITS, *GUEST_RIGHTS))


class Vmcs:
    """The region at a host-physical address, a whole page.

    Attributes:
        controls_passed, host_passed: what the present control fields, or those of the host state, have been
            found to be once they passed their checks; None: they have changed since, or were never checked.
        segments: what the present fields of the guest's segments and tables stand for; None: they have
            changed since, or no entry has looked.
    """

    def __init__(self, memory: PhysicalMemory, address: int) -> None:
        self._memory = memory
        self.address = address
        self.controls_passed: Wishes | None = None
        self.host_passed: HostState | None = None
        self.segments: GuestSegments | None = None
        self._known: dict[int, int] = {}
        self._bytes = bytearray()  # from which they were decoded; between narrow fields, zeros

    @property
    def revision(self) -> int:
        """What stands in its first four bytes; bit 31 would make it a shadow VMCS."""
        return self._memory.read(self.address, 4)

    @property
    def launched(self) -> bool:
        """Whether VMRESUME would take it, and VMLAUNCH not."""
        return self._memory.read(self.address + LAUNCH_STATE, 4) == LAUNCHED

    @launched.setter
    def launched(self, launched: bool) -> None:
        self._memory.write(self.address + LAUNCH_STATE, 4, LAUNCHED if launched else CLEAR)

    def set_abort(self, indicator: int) -> None:
        """Tell why a VM exit could not be completed."""
        self._memory.write(self.address + ABORT, 4, indicator)

    def read(self, encoding: int) -> int:
        """The whole of a field."""
        return self._memory.read(self.address + OFFSETS[encoding], _SLOT) & _WIDTH_MASKS[encoding]

    def write(self, encoding: int, value: int) -> None:
        """Change a field; ``value`` is cut to its width."""
        value &= _WIDTH_MASKS[encoding]
        self._memory.write(self.address + OFFSETS[encoding], _SLOT, value)
        if self._known and self._known[encoding] != value:
            self._learn(encoding, value)

    def read_all(self) -> Mapping[int, int]:
        """Every field by encoding: as they are until the next change."""
        raw = self._memory.dump(HostPhysical(self.address + _FIRST), _ALL.size)
        if raw != self._bytes:
            slots = _ALL.unpack(raw)
            self._known = dict(zip(_ENCODINGS, slots, strict=True))
            self._bytes = bytearray(_ALL.pack(*slots))
            self.controls_passed = self.host_passed = self.segments = None
        return self._known

    def image(self) -> bytes:
        """The whole page."""
        return self._memory.dump(HostPhysical(self.address), REGION_BYTES)

    def update(self, values: Mapping[int, int]) -> None:
        """Change many fields at once, of a VMCS that ``read_all`` has just seen."""
        known = self._known or self.read_all()
        for encoding, value in values.items():
            if known[encoding] != value:
                self._learn(encoding, value & _WIDTH_MASKS[encoding])
        self._memory.load(HostPhysical(self.address + _FIRST), bytes(self._bytes))

    def _learn(self, encoding: int, value: int) -> None:
        self._known[encoding] = value
        start = _SLOT * _INDEX[encoding]
        self._bytes[start : start + _SLOT] = value.to_bytes(_SLOT, "little")
        if encoding in _SEGMENTS:
            self.segments = None
        elif encoding in _CONTROLS:
            self.controls_passed = None
        elif encoding in _HOST:
            self.host_passed = None
