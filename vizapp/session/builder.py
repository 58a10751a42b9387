"""Composes a machine from a scenario: processor, prices, technique and guest, inside this process."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.cost.choice import check_processor, hardware_of, uses_virtualization
from vizapp.cost.paths import load_paths, monitor_names
from vizapp.cost.processors import load_processor
from vizapp.errors import ScenarioError
from vizapp.machine.devices.disk import SECTOR_BYTES
from vizapp.machine.features import Features
from vizapp.machine.identity import with_large_pages, with_virtualizable
from vizapp.machine.pc import Pc
from vizapp.messages import N_, Message
from vizapp.vmm import registry
from vizapp.vmm.base import Action, Hosted, Hvm, Options, VmOptions
from vizapp.vmm.hosted.layout import MOST_VMS
from vizapp.vmm.scheduler import slice_of
from vizapp.vmm.vmkernel.extents import lay_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizapp.cost.processors import Processor
    from vizapp.machine.identity import Identity
    from vizapp.machine.image import Image
    from vizapp.session.scenario import Scenario, VmScenario
    from vizapp.vmm.base import Monitor, Paths, Technique
    from vizapp.vmm.registry import Abilities

MOST_DISKS = 2
_LIBRARY: Final = Features(large_pages=False)  # what a guest of the library finds under any technique
_FIRST_MAC: Final = 0x000C_2900_0001  # of the first virtual machine's network adapter
_HOST_MAC: Final = bytes.fromhex("000c29fffffe")
_MOST_BESIDE_HOST: Final = (
    3 << 30
)  # bytes of all guests: the host and the VMMs are below 4 GB, as devices are


class Machine(NamedTuple):
    """A PC with its guest loaded, before its first step."""

    pc: Pc
    monitor: Monitor
    technique: Technique
    processor: Processor


def build(
    scenario: Scenario,
    processor: Processor | None = None,
    like: Abilities | None = None,
    first: int = 0,
) -> Machine:
    """The machine of a scenario; ``processor`` is the one that it names, if it has been read already.

    ``like`` are the abilities of a technique for which this is the yardstick, ``first`` is the number that
    its first guest has there.

    Raises:
        VizappError: a name that does not exist, or a combination that cannot be.
    """
    technique = registry.technique(scenario.technique, scenario.io)
    for vm in scenario.machines:
        if vm.image.build != technique.build and technique.build == "native":
            raise ScenarioError(
                Message(
                    N_("{guest} is built for Xen: it runs under paravirtual, or take its native build"),
                    {"guest": vm.image.name},
                )
            )
    processor = processor or load_processor(scenario.processor)
    if uses_virtualization(scenario.technique):
        check_processor(processor, scenario.technique, scenario.paging)
    elif scenario.has_unmodified_domains:
        check_processor(processor, hardware_of(processor), scenario.paging)
    options = _options(scenario, processor, like, first)
    pc = Pc(
        prices=processor.cycles(_overrides(scenario)),
        memory_bytes=technique.host_memory(options),
        hertz=processor.hertz,
        identity=_identity(scenario, processor),
        features=_machine_features(scenario, options),
    )
    monitor = technique.start(pc, scenario.image, options)
    machines = scenario.machines
    pc.marks = {address: label for vm in machines for address, label in vm.image.marks.items()}
    if len(machines) > 1:
        pc.marks_by_vm = {number: vm.image.marks for number, vm in enumerate(machines)}
    for vm, guest in zip(machines, monitor.vms, strict=True):
        if vm.serial_input:
            guest.hardware.uart.receive(vm.serial_input)
    return Machine(pc, monitor, technique, processor)


def techniques_of(scenario: Scenario) -> tuple[str, ...]:
    """How each virtual machine runs: of Xen's domains one that was not ported by what the processor has."""
    if not scenario.has_unmodified_domains:
        return (scenario.technique,) * len(scenario.machines)
    hardware = hardware_of(load_processor(scenario.processor))
    return tuple(scenario.technique if vm.image.build == "xen" else hardware for vm in scenario.machines)


def yardstick(scenario: Scenario, processor: Processor, vm: int = 0) -> Machine:
    """The bare machine that a virtual machine's run is compared with: what its monitor hides, hidden too."""
    abilities = registry.maker(scenario.technique).abilities
    alone = replace(
        scenario.alone(vm),
        technique="native",
        virtualizable=False,
        paging="shadow",
        io="bare-metal",
        host_memory=None,
        lazy=False,
        full_pc=not abilities.hides_cpuid and scenario.needs_full_pc,
    )
    return build(alone, processor, registry.maker(scenario.technique, scenario.io).abilities, vm)


def _machine_features(scenario: Scenario, options: Options) -> Features | None:
    """The equipment of the machine itself. Under a monitor the full board is the virtual machine's."""
    abilities = registry.maker(scenario.technique).abilities
    if scenario.technique == "native":
        return options.features
    if abilities.lends_devices:
        return None if options.features is None else options.features._replace(apic=False)
    if options.hosted is not None:
        equipped = [vm.features for vm in options.machines(scenario.image)]
        return _host_features(options.hosted.host, equipped)
    if abilities.drives_devices:
        return _driven_features(options)
    # CPUID that the monitor cannot choose tells of the machine's own APIC.
    shared = options.features is not None and not abilities.hides_cpuid
    return Features(large_pages=False) if shared else None


def _driven_features(options: Options) -> Features | None:
    """The machine's adapter and disk, for a monitor that drives them: on the disk all those of the guests."""
    equipment = (options.features, *(other.features for other in options.others))
    disks = [() if features is None else features.disks for features in equipment]
    network = any(features is not None and features.mac is not None for features in equipment)
    if not network and not any(disks):
        return None
    return Features(
        disks=(lay_out(disks),) if any(disks) else (),
        mac=_HOST_MAC if network else None,
        station=network,
        apic=False,
        large_pages=False,
    )


def _host_features(host: Image, equipped: Sequence[Features | None]) -> Features:
    """The host's devices: on its disk the guests' lie behind its own, and its adapter has the guests' wire.

    It has no adapter if no guest has one: it would do nothing but look for frames.

    Raises:
        ScenarioError: a guest has more than one disk.
    """
    guests = [features or Features() for features in equipped]
    for features in guests:
        if len(features.disks) > 1:
            sentence = N_("under a hosted monitor a guest has one disk, and {count} are asked for")
            raise ScenarioError(Message(sentence, {"count": len(features.disks)}))
    wire = next((features for features in guests if features.mac is not None), guests[0])
    return wire._replace(
        disks=(b"".join((host.spare_disk, *(_sectors(disk) for one in guests for disk in one.disks))),),
        mac=None if wire.mac is None else _HOST_MAC,
        apic=False,
        fpu=False,
        large_pages=False,
    )


def _sectors(disk: bytes) -> bytes:
    """A disk's content in whole sectors, one at least."""
    return disk.ljust(max(1, -(-len(disk) // SECTOR_BYTES)) * SECTOR_BYTES, b"\0")


def _options(scenario: Scenario, processor: Processor, like: Abilities | None, first_number: int) -> Options:
    """What the technique is asked for.

    Raises:
        ScenarioError: it cannot give that.
    """
    abilities = registry.maker(scenario.technique, scenario.io).abilities
    if scenario.actions and not abilities.several:
        sentence = N_("under {technique} nobody is there who could pause or kill the guest")
        raise ScenarioError(Message(sentence, {"technique": scenario.technique}))
    if scenario.host is not None:
        _check_hosted(scenario)
    if scenario.others and not abilities.several:
        sentence = N_(
            "{technique} runs one guest, and {count} are asked for; take trap-and-emulate, vt-x or amd-v"
        )
        raise ScenarioError(
            Message(sentence, {"technique": scenario.technique, "count": len(scenario.machines)})
        )
    if scenario.others and abilities.lends_devices and not scenario.image.ramdisk:
        sentence = N_("under {technique} the first guest makes the others, and {guest} is not domain 0")
        raise ScenarioError(
            Message(sentence, {"technique": scenario.technique, "guest": scenario.image.name})
        )
    seconds = scenario.slice_seconds
    full = scenario.full_pc or (not abilities.hides_cpuid and scenario.needs_full_pc)
    equipped = [
        VmOptions(
            vm.image, vm.memory, vm.name, vm.weight,
            _features(scenario, vm, number, abilities, like or abilities, full=full),
        )
        for number, vm in enumerate(scenario.machines, first_number)
    ]  # fmt: skip
    first, *others = equipped
    return Options(
        first.memory,
        _paths(scenario.technique, abilities, hosted=scenario.host is not None),
        scenario.virtualizable,
        name=first.name,
        weight=first.weight,
        features=first.features,
        others=tuple(others),
        actions=tuple(
            Action(int(action.seconds * processor.hertz), action.kind, action.vm)
            for action in scenario.actions
        ),
        slice_cycles=None if seconds is None else slice_of(processor.hertz, seconds),
        nested=scenario.paging == "nested",
        intercepts=scenario.intercepts,
        hosted=None if scenario.host is None else Hosted(scenario.host, **scenario.hosted),
        host_memory=_host_memory(scenario, abilities),
        lazy=scenario.lazy,
        hvm=_hvm(scenario, processor),
    )


def _check_hosted(scenario: Scenario) -> None:
    """Whether a host has room for its guests.

    Raises:
        ScenarioError: they are too many, or their memory is more than a PC of 32 bits can have.
    """
    count, wanted = len(scenario.machines), sum(vm.memory for vm in scenario.machines)
    if count > MOST_VMS:
        sentence = N_("beside a host {most} guests run at most, and {count} are asked for")
        raise ScenarioError(Message(sentence, {"most": MOST_VMS, "count": count}))
    if wanted > _MOST_BESIDE_HOST:
        sentence = N_("beside a host guests have {most} MB of memory at most, and {wanted} MB are asked for")
        raise ScenarioError(Message(sentence, {"most": _MOST_BESIDE_HOST >> 20, "wanted": wanted >> 20}))


def _hvm(scenario: Scenario, processor: Processor) -> Hvm | None:
    """How unmodified domains run."""
    if not scenario.has_unmodified_domains:
        return None
    vendor = hardware_of(processor)
    return Hvm(vendor, _paths(vendor), scenario.paging == "nested")


def _host_memory(scenario: Scenario, abilities: Abilities) -> int | None:
    """Bytes of the PC's memory, where the scenario says how many.

    Raises:
        ScenarioError: the monitor could not share them out.
    """
    if scenario.host_memory is not None and (not abilities.overcommits or scenario.io == "hosted"):
        sentence = N_(
            "{technique} gives each guest all of its memory here: trap-and-emulate, and binary-translation "
            "on bare metal, page"
        )
        raise ScenarioError(Message(sentence, {"technique": scenario.technique}))
    return scenario.host_memory


def _identity(scenario: Scenario, processor: Processor) -> Identity:
    """The processor's, with VMX and SVM for a monitor that uses them alone."""
    identity = processor.identity()
    if uses_virtualization(scenario.technique) or scenario.has_unmodified_domains:
        return with_large_pages(identity)  # which its guests see if their board is one of a full PC
    identity = identity.without_virtualization()
    if scenario.image.pae:
        identity = with_large_pages(identity)
    return with_virtualizable(identity) if scenario.virtualizable else identity


def _features(
    scenario: Scenario, vm: VmScenario, number: int, abilities: Abilities, like: Abilities, *, full: bool
) -> Features | None:
    """The rest of a PC where the guest is one that expects it; most of the library's guests do without.

    ``like`` is what another technique gives, whose yardstick this is; ``full`` gives it in any case.

    Raises:
        ScenarioError: there are more disks than the channel has room for, or the monitor has none to give, or
            it cannot run real mode.
    """
    unmodified = scenario.has_unmodified_domains and vm.image.build != "xen"
    if vm.image.bare_only is not None and not abilities.real_mode and not unmodified:
        raise ScenarioError(vm.image.bare_only)
    disks = (*vm.image.disks, *vm.disks) or tuple(filter(None, [vm.image.spare_disk]))
    if disks and not abilities.full_pc:
        sentence = N_("{technique} has no disk to give to its guest; run it under native")
        raise ScenarioError(Message(sentence, {"technique": scenario.technique}))
    if len(disks) > MOST_DISKS:
        sentence = N_("{count} disks are more than the {most} that an IDE channel takes")
        raise ScenarioError(Message(sentence, {"count": len(disks), "most": MOST_DISKS}))
    if unmodified:
        full = scenario.full_pc  # its CPUID is not the machine's
    if not abilities.full_pc or not (full or disks or vm.image.needs_pc):
        return None
    if vm.image.needs_network:
        mac = (_FIRST_MAC + number).to_bytes(6, "big")
        relayed = like.relays_frames and not abilities.relays_frames
        return _LIBRARY._replace(disks=disks, mac=mac, station=True, relayed=relayed)
    if vm.image.needs_apic or vm.image.spare_disk:
        return _LIBRARY._replace(disks=disks)
    large_pages = (abilities.large_pages or unmodified) and (like.large_pages or unmodified)
    return Features(disks=disks, large_pages=large_pages)


def _overrides(scenario: Scenario) -> dict[str, int]:
    """The prices that the scenario sets itself, checked."""
    for name, price in scenario.overrides.items():
        if price < 0:
            sentence = N_("{name} costs {price} cycles: a price is not negative")
            raise ScenarioError(Message(sentence, {"name": name, "price": price}))
    return scenario.overrides


def _paths(technique: str, abilities: Abilities | None = None, *, hosted: bool = False) -> Paths:
    """The path lengths of the technique's monitor; none for the bare machine."""
    names = [technique, "hosted"] if hosted else [technique]
    if abilities is not None and abilities.drives_devices:
        names.append("vmkernel")
    return {
        step: operations
        for name in names
        if name in monitor_names()
        for step, operations in load_paths(name).operations().items()
    }
