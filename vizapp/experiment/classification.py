"""Privilege classes by experiment: Popek and Goldberg's definitions put to the machine itself.

An instruction is carried out in each prepared state at ring 0, with the guest's own tables behind it, which
is how its program believes that it runs; and then deprivileged, at rings 1 and 3, once with nothing else
changed (mode) and once with a monitor's tables, CR0, IF and IOPL 0 behind it (location).

    privileged   wherever ring 0 carries it out, the other rings either fault or do exactly the same
    sensitive    some deprivileged run does not fault and yet differs: a resource ends otherwise (control),
                 or the program reads another value (behaviour)
    innocuous    no run differs

"Formal Requirements for Virtualizable Third Generation Architectures", CACM 17(7), 1974. An instruction that
no state lets ring 0 finish shows nothing, and keeps the manual's class.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.experiment.laboratory import Laboratory, Outcome, Situation
from vizapp.experiment.specimens import STATES, specimens
from vizapp.experiment.trials import KINDS, MONITOR, Evidence, Kind, compare, make_trial
from vizapp.isa import registers as r
from vizapp.isa.classes import Privilege
from vizapp.isa.opcodes import OPCODES
from vizapp.machine.execute import executor
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.isa.opcodes import Opcode

_STRICTEST: Final[tuple[Privilege, ...]] = ("sensitive", "privileged", "innocuous")


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
        self._trials = [make_trial(state, cr4) for state in STATES]
        self._known: dict[tuple[Opcode, bytes, int], Verdict] = {}

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
        key = (instruction.opcode, instruction.raw, instruction.operand_size)
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
            for evidence in compare(trial, yardstick, run):
                found.setdefault((evidence.cause, evidence.kind), evidence)
        # What one register explains needs no other word; a trap is a matter of the ring.
        if any(cause != MONITOR for cause, _ in found):
            found = {key: item for key, item in found.items() if key[0] != MONITOR}
        leaks = _ordered(item for item in found.values() if item.kind is not None)
        if leaks:
            kinds = tuple(kind for kind in KINDS if any(item.kind == kind for item in leaks))
            return Verdict("sensitive", kinds, leaks)
        if not decided:
            return Verdict(instruction.opcode.privilege, (), (), decided=False)
        return Verdict("privileged" if found else "innocuous", (), tuple(found.values()))


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
    return Verdict(privilege, kinds, _ordered(evidence.values()), any(item.decided for item in every))


def _ordered(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    return tuple(sorted(evidence, key=lambda item: item.is_obscure))
