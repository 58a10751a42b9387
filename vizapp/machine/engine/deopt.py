"""The way back from a block that could not go on to the exact state before the instruction that stopped it.

A block has no handling of faults. A lookup that fails, an access that crosses a page or a fault that the
semantics raise ends it with an exception. Nothing of the instruction has been done then (see ``commitment``),
so the block's local variables and the line that failed tell everything:

    line             which instruction
    locals           registers and flags; what is not among them has not been changed, unless
    ``postponed``    says that it is to be computed
"""

from __future__ import annotations

from struct import error as StructError  # noqa: N812 - a class
from typing import TYPE_CHECKING, Final

from vizapp.isa.registers import GENERAL
from vizapp.machine.engine.block_source import FLAGS, line_of, local
from vizapp.machine.faults import Fault

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.engine.blocks import Block

DEOPTIMIZE: Final = (KeyError, StructError, Fault)
_STATE: Final = tuple((local(name), name) for name in (*GENERAL, *FLAGS))
_FIRST_LINE: Final = line_of(1)


def recover(error: BaseException, block: Block, cpu: Cpu) -> int:
    """Put the processor before the instruction that failed; the number of instructions executed until then.

    ``error`` was caught by the block's caller; if it does not come from the block itself it is raised again.
    """
    traceback = error.__traceback__
    inner = None if traceback is None else traceback.tb_next
    if inner is None or inner.tb_frame.f_code is not block.code:
        raise error
    if inner.tb_next is not None and not block.guarded:
        raise error
    found = inner.tb_frame.f_locals
    index = inner.tb_lineno - _FIRST_LINE
    if index < 0:
        raise error
    passes: int = found.get("_done", 0)
    before = {name: getattr(cpu, attribute) for name, attribute in _STATE}
    before.update(found)
    before.update([*block.postponed.flags(index, passes > 0, block.run.__globals__, before)])
    for name, attribute in _STATE:
        setattr(cpu, attribute, before[name])
    cpu.eip = block.addresses[index]
    return passes + index
