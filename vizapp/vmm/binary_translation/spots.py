"""What the monitor knows of each instruction in the translation cache: which guest state it stands for.

A guest instruction becomes one or more instructions of the cache. One of them ends it: there it counts as
retired. What lies before has to be undone, and what lies behind completed, to have the guest's state between
two of its own instructions; the spot of a cache instruction says how, for the moment before it runs.
"""

from __future__ import annotations

from typing import Final, NamedTuple

# What a spot is besides code that the guest's work is done by.
PLAIN: Final = 0
CALLOUT: Final = 1  # the monitor runs the guest instruction at EIP
CONTINUATION: Final = 2  # the monitor finds or makes the translation of EIP
LOOKUP: Final = 3  # as CONTINUATION, for the target of an indirect transfer


class Spot(NamedTuple):
    """The guest's state before an instruction of the cache runs.

    Attributes:
        unit: the unit that it is part of; -1 of stubs and landings.
        eip: the guest's; with ``target`` it is in the slot of that name instead.
        kind: PLAIN, CALLOUT...
        ends: the instruction ends a guest instruction, the one at ``ended``.
        ecx, edx, eax, ebx: the register is in its slot.
        esp: what is to be added to ESP.
        flag: ECX holds the virtual IF.
        shadow: interrupts are held off here for one more instruction.
        site: of a continuation, the offset of the jump that leads here; -1: none that could be patched.
    """

    unit: int
    eip: int
    kind: int = PLAIN
    ends: bool = False
    ended: int = 0
    ecx: bool = False
    edx: bool = False
    esp: int = 0
    target: bool = False
    flag: bool = False
    shadow: bool = False
    site: int = -1
    eax: bool = False
    ebx: bool = False


class Piece(NamedTuple):
    """One instruction of a translation: its bytes, and its spot as far as the instruction alone tells it."""

    raw: bytes
    ends: bool = False
    kind: int = PLAIN
    after: bool = False  # the guest instruction is over already: the state is that of the next one
    ecx: bool = False
    edx: bool = False
    esp: int = 0
    target: bool = False
    flag: bool = False
    eax: bool = False
    ebx: bool = False
