"""Domains that were not ported: a process of domain 0 models their devices, or they have front ends."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tests.goldens.boot import BOOT_TESTS, binary_of
from tests.goldens.make import GOLDENS, result_of
from tests.lengths import at_length
from vizapp.experiment.execution import Run, execute
from vizapp.experiment.scenarios import make_scenario
from vizapp.experiment.split import with_domain_0
from vizapp.guest.catalogue import guest_directory
from vizapp.guest.library import build_guest, spare_disk
from vizapp.guest.source import assemble_image
from vizapp.machine import events
from vizapp.machine.meter import Purpose
from vizapp.session.builder import build
from vizapp.session.scenario import Scenario, VmScenario

if TYPE_CHECKING:
    from vizapp.machine.events import Event

MEMORY = 8 << 20
GUESTS = (
    ("hello", "native", None), ("disk-read", "native", 1), ("network-receive", "native", 4),
    ("disk-write", "hvm", 1), ("rings", "xen", None),
)  # fmt: skip
FIRST, FRAMES = 50, 6  # what stands between a sender and the wire is full before these


@cache
def several() -> Run:
    """Domains of all three kinds, on VT-x."""
    images = [(build_guest(name, kind, times), name) for name, kind, times in GUESTS]
    first, *others = [VmScenario(image, MEMORY, name) for image, name in images]
    scenario = Scenario(first.image, "paravirtual", memory=MEMORY, name=first.name, others=tuple(others))
    return execute(with_domain_0(scenario))


def test_each_prints_what_the_bare_machine_prints() -> None:
    run = several()
    assert run.stopped == "halted"
    domains = {vm["name"]: vm for vm in run.report["vms"][1:]}
    for name, _, times in GUESTS:
        bare = execute(make_scenario(name, technique_name="native", iterations=times))
        assert result_of(domains[name]["serial"]) == result_of(bare.serial) != "", name
    assert domains["hello"]["serial"].startswith("Hello from the kernel\n")
    assert "(d1) Hello from the kernel\n" in run.serial


def test_nothing_is_let_through_and_all_is_given_back() -> None:
    run = several()
    assert run.scorecard["resource_control"]["let_through"] == 0
    assert run.serial.count("has ended, reason 0") == len(GUESTS)
    assert run.events["domain-destroy"] == len(GUESTS)


def test_only_the_ones_without_front_ends_have_their_disks_made_for_them() -> None:
    ports = [event.payload["address"] for event in several().recorded if event.kind == events.IO_REQUESTED]
    assert set(ports) & set(range(0x1F0, 0x1F8))
    assert 0x310 in ports
    kinds = several().events["vm-exit"]
    assert kinds["vmcall"] > 0
    assert kinds["cpuid"] == 2


def test_its_devices_answer_as_the_machines_do() -> None:
    source = Path(__file__).with_name("hvm_devices.asm")
    flat = assemble_image(source, "devices", "native", {}, (guest_directory(),))
    image = replace(flat, needs_pc=True, spare_disk=spare_disk())
    bare = execute(Scenario(image, memory=MEMORY))
    domain = Scenario(image, "paravirtual", processor="k8-rev-f", memory=MEMORY, name="devices")
    run = execute(with_domain_0(domain))
    assert run.report["vms"][1]["serial"].splitlines() == bare.serial.splitlines()
    assert run.scorecard["resource_control"]["let_through"] == 0


class Cost(NamedTuple):
    """Of one frame: cycles in which the processor did not wait, and exits."""

    cycles: float
    exits: float


def cost_of_a_frame(**choices: object) -> Cost:
    """What network-send costs the machine in its steady state, from one frame to the next."""
    machine = build(make_scenario("network-send", iterations=FIRST + FRAMES, **choices))
    pc, seen = machine.pc, []
    sent = exits = 0

    def listen(event: Event) -> None:
        nonlocal sent, exits
        exits += event.kind == events.VM_EXITED
        if event.kind == events.MARK_PASSED and event.payload["label"] == "mark_iteration":
            sent += 1
            if sent in (FIRST, FIRST + FRAMES):
                spent = pc.meter.by_purpose()
                seen.append((sum(spent.values()) - spent[Purpose.IDLE], exits))

    pc.listener = listen
    while pc.stopped is None and len(seen) < 2:
        pc.run(max_steps=5000)
    (before, exits_before), (after, exits_after) = seen
    return Cost((after - before) / FRAMES, (exits_after - exits_before) / FRAMES)


@at_length
def test_a_frame_costs_more_with_each_step_away_from_the_adapter() -> None:
    native = cost_of_a_frame(technique_name="native")
    ported = cost_of_a_frame(preset="xen-pv")
    hvm = {"technique_name": "paravirtual", "guests": "hvm"}
    with_front_end = cost_of_a_frame(build="hvm", **hvm)
    emulated = cost_of_a_frame(**hvm)
    assert native.cycles < ported.cycles < with_front_end.cycles < emulated.cycles
    assert (native.exits, ported.exits) == (0, 0)
    assert 0 < with_front_end.exits < emulated.exits


def test_a_rom_starts_at_the_reset_vector(tmp_path: Path) -> None:
    (test,) = [test for test in BOOT_TESTS if test.name == "rom"]
    (tmp_path / "test.rom").write_bytes(binary_of(test).read_bytes())
    hardware = {"processor": "sandy-bridge", "paging": "nested"}
    scenario = make_scenario(
        str(tmp_path / "test.rom"), technique_name="paravirtual", guests="hvm", **hardware
    )
    run = execute(scenario)
    assert run.report["vms"][1]["serial"] == (GOLDENS / "boot" / "rom.txt").read_text()


@at_length
def test_a_disk_boots_through_the_bios_and_goes_through_all_modes(tmp_path: Path) -> None:
    (test,) = [test for test in BOOT_TESTS if test.name == "modes"]
    (tmp_path / "modes.img").write_bytes(binary_of(test).read_bytes().ljust(test.sectors * 512, b"\0"))
    run = execute(make_scenario(str(tmp_path / "modes.img"), technique_name="paravirtual", guests="hvm"))
    assert run.report["vms"][1]["serial"] == (GOLDENS / "boot" / "modes.txt").read_text()
