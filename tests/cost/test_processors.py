"""Processor files: complete, honest about every number, and clear about what is wrong with a bad one."""

from __future__ import annotations

import pytest

from vizapp.cost.processors import load_processor, processor_names, read_processor
from vizapp.errors import DataError, UnknownNameError
from vizapp.machine.identity import FEATURE_SVM, FEATURE_VMX
from vizapp.machine.identity import PENTIUM_4 as DEFAULT_IDENTITY
from vizapp.machine.inputs import INPUTS, NAMES
from vizapp.resources import assets

PENTIUM_4 = "pentium-4-672"


@pytest.fixture
def text() -> str:
    return (assets() / "processors" / f"{PENTIUM_4}.yaml").read_text(encoding="utf-8")


def complaints(tmp_path, text: str, name: str = PENTIUM_4) -> list[str]:
    path = tmp_path / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        read_processor(path)
    return [f"{problem.line}: {problem.message.in_english()}" for problem in caught.value.problems]


@pytest.mark.parametrize("name", processor_names())
def test_every_shipped_processor_prices_every_input_and_says_how_it_is_known(name):
    processor = load_processor(name)
    assert set(processor.prices) == {item.name for item in INPUTS if processor.has(item)}
    for price in processor.prices.values():
        assert price.reason if price.estimate else price.source
        assert not (price.fitted_to and price.source is None)


@pytest.mark.parametrize(
    ("inputs", "cycles"),
    [
        (("io",), 3209),
        (("call", "ret"), 11),
        (("mov_store",), 1),
        (("sysenter", "sysenter"), 242),
        (("vm_entry",), 2409),
        (("vm_exit",), 1931),
        (("vmread",), 178),
        (("vmwrite",), 171),
    ],
)
def test_the_pentium_4_has_the_published_inputs(inputs, cycles):
    prices = load_processor(PENTIUM_4).cycles()
    assert sum(prices[name] for name in inputs) == cycles


@pytest.mark.parametrize(
    ("name", "inputs", "cycles"),
    [
        ("core-2-merom", ("vm_entry",), 937),
        ("core-2-merom", ("vm_exit",), 1186),
        ("core-2-merom", ("vmread",), 52),
        ("core-2-merom", ("vmwrite",), 44),
        ("nehalem", ("vm_entry", "vm_exit"), 1009),
        ("sandy-bridge", ("vm_entry", "vm_exit"), 784),
    ],
)
def test_round_trips_are_those_that_were_published(name, inputs, cycles):
    processor = load_processor(name)
    assert sum(processor.prices[name].cycles for name in inputs) == cycles
    for price in (processor.prices[name] for name in inputs):
        assert price.fitted_to
        assert price.unverified or price.estimate


# FIGURES.md 12.2 and 7.3: no secondary controls in 2005, nested tables from Nehalem and from Barcelona on.
@pytest.mark.parametrize(
    ("name", "virtualization"),
    [
        ("pentium-4-672", {"vt-x"}),
        ("core-2-merom", {"vt-x"}),
        ("nehalem", {"vt-x", "ept", "vpid"}),
        ("sandy-bridge", {"vt-x", "ept", "vpid", "unrestricted-guest"}),
        ("k8-rev-f", {"svm"}),
        ("barcelona", {"svm", "npt"}),
    ],
)
def test_each_processor_has_the_virtualization_of_its_generation(name, virtualization):
    processor = load_processor(name)
    identity = processor.identity()
    assert identity.virtualization == virtualization
    assert bool(identity.leaf(1).ecx & FEATURE_VMX) == (processor.vendor == "Intel")
    assert bool(identity.leaf(0x8000_0001).ecx & FEATURE_SVM) == (processor.vendor == "AMD")


def test_round_trips_become_cheaper_with_each_generation():
    names = ("pentium-4-672", "core-2-merom", "nehalem", "sandy-bridge")
    for later in (names, ("k8-rev-f", "barcelona")):
        prices = [load_processor(name).cycles() for name in later]
        trips = [price["vm_entry"] + price["vm_exit"] for price in prices]
        assert trips == sorted(trips, reverse=True)


def test_the_round_trip_of_a_divide_error_leaves_little_for_the_handler():
    prices = load_processor(PENTIUM_4).cycles()
    assert 0 < 889 - prices["exception"] - prices["iret_same"] < 20


def test_the_pentium_4_with_vt_x_hidden_is_the_machine_s_default():
    identity = load_processor(PENTIUM_4).identity()
    assert identity.virtualization == {"vt-x"}
    assert identity.leaf(1).ecx == 1 << 5
    assert identity.without_virtualization() == DEFAULT_IDENTITY


def test_overrides_replace_single_prices_and_are_checked():
    processor = load_processor(PENTIUM_4)
    prices = processor.cycles({"exception": 100})
    assert tuple(prices) == NAMES
    assert prices["exception"] == 100
    assert prices["io"] == 3209
    with pytest.raises(UnknownNameError, match="did you mean exception"):
        processor.cycles({"exeption": 1})


def test_what_no_feature_charges_has_no_price_to_override():
    processor = load_processor(PENTIUM_4)
    assert "nested_walk_step" not in processor.prices
    assert processor.cycles()["nested_walk_step"] == 0
    with pytest.raises(UnknownNameError, match="nested_walk_step"):
        processor.cycles({"nested_walk_step": 1})


def test_an_unknown_processor_is_answered_with_its_neighbour():
    with pytest.raises(UnknownNameError, match="did you mean pentium-4-672"):
        load_processor("pentium-4-627")


def test_a_missing_price_is_named(tmp_path, text):
    lines = [line for line in text.splitlines() if not line.startswith("  div:")]
    (complaint,) = complaints(tmp_path, "\n".join(lines))
    assert "no price for div (division)" in complaint


def test_a_misspelt_input_is_recognized_at_its_line(tmp_path, text):
    line = next(n for n, line in enumerate(text.splitlines(), 1) if line.startswith("  cpuid:"))
    changed = text.replace("  cpuid:", "  cpuidd:")
    assert complaints(tmp_path, changed) == [f"{line}: there is no such key as cpuidd; did you mean cpuid?"]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("hertz: 3800000000", "hertz: 0", "expected a number above 0, found 0"),
        ("vendor: Intel", "vendor: VIA", "expected one of 'Intel' or 'AMD', found 'VIA'"),
        ("nop: {cycles: 1, certainty: estimate, reason: one slot of the trace cache}",
         "nop: {cycles: 1, certainty: estimate}", "an estimate needs a reason"),
        ("nop: {cycles: 1, certainty: estimate, reason: one slot of the trace cache}",
         "nop: {cycles: 1, certainty: V}", "a figure needs a source"),
        ("nop: {cycles: 1, certainty: estimate,", "nop: {cycles: 1, certainty: M-low,", "expected one of"),
        ("nop: {cycles: 1,", "nop: {cycles: -1,", "expected a number of 0 or more"),
        ("signature: 0x0F43", "signature: 0", "expected a number above 0, found 0"),
        ("features: [tsc,", "features: [tcs,", "there is no such key as tcs; did you mean tsc?"),
        ("features: [tsc,", "features: [tsc, next-rip,", "next-rip needs svm"),
        ("idle_cycle: {", "invept: {cycles: 1, certainty: V, source: x}\n  idle_cycle: {",
         "invept is priced, but only processors with ept charge it"),
    ],
)  # fmt: skip
def test_a_bad_value_is_told_in_its_line(tmp_path, text, old, new, complaint):
    assert old in text
    line = text[: text.index(old)].count("\n") + 1
    (told,) = complaints(tmp_path, text.replace(old, new, 1))
    assert told.startswith(f"{line}: ")
    assert complaint in told


def test_a_file_is_named_after_its_processor(tmp_path, text):
    assert "should be named pentium-4-672.yaml" in complaints(tmp_path, text, "other")[0]
