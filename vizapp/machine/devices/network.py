"""A simulated Ethernet switch and the cables to it; nothing leaves the simulation.

Time is counted in bit times of the line. A frame takes its length to the switch, is stored there, and takes
its length again on each line that it leaves by:

    sender ──line──▶ switch: learn, queue ──line──▶ receiver

Frames are forwarded in the order in which they have arrived, those that arrive together by the number of
their port, so that it does not matter which machine was run first. Whoever runs several lets none get ahead
of another by more than ``Switch.lookahead``, and refreshes a machine's clock before it goes on.

At a port there may be a station without a clock, which answers each frame when it has arrived.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from vizapp.machine.clock import Clock

LINE_RATE: Final = 10_000_000  # bits a second
SHORTEST_FRAME: Final = 60  # bytes without the check sequence; a shorter one is a fragment that nobody takes
_OVERHEAD: Final = 8 + 4 + 12  # preamble, check sequence and gap
_GROUP: Final = 1


def line_time(frame: bytes) -> int:
    """Bit times that a frame occupies a line."""
    return 8 * (max(len(frame), SHORTEST_FRAME) + _OVERHEAD)


class _Frame(NamedTuple):
    """A frame on its way: when it has arrived, from which port, in which order, and its bytes."""

    tick: int
    port: int
    number: int
    data: bytes


class Answering(Protocol):
    """A station that acts when it gets a frame, and only then."""

    def answer(self, frame: bytes) -> list[bytes]:
        """What it sends then."""
        ...

    def save(self) -> Any:
        """What it remembers, as plain data."""
        ...

    def load(self, saved: Any) -> None:
        """Take up where ``save`` left off."""
        ...


class Switch:
    """Any number of ports at one line rate."""

    def __init__(self, line_rate: int = LINE_RATE) -> None:
        self.line_rate = line_rate
        self._free: list[int] = []  # by port: when its outgoing line is
        self._sent: list[int] = []  # by port: when the line from its machine is
        self._queues: list[list[_Frame]] = []  # by port: frames that leave by it, the first first
        self._arriving: list[_Frame] = []  # not forwarded yet, sorted
        self._learned: dict[bytes, int] = {}
        self._stations: dict[int, Answering] = {}  # by port
        self._number = 0

    @property
    def lookahead(self) -> int:
        """Bit times that any frame is on its way at least."""
        return 2 * line_time(b"")

    def plug(self, clock: Clock) -> Cable:
        """A cable from a new port to a machine with that clock."""
        return Cable(self, self._new_port(), clock)

    def settle(self, station: Answering) -> None:
        """Put a station at a new port."""
        self._stations[self._new_port()] = station

    def send(self, port: int, tick: int, frame: bytes) -> int:
        """Put a frame on the line from a port's machine; when that line is free again."""
        end = max(tick, self._sent[port]) + line_time(frame)
        self._sent[port] = end
        if len(frame) >= SHORTEST_FRAME:
            self._number += 1
            insort(self._arriving, _Frame(end, port, self._number, frame))
        return end

    def next_arrival(self, port: int) -> int | None:
        """When to look for a frame at a port: one arrives then, or one is forwarded that may be for it."""
        queues = [self._queues[port], self._arriving, *(self._queues[at] for at in self._stations)]
        return min((frames[0].tick for frames in queues if frames), default=None)

    def receive(self, port: int, tick: int) -> list[bytes]:
        """The frames that have arrived at a port's machine by then."""
        self._forward(tick)
        queue = self._queues[port]
        count = sum(frame.tick <= tick for frame in queue)
        self._queues[port] = queue[count:]
        return [frame.data for frame in queue[:count]]

    def save(self) -> dict[str, object]:
        """Every frame on its way, as plain data."""
        return {
            "free": tuple(self._free),
            "sent": tuple(self._sent),
            "queues": tuple(tuple(queue) for queue in self._queues),
            "arriving": tuple(self._arriving),
            "learned": dict(self._learned),
            "number": self._number,
            "stations": tuple(station.save() for station in self._stations.values()),
        }

    def load(self, saved: Mapping[str, object]) -> None:
        """Take up where ``save`` left off, with the same cables plugged in."""
        names = ("free", "sent", "queues", "arriving", "learned", "number", "stations")
        free, sent, queues, arriving, learned, number, stations = (saved[name] for name in names)
        assert isinstance(free, tuple)
        assert isinstance(sent, tuple)
        assert isinstance(queues, tuple)
        assert isinstance(arriving, tuple)
        assert isinstance(learned, dict)
        assert isinstance(number, int)
        assert isinstance(stations, tuple)
        self._free, self._sent = list(free), list(sent)
        self._queues = [list(queue) for queue in queues]
        self._arriving = list(arriving)
        self._learned = dict(learned)
        self._number = number
        for station, state in zip(self._stations.values(), stations, strict=True):
            station.load(state)

    def _new_port(self) -> int:
        self._free.append(0)
        self._sent.append(0)
        self._queues.append([])
        return len(self._queues) - 1

    def _forward(self, tick: int) -> None:
        """All that happens by ``tick``, in its order: a station gets a frame, or the switch sends one on."""
        while True:
            heads = [(self._queues[port][0].tick, port) for port in self._stations if self._queues[port]]
            due, answering = min(heads, default=(tick + 1, -1))
            if due <= tick and (not self._arriving or due <= self._arriving[0].tick):
                frame = self._queues[answering].pop(0)
                for answer in self._stations[answering].answer(frame.data):
                    self.send(answering, due, answer)
            elif self._arriving and self._arriving[0].tick <= tick:
                self._send_on(self._arriving.pop(0))
            else:
                return

    def _send_on(self, arrived: _Frame) -> None:
        target, source = arrived.data[:6], arrived.data[6:12]
        if not source[0] & _GROUP:
            self._learned[source] = arrived.port
        known = None if target[0] & _GROUP else self._learned.get(target)
        for port in range(len(self._queues)) if known is None else (known,):
            if port != arrived.port:
                end = max(arrived.tick, self._free[port]) + line_time(arrived.data)
                self._free[port] = end
                self._queues[port].append(arrived._replace(tick=end))


class Cable:
    """One machine's line to the switch, in that machine's cycles."""

    def __init__(self, switch: Switch, port: int, clock: Clock) -> None:
        self._switch = switch
        self._port = port
        self._clock = clock

    def send(self, cycle: int, frame: bytes) -> int:
        """Send a frame (without its check sequence); the cycle at which the line is free again."""
        end = self._switch.send(self._port, self._clock.ticks(cycle, self._switch.line_rate), frame)
        return self._clock.cycle_of(end, self._switch.line_rate)

    def next_arrival(self) -> int | None:
        """The cycle at which to look for a frame, None while none is on its way."""
        tick = self._switch.next_arrival(self._port)
        return None if tick is None else self._clock.cycle_of(tick, self._switch.line_rate)

    def receive(self, cycle: int) -> list[bytes]:
        """The frames that have arrived."""
        return self._switch.receive(self._port, self._clock.ticks(cycle, self._switch.line_rate))
