"""Machine instructions as statements: written operands resolved, and encoded as short as they can be."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from vizapp.guest.assembler.expression import Scope
from vizapp.guest.assembler.operands import Resolved, SourceOperand
from vizapp.guest.assembler.problems import LineError
from vizapp.isa.encode import EncodeError, encode
from vizapp.isa.instruction import Immediate, Operand, Register
from vizapp.isa.names import STRING_OPERANDS, Name, implied_operands
from vizapp.isa.opcodes import BY_MNEMONIC
from vizapp.isa.registers import DS, ECX
from vizapp.messages import N_, Message

BRANCHES = frozenset(
    mnemonic
    for mnemonic, forms in BY_MNEMONIC.items()
    if any(code in ("Jb", "Jz") for form in forms for code in form.operands)
)
_COUNTED = frozenset({"loop", "loope", "loopne", "jcxz"})


@dataclass(slots=True)
class InstructionStatement:
    """A machine instruction with its prefixes.

    Attributes:
        name: mnemonic, and the sizes that its spelling fixes.
        operands: as written.
        bits: 16 or 32, the mode at its place.
        column: of the mnemonic.
        repeat: ``rep``, ``repne`` or nothing.
        lock: whether LOCK is written.
        segment: a segment register written before the instruction.
        operand_size: that ``o16`` or ``o32`` asks for, in bytes.
        address_size: that ``a16`` or ``a32`` asks for, in bytes.
    """

    name: Name
    operands: list[SourceOperand]
    bits: int
    column: int
    repeat: str = ""
    lock: bool = False
    segment: int | None = None
    operand_size: int | None = None
    address_size: int | None = None
    _last: tuple[list[Resolved], bytes] | None = field(default=None, repr=False)
    _jump: tuple[tuple[int, bool, bool, bool], bytes] | None = field(default=None, repr=False)
    _stays_long: bool = False

    @property
    def depends_on_place(self) -> bool:
        """See ``Statement``."""
        return self.name.mnemonic in BRANCHES

    @property
    def is_settled(self) -> bool:
        """Whether it is of registers only, and so the same in every pass."""
        return all(operand.fixed is not None for operand in self.operands)

    def emit(self, scope: Scope, long_branches: bool) -> bytes:
        """See ``Statement``."""
        if self._last is not None and self.is_settled:
            return self._last[1]
        resolved = [operand.resolve(scope, self.bits) for operand in self.operands]
        if self.depends_on_place:
            return self._branch(resolved, scope.position, long_branches)
        if self._last is None or self._last[0] != resolved:
            wide = {position for position, one in enumerate(resolved) if one.wide}
            self._last = (resolved, self._encode(resolved, wide))
        return self._last[1]

    def _branch(self, resolved: list[Resolved], address: int, long_branches: bool) -> bytes:
        if not resolved or not isinstance(resolved[0].operand, Immediate):
            return self._encode(resolved, set(), address)
        target = resolved[0]
        # A jump's bytes tell the distance, not the place: once it has settled they stay.
        distance = resolved[0].operand.value - address if target.known else 0
        case = (distance, target.known, target.wide, self._stays_long)
        if self._jump is None or self._jump[0] != case:
            self._jump = (case, self._to_target(resolved, address))
        code = self._jump[1]
        if long_branches and len(code) > 2:
            self._stays_long = True
        return code

    def _to_target(self, resolved: list[Resolved], address: int) -> bytes:
        wide: set[int] = set()
        target, written = resolved[0], self.operands[0]
        short = written.distance == "short"
        if not target.known:
            # Until its address is known a label is taken to be near: jumps begin short and grow.
            target.operand = Immediate(address, written.size)
        elif not target.wide and not short:
            wide = {0}  # a number is no label: NASM jumps near to it
        if written.distance == "near" or written.strict or self._stays_long:
            wide = {0}
        return self._encode(resolved, wide, address, short)

    def _encode(
        self, resolved: list[Resolved], wide: Collection[int], address: int = 0, short: bool = False
    ) -> bytes:
        mnemonic = self._mnemonic()
        operands = [one.operand for one in resolved]
        operand_size = self.name.operand_size or self.operand_size
        address_size = self.address_size or self.name.address_size
        displacement_size = None
        segment = self.segment
        for one in resolved:
            if one.address_size is not None:
                if address_size not in (None, one.address_size):
                    raise LineError(Message(N_("two address sizes in one instruction")), self.column)
                address_size, displacement_size = one.address_size, one.displacement_size
            if one.segment is not None:
                segment = one.segment
        if mnemonic in _COUNTED and len(operands) == 2:
            address_size = self._counter_size(operands.pop())
        elif mnemonic in STRING_OPERANDS or mnemonic == "xlat":
            operands = self._implied(mnemonic, operands, segment)
            if self.name.operand_size == 1:
                operand_size = self.operand_size
        elif mnemonic in ("aam", "aad") and not operands:
            operands = [Immediate(10, 0)]
        elif operands and self.operands[0].size and (mnemonic in BRANCHES or mnemonic.endswith(" far")):
            # jmp dword label: the size is that of the offset, and a register has its own
            operand_size = operand_size if self.operands[0].fixed is not None else self.operands[0].size
        try:
            return encode(
                mnemonic,
                operands,
                self.bits,
                operand_size=operand_size,
                address_size=address_size,
                repeat=self.repeat,
                lock=self.lock,
                segment=segment,
                address=address,
                wide=wide,
                displacement_size=displacement_size,
                short=short,
            )
        except EncodeError as error:
            columns = [operand.column for operand in self.operands] or [self.column]
            raise LineError(error.message, columns[min(error.position or 0, len(columns) - 1)]) from None

    def _mnemonic(self) -> str:
        mnemonic = self.name.mnemonic
        is_far = any(operand.distance == "far" or operand.selector is not None for operand in self.operands)
        return mnemonic + " far" if is_far and mnemonic in ("jmp", "call") else mnemonic

    def _counter_size(self, operand: Operand) -> int:
        """The address size of LOOP and JCXZ, by the counter written as the second operand."""
        if not isinstance(operand, Register) or operand.index != ECX or operand.size == 1:
            raise LineError(Message(N_("the counter is CX or ECX")), self.operands[1].column)
        return operand.size

    def _implied(self, mnemonic: str, operands: list[Operand], segment: int | None) -> list[Operand]:
        if operands:
            raise LineError(
                Message(N_("{mnemonic} is written without operands"), {"mnemonic": mnemonic}), self.column
            )
        size = self.name.operand_size or 1
        return list(implied_operands(mnemonic, size, DS if segment is None else segment))
