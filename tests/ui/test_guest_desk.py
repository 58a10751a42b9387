"""A person's own files: opened, dropped, remembered, refused."""

import pytest
from conftest import FakeLink
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QFileDialog

from vizapp import app
from vizapp.messages import Translator
from vizapp.session.protocol import RunTo
from vizapp.ui.bridge import Bridge
from vizapp.ui.choices import choices
from vizapp.ui.guest_facts import guest_facts
from vizapp.ui.overhead_panel import OverheadPanel
from vizapp.ui.player import Player
from vizapp.ui.selection import FIRST_TRAP, Selection, racers
from vizapp.ui.window import Window

HALT = "        bits    32\n        cli\n        hlt\n"
BAD = "        mov     eax, nowhere\n        frobnicate ebx\n"
BOOT_SECTOR = bytes.fromhex("FAF4").ljust(510, b"\0") + b"\x55\xaa"


@pytest.fixture
def player(qapp):
    made = Player(app.make_scenario, lambda _scenario, _checked: Bridge(FakeLink()))
    yield made
    made.close()
    made.join()


@pytest.fixture
def window(qtbot, appearance, look, settings, player):
    settings.setValue("motion", False)
    settings.setValue("theme", "light")
    made = Window(
        player,
        appearance,
        lambda _language: Translator(),
        choices(),
        settings,
        lambda guest: guest_facts(guest, app._image),
    )
    qtbot.addWidget(made)
    made.show()
    return made


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "mine.asm"
    file.write_text(HALT)
    return file


@pytest.fixture
def disk(tmp_path):
    file = tmp_path / "boot.img"
    file.write_bytes(BOOT_SECTOR)
    return file


def test_a_source_opens_under_the_technique_of_now(window, player, source):
    window.guests.open(str(source))
    assert player.selection == Selection(guest=str(source))
    assert player.scenario.image.name == "mine.asm"
    assert window.header.guests.currentText() == "mine.asm"
    assert window.windowTitle().startswith("mine.asm – ")


def test_a_disk_opens_on_the_bare_machine_with_its_screen(window, player, disk):
    window.guests.open(str(disk))
    assert player.selection.technique == "native"
    assert player.scenario.image.bits == 16
    button = window.header.techniques["trap-and-emulate"]
    assert not button.isEnabled()
    assert "real mode" in button.toolTip()
    assert window.header.techniques["paravirtual"].isEnabled()  # in an HVM domain
    assert not window.steps.docks["screen"].isHidden()
    assert not window.steps.docks["serial"].isHidden()
    assert app.guest_facts(str(disk), app._image).opening == (RunTo(0x7C00),)
    assert set(app.guest_facts(str(disk), app._image).obstacles) == {"trap-and-emulate"}
    window.header.guest_chosen.emit("rings")
    assert window.header.techniques["trap-and-emulate"].isEnabled()


def test_every_problem_of_a_source_is_listed_and_the_session_goes_on(window, player, source):
    player.open(Selection("rings"))
    bridge = player._bridge
    source.write_text(BAD)
    window.guests.open(str(source))
    assert window.banner.isVisible()
    problems = window.banner.problems.toPlainText().splitlines()
    assert [line.split(":")[:2] for line in problems] == [["mine.asm", "1"], ["mine.asm", "2"]]
    assert player._bridge is bridge
    assert player.selection.guest == "rings"
    assert window.guests.recent == []


def test_what_is_no_guest_is_told_in_the_banner(window, player, tmp_path):
    for name, content in (("data.bin", b"what is this"), ("nothing.img", b"")):
        (tmp_path / name).write_bytes(content)
        window.guests.open(str(tmp_path / name))
        assert name in window.banner.words.text()
        assert not window.banner.problems.isVisible()
    assert player.selection.guest == Selection().guest


def test_a_source_is_read_anew_when_it_has_changed(window, player, source):
    window.guests.open(str(source))
    source.write_text(HALT + "        db 1, 2, 3, 4\n")
    window.guests.open(str(source))
    assert len(player.scenario.image.segments[0][1]) == 6


def test_files_opened_lately_stand_in_the_menu_newest_first(window, source, disk):
    for file in (source, disk, source):
        window.guests.open(str(file))
    assert [action.text() for action in window.guests.menu.actions()] == ["mine.asm", "boot.img"]
    window.guests.menu.actions()[1].trigger()
    assert window.guests.recent == [str(disk), str(source)]


def test_a_file_is_taken_where_it_is_dropped(window, player, source):
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(source))])
    buttons, modifiers = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(9, 9), Qt.DropAction.CopyAction, data, buttons, modifiers)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(
        window, QDropEvent(QPoint(9, 9), Qt.DropAction.CopyAction, data, buttons, modifiers)
    )
    assert player.selection.guest == str(source)


def test_other_things_are_not_taken(window):
    data = QMimeData()
    data.setText("words")
    buttons, modifiers = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(9, 9), Qt.DropAction.CopyAction, data, buttons, modifiers)
    enter.ignore()
    QApplication.sendEvent(window, enter)
    assert not enter.isAccepted()


def test_the_dialog_asks_for_sources_and_images(window):
    window.obey("open")
    dialog = window.findChild(QFileDialog)
    assert dialog.isVisible()
    assert any("*.asm" in kind for kind in dialog.nameFilters())
    dialog.reject()


def test_a_guest_without_a_port_goes_into_an_hvm_domain(window, player, source):
    facts = guest_facts(str(source), app._image)
    assert (facts.obstacles, facts.ported) == ({}, False)
    assert facts.opening == FIRST_TRAP
    for guest in (str(source), "sensitive"):
        window.header.guest_chosen.emit(guest)
        window.header.technique_chosen.emit("paravirtual")
        assert player.selection.io == "hvm"
        assert player.scenario.has_unmodified_domains
        assert [window.header.io.itemData(i) for i in range(window.header.io.count())] == ["hvm"]
        assert window.header.io.isVisible()
        assert window.steps.panel(OverheadPanel).view.titles["paravirtual"] == "HVM domain (Xen)"
        # The race makes its own scenarios: there it is in a domain too, whatever is looked at.
        runner = racers(player.selection._replace(technique="native", io="bare-metal"))["paravirtual"]
        assert app.make_scenario(runner).has_unmodified_domains
        window.header.technique_chosen.emit("native")
        assert player.selection.io == "bare-metal"
    window.header.guest_chosen.emit("rings")
    assert window.steps.panel(OverheadPanel).view.titles["paravirtual"] == "Paravirtual (Xen)"


def test_a_file_of_several_machines_chooses_paging_and_devices_itself(window, player, tmp_path):
    file = tmp_path / "several.yaml"
    file.write_text(
        "format: 1\npcs:\n  - technique: vt-x\n    vms:\n"
        "      - {name: one, guest: hello, memory: 4M}\n      - {name: two, guest: hello, memory: 4M}\n"
    )
    window.guests.open(str(file))
    assert player.selection.technique == "vt-x"
    assert not window.header.paging.isVisible()
    assert not window.header.io.isVisible()
