from itertools import pairwise

import numpy as np
import pytest
from conftest import DEPRIVILEGED, KERNEL, make_events, make_frame

from vizapp.ui.lanes_model import Lane, LanesModel
from vizapp.ui.lanes_panel import LanesPanel


@pytest.fixture
def model():
    made = LanesModel(DEPRIVILEGED)
    made.add(make_events())
    return made


def test_lanes_are_the_rings_in_use_from_outside_in(model):
    assert model.lanes == [Lane("bare", 3), Lane("bare", 1), Lane("bare", 0)]


def test_blocks_follow_each_other_and_cover_the_whole_time(model):
    last = model.events[-1].cycle + 500
    blocks = model.blocks(0, last, last)
    assert blocks[0].start == 0
    assert blocks[-1].end == last
    assert all(one.end == other.start for one, other in pairwise(blocks))
    assert all(one.lane != other.lane for one, other in pairwise(blocks))


def test_a_block_is_the_stay_between_two_events(model):
    trap = model.events[0]
    back = model.events[2]
    block = model.blocks(trap.cycle, back.cycle, model.events[-1].cycle)[0]
    assert (block.lane, block.start, block.end) == (2, trap.cycle, back.cycle)


def test_each_moment_is_in_exactly_one_lane(model):
    last = float(model.events[-1].cycle)
    shares = model.coverage(0, last, last, 200)
    assert np.allclose(shares.sum(axis=0), 1.0)


def test_coverage_adds_up_to_the_blocks(model):
    last = float(model.events[-1].cycle)
    spent = model.coverage(0, last, last, 333).sum(axis=1) * last / 333
    for lane in range(3):
        total = sum(block.end - block.start for block in model.blocks(0, last, last) if block.lane == lane)
        assert spent[lane] == pytest.approx(total)


def test_events_may_come_in_pieces(model):
    events = make_events()
    other = LanesModel(DEPRIVILEGED)
    other.add(events[:7])
    other.add(events[7:])
    last = events[-1].cycle
    assert other.blocks(0, last, last) == model.blocks(0, last, last)


def test_an_unforeseen_ring_gets_a_lane():
    model = LanesModel()
    model.add(make_events(4))
    assert set(model.lanes) == {Lane("bare", 1), Lane("bare", 0), Lane("bare", 3)}


def test_a_click_moves_the_cursor_behind_the_nearest_event(qtbot, look, translator, opened, batch):
    panel = LanesPanel(look, translator)
    qtbot.addWidget(panel)
    panel.take_opened(opened)
    panel.show_events(batch)
    event = batch.events[4]
    with qtbot.wait_signal(panel.seek_requested) as moved:
        panel.view.cycle_clicked.emit(event.cycle + 3.0, 1.0)
    assert moved.args == [event.position + 1]


def test_counts_stand_beneath(qtbot, look, translator, opened):
    panel = LanesPanel(look, translator)
    qtbot.addWidget(panel)
    panel.take_opened(opened)
    panel.show_frame(make_frame())
    assert panel.counts.words == "fault 12 · emulated 31 · virtual interrupt 2"


def test_zoom_keeps_the_cycle_under_the_mouse(qtbot, look, translator, opened, batch):
    panel = LanesPanel(look, translator)
    qtbot.addWidget(panel)
    panel.resize(800, 240)
    panel.take_opened(opened)
    panel.show_events(batch)
    panel.show_frame(make_frame())
    view = panel.view
    x = view.x_of(30_000)
    view.zoom(4, 30_000)
    assert view.x_of(30_000) == pytest.approx(x)
    low, high = view.visible_range
    assert high - low == pytest.approx(84_000 / 4)
    view.show_all()
    assert view.visible_range == (0, 84_000)


def test_before_any_event_the_processor_is_where_it_was_seen():
    model = LanesModel(DEPRIVILEGED)
    model.see(KERNEL)
    blocks = model.blocks(0.0, 100.0, 50.0)
    assert [model.lanes[block.lane].ring for block in blocks] == [KERNEL.ring]


def test_several_virtual_machines_have_lanes_each():
    from vizapp.machine.places import APPLICATION, GUEST_KERNEL, VMM, VMX_NON_ROOT, VMX_ROOT, Place
    from vizapp.messages import Message
    from vizapp.session.frames import Stage
    from vizapp.ui.lanes_model import Lane, LanesModel
    from vizapp.vmm.stage import StageComponent, StageWorld

    def title(name):
        return Message("{name}: {component}", {"name": name, "component": "kernel"})

    guests = tuple(
        StageComponent(kind, title(name), ring, vm)
        for ring, kind in ((0, GUEST_KERNEL), (3, APPLICATION))
        for vm, name in enumerate(("first", "second"))
    )
    below = StageComponent(VMM, Message("monitor"), 0)
    stage = Stage(
        (StageWorld(VMX_NON_ROOT, Message("guests"), guests), StageWorld(VMX_ROOT, Message("m"), (below,)))
    )
    model = LanesModel(stage)
    assert model.lanes == [
        Lane(VMX_NON_ROOT, 3, 0),
        Lane(VMX_NON_ROOT, 3, 1),
        Lane(VMX_NON_ROOT, 0, 0),
        Lane(VMX_NON_ROOT, 0, 1),
        Lane(VMX_ROOT, 0),
    ]
    model.see(Place(world=VMX_NON_ROOT, ring=0, vm=1, component=GUEST_KERNEL))
    assert model.blocks(0, 10, 10)[0].lane == 3
    assert stage.vm_names == {0: "first", 1: "second"}
