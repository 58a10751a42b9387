"""The composed application with real session processes."""

import os
import signal

import pytest
from PySide6.QtGui import QImage

from vizapp import app
from vizapp.cli.arguments import parse
from vizapp.errors import VizappError
from vizapp.machine.events import EXCEPTION_DELIVERED
from vizapp.session.process import SessionProcess
from vizapp.ui import player as player_module
from vizapp.ui.bridge import Bridge
from vizapp.ui.picture import render
from vizapp.ui.player import Player
from vizapp.ui.screen_panel import ScreenPanel
from vizapp.ui.selection import OPENING, Selection

ECHO = """
        bits    16
        org     0x7C00
        mov     dx, 0x3F8
        mov     al, '>'
        out     dx, al
echo:   xor     ah, ah
        int     0x16
        mov     ah, 0x0E
        int     0x10
        jmp     echo
        times   510 - ($ - $$) db 0
        dw      0xAA55
"""
PATIENCE = 60_000  # ms; a loaded machine starts processes slowly
RINGS = Selection(guest="rings")


@pytest.fixture(scope="module", autouse=True)
def styled_as_the_others(appearance):
    """The application and its pictures have looks of their own, and the files of the icons go with those."""
    yield
    appearance._apply()


@pytest.fixture
def processes():
    return []


@pytest.fixture
def player(qapp, processes):
    def bridge(scenario, checked):
        processes.append(SessionProcess(scenario, lockstep=checked))
        return Bridge(processes[-1])

    made = Player(app.make_scenario, bridge)
    yield made
    made.close()
    made.join()


@pytest.fixture
def window(qtbot, qapp, settings, player):
    settings.setValue("motion", False)
    made = app.make_window(qapp, settings, player)
    qtbot.addWidget(made)
    made.show()
    return made


def test_a_real_guest_is_shown_and_stepped(qtbot, player, window):
    frames = []
    player.frame_changed.connect(frames.append)
    player.open(RINGS, OPENING)

    def at_a_fault():
        event = frames[-1].event if frames and not frames[-1].moving else None
        return event is not None and event.kind == EXCEPTION_DELIVERED

    qtbot.wait_until(at_a_fault, timeout=PATIENCE)
    before = frames[-1]
    assert before.guest == "rings"
    assert any(line.current for line in before.code)
    player.step()
    qtbot.wait_until(lambda: frames[-1].position == before.position + 1, timeout=PATIENCE)
    player.back()
    qtbot.wait_until(lambda: frames[-1].position == before.position, timeout=PATIENCE)
    assert frames[-1].truths == before.truths
    assert frames[-1].cycle == before.cycle


@pytest.fixture
def alone(monkeypatch):
    """Without the processes that race beside the session: another test has them."""
    monkeypatch.setattr(player_module, "racers", lambda _selection: {})


@pytest.mark.usefixtures("alone")
def test_a_disk_boots_is_typed_to_and_rewound(qtbot, player, window, tmp_path):
    file = tmp_path / "echo.asm"
    file.write_text(ECHO)
    frames = []
    player.frame_changed.connect(frames.append)
    window.guests.open(str(file))
    qtbot.wait_until(lambda: bool(frames) and frames[-1].guest_registers["eip"] == 0x7C00, timeout=PATIENCE)
    start = frames[-1]
    player.run()
    qtbot.wait_until(lambda: frames[-1].serial == ">", timeout=PATIENCE)
    screen = window.steps.panel(ScreenPanel)
    for down in (True, False):
        screen.view.key.emit("k", down)
    qtbot.wait_until(
        lambda: any(row.endswith("k") for row in map(str.rstrip, frames[-1].screen)), timeout=PATIENCE
    )
    player.pause()
    player.seek(start.position)
    qtbot.wait_until(lambda: frames[-1].position == start.position, timeout=PATIENCE)
    assert (frames[-1].screen, frames[-1].cells, frames[-1].serial) == (start.screen, start.cells, "")


def test_a_window_keeps_its_language_unless_one_is_named():
    assert parse([]).lang is None
    assert parse(["--lang", "pt_BR"]).lang == "pt_BR"


@pytest.mark.usefixtures("alone")
def test_a_killed_process_leaves_the_window_alive_with_a_way_to_go_on(qtbot, player, window, processes):
    with qtbot.wait_signal(player.frame_changed, timeout=PATIENCE):
        player.open(RINGS)
    with qtbot.wait_signal(player.died, timeout=PATIENCE):
        os.kill(processes[0].pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert window.banner.isVisible()
    with qtbot.wait_signal(player.frame_changed, timeout=PATIENCE):
        window.banner.restart.click()
    assert not window.banner.isVisible()


def test_a_guest_that_does_not_exist_is_told_in_the_window(window, player):
    player.open(Selection(guest="minikernle"))
    assert window.banner.words.text().startswith(
        "there is no guest named minikernle; did you mean minikernel?"
    )


@pytest.mark.parametrize("view", ["step", "stage", "compare"])
def test_views_are_drawn_without_a_display(qapp, appearance, tmp_path, view):
    file = tmp_path / "picture.png"
    scenario = app.make_scenario(RINGS._replace(technique="native"))
    render(view, scenario, [scenario], file, size=(1000, 700))
    image = QImage(str(file))
    assert (image.width(), image.height()) == (1000, 700)
    colours = {image.pixel(x, y) for x in range(0, 1000, 7) for y in range(0, 700, 7)}
    assert len(colours) > 12


def test_pictures_in_other_formats_are_refused(tmp_path):
    scenario = app.make_scenario(RINGS._replace(technique="native"))
    with pytest.raises(VizappError, match=r"not \.bmp"):
        render("step", scenario, [scenario], tmp_path / "picture.bmp")


def test_every_surrounding_of_a_guest_of_xen_makes_a_scenario():
    hello = Selection(guest="hello", technique="paravirtual")
    alone, split, hvm = (app.make_scenario(hello._replace(io=io)) for io in ("bare-metal", "split", "hvm"))
    assert (alone.others, alone.image.build) == ((), "xen")
    assert [vm.image.build for vm in split.others] == ["xen"]
    assert [vm.image.build for vm in hvm.others] == ["native"]
    sending = app.make_scenario(hello._replace(guest="network-send"))
    assert [vm.image.name for vm in sending.machines] == ["dom0", "network-send"]
