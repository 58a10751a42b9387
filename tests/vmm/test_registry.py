import pytest

from vizapp.errors import UnknownNameError
from vizapp.vmm.registry import TECHNIQUES, technique


def test_an_unknown_technique_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean trap-and-emulate"):
        technique("trap-and-emulat")


def test_every_technique_knows_its_name():
    for name in TECHNIQUES:
        assert technique(name).name == name
