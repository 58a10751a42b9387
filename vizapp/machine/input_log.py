"""What came into a machine from outside, by position: part of the recording of a run, not of its state.

An input belongs to the position at which it came, before the step there. When the machine has gone back it is
given the same again at the same place; a new input in the past takes the place of all that came later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vizapp.machine.clock import NEVER

KEYBOARD, SERIAL, NETWORK = "keyboard", "serial", "network"


class Input(NamedTuple):
    """One input, plain data: ``data`` is (key, down) for the keyboard, (bytes,) for the serial port.

    A replayer makes one of a network adapter that acts by itself, with the cycle at which it did: (cycle,);
    and of one that a process models, with what went through it: (descriptors that left, and were filled).

    ``vm`` is the virtual machine that it is for.
    """

    position: int
    source: str
    data: tuple[str | bool | bytes | int, ...]
    vm: int = 0


class InputLog:
    """The inputs of a run, in order.

    Attributes:
        entries: all of them.
        done: how many of them the machine has been given.
        due: the position of the next one, ``NEVER`` if there is none.
    """

    def __init__(self, entries: Sequence[Input] = ()) -> None:
        self.entries = list(entries)
        self.seek(0)

    def add(self, entry: Input) -> None:
        """Record an input at the present position, which the machine is given at once."""
        del self.entries[self.done :]
        self.entries.append(entry)
        self.seek(self.done + 1)

    def take(self, position: int) -> list[Input]:
        """The inputs that the machine is to be given now."""
        first = self.done
        while self.due <= position:
            self.seek(self.done + 1)
        return self.entries[first : self.done]

    def seek(self, done: int) -> None:
        """Go to where ``done`` inputs have been given."""
        self.done = done
        self.due = self.entries[done].position if done < len(self.entries) else NEVER
