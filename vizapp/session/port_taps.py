"""Taps on the guest's I/O ports: bytes that are logged, and the port a write to which ends the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc
    from vizapp.machine.places import Place
    from vizapp.session.scenario import Scenario

EXIT_PORT = "exit-port"


class PortTaps:
    """Listens at the guest's board, real or virtual.

    Attributes:
        recording: whether what is written now is written for the first time.
        written: what the guest has written to each logged port: (position, bytes, the low one first).
    """

    def __init__(self, pc: Pc, scenario: Scenario) -> None:
        self.recording = False
        self.written: dict[int, list[tuple[int, bytes]]] = {port: [] for port in scenario.log_ports}
        self._pc = pc
        self._exit_port = scenario.exit_port

    def access(self, place: Place, port: int, size: int, write: bool, value: int) -> None:
        """The guest has accessed a port, itself or by its monitor's hand."""
        if not write:
            return
        if port == self._exit_port:
            sentence = N_("the guest ended the run with status {status}")
            self._pc.stop(EXIT_PORT, Message(sentence, {"status": value}))
        log = self.written.get(port)
        if log is not None and self.recording:
            log.append((self._pc.position, value.to_bytes(size, "little")))

    def drop_after(self, position: int) -> None:
        """Forget what was written at ``position`` and behind: it did not happen after all."""
        for port, log in self.written.items():
            self.written[port] = [entry for entry in log if entry[0] < position]
