"""What the window is told: immutable frames and batches of events, plain data across the process boundary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vizapp.machine.events import Event
from vizapp.machine.places import Place
from vizapp.messages import Message
from vizapp.vmm.stage import StageWorld


class CodeLine(NamedTuple):
    """One line of guest code as the code panel shows it.

    ``mark`` is innocuous, sensitive or privileged, found for the ring that the code was written for;
    ``note`` says what becomes of it under this technique (runs directly, traps, loses IF silently, ported).
    ``source`` is the source line without its comment, ``comment`` the comment; ``label`` stands above.
    """

    address: int
    raw: bytes
    text: str
    mark: str
    note: Message | None = None
    label: str = ""
    source: str = ""
    comment: str = ""
    line: int = 0
    heat: int = 0
    current: bool = False
    breakpoint: bool = False
    changed_by_port: bool = False


class Truth(NamedTuple):
    """One row of the two truths: what the guest sees, what the processor holds (or where it is saved).

    Values are as shown (hexadecimal without 0x); ``key`` names the tooltip that teaches (``eflags.if``).
    """

    name: str
    key: str
    guest: str
    processor: str
    differs: bool
    changed: bool


class Efficiency(NamedTuple):
    """How the guest's instructions were executed; counts."""

    direct: int
    cache: int
    emulated: int


@dataclass(frozen=True, slots=True)
class Scorecard:
    """Popek and Goldberg's three properties, measured on this run.

    ``holds`` is None while equivalence has not been checked. ``compared`` counts guest instructions (or
    progress marks of a ported guest). ``first_difference`` says where and what.
    """

    claimed: bool
    holds: bool | None = None
    compared: int = 0
    total: int = 0
    first_difference: Message | None = None
    refused: int = 0
    let_through: int = 0
    efficiency: Efficiency = Efficiency(0, 0, 0)


DIVERGED = "diverged"


class Stopped(NamedTuple):
    """Why a run ended: halted, shutdown, until, limit, crashed, diverged or exit-port, with a sentence."""

    reason: str
    detail: Message


class ScreenCells(NamedTuple):
    """How the characters of the text screen look: a VGA's attributes, palette and cursor.

    ``attributes`` are 25 rows of 80 bytes (``machine.devices.text_attributes``), ``palette`` red, green and
    blue (0 to 255) of the 16 attribute colours; ``blinks`` is what bit 7 of an attribute is for. ``cursor``
    is row and column, None while it cannot be seen.
    """

    attributes: tuple[bytes, ...]
    palette: tuple[tuple[int, int, int], ...]
    blinks: bool
    cursor: tuple[int, int] | None


class VmState(NamedTuple):
    """One virtual machine at the cursor.

    ``state`` is running (it has the processor, or the monitor on its behalf), ready, waiting (for an
    interrupt), paused or stopped. ``instructions`` are guest instructions retired, ``cycles`` those for which
    it had the processor.
    """

    number: int
    name: str
    guest: str
    weight: int
    state: str
    instructions: int
    cycles: int
    stopped: Stopped | None


class Stage(NamedTuple):
    """Which places exist under a technique and how they nest; the drawing is the window's own."""

    worlds: tuple[StageWorld, ...]

    @property
    def several_vms(self) -> bool:
        """Whether there is more than one virtual machine."""
        return len(self.vm_names) > 1

    @property
    def vm_names(self) -> dict[int, str]:
        """The virtual machines by number, as their components are titled."""
        return {
            component.vm: str(component.title.parameters.get("name", component.vm))
            for world in self.worlds
            for component in world.components
            if component.vm >= 0
        }


@dataclass(frozen=True, slots=True)
class Frame:
    """The state at the cursor, everything that panels show of it.

    ``position`` counts steps (instructions, deliveries, phases) and ``instruction`` guest instructions;
    the ``last_`` pair is the end of the recording. ``purposes`` are cycles up to the cursor by purpose, and
    ``charges`` the whole ledger: place, purpose, input, count, cycles. ``moving`` says that a run or a far
    move is still under way, so that another frame follows. ``event_cycles`` is what ``event`` cost.
    ``devices`` are the sources of ``protocol.Feed`` that the guest's hardware has, ``inputs`` those that take
    something now. ``cells`` is how the characters of ``screen`` look. ``details`` are those that
    ``protocol.Watch`` has asked for. ``vm`` is the number in ``vms`` of the virtual machine that registers,
    truths, code, serial output and screen are of. ``waiting`` says for which input the guest waits where the
    run goes on with one only. ``translated`` are instructions in the
    translation caches, by what became of them; ``unfinished`` by place the charges of iterations after which
    an instruction has not retired yet.
    """

    technique: str
    guest: str
    processor: str
    position: int
    last_position: int
    instruction: int
    last_instruction: int
    cycle: int
    last_cycle: int
    place: Place
    phase: str
    event: Event | None
    sentence: Message
    lesson: str
    code_title: str
    code: tuple[CodeLine, ...]
    truths: tuple[Truth, ...]
    scorecard: Scorecard
    purposes: dict[str, int]
    event_counts: dict[str, int]
    registers: dict[str, int]
    guest_registers: dict[str, int]
    serial: str
    screen: tuple[str, ...]
    stopped: Stopped | None
    charges: tuple[tuple[Place, str, str, int, int], ...] = ()
    changed: frozenset[str] = field(default_factory=frozenset)
    moving: bool = False
    event_cycles: int | None = None
    cells: ScreenCells | None = None
    devices: frozenset[str] = field(default_factory=frozenset)
    inputs: frozenset[str] = field(default_factory=frozenset)
    details: Mapping[str, Any] = field(default_factory=dict)
    vm: int = 0
    vms: tuple[VmState, ...] = ()
    waiting: Message | None = None
    translated: Mapping[str, int] = field(default_factory=dict)
    unfinished: Mapping[Place, int] = field(default_factory=dict)


_NOTHING: Mapping[str, int] = {}


class Progress(NamedTuple):
    """How far a run has come: for the overhead graph, one point a batch.

    ``progress`` is guest progress that can be compared between builds: guest instructions for runs of the
    same bytes, mark retirements otherwise (``marks``). ``overhead_valid`` is False once not equivalent.
    ``start`` are the cycles by purpose that a host or a domain 0 took before the guest's first instruction.
    """

    technique: str
    instructions: int
    marks: int
    cycles: int
    purposes: dict[str, int]
    stopped: Stopped | None
    overhead_valid: bool
    start: Mapping[str, int] = _NOTHING

    @property
    def since_start(self) -> dict[str, int]:
        """Cycles by purpose from the guest's own first instruction on."""
        return {purpose: cycles - self.start.get(purpose, 0) for purpose, cycles in self.purposes.items()}


class EventBatch(NamedTuple):
    """Recorded events from index ``first`` on, in order; ``total`` counts all that are recorded.

    What was known from ``first`` on is replaced: a run that is found to have diverged is cut off there.
    """

    first: int
    total: int
    events: tuple[Event, ...]
