import pytest

from vizapp.cost.paths import load_paths
from vizapp.errors import UnknownNameError
from vizapp.vmm.registry import TECHNIQUES, technique
from vizapp.vmm.trap_and_emulate.phases import PHASES


def test_an_unknown_technique_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean trap-and-emulate"):
        technique("trap-and-emulat")


def test_every_technique_knows_its_name():
    for name in TECHNIQUES:
        assert technique(name).name == name


def test_every_phase_has_a_path_length():
    assert set(load_paths("trap-and-emulate").operations()) == {*PHASES, "device"}
