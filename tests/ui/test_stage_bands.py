"""The stage as bands: columns of machines, worlds side by side, and the last movements by number."""

import pytest
from PySide6.QtCore import QRectF, QSizeF

from vizapp.machine.places import APPLICATION, BARE, GUEST_KERNEL, HOST, VMM, Place
from vizapp.messages import Message
from vizapp.session.frames import Stage
from vizapp.ui.stage_band_items import TrailItem
from vizapp.ui.stage_bands import BandLayout, wants_bands
from vizapp.ui.stage_items import Callout
from vizapp.ui.stage_layout import StageLayout
from vizapp.ui.stage_view import StageView
from vizapp.vmm.stage import StageComponent, StageWorld, bare_stage, deprivileged_stage

ONE = Stage(deprivileged_stage(Message("Xen")))
THREE = Stage(deprivileged_stage(Message("Xen"), ["domain 0", "domain U1", "domain U2"]))
HOSTED = Stage(
    (
        StageWorld("vmm", Message("VMM world"), deprivileged_stage(Message("VMM"))[0].components),
        StageWorld(
            HOST,
            Message("host world"),
            (
                StageComponent("host-kernel", Message("host kernel"), 0),
                StageComponent("vmdriver", Message("VMDriver"), 0),
                StageComponent("vmnet", Message("VMNet"), 0),
                StageComponent("vmapp", Message("VMApp"), 3),
            ),
        ),
    )
)
SIZES = ((620, 380), (420, 260), (1200, 700))
XEN = Place(world=BARE, ring=0, component=VMM)


def kernel(vm):
    return Place(world=BARE, ring=1, vm=vm, component=GUEST_KERNEL)


def measure(text, font):
    return QSizeF(7.0 * len(text), 15.0)


def lay_out(stage, width=620, height=380):
    return BandLayout(stage, QRectF(0, 0, width, height), measure, Message.in_english, 1.0)


def test_several_machines_or_a_full_ring_want_bands():
    assert not wants_bands(Stage(bare_stage()))
    assert not wants_bands(ONE)
    assert wants_bands(THREE)
    assert wants_bands(HOSTED)


@pytest.mark.parametrize("stage", [THREE, HOSTED])
@pytest.mark.parametrize("size", SIZES)
def test_no_two_words_collide_and_all_is_inside(stage, size):
    layout = lay_out(stage, *size)
    taken = layout.taken()
    assert taken
    for index, one in enumerate(taken):
        assert layout.area.adjusted(-1, -1, 1, 1).contains(one)
        assert not any(one.intersects(other) for other in taken[index + 1 :])
    for band in layout.bands:
        assert layout.area.adjusted(-1, -1, 1, 1).contains(band.rect)


def test_every_component_is_a_box_in_the_band_of_its_ring_and_the_column_of_its_machine():
    layout = lay_out(THREE)
    bands = {band.ring: band.rect for band in layout.bands}
    assert list(bands) == [3, 1, 0]
    columns = {}
    for pill in layout.pills:
        assert bands[pill.component.ring].contains(pill.rect)
        if pill.component.vm >= 0:
            columns.setdefault(pill.component.vm, set()).add(round(pill.rect.center().x()))
    assert sorted(columns) == [0, 1, 2]
    assert all(len(centers) == 1 for centers in columns.values())
    assert columns[0] < columns[1] < columns[2] or min(columns[0]) < min(columns[1]) < min(columns[2])


def test_the_bead_stands_in_the_box_of_its_component_beside_the_words():
    layout = lay_out(THREE)
    for vm in range(3):
        for place in (kernel(vm), Place(world=BARE, ring=3, vm=vm, component=APPLICATION)):
            slot = layout.slot(place)
            assert layout.pill_of(place).component.vm == vm
            assert layout.pill_of(place).rect.contains(slot)
            assert not any(rect.contains(slot) for rect in layout.taken())


def test_ways_lead_from_slot_to_slot_and_back_apart():
    layout = lay_out(THREE)
    down, up = layout.path(kernel(1), XEN), layout.path(XEN, kernel(1))
    assert down.pointAtPercent(0) == layout.slot(kernel(1))
    assert down.pointAtPercent(1) == layout.slot(XEN)
    assert not layout.returns(kernel(1), XEN)
    assert layout.returns(XEN, kernel(1))
    assert layout.flow_path(kernel(1), XEN).pointAtPercent(0) != layout.flow_path(
        XEN, kernel(1)
    ).pointAtPercent(1)
    assert up.length() == pytest.approx(down.length(), rel=0.02)


def test_worlds_stand_side_by_side_under_their_titles():
    layout = lay_out(HOSTED, 900, 400)
    left = [band.rect for band in layout.bands if band.world == "vmm"]
    right = [band.rect for band in layout.bands if band.world == HOST]
    assert max(rect.right() for rect in left) < min(rect.left() for rect in right)
    assert {"VMM world", "host world"} <= {text.text for text in layout.texts}
    assert {band.ring for band in layout.bands if band.world == HOST} == {3, 0}


def test_a_small_stage_has_no_words_in_its_boxes():
    layout = lay_out(THREE, 300, 80)
    assert not layout.roomy
    assert {pill.text for pill in layout.pills} == {""}


@pytest.fixture
def view(qtbot, look):
    made = StageView(look, Message.in_english)
    qtbot.addWidget(made)
    made.resize(620, 380)
    made.show()
    return made


def numbers(view):
    return [item._number for item in view.scene().items() if isinstance(item, TrailItem)]


def test_the_form_follows_the_stage(view):
    view.set_stage(ONE)
    assert isinstance(view.arrangement, StageLayout)
    view.set_stage(THREE)
    assert isinstance(view.arrangement, BandLayout)


def test_the_last_movements_are_numbered_until_the_bead_is_elsewhere(view):
    view.set_stage(THREE)
    callout = Callout("a hypercall", "", "ring0")
    view.show_movement(kernel(1), XEN, callout, 0)
    assert numbers(view) == []
    view.show_movement(XEN, kernel(0), callout, 0)
    view.show_movement(kernel(0), XEN, callout, 0)
    assert sorted(numbers(view)) == [1, 2]
    view.show_place(XEN)
    assert sorted(numbers(view)) == [1, 2, 3]
    view.show_place(kernel(2))
    assert numbers(view) == []


def test_a_way_gone_again_is_shown_once(view):
    view.set_stage(THREE)
    callout = Callout("a hypercall", "", "ring0")
    for _ in range(5):
        view.show_movement(kernel(1), XEN, callout, 0)
        view.show_movement(XEN, kernel(1), callout, 0)
    assert numbers(view) == [1]
    view.forget_trail()
    view.show_movement(kernel(1), XEN, callout, 0)
    assert numbers(view) == []


TWO_WORLDS = Stage(
    tuple(
        StageWorld(
            name,
            Message(name),
            (
                *(StageComponent("cache", Message("translation cache"), 1, vm, f"vm{vm}") for vm in range(2)),
                StageComponent("host-kernel", Message("host kernel"), 0),
                StageComponent("vmdriver", Message("VMDriver"), 0),
            ),
        )
        for name in ("vmm", HOST)
    )
)


@pytest.mark.parametrize("size", [(640, 300), (640, 160), (560, 90)])
def test_narrow_boxes_have_their_words_in_lines_or_cut_late_and_the_bead_beside_or_above(size):
    layout = lay_out(TWO_WORLDS, *size)
    texts = {pill.text for pill in layout.pills if pill.component.ring == 1}
    if size[1] == 300:
        assert texts == {"translation\ncache"}
    else:
        assert all(text.endswith("…") and "translation cache".startswith(text[:-1]) for text in texts)
        assert min(map(len, texts)) > 6
    for pill in layout.pills:
        place = Place(
            world=pill.world, ring=pill.component.ring, vm=pill.component.vm, component=pill.component.id
        )
        assert pill.rect.contains(layout.slot(place))
        assert not any(rect.contains(layout.slot(place)) for rect in layout.taken())


def test_what_machines_share_stands_in_no_column():
    layout = lay_out(TWO_WORLDS, 640, 300)
    shared = [pill.rect for pill in layout.pills if pill.component.vm < 0 and pill.world == HOST]
    assert shared[0].left() == shared[1].left()
    assert shared[0].bottom() < shared[1].top()
