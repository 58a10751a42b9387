"""Reads ``scenario.yaml``: PCs, the virtual machines on them, and what is done to these at which time.

    format: 1
    pcs:
      - technique: trap-and-emulate     one monitor a PC; also processor, preset, virtualizable, paging, io,
                                        hosted, slice, host_memory
        vms:
          - {name: first, guest: syscall, memory: 16M, weight: 256, iterations: 10, disks: [disk.img]}
          - {name: second, guest: compute, guests: hvm}     paravirtual: unmodified; for all of them at the PC
    actions:
      - {at: 2ms, pause: second}        one of create, pause, resume, kill; simulated time from the start
      - {at: 3ms, balloon: first, memory: 12M}        paravirtual: how much memory it shall have from then on

Under paravirtual they are domains U, which domain 0 makes, and to which it does what the actions say.

Files that it names are looked for beside it. Every problem is told with its line and column.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from vizapp.errors import DataError, LocatedError, VizappError
from vizapp.experiment.split import ALONE, with_domain_0
from vizapp.guest.catalogue import GUESTS
from vizapp.messages import N_, Message
from vizapp.schema import Document, read
from vizapp.session.scenario import Scenario, VmAction, VmScenario
from vizapp.vmm.scheduler import DEFAULT_WEIGHT

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.errors import SourceProblem

SUFFIXES: Final = (".yaml", ".yml")
DONE: Final = ("create", "pause", "resume", "kill")
NOT_DONE: Final = ("snapshot", "clone", "restore", "migrate")
BALLOON: Final = "balloon"
MOST_VMS: Final = 16
PARAVIRTUAL: Final = "paravirtual"
_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_SIZES: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

Time = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(us|ms|s)$")]
Size = Annotated[str, Field(pattern=r"^[0-9]+[KMG]$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VmEntry(_Model):
    """A virtual machine; the fields mean what they mean on the command line."""

    guest: str
    name: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    technique: str | None = None
    memory: Size = "16M"
    weight: Annotated[int, Field(ge=1, le=65535)] = DEFAULT_WEIGHT
    iterations: Annotated[int, Field(ge=1)] | None = None
    disks: tuple[str, ...] = ()
    guests: Literal["ported", "hvm"] | None = None


class PcEntry(_Model):
    """A PC with its monitor."""

    name: str | None = None
    processor: str | None = None
    technique: str | None = None
    preset: str | None = None
    paging: Literal["shadow", "nested"] = "shadow"
    virtualizable: bool | None = None
    io: Literal["bare-metal", "hosted", "split"] | None = None
    hosted: dict[str, bool] = Field(default_factory=dict)
    guests: Literal["ported", "hvm"] | None = None
    slice: Time | None = None
    host_memory: Size | None = None
    vms: Annotated[tuple[VmEntry, ...], Field(min_length=1, max_length=MOST_VMS)]


class ActionEntry(_Model):
    """Something done to one virtual machine, by name, at a time."""

    at: Time
    create: str | None = None
    pause: str | None = None
    resume: str | None = None
    kill: str | None = None
    snapshot: str | None = None
    clone: str | None = None
    restore: str | None = None
    migrate: str | None = None
    balloon: str | None = None
    memory: Size | None = None


class ScenarioFile(_Model):
    """The whole file."""

    format: Literal[1]
    pcs: Annotated[tuple[PcEntry, ...], Field(min_length=1)]
    switches: tuple[str, ...] = ()
    actions: tuple[ActionEntry, ...] = ()


def is_scenario_file(guest: str) -> bool:
    """Whether GUEST names a scenario rather than a guest."""
    return guest not in GUESTS and Path(guest).suffix.lower() in SUFFIXES


def load_scenario_file(file: str, make: Callable[..., Scenario]) -> Scenario:
    """The scenario of a file, each of its guests made by ``make`` (``scenarios.make_scenario``).

    Raises:
        DataError: the file cannot be read or is not as above, or asks for what there is not.
        LocatedError: a guest's own source does not assemble.
    """
    document = read(Path(file), ScenarioFile)
    content = document.value
    problems = [*_beyond(document), *_disagreements(document)]
    if problems:
        raise DataError(tuple(sorted(problems, key=lambda problem: (problem.line, problem.column))))
    names = _names(document)
    entry = content.pcs[0]
    made = [_make(document, number, Path(file).parent, make) for number in range(len(entry.vms))]
    first, *_ = made
    machines = [
        VmScenario(vm.image, vm.memory, name, item.weight, disks=vm.disks, yardstick=vm.yardstick)
        for vm, name, item in zip(made, names, entry.vms, strict=True)
    ]
    scenario = replace(
        first,
        name=names[0],
        weight=entry.vms[0].weight,
        others=tuple(machines[1:]),
        slice_seconds=None if entry.slice is None else _seconds(entry.slice),
        host_memory=None if entry.host_memory is None else _bytes(entry.host_memory),
        actions=_actions(document, names, first.technique),
    )
    return with_domain_0(scenario) if first.technique == PARAVIRTUAL else scenario


def _beyond(document: Document[ScenarioFile]) -> list[SourceProblem]:
    """What the file asks for and a scenario cannot do."""
    content = document.value
    problems = []
    if len(content.pcs) > 1:
        sentence = N_("this scenario has {count} PCs, and one is all that runs at a time")
        problems.append(document.problem(("pcs", 1), Message(sentence, {"count": len(content.pcs)})))
    if content.switches:
        problems.append(
            document.problem(("switches",), Message(N_("there is no switch to connect PCs with")))
        )
    for number, action in enumerate(content.actions):
        chosen = [kind for kind in (*DONE, BALLOON, *NOT_DONE) if getattr(action, kind) is not None]
        if len(chosen) != 1:
            sentence = N_("an action names one machine, as one of {known}")
            problems.append(
                document.problem(("actions", number), Message(sentence, {"known": ", ".join(DONE)}))
            )
        elif chosen[0] in NOT_DONE:
            sentence = N_("a scenario cannot {action} a virtual machine; it can {known} one")
            parameters = {"action": chosen[0], "known": ", ".join(DONE)}
            problems.append(document.problem(("actions", number, chosen[0]), Message(sentence, parameters)))
        elif (chosen[0] == BALLOON) != (action.memory is not None):
            sentence = N_("a balloon, and nothing else, has a memory: how much the machine shall have")
            problems.append(document.problem(("actions", number), Message(sentence)))
    return problems


def _disagreements(document: Document[ScenarioFile]) -> list[SourceProblem]:
    """Virtual machines of one PC that ask for different monitors."""
    problems = []
    for pc, entry in enumerate(document.value.pcs):
        wanted = entry.technique
        for number, vm in enumerate(entry.vms):
            wanted = wanted or vm.technique
            if vm.technique is not None and vm.technique != wanted:
                sentence = N_("a PC has one monitor: {technique} here, and {other} before")
                parameters = {"technique": vm.technique, "other": str(wanted)}
                location = ("pcs", pc, "vms", number, "technique")
                problems.append(document.problem(location, Message(sentence, parameters)))
    return problems


def _names(document: Document[ScenarioFile]) -> list[str]:
    """The machines' names, each once: its own, or its guest's with its number."""
    names: list[str] = []
    for number, vm in enumerate(document.value.pcs[0].vms):
        name = vm.name or f"{Path(vm.guest).stem}-{number}"
        if name in names:
            message = Message(N_("two virtual machines are named {name}"), {"name": name})
            raise DataError((document.problem(("pcs", 0, "vms", number, "name"), message),))
        names.append(name)
    return names


def _make(
    document: Document[ScenarioFile], number: int, beside: Path, make: Callable[..., Scenario]
) -> Scenario:
    """What one machine would be alone."""
    entry = document.value.pcs[0]
    vm = entry.vms[number]
    is_file = vm.guest not in GUESTS and _is_file(vm.guest)
    try:
        return make(
            str(beside / vm.guest) if is_file else vm.guest,
            technique_name=entry.technique or next((v.technique for v in entry.vms if v.technique), None),
            preset=entry.preset,
            processor=entry.processor,
            paging=entry.paging,
            virtualizable=entry.virtualizable,
            memory=_bytes(vm.memory),
            hosted=entry.hosted,
            iterations=vm.iterations,
            disks=tuple(str(beside / disk) for disk in vm.disks),
            io=entry.io if entry.io == "hosted" else ALONE,
            guests=vm.guests or entry.guests,
        )
    except LocatedError:
        raise  # it knows its own file, line and column
    except VizappError as error:
        raise DataError((document.problem(("pcs", 0, "vms", number, "guest"), error.message),)) from None


def _actions(document: Document[ScenarioFile], names: list[str], technique: str) -> tuple[VmAction, ...]:
    found = []
    for number, action in enumerate(document.value.actions):
        (kind,) = [kind for kind in (*DONE, BALLOON) if getattr(action, kind) is not None]
        name = getattr(action, kind)
        if name not in names:
            message = Message(
                N_("there is no virtual machine {name}; there are: {known}"),
                {"name": name, "known": ", ".join(names)},
            )
            raise DataError((document.problem(("actions", number, kind), message),))
        if kind == BALLOON and technique != PARAVIRTUAL:
            message = Message(
                N_("only under paravirtual has a virtual machine a balloon driver, not {technique}"),
                {"technique": technique},
            )
            raise DataError((document.problem(("actions", number, kind), message),))
        if kind == "create" and name == names[0] and technique != PARAVIRTUAL:
            message = Message(
                N_("{name} is the first virtual machine, which is there from the start"), {"name": name}
            )
            raise DataError((document.problem(("actions", number, kind), message),))
        value = 0 if action.memory is None else _bytes(action.memory) >> 10
        found.append(VmAction(_seconds(action.at), kind, names.index(name), value))
    return tuple(found)


def _is_file(guest: str) -> bool:
    """Whether a guest is a path rather than a misspelt name."""
    return bool(Path(guest).suffix) or len(Path(guest).parts) > 1


def _bytes(text: str) -> int:
    return int(text[:-1]) * _SIZES[text[-1]]


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)([a-z]+)", text).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]
