"""Real mode and 16-bit segments from the translation cache: as on the bare machine, and as on QEMU."""

from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import pytest
from test_hardware_booting import TESTS, run
from test_hardware_real_mode import INSTRUCTIONS, image
from test_trap_equivalence import states
from vmm_support import Run

from tests.goldens.boot import printed
from tests.guest.test_boot import scenario_of
from tests.lengths import FULL
from vizapp.experiment.hosted import with_io
from vizapp.isa.addresses import GuestPhysical
from vizapp.session.builder import build
from vizapp.session.session import Session
from vizapp.vmm.binary_translation.technique import BinaryTranslation
from vizapp.vmm.native import Native

SEEDS = 200 if FULL else 4


def contents(ran: Run, page: int) -> bytes:
    host = ran.monitor.guest_physical(GuestPhysical(page << 12))
    assert host is not None
    return ran.pc.memory.dump(host, 4096)


@pytest.mark.oracle
@pytest.mark.parametrize("size", [1 << 18, 1 << 10])
def test_random_code(size: int) -> None:
    for seed in range(SEEDS):
        native, ran = Run(image(seed), Native()), Run(image(seed), BinaryTranslation(size))
        both = zip_longest(states(native, INSTRUCTIONS), states(ran, INSTRUCTIONS))
        for count, (expected, found) in enumerate(both):
            assert found == expected, f"seed {seed}, instruction {count}"
        assert ran.ending() == native.ending()
        for page in range(0x48):  # the vectors, the code, and the stacks
            assert contents(ran, page) == contents(native, page), f"seed {seed}, page {page:#x}"


@pytest.mark.parametrize("name", ["modes", "rom", "kernel-elf"])
def test_prints_what_qemu_prints(name: str, tmp_path: Path) -> None:
    test = TESTS[name]
    machine = build(replace(scenario_of(test, tmp_path), technique="binary-translation"))
    assert run(machine, test) == printed(test).read_text(encoding="latin-1")
    guest = machine.monitor.vms[0]
    assert guest.cached > guest.instructions // 3


@pytest.mark.oracle
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["services-disk", "services-diskette", "kernel-flat"] if FULL else [])
def test_the_bios_serves_a_disk(name: str, tmp_path: Path) -> None:
    test = TESTS[name]
    machine = build(replace(scenario_of(test, tmp_path), technique="binary-translation"))
    assert run(machine, test) == printed(test).read_text(encoding="latin-1")


@pytest.mark.parametrize(("name", "io"), [("modes", None), ("rom", None), ("modes", "hosted")])
def test_every_change_of_mode_is_as_on_the_bare_machine(name: str, io: str | None, tmp_path: Path) -> None:
    scenario = replace(scenario_of(TESTS[name], tmp_path), technique="binary-translation")
    session = Session(with_io(scenario, io, {}), lockstep=True)
    session.advance()
    card = session.scorecard()
    assert card.first_difference is None
    assert card.compared == session.timeline.end_instruction
    assert card.let_through == 0
