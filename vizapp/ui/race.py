"""The overhead race: the guest under every technique, each in a process of its own, from the start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from vizapp.errors import VizappError
from vizapp.session.protocol import Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.session.frames import Frame
    from vizapp.session.scenario import Scenario
    from vizapp.ui.bridge import Bridge


class Race(QObject):
    """Runs sessions side by side, each as fast as it goes and unchecked.

    Signals:
        started: who races (tuple of names).
        opened, frame, events: of a technique (str, object).
        progress: how far one came (Progress).
        failed: a technique that cannot run this guest, and why (str, Message).
    """

    started = Signal(object)
    opened = Signal(str, object)
    frame = Signal(str, object)
    events = Signal(str, object)
    progress = Signal(object)
    failed = Signal(str, object)

    def __init__(
        self,
        make_bridge: Callable[[Scenario, bool], Bridge],
        end: Callable[[Bridge], None],
        parent: QObject | None = None,
    ) -> None:
        """``end`` takes care of a bridge that is not needed any more."""
        super().__init__(parent)
        self._make_bridge = make_bridge
        self._end = end
        self._bridges: list[Bridge] = []

    def start(self, techniques: tuple[str, ...], make_scenario: Callable[[str], Scenario]) -> None:
        """Everyone from the start; ``make_scenario`` gives the scenario of a technique."""
        self.stop()
        self.started.emit(techniques)
        for technique in techniques:
            try:
                bridge = self._make_bridge(make_scenario(technique), False)
            except VizappError as error:
                self.failed.emit(technique, error.message)
                continue
            self._bridges.append(bridge)
            bridge.progress.connect(self.progress)
            for signal, onward in (
                (bridge.opened, self.opened),
                (bridge.frame, self.frame),
                (bridge.events, self.events),
                (bridge.died, self.failed),
                (bridge.failed, self.failed),
            ):
                signal.connect(lambda value, name=technique, onward=onward: onward.emit(name, value))
            bridge.frame.connect(lambda frame, bridge=bridge: self._finish(bridge, frame))
            bridge.send(Run(None, attended=False))

    def forget(self) -> None:
        """Nobody races: what was told concerns another guest."""
        self.stop()
        self.started.emit(())

    def _finish(self, bridge: Bridge, frame: Frame) -> None:
        """A process whose guest has ended has nothing more to tell: its frame is the last that it sends."""
        if frame.stopped is not None and not frame.moving and bridge in self._bridges:
            self._bridges.remove(bridge)
            self._end(bridge)

    def stop(self) -> None:
        """End all of it."""
        for bridge in self._bridges:
            self._end(bridge)
        self._bridges = []
