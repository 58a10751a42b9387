"""What every monitor's virtual machine has: its memory, its devices, how far it has come, and why it ended.

A monitor's own class adds the virtual processor. A machine's whole state is plain data: what ``save`` gives,
with its memory, is the machine, wherever it is loaded again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vizapp.machine import events
from vizapp.machine.meter import Purpose
from vizapp.vmm.scheduler import DEFAULT_WEIGHT

if TYPE_CHECKING:
    from vizapp.machine.events import Payload
    from vizapp.machine.image import Image
    from vizapp.machine.pc import Pc
    from vizapp.machine.places import Place
    from vizapp.messages import Message
    from vizapp.vmm.base import Devices
    from vizapp.vmm.guest_memory import GuestMemory
    from vizapp.vmm.virtual_devices import VirtualDevices


def owner_of(index: int) -> str:
    """The name by which a virtual machine owns frames, ports and lines."""
    return f"vm{index}"


class VirtualMachine:
    """Number ``index`` of the machines on a PC.

    Attributes:
        name: for people.
        image: what it was started with.
        weight: its share of the processor against the others'.
        memory: guest-physical memory.
        devices: the board that the guest finds.
        stopped: why it is over: (reason, sentence), with the reasons of ``Pc.stopped``.
        blocked: the virtual CPU waits in HLT.
        paused: somebody has taken the processor from it until he gives it back.
        waits: how many things have happened in a row without an interrupt that could end the waiting.
        on_processor: its guest has the processor, or the monitor works for it: what retires is its own.
    """

    def __init__(
        self,
        pc: Pc,
        index: int,
        memory: GuestMemory,
        devices: VirtualDevices,
        *,
        name: str = "",
        weight: int = DEFAULT_WEIGHT,
        image: Image | None = None,
    ) -> None:
        self.pc = pc
        self.index = index
        self.name = name or owner_of(index)
        self.image = image
        self.weight = weight
        self.memory = memory
        self.devices = devices
        self.stopped: tuple[str, Message] | None = None
        self.blocked = self.paused = False
        self.waits = 0
        self.on_processor = False
        # Retired and emulated: before it last got the processor, and the PC's counts at that moment.
        self._before = (0, 0)
        self._mark = (0, 0)
        self._spent: tuple[int, ...] = (0,) * len(Purpose)  # the same of cycles by purpose
        self._spent_mark: tuple[int, ...] = self._spent

    @property
    def owner(self) -> str:
        """By what name it owns frames."""
        return owner_of(self.index)

    @property
    def hardware(self) -> Devices:
        """What the guest takes for its devices."""
        return self.devices.devices

    @property
    def instructions(self) -> int:
        """Guest instructions retired; a repeated one counts once."""
        return self._before[0] + (self.pc.instructions - self._mark[0] if self.on_processor else 0)

    @property
    def emulated(self) -> int:
        """Those of them that the monitor has done in the guest's stead."""
        return self._before[1] + (self.pc.emulated - self._mark[1] if self.on_processor else 0)

    @property
    def ready(self) -> bool:
        """Whether it has something to run."""
        return self.stopped is None and not self.blocked and not self.paused

    @property
    def cached(self) -> int:
        """Those that a translation cache has done: without one, none."""
        return 0

    @property
    def translated(self) -> Mapping[str, int]:
        """Nothing is."""
        return {}

    @property
    def state(self) -> str:
        """See ``base.Guest``."""
        if self.stopped is not None:
            return "stopped"
        if self.paused:
            return "paused"
        if self.blocked:
            return "waiting"
        return "running" if self.on_processor else "ready"

    def cycles(self) -> dict[Purpose, int]:
        """Cycles by purpose while it had the processor, or the monitor had it on its behalf."""
        if not self.on_processor:
            return dict(zip(Purpose, self._spent, strict=True))
        now = self.pc.meter.by_purpose()
        return {
            purpose: spent + now[purpose] - mark
            for purpose, spent, mark in zip(Purpose, self._spent, self._spent_mark, strict=True)
        }

    def take_processor(self) -> None:
        """From now on what the PC does is this machine's."""
        if not self.on_processor:
            self._mark = (self.pc.instructions, self.pc.emulated)
            self._spent_mark = tuple(self.pc.meter.by_purpose().values())
            self.on_processor = True

    def leave_processor(self) -> None:
        """What the PC does from now on is another's."""
        self._before, self._spent = (self.instructions, self.emulated), tuple(self.cycles().values())
        self.on_processor = False

    def end(self, reason: str, message: Message, monitor: Place) -> None:
        """The guest has ended or died: this machine is over, the others go on. Told as from ``monitor``."""
        if self.stopped is None:
            self.stopped = (reason, message)
            payload: Payload = {"reason": reason, "detail": message.in_english(), "vm": self.index}
            self.pc.emit(events.VM_STOPPED, reason, payload, monitor, monitor)

    @property
    def is_held(self) -> bool:
        """Whether nothing of it is in the processor: all that ``take_out`` tells is known to the monitor."""
        return not self.on_processor

    def take_out(self) -> dict[str, Any]:
        """All that the machine is besides its memory, wherever it runs; it must be held. Plain data."""
        return {
            "devices": {**self.devices.save(), "offset": 0},
            "cycle": self.pc.meter.cycles + self.devices.offset,
            "a20": self.memory.a20,
            "blocked": self.blocked,
            "waits": self.waits,
            "retired": (self.instructions, self.emulated),
        }

    def put_in(self, state: Mapping[str, Any]) -> None:
        """Become the machine that ``take_out`` told of; its memory is there already."""
        self.devices.load({**state["devices"], "offset": state["cycle"] - self.pc.meter.cycles})
        self.memory.a20 = state["a20"]
        self.blocked, self.waits = state["blocked"], state["waits"]
        self._before, self._mark = state["retired"], (self.pc.instructions, self.pc.emulated)

    def save(self) -> dict[str, Any]:
        """Everything that all monitors' machines have outside machine memory, as plain data."""
        return {
            "p2m": self.memory.save(),
            "devices": self.devices.save(),
            "stopped": self.stopped,
            "blocked": self.blocked,
            "waits": self.waits,
            "on_processor": self.on_processor,
            "before": self._before,
            "mark": self._mark,
            "spent": self._spent,
            "spent_mark": self._spent_mark,
            "paused": self.paused,
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Take up a saved state."""
        self.memory.load_state(saved["p2m"])
        self.devices.load(saved["devices"])
        self.stopped, self.blocked, self.waits = saved["stopped"], saved["blocked"], saved["waits"]
        self.on_processor, self._before, self._mark = saved["on_processor"], saved["before"], saved["mark"]
        self._spent, self._spent_mark, self.paused = saved["spent"], saved["spent_mark"], saved["paused"]
