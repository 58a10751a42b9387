"""Monitors' path lengths: every shipped step prices as it says, and a bad file is told as such."""

from __future__ import annotations

import pytest

from vizapp.cost.paths import OPERATIONS, load_paths, monitor_names, read_paths
from vizapp.cost.processors import load_processor
from vizapp.errors import DataError, UnknownNameError
from vizapp.vmm.binary_translation.phases import PHASES as TRANSLATING
from vizapp.vmm.hardware_assisted.phases import PHASES as EXIT_PHASES
from vizapp.vmm.hosted.phases import PHASES as BESIDE_A_HOST
from vizapp.vmm.trap_and_emulate.phases import PHASES
from vizapp.vmm.vmkernel.phases import PHASES as KERNEL
from vizapp.vmm.xen.hypervisor import PATHS

STEP = "name: x\ndescription: x\nsteps:\n  go:\n    what: x\n    operations: {%s}\n    basis: %s\n"


def cost(monitor: str, *steps: str) -> int:
    """Cycles of steps on the Pentium 4."""
    prices = load_processor("pentium-4-672").cycles()
    operations = load_paths(monitor).operations()
    return sum(prices[name] * count for step in steps for name, count in operations[step].items())


def test_both_monitors_have_paths():
    assert {"paravirtual", "trap-and-emulate"} <= set(monitor_names())


@pytest.mark.parametrize("name", monitor_names())
def test_every_step_is_made_of_monitor_operations(name):
    paths = load_paths(name)
    assert paths.name == name
    for step in paths.operations().values():
        assert step
        assert set(step) <= set(OPERATIONS)


def test_every_phase_of_trap_and_emulate_has_its_step():
    assert set(load_paths("trap-and-emulate").steps) == {*PHASES, "device", "page_out", "page_in"}


@pytest.mark.parametrize("name", ["vt-x", "amd-v"])
def test_every_phase_of_the_exit_loop_has_its_step(name):
    assert set(load_paths(name).steps) == {*EXIT_PHASES, "device"}


def test_every_phase_of_binary_translation_has_its_step():
    assert set(load_paths("binary-translation").steps) == {*TRANSLATING, "device", "page_out", "page_in"}
    assert set(load_paths("hosted").steps) == set(BESIDE_A_HOST) - set(TRANSLATING)
    assert set(load_paths("vmkernel").steps) == set(KERNEL)


def test_every_path_of_the_hypervisor_has_its_step():
    assert set(load_paths("paravirtual").steps) == set(PATHS)


def test_a_trap_that_is_emulated_comes_to_its_published_cost():
    prices = load_processor("pentium-4-672").cycles()
    # The stubs: registers pushed and popped, four selectors stored, two segments loaded each way.
    stubs = 16 * prices["stack"] + 5 * prices["segment_store"] + 4 * prices["segment_load"] + 8
    path = cost("trap-and-emulate", "arrive", "decode", "emulate", "resume")
    total = prices["exception"] + stubs + path + prices["iret_outer"]
    assert total == pytest.approx(2030, rel=0.02)


def test_a_null_hypercall_is_cheaper_than_an_emulated_instruction():
    assert cost("paravirtual", "entry", "hypercall", "exit") < cost("paravirtual", "entry", "emulate", "exit")
    assert cost("paravirtual", "entry", "emulate", "exit") < cost(
        "trap-and-emulate", "arrive", "decode", "emulate", "resume"
    )


@pytest.mark.parametrize(
    ("operations", "basis", "complaint"),
    [
        ("mon_decod: 1", "estimate\n    reason: x",
         "6: there is no such key as mon_decod; did you mean mon_decode?"),
        ("exception: 1", "estimate\n    reason: x", "6: there is no such key as exception"),
        ("mon_decode: 1", "estimate", "5: estimate needs reason"),
        ("mon_decode: 1", "fitted", "5: fitted needs fitted_to"),
        ("mon_decode: 1", "sourced", "5: sourced needs source"),
        ("mon_decode: -1", "estimate\n    reason: x", "6: expected a number of 0 or more, found -1"),
    ],
)  # fmt: skip
def test_a_bad_step_is_told_in_its_line(tmp_path, operations, basis, complaint):
    path = tmp_path / "x.yaml"
    path.write_text(STEP % (operations, basis), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_paths(path)
    (problem,) = caught.value.problems
    assert f"{problem.line}: {problem.message.in_english()}" == complaint


def test_an_unknown_monitor_is_answered_with_its_neighbour():
    with pytest.raises(UnknownNameError, match="did you mean paravirtual"):
        load_paths("paravirtul")
