"""A person's own guests: the dialog that opens one, files dropped on the window, and those opened lately."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QMenu

from vizapp.errors import VizappError
from vizapp.experiment.scenario_file import SUFFIXES as SCENARIO_SUFFIXES
from vizapp.guest.loader import SOURCE_SUFFIXES
from vizapp.messages import N_

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtCore import QMimeData, QSettings
    from PySide6.QtWidgets import QWidget

    from vizapp.messages import Translator
    from vizapp.ui.guest_facts import GuestFacts
    from vizapp.ui.player import Player

RECENT = 8  # files that the menu remembers
IMAGE_SUFFIXES = (".img", ".bin", ".rom", ".elf", ".ima", ".flp", ".dsk")


class GuestDesk(QObject):
    """Opens guests from files; the session that runs goes on where a file is none.

    Attributes:
        menu: the files opened lately.

    Signals:
        opened: a guest's session begins (GuestFacts).
        problem: why a file could not be opened (VizappError).
    """

    opened = Signal(object)
    problem = Signal(object)

    def __init__(
        self,
        window: QWidget,
        player: Player,
        facts: Callable[[str], GuestFacts],
        settings: QSettings,
        translator: Translator,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._player = player
        self._facts = facts
        self._settings = settings
        self._translator = translator
        self.menu = QMenu(window)
        window.setAcceptDrops(True)
        window.installEventFilter(self)

    def ask(self) -> None:
        """Let a person choose a file."""
        say = self._translator.text
        sources = " ".join(f"*{suffix}" for suffix in SOURCE_SUFFIXES)
        images = " ".join(f"*{suffix}" for suffix in IMAGE_SUFFIXES)
        scenarios = " ".join(f"*{suffix}" for suffix in SCENARIO_SUFFIXES)
        kinds = (
            f"{say(N_('Guests'))} ({sources} {images} {scenarios})",
            f"{say(N_('Assembly sources'))} ({sources})",
            f"{say(N_('Disks, ROMs and kernels'))} ({images})",
            f"{say(N_('Several virtual machines'))} ({scenarios})",
            f"{say(N_('All files'))} (*)",
        )
        recent = self.recent
        folder = str(Path(recent[0]).parent) if recent else ""
        dialog = QFileDialog(self._window, say(N_("Open a guest")), folder, ";;".join(kinds))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.fileSelected.connect(self.open)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def open(self, file: str) -> None:
        """Begin a session with a file, under the technique of now if that can run it."""
        path = str(Path(file).absolute())
        facts = self._facts(path)
        selection = facts.suited(self._player.selection._replace(guest=path, build=None))
        try:
            self._player.replace(selection, facts.opening)
        except VizappError as error:
            self.problem.emit(error)
            return
        self.remember(path)
        self.opened.emit(facts)

    @property
    def recent(self) -> list[str]:
        """The files opened lately, newest first."""
        kept = self._settings.value("recent", [])
        return [kept] if isinstance(kept, str) else [str(path) for path in kept or []]  # type: ignore[attr-defined]

    def remember(self, path: str) -> None:
        """Put a file first among those opened lately."""
        others = [other for other in self.recent if other != path]
        self._settings.setValue("recent", [path, *others][:RECENT])
        self._build_menu()

    def retranslate(self, translator: Translator) -> None:
        """All words."""
        self._translator = translator
        self._build_menu()

    def _build_menu(self) -> None:
        self.menu.setTitle(self._translator.text(N_("Recent files")))
        self.menu.setToolTipsVisible(True)
        self.menu.clear()
        for path in self.recent:
            action = self.menu.addAction(Path(path).name.replace("&", "&&"), partial(self.open, path))
            action.setToolTip(path)
        self.menu.setEnabled(not self.menu.isEmpty())

    # Files that are dropped.

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take one file that is dragged over the window."""
        if isinstance(event, QDragEnterEvent) and _dropped_file(event.mimeData()):
            event.acceptProposedAction()
            return True
        if isinstance(event, QDropEvent) and event.type() == QEvent.Type.Drop:
            file = _dropped_file(event.mimeData())
            if file:
                event.acceptProposedAction()
                self.open(file)
                return True
        return super().eventFilter(watched, event)


def _dropped_file(data: QMimeData) -> str:
    """The one local file that is dragged; "" for anything else."""
    urls = data.urls()
    return urls[0].toLocalFile() if len(urls) == 1 else ""
