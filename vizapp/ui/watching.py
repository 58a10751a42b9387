"""What every session is told at its beginning: which details visible panels show, and where running stops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from vizapp.session.protocol import SetCatchpoints, Watch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vizapp.ui.panel import Panel


class Watching(QObject):
    """Follows which panels can be seen, and at which events they want running to stop.

    Signals:
        changed: what holds from now on (Watch or SetCatchpoints).
    """

    changed = Signal(object)

    def __init__(self, panels: Iterable[Panel], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._panels = [panel for panel in panels if panel.details]
        self.watch = Watch()
        self.catchpoints: frozenset[str] = frozenset()
        # Docks that change places hide and show their panels: what counts is how it ends.
        self._settling = QTimer(self)
        self._settling.setSingleShot(True)
        self._settling.timeout.connect(self._look)
        for panel in self._panels:
            panel.watch_changed.connect(self._settling.start)
            panel.catchpoints_changed.connect(self._catch)

    def ask_again(self) -> None:
        """Another session has begun, which knows nothing of it."""
        if self.watch.details:
            self.changed.emit(self.watch)
        if self.catchpoints:
            self.changed.emit(SetCatchpoints(self.catchpoints))

    def _catch(self, catchpoints: frozenset[str]) -> None:
        self.catchpoints = catchpoints
        self.changed.emit(SetCatchpoints(catchpoints))

    def _look(self) -> None:
        seen = [panel for panel in self._panels if panel.isVisible()]
        details = frozenset(name for panel in seen for name in panel.details)
        addresses = {
            name: panel.watched_address
            for panel in seen
            if panel.watched_address is not None
            for name in panel.details
        }
        watch = Watch(details, addresses)
        if watch != self.watch:
            self.watch = watch
            self.changed.emit(watch)
