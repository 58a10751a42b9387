"""A decoded instruction and its operands, as immutable values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from vizapp.isa.addresses import Linear

if TYPE_CHECKING:
    from vizapp.isa.opcodes import Opcode


@dataclass(frozen=True, slots=True)
class Register:
    """A general register; of size 1, index 4-7 are AH CH DH BH. Size in bytes: 1, 2 or 4."""

    index: int
    size: int


@dataclass(frozen=True, slots=True)
class SegmentRegister:
    """ES CS SS DS FS GS are 0-5."""

    index: int


@dataclass(frozen=True, slots=True)
class ControlRegister:
    """CR0-CR4."""

    index: int


@dataclass(frozen=True, slots=True)
class DebugRegister:
    """DR0-DR7."""

    index: int


@dataclass(frozen=True, slots=True)
class Immediate:
    """A constant, unsigned, sign-extended to the operand size where the encoding says so. Size in bytes."""

    value: int
    size: int


@dataclass(frozen=True, slots=True)
class Memory:
    """segment:[base + index * scale + displacement]; ``displacement`` is unsigned, of the address size.

    ``segment`` is resolved: the override, or SS for EBP and ESP bases, or DS. ``size`` is the operand's
    size in bytes (0 where the instruction takes only the address or a structure: LEA, LGDT, far pointers).
    """

    segment: int
    base: int | None
    index: int | None
    scale: int
    displacement: int
    size: int


@dataclass(frozen=True, slots=True)
class Relative:
    """A branch target as a signed displacement from the next instruction."""

    displacement: int


@dataclass(frozen=True, slots=True)
class FarPointer:
    """An immediate selector:offset."""

    selector: int
    offset: int


Operand: TypeAlias = (
    Register | SegmentRegister | ControlRegister | DebugRegister | Immediate | Memory | Relative | FarPointer
)


@dataclass(frozen=True, slots=True)
class Instruction:
    """A decoded instruction.

    ``raw`` is every byte, prefixes included. ``operand_size`` and ``address_size`` are 2 or 4 bytes.
    ``repeat`` is ``""``, ``"rep"`` (F3, also REPE) or ``"repne"`` (F2).
    """

    opcode: Opcode
    address: Linear
    raw: bytes
    operands: tuple[Operand, ...]
    operand_size: int
    address_size: int
    repeat: str = ""
    lock: bool = False
    segment: int | None = None

    @property
    def length(self) -> int:
        """Bytes, prefixes included."""
        return len(self.raw)

    @property
    def mnemonic(self) -> str:
        """The name in the opcode table, lower case."""
        return self.opcode.mnemonic

    @property
    def price_class(self) -> str:
        """The name in ``machine.inputs`` under which it is priced, by the form of its operands."""
        if self.lock:
            return "locked"
        for operand in self.operands:
            if type(operand) is Memory:
                return self.opcode.memory_cost
        return self.opcode.cost
