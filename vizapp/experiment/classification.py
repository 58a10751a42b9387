"""Privilege classes by experiment: Popek and Goldberg's definitions put to the machine itself.

An instruction is carried out in each prepared state at ring 0, with the guest's own tables behind it, which
is how its program believes that it runs; and then deprivileged, at rings 1 and 3 with IOPL 0, once with
nothing else changed (mode) and once with a monitor's tables, CR0, IF and IOPL behind it (location).

    privileged   wherever ring 0 carries it out, the other rings either fault or do exactly the same
    sensitive    some deprivileged run does not fault and yet differs: a resource ends otherwise (control),
                 or the program reads another value (behaviour)
    innocuous    no run differs

"Formal Requirements for Virtualizable Third Generation Architectures", CACM 17(7), 1974. An instruction that
no state lets ring 0 finish shows nothing, and keeps the manual's class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from vizapp.experiment.laboratory import Laboratory, Outcome, Situation, State, prepare
from vizapp.experiment.outcomes import Difference, differences
from vizapp.experiment.specimens import STATES, specimens
from vizapp.experiment.worlds import GUEST, MONITORS, World
from vizapp.isa import registers as r
from vizapp.isa.classes import Privilege
from vizapp.isa.opcodes import OPCODES
from vizapp.machine.execute import executor
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.isa.opcodes import Opcode

Kind: TypeAlias = Literal["control", "behaviour"]
_Run: TypeAlias = "Callable[[Situation], Outcome]"
KINDS: Final[tuple[Kind, ...]] = ("control", "behaviour")
RINGS: Final = tuple(MONITORS)
_STRICTEST: Final[tuple[Privilege, ...]] = ("sensitive", "privileged", "innocuous")


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


class Verdict(NamedTuple):
    """The class of an instruction as found.

    Attributes:
        privilege: the class.
        kinds: of a sensitive one, what it is sensitive in.
        evidence: one run for each cause and kind.
        decided: False where ring 0 never finished.
    """

    privilege: Privilege
    kinds: tuple[Kind, ...]
    evidence: tuple[Evidence, ...]
    decided: bool = True

    def sentence(self) -> Message:
        """The first evidence, or why there is none."""
        if self.evidence:
            return self.evidence[0].sentence
        if not self.decided:
            return Message(N_("faults at ring 0 as well in every state: it shows nothing"))
        return Message(N_("the same at rings 0, 1 and 3 in every state"))


class Form(NamedTuple):
    """One row of the opcode table with its verdict."""

    opcode: Opcode
    verdict: Verdict


class Finding(NamedTuple):
    """What the experiment found of an operation: all its forms together."""

    operation: str
    forms: tuple[Form, ...]
    verdict: Verdict

    @property
    def name(self) -> str:
        """The operation in words: ``call far``, ``mov to control``."""
        return self.operation.replace("_", " ")

    @property
    def declared(self) -> Privilege:
        """The opcode table's class."""
        return self.forms[0].opcode.privilege


class Classifier:
    """Tries instructions on a processor of its own, and remembers the verdicts.

    Args:
        virtualizable: the processor has the option of that name, which no real one has.
    """

    def __init__(self, *, virtualizable: bool = False) -> None:
        self._laboratory = Laboratory()
        cr4 = r.CR4_VIRTUALIZABLE if virtualizable else 0
        self._trials = [_trial(state, cr4) for state in STATES]
        self._known: dict[tuple[Opcode, bytes], Verdict] = {}

    def table(self) -> tuple[Finding, ...]:
        """Every operation of the opcode table, by name."""
        forms: dict[str, list[Form]] = {}
        for opcode in OPCODES:
            verdict = combine(self.instruction(item) for item in specimens(opcode))
            forms.setdefault(opcode.operation, []).append(Form(opcode, verdict))
        return tuple(
            Finding(name, tuple(found), combine(form.verdict for form in found))
            for name, found in sorted(forms.items())
        )

    def instruction(self, instruction: Instruction) -> Verdict:
        """The class of one instruction at its own operands; its address is of no account."""
        key = (instruction.opcode, instruction.raw)
        verdict = self._known.get(key)
        if verdict is None:
            verdict = self._known[key] = self._try(instruction)
        return verdict

    def _try(self, instruction: Instruction) -> Verdict:
        effect = executor(instruction)

        def run(situation: Situation) -> Outcome:
            return self._laboratory.run(instruction, effect, situation)

        found: dict[tuple[str, Kind | None], Evidence] = {}
        decided = False
        for trial in self._trials:
            yardstick = run(trial.at_ring_0)
            decided |= yardstick.modelled and yardstick.fault is None
            for evidence in _compare(trial, yardstick, run):
                found.setdefault((evidence.cause, evidence.kind), evidence)
        # What one register explains needs no other word; a trap is a matter of the ring.
        if any(cause != MONITOR for cause, _ in found):
            found = {key: item for key, item in found.items() if key[0] != MONITOR}
        leaks = tuple(sorted((item for item in found.values() if item.kind is not None), key=_obscure))
        if leaks:
            kinds = tuple(kind for kind in KINDS if any(item.kind == kind for item in leaks))
            return Verdict("sensitive", kinds, leaks)
        if not decided:
            return Verdict(instruction.opcode.privilege, (), (), decided=False)
        return Verdict("privileged" if found else "innocuous", (), tuple(found.values()))


RING: Final = "CPL"
MONITOR: Final = "GDTR, IDTR, LDTR, TR, CR0, IF"
_REGISTER_OF: Final = {name: name.upper() for name in World._fields} | {"sysenter": "MSR"}


class _Trial(NamedTuple):
    """A state at ring 0, and by ring the same state deprivileged: alone, and with the monitor behind it."""

    state: State
    at_ring_0: Situation
    deprivileged: tuple[tuple[int, Situation, Situation], ...]


def _trial(state: State, cr4: int) -> _Trial:
    # A monitor keeps its interrupts on and lets nobody else near the ports.
    hidden = state.eflags & ~r.EFLAGS_IOPL | r.EFLAGS_IF
    return _Trial(
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


def _compare(trial: _Trial, yardstick: Outcome, run: _Run) -> Iterator[Evidence]:
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
        # Where both fault the monitor has the processor as the guest's kernel would have had it.
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


_FAULT_AT_RING_0: Final = N_("{fault} at ring 0, where ring {ring} carries it out ({state})")


def _obscure(evidence: Evidence) -> bool:
    """Whether it tells of a fault that is missing, which other evidence comes before."""
    return evidence.sentence.text == _FAULT_AT_RING_0


def _told(text: str, faulted: Outcome, ring: int, state: State) -> Message:
    return Message(text, {"fault": str(faulted.fault), "ring": ring, "state": state.title})


def _shown(difference: Difference, ring: int, cause: str, state: State) -> Message:
    return Message(
        N_("{part} becomes {expected} at ring 0 and {found} at ring {ring}, because of {cause} ({state})"),
        {"part": difference.part, "expected": difference.expected, "found": difference.found,
         "ring": ring, "cause": cause, "state": state.title},
    )  # fmt: skip


def combine(verdicts: Iterable[Verdict]) -> Verdict:
    """The class of several instructions together: one that is sensitive makes them all so."""
    every = list(verdicts)
    privilege = next(name for name in _STRICTEST if any(item.privilege == name for item in every))
    telling = [item for item in every if item.privilege == privilege]
    evidence: dict[tuple[str, Kind | None], Evidence] = {}
    for item in telling:
        for one in item.evidence:
            evidence.setdefault((one.cause, one.kind), one)
    kinds = tuple(kind for kind in KINDS if any(kind in item.kinds for item in telling))
    ordered = tuple(sorted(evidence.values(), key=_obscure))
    return Verdict(privilege, kinds, ordered, any(item.decided for item in every))
