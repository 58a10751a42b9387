"""Which processor a technique is on, as the command line promises."""

from __future__ import annotations

import pytest

from vizapp.cost.choice import check_processor, default_processor, fits, uses_virtualization
from vizapp.cost.processors import load_processor, processor_names
from vizapp.errors import ScenarioError

PENTIUM_4 = load_processor("pentium-4-672")


@pytest.mark.parametrize(
    ("technique", "paging", "processor"),
    [
        ("native", "shadow", "pentium-4-672"),
        ("trap-and-emulate", "shadow", "pentium-4-672"),
        ("vt-x", "shadow", "pentium-4-672"),
        ("vt-x", "nested", "nehalem"),
        ("amd-v", "shadow", "k8-rev-f"),
        ("amd-v", "nested", "barcelona"),
    ],
)
def test_defaults_are_those_that_the_command_line_promises(technique, paging, processor):
    assert default_processor(technique, paging) == processor
    if processor in processor_names():
        check_processor(load_processor(processor), technique, paging)


def test_only_techniques_in_the_processor_use_its_virtualization():
    names = ("native", "trap-and-emulate", "binary-translation", "paravirtual", "vt-x", "amd-v")
    assert [name for name in names if uses_virtualization(name)] == ["vt-x", "amd-v"]


@pytest.mark.parametrize(
    ("technique", "paging", "complaint"),
    [
        ("native", "nested", "native has no nested paging, which is for vt-x, amd-v; use --paging shadow"),
        (
            "amd-v",
            "shadow",
            "amd-v cannot be on pentium-4-672, for want of svm; use one of these processors:",
        ),
        (
            "vt-x",
            "nested",
            "vt-x on pentium-4-672 has no nested paging, for want of ept; use --paging shadow",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_do(technique, paging, complaint):
    with pytest.raises(ScenarioError, match=complaint):
        check_processor(PENTIUM_4, technique, paging)


def test_a_technique_without_hardware_fits_everywhere():
    assert fits(PENTIUM_4, "paravirtual", "nested")
    assert not fits(PENTIUM_4, "amd-v")
