"""An exit in the words that both vendors share: what the phases go by."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vizapp.machine.guest_mode import Delivery


class Exit(NamedTuple):
    """Why the guest was left, in words that both vendors share.

    Attributes:
        kind: a key of ``exits.PHASES``.
        length: bytes of the instruction that exited; 0: the processor does not say.
        encoding: an instruction that does the same, put together from what the processor says of it; empty
            where the monitor has to fetch and decode it.
        vector, type, error: of an exception; the type is one of ``machine.guest_mode``. Of a nested fault the
            error tells writes, as that of a page fault does.
        address: linear (page fault) or guest-physical (nested fault).
        selector, cause: of a task switch: the TSS; ``call``, ``iret``, ``jmp`` or ``gate``.
        detail: for sentences about what went wrong.
        vectoring: the event whose delivery the exit broke off.
    """

    kind: str
    length: int = 0
    encoding: bytes = b""
    vector: int = 0
    type: int = 0
    error: int | None = None
    address: int = 0
    selector: int = 0
    cause: str = ""
    detail: str = ""
    vectoring: Delivery | None = None
