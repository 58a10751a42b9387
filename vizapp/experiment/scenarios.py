"""Makes a scenario out of names: guest, technique or preset, processor, and what follows from them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vizapp.cost.choice import check_processor, default_processor, hardware_of, uses_virtualization
from vizapp.cost.processors import load_processor
from vizapp.errors import ScenarioError
from vizapp.experiment.hosted import with_io
from vizapp.experiment.presets import preset as find_preset
from vizapp.experiment.scenario_file import is_scenario_file, load_scenario_file
from vizapp.experiment.split import ALONE, DOMAIN_0, SPLIT, with_domain_0
from vizapp.experiment.techniques import technique as find_technique
from vizapp.guest.catalogue import GUESTS
from vizapp.guest.loader import DEFAULT_MEMORY, load_guest, read_disk
from vizapp.messages import N_, Message
from vizapp.session.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vizapp.machine.image import Image

SMALLEST_MEMORY, LARGEST_MEMORY = 4 << 20, 1 << 30
HVM = "hvm"
GUESTS_OF_XEN = ("ported", HVM)
_DEFAULT_HARDWARE = "vt-x"  # where no processor is named that runs unmodified guests


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
    io: str | None = None,
    hosted: Mapping[str, bool] | None = None,
    host_memory: int | None = None,
    lazy: bool = False,
    guests: str | None = None,
) -> Scenario:
    """The scenario that these choices mean.

    A guest of the library is taken in the build that the technique needs; under ``paravirtual`` its native
    build comes along as the yardstick, and a guest with a disk or a network has them as a domain U; ``io``
    ``split`` makes any guest one, and ``hosted`` runs the monitor beside a host, with or without those
    optimizations that ``hosted`` names. ``disks`` are files with the contents of IDE disks. ``ramdisk``, a
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
            "--host-memory": host_memory,
            "--shadow-sync": lazy or None,
            "--command-line": command_line or None,
            "--io": io,
            "--hosted": hosted or None,
            "--guests": guests,
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
        io = product.io or io if io in (None, ALONE) else io
        virtualizable = product.virtualizable if virtualizable is None else virtualizable
        guests = guests or product.guests
    technique = find_technique(technique_name or _default_technique(guest))
    hvm = is_hvm(technique.name, guests, io)
    processor = processor or default_processor(_DEFAULT_HARDWARE if hvm else technique.name, paging)
    model = load_processor(processor)
    check_processor(model, hardware_of(model) if hvm else technique.name, paging)
    if lazy and technique.name != "binary-translation":
        sentence = N_("only binary-translation can sync its shadow page tables lazily or eagerly")
        raise ScenarioError(Message(sentence))
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

    wanted = build or ("native" if hvm else technique.build)
    builds = GUESTS[guest].builds if guest in GUESTS else (wanted,)
    if wanted not in builds:
        text = N_("{guest} was not ported: it has no Xen build, which {technique} needs")
        if wanted == "native":
            text = N_("{guest} has a Xen build only, and {technique} needs a native one: take paravirtual")
        elif wanted == HVM:
            text = N_("{guest} has no build with front ends for a domain of its own; leave --build out")
        raise ScenarioError(Message(text, {"guest": guest, "technique": technique.name}))
    if hvm and wanted == "xen":
        sentence = N_("a ported build runs as it is: leave --guests hvm or the preset out, or --build")
        raise ScenarioError(Message(sentence))
    ported = image(wanted)
    if ramdisk is not None or command_line:
        if ported.build != "xen":
            sentence = N_(
                "--ramdisk and --command-line are for a domain's kernel: add --technique paravirtual"
            )
            raise ScenarioError(Message(sentence))
        module = b"" if ramdisk is None else read_disk(ramdisk)
        ported = replace(ported, ramdisk=module, command_line=command_line)
    yardstick = image("native") if (hvm or ported.build == "xen") and "native" in builds else None
    scenario = Scenario(
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
        host_memory=host_memory,
        lazy=lazy,
    )
    if (hvm and io != ALONE) or _is_split(scenario, io):
        return with_domain_0(scenario)
    return with_io(scenario, None if io == ALONE else io, hosted or {})


def is_hvm(technique: str, guests: str | None, io: str | None) -> bool:
    """Whether guests run unmodified in domains of their own.

    Raises:
        ScenarioError: they cannot be, or there is no such kind.
    """
    if guests not in (None, *GUESTS_OF_XEN):
        sentence = N_("there are no guests {guests}; there are {names}")
        raise ScenarioError(Message(sentence, {"guests": str(guests), "names": ", ".join(GUESTS_OF_XEN)}))
    if guests != HVM:
        return False
    if technique != "paravirtual":
        sentence = N_("under {technique} every guest is unmodified; leave --guests out")
        raise ScenarioError(Message(sentence, {"technique": technique}))
    if io == ALONE:
        return True
    if io not in (None, SPLIT):
        sentence = N_("the devices of an HVM domain are domain 0's, and {io} is asked for; leave --io out")
        raise ScenarioError(Message(sentence, {"io": io}))
    return True


def _default_technique(guest: str) -> str:
    """The bare machine, for a guest that is not a kernel for Xen and nothing else."""
    return "native" if guest not in GUESTS or "native" in GUESTS[guest].builds else "paravirtual"


def _is_split(scenario: Scenario, io: str | None) -> bool:
    """Whether the guest's devices are domain 0's: under Xen, if it has any.

    Raises:
        ScenarioError: the technique has no such devices.
    """
    image = scenario.image
    if scenario.technique != "paravirtual":
        if io == SPLIT:
            sentence = N_("only under paravirtual are devices split between two domains, not {technique}")
            raise ScenarioError(Message(sentence, {"technique": scenario.technique}))
        return False
    if image.name == DOMAIN_0 or io == ALONE:
        return False
    return io == SPLIT or image.needs_network or bool(image.spare_disk)
