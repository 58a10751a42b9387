"""Composes a machine from a scenario: processor, prices, technique and guest, inside this process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.cost.choice import check_processor, uses_virtualization
from vizapp.cost.paths import load_paths, monitor_names
from vizapp.cost.processors import load_processor
from vizapp.errors import ScenarioError
from vizapp.machine.features import Features
from vizapp.machine.identity import with_virtualizable
from vizapp.machine.pc import Pc
from vizapp.messages import N_, Message
from vizapp.vmm import registry
from vizapp.vmm.base import Options

if TYPE_CHECKING:
    from vizapp.cost.processors import Processor
    from vizapp.machine.identity import Identity
    from vizapp.session.scenario import Scenario
    from vizapp.vmm.base import Monitor, Paths, Technique

MOST_DISKS = 2
_WITH_APIC: Final = Features(large_pages=False)  # what a guest of the library finds under any technique


class Machine(NamedTuple):
    """A PC with its guest loaded, before its first step."""

    pc: Pc
    monitor: Monitor
    technique: Technique
    processor: Processor


def build(scenario: Scenario, processor: Processor | None = None) -> Machine:
    """The machine of a scenario; ``processor`` is the one that it names, if it has been read already.

    Raises:
        VizappError: a name that does not exist, or a combination that cannot be.
    """
    technique = registry.technique(scenario.technique)
    if scenario.image.build != technique.build and technique.build == "native":
        raise ScenarioError(
            Message(
                N_("{guest} is built for Xen: it runs under paravirtual, or take its native build"),
                {"guest": scenario.image.name},
            )
        )
    processor = processor or load_processor(scenario.processor)
    if uses_virtualization(scenario.technique):
        check_processor(processor, scenario.technique, scenario.paging)
    options = Options(
        scenario.memory,
        _paths(scenario.technique),
        scenario.virtualizable,
        features=_WITH_APIC if scenario.image.needs_apic else None,
    )
    pc = Pc(
        prices=processor.cycles(_overrides(scenario)),
        memory_bytes=technique.host_memory(options),
        hertz=processor.hertz,
        identity=_identity(scenario, processor),
        features=_features(scenario),
    )
    monitor = technique.start(pc, scenario.image, options)
    pc.marks = scenario.image.marks
    if scenario.serial_input:
        monitor.devices.uart.receive(scenario.serial_input)
    return Machine(pc, monitor, technique, processor)


def _identity(scenario: Scenario, processor: Processor) -> Identity:
    """The processor's, with VMX and SVM for a monitor that uses them alone."""
    identity = processor.identity()
    if not uses_virtualization(scenario.technique):
        identity = identity.without_virtualization()
    return with_virtualizable(identity) if scenario.virtualizable else identity


def _features(scenario: Scenario) -> Features | None:
    """The rest of a PC where the guest is one that expects it; the library's guests do without.

    Raises:
        ScenarioError: there are more disks than the channel has room for, or the monitor has none to give, or
            it cannot run real mode.
    """
    if scenario.image.bare_only is not None and scenario.technique != "native":
        raise ScenarioError(scenario.image.bare_only)
    disks = (*scenario.image.disks, *scenario.disks)
    if disks and scenario.technique != "native":
        sentence = N_("{technique} has no disk to give to its guest; run it under native")
        raise ScenarioError(Message(sentence, {"technique": scenario.technique}))
    if len(disks) > MOST_DISKS:
        sentence = N_("{count} disks are more than the {most} that an IDE channel takes")
        raise ScenarioError(Message(sentence, {"count": len(disks), "most": MOST_DISKS}))
    if scenario.technique != "native" or not (disks or scenario.image.needs_pc):
        return None
    return _WITH_APIC if scenario.image.needs_apic else Features(disks=disks)


def _overrides(scenario: Scenario) -> dict[str, int]:
    """The prices that the scenario sets itself, checked."""
    for name, price in scenario.overrides.items():
        if price < 0:
            sentence = N_("{name} costs {price} cycles: a price is not negative")
            raise ScenarioError(Message(sentence, {"name": name, "price": price}))
    return scenario.overrides


def _paths(technique: str) -> Paths:
    """The path lengths of the technique's monitor; none for the bare machine."""
    return load_paths(technique).operations() if technique in monitor_names() else {}
