"""The hypervisor with its one domain: the parts, what they cost, and everything that a checkpoint keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from vizapp.machine import events
from vizapp.machine.meter import Purpose
from vizapp.messages import N_, Message
from vizapp.vmm.physical_timer import PhysicalTimer
from vizapp.vmm.xen import abi, address_spaces, bounce
from vizapp.vmm.xen.guest_access import DirectSpace, GuestMemoryError
from vizapp.vmm.xen.page_types import PageTypes
from vizapp.vmm.xen.places import HYPERVISOR
from vizapp.vmm.xen.selectors import is_guest_stack
from vizapp.vmm.xen.shared_info import SharedInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Paths
    from vizapp.vmm.frame_allocator import FrameAllocator
    from vizapp.vmm.host_tables import HostTables
    from vizapp.vmm.xen.domain import Domain, Entry
    from vizapp.vmm.xen.page_types import RefusedError

Path = Literal[
    "entry", "hypercall", "exit", "bounce", "iret", "emulate", "interrupt", "event", "upcall", "idle",
]  # fmt: skip
PATHS: Final[tuple[str, ...]] = get_args(Path)
"""The paths of the hypervisor's code whose lengths stand in its data file."""


class Trap(NamedTuple):
    """An exception on its way to the guest: its vector, and the error code that goes with it."""

    vector: int
    error: int | None = None


def _free(name: str, count: int, purpose: Purpose | None) -> None:
    """Nothing is paid while the machine boots."""


class Hypervisor:
    """Xen, as far as one domain needs it.

    Attributes:
        frame: the guest's registers, while the hypervisor runs.
        space: the guest's memory, through its own tables.
        types: what its frames are used for.
        m2p: the first frame of the machine-to-physical table.
        fault_address: CR2 of the page fault that is being handled.
        trap: what is being handed to the guest.
        reload: the way out must load FS and GS too.
    """

    def __init__(
        self,
        pc: Pc,
        tables: HostTables,
        frames: FrameAllocator,
        domain: Domain,
        types: PageTypes,
        m2p: int,
        paths: Paths,
    ) -> None:
        self.pc = pc
        self.memory = pc.memory
        self.tables = tables
        self.frame = tables.frame
        self.frames = frames
        self.domain = domain
        self.types = types
        self.m2p = m2p
        self.shared = SharedInfo(pc.memory, domain.shared_frame)
        self.space = DirectSpace(pc.memory, lambda: self.domain.page_directory, self.pay_references)
        self.timer = PhysicalTimer(pc)
        self._paths = paths
        self._charge: Callable[[str, int, Purpose | None], None] = _free
        self.fault_address = 0
        self.trap = Trap(0)
        self.reload = False

    def started(self) -> None:
        """The domain is built, and from now on the clock runs: a loader is not what is measured."""
        self._charge = self.pc.meter.charge
        self.types.charge = self._pay_entries
        self.types.flush = lambda: address_spaces.flush(self)

    # Costs.

    def pay(self, path: Path) -> None:
        """Charge the operations of one of the paths."""
        for name, count in self._paths.get(path, {}).items():
            self._charge(name, count, None)

    def pay_references(self, count: int) -> None:
        """Charge words of memory that were read or written one by one."""
        self._charge("mon_memory_reference", count, None)

    def _pay_entries(self, name: str, count: int) -> None:
        """Page-table entries examined or written."""
        self._charge(name, count, Purpose.MEMORY)

    # The guest.

    def push(self, entry: Entry, error: int | None, *, mask: bool, segments: tuple[int, ...] = ()) -> bool:
        """Let the guest continue at ``entry``; False when it has no stack for that, and is dead."""
        domain = self.domain
        selector = domain.kernel_ss if self.frame.cs & bounce.OUTER else self.frame.ss
        try:
            if not is_guest_stack(self.tables, selector):
                raise GuestMemoryError
            words = bounce.push_frame(
                self.frame, self.space, domain, self.shared, entry, error, mask=mask, segments=segments
            )
        except GuestMemoryError:
            stack = domain.kernel_esp if self.frame.cs & bounce.OUTER else self.frame.esp
            self.crash(
                Message(
                    N_("the guest kernel's stack at {selector}:{stack} cannot take a trap frame"),
                    {"selector": f"{selector:#06x}", "stack": f"{stack:#010x}"},
                )
            )
            return False
        self.pay_references(words)
        return True

    def refused(self, what: str, refusal: RefusedError) -> None:
        """Tell that the hypervisor protected something."""
        payload: dict[str, int | str] = {"name": what, "reason": refusal.reason.in_english()}
        self.pc.emit(events.REQUEST_REFUSED, what, payload, HYPERVISOR, HYPERVISOR)

    # The end.

    def shut_down(self, reason: int) -> None:
        """The domain asked for its end."""
        if abi.SHUTDOWN_REASONS.get(reason) == "crash":
            self.crash(Message(N_("the guest reported that it had crashed")))
        else:
            self.end(Message(N_("the guest shut its domain down")))

    def end(self, why: Message) -> None:
        """The domain is over."""
        self._stop("halted", why)

    def crash(self, why: Message) -> None:
        """Kill the domain."""
        self._stop("crashed", why)

    def _stop(self, reason: str, why: Message) -> None:
        if self.pc.stopped is None:
            payload: dict[str, int | str] = {"reason": reason, "detail": why.in_english()}
            self.pc.emit(events.VM_STOPPED, reason, payload, HYPERVISOR, HYPERVISOR)
            self.pc.stop(reason, why)

    # Checkpoints.

    def save(self) -> Any:
        """Everything outside machine memory, as plain data."""
        return (
            self.domain.copy(), self.types.save(), self.frames.save(), self.timer.save(),
            self.fault_address, self.trap, self.reload,
        )  # fmt: skip

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        domain, types, frames, timer, *rest = saved
        self.domain = domain.copy()
        self.types.load(types)
        self.frames.load(frames)
        self.timer.load(timer)
        self.fault_address, self.trap, self.reload = rest
