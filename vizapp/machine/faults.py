"""What can leave the middle of an instruction: a fault, a shutdown, or an end to what the product models.

These live inside the machine only: ``Pc`` turns each into a delivery, an event or a stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa import vectors

if TYPE_CHECKING:
    from vizapp.machine.guest_mode import Delivery
    from vizapp.messages import Message


class Fault(Exception):  # noqa: N818 - the manual's word
    """An exception of the processor, raised before any change of the architectural state.

    Attributes:
        vector: one of ``vizapp.isa.vectors``.
        error: the error code to push, or None where the vector has none.
        address: the linear address for CR2 (page faults only).
        debug: what a #DB leaves in DR6 once it is delivered.
        length: of INT1, which is left as a trap is, and tells a monitor so.
        trap: True where EIP already points past the instruction (#DB of single stepping, #BP, #OF).
        vectoring: the software interrupt during whose delivery it happened.
    """

    def __init__(
        self,
        vector: int,
        error: int | None = None,
        address: int | None = None,
        *,
        debug: int = 0,
        length: int = 0,
        trap: bool = False,
    ) -> None:
        super().__init__(vector, error, address)
        self.vector = vector
        self.error = error
        self.address = address
        self.debug = debug
        self.length = length
        self.trap = trap
        self.vectoring: Delivery | None = None

    def __str__(self) -> str:
        error = "" if self.error is None else f"({self.error:#x})"
        address = "" if self.address is None else f" at {self.address:#010x}"
        return f"{vectors.name(self.vector)}{error}{address}"


class TripleFault(Exception):  # noqa: N818 - the manual's word
    """A fault while a double fault was being delivered: the processor shuts down.

    ``faults`` are those that led here, first to last.
    """

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return ", ".join(map(str, self.faults))


class Shutdown(Exception):  # noqa: N818 - the manual's word
    """The processor shuts down for another reason than a triple fault; ``message`` says which."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.in_english())
        self.message = message


class Unimplemented(Exception):  # noqa: N818 - a limit of the product, not a mistake
    """The guest asked for something real that the product does not do; ``message`` says what."""

    def __init__(self, message: Message) -> None:
        super().__init__(message.in_english())
        self.message = message
