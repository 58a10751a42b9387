"""A domain: everything that the hypervisor knows of one virtual machine, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, Self

from vizapp.isa.addresses import PAGE_SHIFT, GuestPhysical, HostPhysical
from vizapp.vmm.xen import abi

DEFAULT_PERIOD: Final = 10_000_000  # nanoseconds: every virtual CPU starts with a tick of 100 Hz


class Entry(NamedTuple):
    """Where a guest kernel wants to be entered."""

    selector: int
    offset: int
    flags: int = 0


class Channel(NamedTuple):
    """What an event channel is bound to: ``virq`` and its number, ``ipi``, or ``unbound`` and a domain."""

    kind: str
    detail: int = 0


TIMER: Final = Channel("virq", abi.VIRQ_TIMER)
"""What a channel is bound to on which the domain hears its timers."""


@dataclass(slots=True)
class Domain:
    """One domain with one virtual CPU.

    Attributes:
        first_frame: its lowest machine frame; its frames are contiguous, ``frames`` of them.
        shared_frame: machine frame of shared_info, which hypervisor and guest both write.
        traps: vector to handler, as set_trap_table left it.
        kernel_ss, kernel_esp: the stack for entries from ring 3.
        event_callback, failsafe_callback: entries for events, and for returns that faulted.
        deadline: cycle at which the singleshot timer is due (None: not set).
        tick: cycle at which the periodic timer is due next; ``period`` is in nanoseconds, 0 when stopped.
        blocked: waits for an event.
        shutdown: the reason for which it has asked for its end.
        page_directory: machine frame of the current top-level table.
    """

    id: int
    first_frame: int
    frames: int
    shared_frame: int
    page_directory: int = 0
    traps: dict[int, Entry] = field(default_factory=dict)
    kernel_ss: int = abi.FLAT_RING1_DS
    kernel_esp: int = 0
    event_callback: Entry | None = None
    failsafe_callback: Entry | None = None
    channels: dict[int, Channel] = field(default_factory=dict)
    deadline: int | None = None
    period: int = DEFAULT_PERIOD
    tick: int | None = None
    blocked: bool = False
    shutdown: int | None = None
    task_switched: bool = False

    def copy(self) -> Self:
        """An independent copy, for checkpoints."""
        return replace(self, traps=dict(self.traps), channels=dict(self.channels))

    def owns(self, frame: int) -> bool:
        """Whether a machine frame is the domain's memory or its shared_info."""
        return self.first_frame <= frame < self.first_frame + self.frames or frame == self.shared_frame

    def to_machine(self, address: GuestPhysical) -> HostPhysical:
        """The machine address of a pseudo-physical one."""
        return HostPhysical((self.first_frame << PAGE_SHIFT) + address)

    def to_pseudo_physical(self, frame: int) -> int:
        """The pseudo-physical frame number of a machine frame of the domain."""
        return frame - self.first_frame
