"""HVM domains as a choice: presets, processors that can, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vizapp.cost.choice import check_processor, hardware_of
from vizapp.cost.processors import load_processor
from vizapp.errors import ScenarioError
from vizapp.experiment.compare import race
from vizapp.experiment.presets import preset
from vizapp.experiment.scenarios import make_scenario


@pytest.mark.parametrize("name", ["xen-hvm", "hyper-v"])
def test_the_presets_take_the_native_build_into_a_domain_of_its_own(name: str) -> None:
    scenario = make_scenario("hello", preset=name)
    assert scenario.has_unmodified_domains
    assert [vm.image.build for vm in scenario.machines] == ["xen", "native"]
    assert (scenario.technique, scenario.processor) == ("paravirtual", "pentium-4-672")
    assert scenario.others[0].yardstick is not None
    assert "not modelled" in preset(name).description


def test_nested_paging_takes_a_processor_that_has_it_and_the_vendor_is_the_processors() -> None:
    assert make_scenario("hello", preset="xen-hvm", paging="nested").processor == "nehalem"
    assert hardware_of(load_processor("barcelona")) == "amd-v"
    assert make_scenario("hello", preset="xen-hvm", processor="barcelona", paging="nested").processor


def test_a_ported_guest_stays_one() -> None:
    scenario = make_scenario("hello", preset="xen-pv")
    assert not scenario.has_unmodified_domains
    assert scenario.machines[-1].image.build == "xen"


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"technique_name": "vt-x", "guests": "hvm"}, "leave --guests out"),
        ({"technique_name": "paravirtual", "guests": "linux"}, "there are ported, hvm"),
        ({"preset": "xen-hvm", "io": "hosted"}, "leave --io out"),
        ({"preset": "xen-hvm", "processor": "k8-rev-f", "paging": "nested"}, "barcelona"),
        ({"preset": "xen-hvm", "build": "hvm"}, "leave --build out"),
        ({"preset": "xen-hvm", "build": "xen"}, "a ported build runs as it is"),
        ({"preset": "xen-hvm", "technique_name": "vt-x"}, "leave --technique out"),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_do(choices: dict[str, str], said: str) -> None:
    with pytest.raises(ScenarioError) as refusal:
        make_scenario("hello", **choices)  # type: ignore[arg-type]
    assert said in refusal.value.message.in_english()


def test_a_processor_without_virtualization_is_refused_with_those_that_have_it() -> None:
    old = load_processor("pentium-4-672").model_copy(update={"name": "old", "features": ()})
    with pytest.raises(ScenarioError) as refusal:
        check_processor(old, hardware_of(old))
    assert "core-2-merom" in refusal.value.message.in_english()


def test_a_file_says_of_each_machine_whether_it_is_ported(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(
        "format: 1\npcs:\n  - technique: paravirtual\n    vms:\n"
        "      - {name: ported, guest: hello, memory: 8M}\n"
        "      - {name: unmodified, guest: hello, memory: 8M, guests: hvm}\n"
    )
    scenario = make_scenario(str(file))
    assert [vm.image.build for vm in scenario.machines] == ["xen", "xen", "native"]
    assert scenario.has_unmodified_domains
    assert not replace(scenario, others=scenario.others[:1]).has_unmodified_domains


def test_who_races_beside_an_hvm_domain_is_unmodified_too() -> None:
    like = make_scenario("sensitive", technique_name="paravirtual", guests="hvm", memory=8 << 20)
    runners = {runner.technique: runner for runner in race("sensitive", like)}
    assert runners["paravirtual"].has_unmodified_domains
    assert runners["native"].memory == runners["vt-x"].memory == 8 << 20
