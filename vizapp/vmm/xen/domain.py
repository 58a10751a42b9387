"""A domain: everything that the hypervisor knows of one virtual machine, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Self

from vizapp.isa.addresses import PAGE_SHIFT, GuestPhysical, HostPhysical
from vizapp.vmm.xen import abi

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory

DEFAULT_PERIOD = 10_000_000  # nanoseconds: every virtual CPU starts with a tick of 100 Hz


class Entry(NamedTuple):
    """Where a guest kernel wants to be entered."""

    selector: int
    offset: int
    flags: int = 0


class Channel(NamedTuple):
    """What an event channel is bound to: ``virq`` and its number, ``ipi``, or ``unbound`` and a domain."""

    kind: str
    detail: int = 0


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


class SharedInfo:
    """The page that guest and hypervisor share: pending and masked events, upcall mask, time, CR2."""

    def __init__(self, memory: PhysicalMemory, frame: int) -> None:
        self._memory = memory
        self._base = frame << PAGE_SHIFT

    def read(self, offset: int, size: int) -> int:
        """A field."""
        return self._memory.read(self._base + offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Set a field."""
        self._memory.write(self._base + offset, size, value)

    @property
    def masked(self) -> bool:
        """Whether the guest holds events back: its virtual interrupt flag, inverted."""
        return bool(self.read(abi.VCPU_UPCALL_MASK, 1))

    @masked.setter
    def masked(self, value: bool) -> None:
        self.write(abi.VCPU_UPCALL_MASK, 1, int(value))

    @property
    def pending(self) -> bool:
        """Whether an event waits to be taken."""
        return bool(self.read(abi.VCPU_UPCALL_PENDING, 1))

    def bit(self, base: int, port: int) -> bool:
        """A port's bit in the pending or mask array."""
        return bool(self.read(base + (port >> 5) * 4, 4) >> (port & 31) & 1)

    def set_bit(self, base: int, port: int, value: bool) -> None:
        """Set or clear a port's bit in the pending or mask array."""
        offset = base + (port >> 5) * 4
        word = self.read(offset, 4)
        mask = 1 << (port & 31)
        self.write(offset, 4, word | mask if value else word & ~mask)

    def raise_port(self, port: int) -> bool:
        """Make a port pending; returns whether an upcall became due that was not before.

        Pending bit, then selector bit, then the pending byte, each only if the step before found it clear
        and the port unmasked: the guest clears them in the opposite order.
        """
        if self.bit(abi.SHARED_PENDING, port):
            return False
        self.set_bit(abi.SHARED_PENDING, port, True)
        if self.bit(abi.SHARED_MASK, port):
            return False
        return self.select(port)

    def select(self, port: int) -> bool:
        """Note an unmasked pending port in selector and pending byte."""
        selector = self.read(abi.VCPU_PENDING_SELECTOR, 4)
        mask = 1 << (port >> 5)
        self.write(abi.VCPU_PENDING_SELECTOR, 4, selector | mask)
        if selector & mask:
            return False
        fresh = not self.pending
        self.write(abi.VCPU_UPCALL_PENDING, 1, 1)
        return fresh
