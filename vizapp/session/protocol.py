"""What crosses the process boundary: commands to a session and its replies, plain data both ways.

    window                              session process
      | -- Step, Run, Pause, Seek ... ->  |   any command is answered by a Frame, or by Failed
      | <- Opened ----------------------  |   once, first
      | <- Frame, EventBatch, Progress -  |   while running: at most ``FRAMES_PER_SECOND`` frames a second

Commands are dataclasses and not tuples, because two tuples without fields are equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from vizapp.messages import Message
from vizapp.session.frames import EventBatch, Frame, Progress, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

FRAMES_PER_SECOND = 30


@dataclass(frozen=True, slots=True)
class Step:
    """Move the cursor ``count`` steps forward; at the end of the recording, extend it."""

    count: int = 1


@dataclass(frozen=True, slots=True)
class Back:
    """Move the cursor ``count`` steps back, at most to the start."""

    count: int = 1


@dataclass(frozen=True, slots=True)
class Over:
    """Run until the guest instruction at the cursor and whatever it called or caused is done."""


@dataclass(frozen=True, slots=True)
class NextEvent:
    """Move to the next event of one of ``kinds`` (None: of any kind), recording as far as needed."""

    kinds: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class PreviousEvent:
    """Move back to the last event before the cursor of one of ``kinds`` (None: of any kind)."""

    kinds: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Seek:
    """Move the cursor to a position (steps from the start); beyond the end, record up to there."""

    position: int


@dataclass(frozen=True, slots=True)
class SeekInstruction:
    """Move to where guest instruction number ``instruction`` (from 0) is about to execute."""

    instruction: int


@dataclass(frozen=True, slots=True)
class RunTo:
    """Run on until the guest is about to execute at a linear address, or to the end."""

    address: int


@dataclass(frozen=True, slots=True)
class Run:
    """Run from the cursor on, at most ``steps_per_second`` (None: as fast as it goes), until Pause, the
    end, a breakpoint or a caught event, or until the guest waits for an input; with Feed it then goes on.

    Without ``attended`` nobody will ever give one: such a guest has halted for good.
    """

    steps_per_second: float | None = None
    attended: bool = True


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop running; answered within 100 ms."""


@dataclass(frozen=True, slots=True)
class SetBreakpoints:
    """Stop where one of these linear addresses is about to execute in the guest; replaces the former set."""

    addresses: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class SetCatchpoints:
    """Stop at events of these kinds, or of a kind and a cause (``kind:cause``), while running; replaces the
    former set."""

    kinds: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Watch:
    """Put these details into every frame; replaces the former set. See ``session.details``.

    ``addresses`` are, by detail, the linear addresses that they are asked about; without one it is the next
    instruction's.
    """

    details: frozenset[str] = field(default_factory=frozenset)
    addresses: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Feed:
    """Something comes into the machine from outside, at the end of the recording; see ``machine.input_log``.

    ``data`` is (key, down) for source ``keyboard``, (bytes,) for ``serial``; ``vm`` is whom it is for.
    """

    source: str
    data: tuple[str | bool | bytes, ...]
    vm: int = 0


@dataclass(frozen=True, slots=True)
class SelectVm:
    """Show virtual machine ``vm`` from now on; None: whichever has the processor."""

    vm: int | None


@dataclass(frozen=True, slots=True)
class Score:
    """Check equivalence for all that is recorded, by replay on the bare machine."""


@dataclass(frozen=True, slots=True)
class Close:
    """End the process; nothing is answered."""


Command: TypeAlias = (
    Step
    | Back
    | Over
    | NextEvent
    | PreviousEvent
    | Seek
    | SeekInstruction
    | RunTo
    | Run
    | Pause
    | SetBreakpoints
    | SetCatchpoints
    | Watch
    | Feed
    | SelectVm
    | Score
    | Close
)


class Opened(NamedTuple):
    """The session exists: which places there are and what the technique is called."""

    technique: str
    title: Message
    stage: Stage


class Failed(NamedTuple):
    """A command could not be done; the session is as it was before and goes on."""

    message: Message


Reply: TypeAlias = Opened | Frame | EventBatch | Progress | Failed
