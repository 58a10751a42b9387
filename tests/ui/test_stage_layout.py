from itertools import combinations

import pytest
from conftest import DEPRIVILEGED, KERNEL, MONITOR, TWO_WORLDS, USER, component
from PySide6.QtCore import QRectF, QSizeF

from vizapp.machine.places import APPLICATION, GUEST_KERNEL, VMM, VMX_NON_ROOT, VMX_ROOT, Place
from vizapp.messages import Message
from vizapp.session.frames import Stage
from vizapp.ui.stage_layout import StageLayout
from vizapp.vmm.hardware_assisted.stage import two_ring_systems
from vizapp.vmm.stage import StageWorld


def measure(text, font):
    return QSizeF(7.6 * len(text), 15)


def lay_out(stage, width=600, height=380):
    return StageLayout(stage, QRectF(0, 0, width, height), measure, Message.in_english, 1.0)


CROWDED = Stage(
    (
        StageWorld(
            "bare",
            Message("bare"),
            (
                component("hypervisor", "Xen", 0),
                component("dom0", "domain 0", 1, 0),
                component(GUEST_KERNEL, "domain U1", 1, 1),
                component(GUEST_KERNEL, "domain U2", 1, 2),
                component("xenstored", "xenstored", 3, 0),
                component(APPLICATION, "application", 3, 1),
                component(APPLICATION, "application", 3, 2),
            ),
        ),
    )
)


FOUR_MACHINES = Stage(two_ring_systems(VMX_ROOT, VMX_NON_ROOT, ("one", "bad", "pill", "minikernel-3")))


@pytest.mark.parametrize("stage", [DEPRIVILEGED, TWO_WORLDS, CROWDED, FOUR_MACHINES])
@pytest.mark.parametrize("size", [(560, 300), (620, 380), (900, 640)])
def test_no_two_words_collide(stage, size):
    layout = lay_out(stage, *size)
    for one, other in combinations(layout.taken(), 2):
        assert not one.intersects(other), (one, other)


@pytest.mark.parametrize("stage", [DEPRIVILEGED, TWO_WORLDS, CROWDED])
def test_everything_is_inside_the_stage(stage):
    layout = lay_out(stage)
    for rect in layout.taken():
        assert layout.area.contains(rect)


def test_where_there_is_no_room_machines_go_by_their_names():
    layout = lay_out(FOUR_MACHINES, 620, 380)
    assert [pill.text for pill in layout.pills] == ["one", "bad", "pill", "minikernel-3"]
    assert "guest" in [text.text for text in layout.texts]


def test_a_pill_stands_in_the_band_of_its_ring():
    layout = lay_out(DEPRIVILEGED)
    for pill in layout.pills:
        system = layout.system(pill.world)
        offset = pill.rect.center() - system.center
        distance = (offset.x() ** 2 + offset.y() ** 2) ** 0.5
        assert distance == pytest.approx(system.middle(pill.component.ring))


def test_the_middle_names_what_runs_in_ring_0():
    layout = lay_out(DEPRIVILEGED)
    assert [text.text for text in layout.texts[-2:]] == ["VMM", "ring 0"]


def test_rings_without_components_say_so():
    assert "ring 2 · unused" in [text.text for text in lay_out(DEPRIVILEGED).texts]


@pytest.mark.parametrize("place", [KERNEL, USER, MONITOR])
def test_the_bead_stands_clear_of_all_words(place):
    layout = lay_out(DEPRIVILEGED)
    point, radius = layout.slot(place), layout.bead_radius
    bead = QRectF(point.x() - radius, point.y() - radius, 2 * radius, 2 * radius)
    assert not any(bead.intersects(rect) for rect in layout.taken())


def test_a_vm_exit_leaves_one_ring_system_and_lands_in_the_other():
    layout = lay_out(TWO_WORLDS)
    kernel = Place(world=VMX_NON_ROOT, ring=0, vm=0)
    monitor = Place(world=VMX_ROOT, ring=0, component=VMM)
    exit_, entry = layout.path(kernel, monitor), layout.path(monitor, kernel)
    first, second = layout.systems
    assert abs(exit_.pointAtPercent(0).x() - first.center.x()) < first.radius
    assert abs(exit_.pointAtPercent(1).x() - second.center.x()) < second.radius
    assert exit_.pointAtPercent(0.5).y() < first.center.y() < entry.pointAtPercent(0.5).y()


PASSAGES = [(KERNEL, MONITOR), (MONITOR, KERNEL), (USER, MONITOR), (KERNEL, USER)]


@pytest.mark.parametrize(("source", "target"), PASSAGES)
def test_the_callout_is_clear_of_words_and_path(source, target):
    layout = lay_out(DEPRIVILEGED)
    path = layout.path(source, target)
    rect = layout.callout(path, QSizeF(130, 38))
    assert layout.area.contains(rect)
    assert not any(rect.intersects(other) for other in layout.taken())
    assert not any(rect.contains(path.pointAtPercent(step / 20)) for step in range(21))


def test_a_small_stage_has_no_words_inside():
    layout = lay_out(DEPRIVILEGED, 150, 120)
    assert layout.texts == []
    assert layout.pills == []


def test_an_unknown_place_gets_a_point_in_its_ring():
    layout = lay_out(DEPRIVILEGED)
    place = Place(ring=2, component="driver")
    system = layout.systems[0]
    offset = layout.slot(place) - system.center
    assert system.outer(1) < (offset.x() ** 2 + offset.y() ** 2) ** 0.5 < system.outer(2)
