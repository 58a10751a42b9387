"""Makes a scenario out of names: guest, technique or preset, processor, and what follows from them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vizapp.cost.choice import check_processor, default_processor, uses_virtualization
from vizapp.cost.processors import load_processor
from vizapp.errors import ScenarioError
from vizapp.experiment.presets import preset as find_preset
from vizapp.experiment.scenario_file import is_scenario_file, load_scenario_file
from vizapp.experiment.techniques import technique as find_technique
from vizapp.guest.library import GUESTS
from vizapp.guest.loader import DEFAULT_MEMORY, load_guest, read_disk
from vizapp.messages import N_, Message
from vizapp.session.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizapp.machine.image import Image

SMALLEST_MEMORY, LARGEST_MEMORY = 4 << 20, 1 << 30


def make_scenario(
    guest: str,
    *,
    technique_name: str | None = None,
    preset: str | None = None,
    build: str | None = None,
    processor: str | None = None,
    paging: str = "shadow",
    virtualizable: bool | None = None,
    memory: int = DEFAULT_MEMORY,
    overrides: Mapping[str, int] | None = None,
    iterations: int | None = None,
    load: int | None = None,
    entry: int | None = None,
    bits: int | None = None,
    serial_input: bytes = b"",
    exit_port: int | None = None,
    log_ports: tuple[int, ...] = (),
    disks: Sequence[str] = (),
    intercepts: Mapping[str, bool] | None = None,
    ramdisk: str | None = None,
    command_line: str = "",
) -> Scenario:
    """The scenario that these choices mean.

    A guest of the library is taken in the build that the technique needs; under ``paravirtual`` its native
    build comes along as the yardstick. ``disks`` are files with the contents of IDE disks. ``ramdisk``, a
    file, and ``command_line`` are given to a kernel of Xen's at its start. A
    ``scenario.yaml`` instead of a guest says itself what runs on what; prices, input and port choices are
    added to it.

    Raises:
        UnknownNameError: a name that does not exist.
        ScenarioError: a combination that cannot be, with what would do.
        AssemblyError, ImageError: the guest cannot be had.
    """
    if is_scenario_file(guest):
        given = {
            "--technique": technique_name,
            "--preset": preset,
            "--build": build,
            "--processor": processor,
            "--paging": None if paging == "shadow" else paging,
            "--virtualizable": virtualizable,
            "--memory": None if memory == DEFAULT_MEMORY else memory,
            "--iterations": iterations,
            "--load": load,
            "--entry": entry,
            "--bits": bits,
            "--disk": disks or None,
            "--ramdisk": ramdisk,
            "--command-line": command_line or None,
        }
        unwanted = ", ".join(name for name, value in given.items() if value is not None)
        if unwanted:
            sentence = N_("{file} says itself what runs on what: leave {options} out")
            raise ScenarioError(Message(sentence, {"file": guest, "options": unwanted}))
        return replace(
            load_scenario_file(guest, make_scenario),
            overrides=dict(overrides or {}),
            serial_input=serial_input,
            exit_port=exit_port,
            log_ports=log_ports,
        )
    if preset is not None:
        product = find_preset(preset)
        if technique_name not in (None, product.technique):
            raise ScenarioError(
                Message(
                    N_("the preset {preset} is {technique}; leave --technique out"),
                    {"preset": preset, "technique": product.technique},
                )
            )
        technique_name = product.technique
        virtualizable = product.virtualizable if virtualizable is None else virtualizable
    technique = find_technique(technique_name or "native")
    processor = processor or default_processor(technique.name, paging)
    check_processor(load_processor(processor), technique.name, paging)
    if intercepts and not uses_virtualization(technique.name):
        sentence = N_("only vt-x and amd-v have intercepts to turn on and off, not {technique}")
        raise ScenarioError(Message(sentence, {"technique": technique.name}))
    if memory % 4096 or not SMALLEST_MEMORY <= memory <= LARGEST_MEMORY:
        raise ScenarioError(
            Message(
                N_("a guest's memory is 4 MB to 1 GB, in whole pages, not {memory} bytes"), {"memory": memory}
            )
        )

    def image(wanted: str) -> Image:
        return load_guest(
            guest, wanted, iterations=iterations, load=load, entry=entry, bits=bits or 32, memory=memory
        )

    wanted = build or technique.build
    if guest in GUESTS and wanted not in GUESTS[guest].builds:
        raise ScenarioError(
            Message(
                N_("{guest} was not ported: it has no Xen build, which {technique} needs"),
                {"guest": guest, "technique": technique.name},
            )
        )
    ported = image(wanted)
    if ramdisk is not None or command_line:
        if ported.build != "xen":
            sentence = N_(
                "--ramdisk and --command-line are for a domain's kernel: add --technique paravirtual"
            )
            raise ScenarioError(Message(sentence))
        module = b"" if ramdisk is None else read_disk(ramdisk)
        ported = replace(ported, ramdisk=module, command_line=command_line)
    yardstick = image("native") if ported.build == "xen" and guest in GUESTS else None
    return Scenario(
        image=ported,
        technique=technique.name,
        processor=processor,
        paging=paging,
        virtualizable=bool(virtualizable),
        memory=memory,
        overrides=dict(overrides or {}),
        serial_input=serial_input,
        exit_port=exit_port,
        log_ports=log_ports,
        preset=preset or "",
        yardstick=yardstick,
        disks=tuple(read_disk(file) for file in disks),
        intercepts=dict(intercepts or {}),
    )
