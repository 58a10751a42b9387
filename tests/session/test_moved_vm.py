"""A virtual machine saved half-way goes on in another PC, and not on the other vendor's processor."""

from __future__ import annotations

import pickle

import pytest

from tests.session.conftest import image
from vizapp.errors import ScenarioError
from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.machine.image import Image
from vizapp.session.builder import Machine, build
from vizapp.session.scenario import Scenario
from vizapp.session.scoring import result_line
from vizapp.vmm.saved_vm import Hosting, SavedVm, restore_vm, save_vm

# cli; hlt: what stands in the machine before the saved one comes.
EMPTY = Image("empty", "native", ((GuestPhysical(0x10_0000), b"\xfa\xf4"),), Linear(0x10_0000))
PLACES = [
    ("trap-and-emulate", "pentium-4-672", "shadow"),
    ("vt-x", "pentium-4-672", "shadow"),
    ("vt-x", "nehalem", "nested"),
    ("amd-v", "k8-rev-f", "shadow"),
    ("amd-v", "barcelona", "nested"),
]


def machine(guest: Image, technique: str, processor: str, paging: str) -> Machine:
    stock = technique != "trap-and-emulate"
    return build(Scenario(guest, technique, processor, paging, virtualizable=not stock))


def result(found: Machine) -> str:
    return result_line(bytes(found.monitor.devices.uart.output).decode("ascii"))


def hosting(found: Machine) -> Hosting:
    return found.monitor  # type: ignore[return-value]


def saved_at(found: Machine, steps: int) -> SavedVm:
    found.pc.run(max_steps=steps)
    assert found.pc.stopped is None
    saved: SavedVm = pickle.loads(pickle.dumps(save_vm(found.pc, hosting(found), found.technique.name)))
    return saved


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("guest", "steps"), [("syscall", 1500), ("minikernel", 6000), ("page-fault", 1500)])
def test_it_finishes_with_the_same_result(place: tuple[str, str, str], guest: str, steps: int) -> None:
    saved = saved_at(machine(image(guest, "native"), *place), steps)
    other = machine(EMPTY, *place)
    restore_vm(other.pc, hosting(other), place[0], saved)
    other.pc.run(max_steps=3_000_000)
    bare = build(Scenario(image(guest, "native")))
    bare.pc.run(max_steps=3_000_000)
    assert result(other) == result(bare) != ""


@pytest.mark.parametrize(("here", "there"), [(PLACES[2], PLACES[4]), (PLACES[4], PLACES[2])])
def test_the_other_vendor_s_processor_refuses_it(
    here: tuple[str, str, str], there: tuple[str, str, str]
) -> None:
    saved = saved_at(machine(image("syscall", "native"), *here), 1000)
    other = machine(EMPTY, *there)
    with pytest.raises(ScenarioError, match="would meet #UD"):
        restore_vm(other.pc, hosting(other), there[0], saved)
