"""A lesson as data: steps that drive the machine, questions asked before, and what must then hold.

    lesson.yaml      steps, questions, conditions
    en.md, pt_BR.md  one section a step: ## Title {#id-of-the-step}; after a line --- what is read once it ran

A choice of a question is right if its condition holds in the machine after the step has run: no answer
is written down anywhere. ``check`` lists what the text claims; ``vizapp lesson check`` runs all of it.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

FORMAT = 1
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Panel = Literal[
    "stage", "code", "truths", "scorecard", "transport", "lanes", "overhead", "registers", "serial"
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _OneOf(_Model):
    """A model of which exactly one field is given."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"exactly one of these is expected: {', '.join(type(self).model_fields)}")
        return self


class Bilingual(_Model):
    """A short text in both languages."""

    en: str
    pt_BR: str  # noqa: N815 - the locale's own name

    def text(self, language: str) -> str:
        """The text in a language, English for one that is not there."""
        return self.pt_BR if language == "pt_BR" else self.en


class LessonScenario(_Model):
    """What the step runs; the fields mean what they mean on the command line."""

    guest: Identifier
    technique: Identifier = "native"
    build: Literal["native", "xen"] | None = None
    virtualizable: bool = False


class ToEvent(_Model):
    """Go to the next event of a kind (the names of ``--until``), of one cause if that is given."""

    kind: str
    cause: str | None = None


class Move(_OneOf):
    """One movement of the cursor: to a label of the guest, an event, an instruction, some steps, the end."""

    label: str | None = None
    event: ToEvent | None = None
    instruction: Annotated[int, Field(ge=0)] | None = None
    steps: Annotated[int, Field(ge=1, le=1000)] | None = None
    end: Literal[True] | None = None


class RegisterIs(_Model):
    """A register's value, as the guest sees it or as the processor holds it."""

    name: str
    side: Literal["guest", "processor"] = "guest"
    equals: int


class EventHappened(_Model):
    """How often an event of a kind (and cause) happened in this step; at least once unless told otherwise."""

    kind: str
    cause: str | None = None
    times: Annotated[int, Field(ge=0)] | None = None


class TextShown(_Model):
    """A text that the guest wrote."""

    contains: str


class TruthDiffers(_Model):
    """Whether a row of the two truths differs."""

    name: str
    differs: bool = True


class Equivalence(_Model):
    """Whether the run so far is what the bare machine would have done."""

    holds: bool


class Condition(_OneOf):
    """One thing that holds in the machine, or does not."""

    register_is: Annotated[RegisterIs | None, Field(alias="register")] = None
    event: EventHappened | None = None
    serial: TextShown | None = None
    truth: TruthDiffers | None = None
    equivalence: Equivalence | None = None
    stopped: str | None = None


class Choice(_Model):
    """An answer that can be given; right if its condition holds once the step has run."""

    text: Bilingual
    when: Condition


class Prediction(_Model):
    """A question that is answered before the step runs."""

    question: Bilingual
    choices: Annotated[tuple[Choice, ...], Field(min_length=2, max_length=5)]


class Step(_Model):
    """One step: perhaps a new scenario, a question, movements, and what must then hold."""

    id: Identifier
    point: Panel
    scenario: LessonScenario | None = None
    predict: Prediction | None = None
    go: tuple[Move, ...] = ()
    check: tuple[Condition, ...] = ()


class Lesson(_Model):
    """A lesson; ``covers`` names the survey's sections that it teaches."""

    format: Literal[1]
    name: Identifier
    number: Annotated[int, Field(ge=1)]
    minutes: Annotated[int, Field(ge=1, le=90)]
    title: Bilingual
    covers: tuple[str, ...]
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.steps[0].scenario is None:
            raise ValueError("the first step needs a scenario")
        names = [step.id for step in self.steps]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the step id {name} is used twice")
        return self
