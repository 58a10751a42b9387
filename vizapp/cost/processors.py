"""Processors as data: the price of each input in cycles, where the number comes from and how sure it is.

Prices are inputs of the model: nothing that a benchmark guest then measures stands in these files. An input
that was chosen so that a published figure comes out names that figure in ``fitted_to``; such a figure proves
nothing about the model afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vizapp.errors import DataError, SourceProblem, UnknownNameError
from vizapp.machine.identity import AMD, INTEL, Identity, make_identity
from vizapp.machine.inputs import (
    EPT,
    FEATURES,
    INPUTS,
    NAMES,
    NEXT_RIP,
    NPT,
    SVM,
    UNRESTRICTED_GUEST,
    VPID,
    VT_X,
    Input,
)
from vizapp.messages import N_, Message
from vizapp.resources import assets
from vizapp.schema import Document, read, suggestion, unknown_name

if TYPE_CHECKING:
    from pathlib import Path

# V read in a source, V* in a text that repeats it, D by arithmetic from such a figure, M from memory.
Certainty = Literal["V", "V*", "D", "M-high", "M-med", "estimate"]
Text = Annotated[str, Field(min_length=1)]

_NEEDS = {EPT: VT_X, VPID: VT_X, UNRESTRICTED_GUEST: EPT, NPT: SVM, NEXT_RIP: SVM}


class Price(BaseModel):
    """One price, ``cycles`` a charge.

    An estimate says why it is what it is; anything else names its source. ``fitted_to`` are the published
    figures (by id) that it was chosen to meet.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cycles: Annotated[int, Field(ge=0)]
    certainty: Certainty
    source: Text | None = None
    reason: Text | None = None
    fitted_to: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _says_where_from(self) -> Self:
        if self.certainty == "estimate" and self.reason is None:
            raise ValueError("an estimate needs a reason")
        if self.certainty != "estimate" and self.source is None:
            raise ValueError("a figure needs a source, or is an estimate with a reason")
        return self

    @property
    def unverified(self) -> bool:
        """Whether it is shown with that mark: a figure from memory."""
        return self.certainty in ("M-high", "M-med")

    @property
    def estimate(self) -> bool:
        """Whether no figure stands behind it."""
        return self.certainty == "estimate"


class Cpuid(BaseModel):
    """What CPUID says beside vendor and features: ``signature`` is leaf 1, EAX, ``brand`` the name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signature: Annotated[int, Field(gt=0, lt=1 << 28)]
    brand: Annotated[str, Field(min_length=1, max_length=47, pattern=r"^[ -~]+$")]


class Processor(BaseModel):
    """A processor model: ``hertz`` cycles a second, ``features`` of ``machine.inputs``, and ``prices``.

    Every input is priced, but those that only features charge which the processor has not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    title: Text
    vendor: Literal["Intel", "AMD"]
    year: Annotated[int, Field(ge=1971)]
    hertz: Annotated[int, Field(gt=0)]
    cpuid: Cpuid
    features: tuple[Text, ...] = ()
    description: Text
    prices: dict[str, Price]

    def cycles(self, overrides: Mapping[str, int] | None = None) -> dict[str, int]:
        """Cycles by input, in the order of ``machine.inputs``, with some of them replaced.

        What this processor can never charge, having no such feature, stands there as 0.

        Raises:
            UnknownNameError: an override names no input of this processor.
        """
        overrides = overrides or {}
        for name in overrides:
            if name not in self.prices:
                raise UnknownNameError("cost", name, tuple(self.prices))
        prices = {name: price.cycles for name, price in self.prices.items()} | dict(overrides)
        return {name: prices.get(name, 0) for name in NAMES}

    def identity(self) -> Identity:
        """What its CPUID answers, VMX and SVM included."""
        vendor = {"Intel": INTEL, "AMD": AMD}[self.vendor]
        return make_identity(vendor, self.cpuid.brand, self.cpuid.signature, self.features)

    def has(self, item: Input) -> bool:
        """Whether this processor can charge an input."""
        return not item.features or not set(self.features).isdisjoint(item.features)


def processor_names() -> tuple[str, ...]:
    """Every processor that ``load_processor`` knows, sorted."""
    return tuple(sorted(path.stem for path in _directory().glob("*.yaml")))


def load_processor(name: str) -> Processor:
    """The processor of a name.

    Raises:
        UnknownNameError: there is none.
        DataError: its file is not as it should be.
    """
    names = processor_names()
    if name not in names:
        raise UnknownNameError("processor", name, names)
    return read_processor(_directory() / f"{name}.yaml")


def read_processor(path: Path) -> Processor:
    """The processor in a file.

    Raises:
        DataError: not as the schema says, no such feature, an input without a price, or a price for no input.
    """
    document = read(path, Processor)
    problems = [*_feature_problems(document), *_price_problems(document)]
    if document.value.name != path.stem:
        message = Message(N_("this file should be named {name}.yaml"), {"name": document.value.name})
        problems.append(document.problem(("name",), message))
    if problems:
        raise DataError(tuple(sorted(problems, key=lambda problem: problem.line)))
    return document.value


def _feature_problems(document: Document[Processor]) -> Iterator[SourceProblem]:
    features = document.value.features
    for index, name in enumerate(features):
        if name not in FEATURES:
            message = unknown_name(name, suggestion(name, FEATURES))
            yield document.problem(("features", index), message)
        elif name in _NEEDS and _NEEDS[name] not in features:
            message = Message(N_("{feature} needs {needed}"), {"feature": name, "needed": _NEEDS[name]})
            yield document.problem(("features", index), message)


def _price_problems(document: Document[Processor]) -> Iterator[SourceProblem]:
    processor = document.value
    unknown = {name: suggestion(name, NAMES) for name in processor.prices if name not in NAMES}
    for name, close in unknown.items():
        yield document.problem(("prices", name), unknown_name(name, close))
    for item in INPUTS:
        priced, has = item.name in processor.prices, processor.has(item)
        if has and not priced and item.name not in unknown.values():
            message = Message(
                N_("no price for {input} ({gloss})"), {"input": item.name, "gloss": Message(item.gloss)}
            )
            yield document.problem(("prices",), message)
        elif priced and not has:
            message = Message(
                N_("{input} is priced, but only processors with {features} charge it"),
                {"input": item.name, "features": ", ".join(item.features)},
            )
            yield document.problem(("prices", item.name), message)


def _directory() -> Path:
    return assets() / "processors"
