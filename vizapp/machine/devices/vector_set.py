"""A set of interrupt vectors, as the 256-bit registers of an APIC hold it."""

from __future__ import annotations

from vizapp.isa.addresses import M32


class VectorSet:
    """Vectors 0 to 255; ``bits`` has bit n for vector n."""

    def __init__(self, bits: int = 0) -> None:
        self.bits = bits

    def __contains__(self, vector: int) -> bool:
        return bool(self.bits >> vector & 1)

    def add(self, vector: int) -> None:
        """Set the vector's bit."""
        self.bits |= 1 << vector

    def discard(self, vector: int) -> None:
        """Clear it."""
        self.bits &= ~(1 << vector)

    def highest(self) -> int | None:
        """The vector of highest priority, None if there is none."""
        return self.bits.bit_length() - 1 if self.bits else None

    def word(self, index: int) -> int:
        """Bits 32 x ``index`` and up, as one of the eight registers shows them."""
        return self.bits >> 32 * index & M32
