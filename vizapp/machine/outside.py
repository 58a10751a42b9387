"""What comes into a machine from outside, and a processor that halts until something does."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vizapp.machine.clock import NEVER
from vizapp.machine.features import Features
from vizapp.machine.identity import Identity
from vizapp.machine.inner_loop import InnerLoop
from vizapp.machine.input_log import Input, InputLog


class Outside(InnerLoop):
    """A machine with its inputs.

    Attributes:
        inputs: what comes from outside and when; not part of what is saved, but of the recording.
        give_input: hands an input to the guest's devices, the PC's own unless a monitor has others.
        awaited_inputs: says which sources of inputs would interrupt a guest that waits.
        attended: somebody may still give inputs: a processor that only they can wake waits for them, and the
            run does not end there. It returns, until ``feed`` has been called.
    """

    def __init__(
        self,
        prices: Mapping[str, int],
        memory_bytes: int,
        hertz: int,
        identity: Identity,
        features: Features | None,
    ) -> None:
        super().__init__(prices, memory_bytes, hertz, identity, features)
        self.inputs = InputLog()
        self.give_input: Callable[[Input], None] = self.board.take_input
        self.awaited_inputs: Callable[[], tuple[str, ...]] = self.board.awaited_inputs
        self.attended = False
        self._awaits: tuple[str, ...] = ()

    @property
    def awaits(self) -> tuple[str, ...]:
        """The sources of inputs for one of which the machine waits now; none while it can go on."""
        return self._awaits if self.inputs.due > self.position else ()

    @property
    def input_may_come(self) -> bool:
        """Whether there may be another input: somebody is there, or the recording has more."""
        return self.attended or self.inputs.due != NEVER

    def feed(self, source: str, *data: str | bool | bytes, vm: int = 0) -> None:
        """An input comes from outside, now: a key (name, down) or bytes for the serial port; for ``vm``."""
        self._take_inputs()
        entry = Input(self.position, source, data, vm)
        self.inputs.add(entry)
        self._awaits = ()
        self.give_input(entry)

    def _take_inputs(self) -> None:
        self._awaits = ()
        for entry in self.inputs.take(self.position):
            self.give_input(entry)

    def _await_input(self) -> bool:
        """Whether the processor, which nothing else wakes, waits for an input from now on."""
        self._awaits = self.awaited_inputs() if self.input_may_come else ()
        return bool(self._awaits)
