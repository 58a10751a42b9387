"""What each instruction does, written once: the source of these functions is the processor's semantics.

``language`` declares the words that they are written in; ``INSTRUCTIONS`` has them all by name.
"""

from __future__ import annotations

from typing import Final

from vizapp.machine.semantics import (
    arithmetic,
    bits,
    control,
    decimal,
    logic,
    moves,
    multiply,
    shifts,
    strings,
)
from vizapp.machine.semantics.declare import Meaning

INSTRUCTIONS: Final[dict[str, Meaning]] = {
    **arithmetic.INSTRUCTIONS,
    **multiply.INSTRUCTIONS,
    **logic.INSTRUCTIONS,
    **shifts.INSTRUCTIONS,
    **bits.INSTRUCTIONS,
    **decimal.INSTRUCTIONS,
    **moves.INSTRUCTIONS,
    **control.INSTRUCTIONS,
    **strings.INSTRUCTIONS,
}
