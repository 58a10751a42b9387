"""A trial of the privilege experiment: one state at ring 0 and deprivileged, and what that shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from vizapp.experiment.laboratory import Outcome, Situation, State, prepare
from vizapp.experiment.outcomes import Difference, differences
from vizapp.experiment.worlds import GUEST, MONITORS, World
from vizapp.isa import registers as r
from vizapp.messages import N_, Message

Kind: TypeAlias = Literal["control", "behaviour"]
KINDS: Final[tuple[Kind, ...]] = ("control", "behaviour")
RINGS: Final = tuple(MONITORS)

# Causes: the ring alone, and the monitor's registers together where no single one makes the difference.
RING: Final = "CPL"
MONITOR: Final = "GDTR, IDTR, LDTR, TR, CR0, IF"
_REGISTER_OF: Final = {name: name.upper() for name in World._fields} | {"sysenter": "MSR"}
_FAULT_AT_RING_0: Final = N_("{fault} at ring 0, where ring {ring} carries it out ({state})")


class Evidence(NamedTuple):
    """One run that shows the class.

    Attributes:
        ring: where the instruction ran deprivileged.
        state: what it found.
        cause: the register on which the difference depends: ``CPL``, or one of the monitor's (``GDTR``).
        kind: of a sensitive instruction; None of one that trapped.
        sentence: what differed.
    """

    ring: int
    state: Message
    cause: str
    kind: Kind | None
    sentence: Message

    @property
    def is_obscure(self) -> bool:
        """Whether it tells of a fault that is missing, which other evidence comes before."""
        return self.sentence.text == _FAULT_AT_RING_0


class Trial(NamedTuple):
    """A state at ring 0, and by ring the same state deprivileged: alone, and with the monitor behind it."""

    state: State
    at_ring_0: Situation
    deprivileged: tuple[tuple[int, Situation, Situation], ...]


def make_trial(state: State, cr4: int) -> Trial:
    """A state with ``cr4`` in the processor, at every ring."""
    # A monitor keeps its interrupts on and lets nobody else near the ports.
    hidden = state.eflags & ~r.EFLAGS_IOPL | r.EFLAGS_IF
    return Trial(
        state,
        prepare(state, 0, GUEST, state.eflags, cr4),
        tuple(
            (
                ring,
                prepare(state, ring, GUEST, state.eflags, cr4),
                prepare(state, ring, MONITORS[ring], hidden, cr4),
            )
            for ring in RINGS
        ),
    )


def compare(trial: Trial, yardstick: Outcome, run: Callable[[Situation], Outcome]) -> Iterator[Evidence]:
    """What ``run`` shows deprivileged beside ``yardstick``, the outcome at ring 0."""
    for ring, alone, behind in trial.deprivileged:
        by_ring = run(alone)
        yield from _judge(trial.state, ring, yardstick, by_ring, RING)
        found = list(_judge(trial.state, ring, yardstick, run(behind), MONITOR))
        if any(item.kind for item in found):
            for cause, situation in _one_by_one(trial.state, ring, behind):
                other = run(situation)
                if _differ(by_ring, other):
                    every = _judge(trial.state, ring, yardstick, other, cause)
                    yield from (item for item in every if item.kind)
        yield from found


def _one_by_one(state: State, ring: int, behind: Situation) -> Iterator[tuple[str, Situation]]:
    """The deprivileged state with one register of the monitor's, by the register's name."""
    cr4 = behind.before.control[3]
    for field in World._fields:
        world = GUEST._replace(**{field: getattr(behind.world, field)})
        yield _REGISTER_OF[field], prepare(state, ring, world, state.eflags, cr4)
    for name, mask in (("IF", r.EFLAGS_IF), ("IOPL", r.EFLAGS_IOPL)):
        eflags = state.eflags & ~mask | behind.before.eflags & mask
        yield name, prepare(state, ring, GUEST, eflags, cr4)


def _differ(one: Outcome, other: Outcome) -> bool:
    if one.fault is None and other.fault is None:
        return bool(differences(one, other))
    return (one.fault is None) != (other.fault is None)


def _judge(state: State, ring: int, yardstick: Outcome, other: Outcome, cause: str) -> Iterator[Evidence]:
    """What a deprivileged run shows: a trap, or the first difference of each kind, or nothing."""
    if not (yardstick.modelled and other.modelled):
        return
    if other.fault is not None:
        # Where ring 0 faults as well, the monitor gets control and can do what ring 0 would have done.
        if yardstick.fault is None:
            text = N_("{fault} at ring {ring}, where ring 0 carries it out ({state})")
            yield Evidence(ring, state.title, cause, None, _told(text, other, ring, state))
    elif yardstick.fault is not None:
        sentence = _told(_FAULT_AT_RING_0, yardstick, ring, state)
        yield Evidence(ring, state.title, cause, "control", sentence)
    else:
        found = differences(yardstick, other)
        for is_control in (True, False):
            first = next((item for item in found if item.is_control is is_control), None)
            if first is not None:
                kind: Kind = "control" if is_control else "behaviour"
                yield Evidence(ring, state.title, cause, kind, _shown(first, ring, cause, state))


def _told(text: str, faulted: Outcome, ring: int, state: State) -> Message:
    return Message(text, {"fault": str(faulted.fault), "ring": ring, "state": state.title})


def _shown(difference: Difference, ring: int, cause: str, state: State) -> Message:
    return Message(
        N_("{part} becomes {expected} at ring 0 and {found} at ring {ring}, because of {cause} ({state})"),
        {"part": difference.part, "expected": difference.expected, "found": difference.found,
         "ring": ring, "cause": cause, "state": state.title},
    )  # fmt: skip
