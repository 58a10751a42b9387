"""The hypervisor: its parts and its domains, what its work costs, and everything that a checkpoint keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.machine import events
from vizapp.machine.meter import Purpose
from vizapp.messages import N_, Message
from vizapp.vmm.scheduler import slice_of
from vizapp.vmm.xen import abi, address_spaces, bounce, event_channels
from vizapp.vmm.xen.credit import SLICE_SECONDS, CreditScheduler
from vizapp.vmm.xen.guest_access import DirectSpace, GuestMemoryError
from vizapp.vmm.xen.hvm.space import HvmSpace
from vizapp.vmm.xen.physical_irqs import PhysicalLines
from vizapp.vmm.xen.places import HYPERVISOR, places_of
from vizapp.vmm.xen.selectors import is_guest_stack
from vizapp.vmm.xen.shared_info import SharedInfo

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.pc import Pc
    from vizapp.machine.places import Place
    from vizapp.vmm.base import Options
    from vizapp.vmm.frame_allocator import FrameAllocator
    from vizapp.vmm.host_tables import HostTables
    from vizapp.vmm.xen.domain import Domain, Entry
    from vizapp.vmm.xen.frame_info import RefusedError
    from vizapp.vmm.xen.hvm.support import HvmSupport
    from vizapp.vmm.xen.hvm.vm import HvmVm
    from vizapp.vmm.xen.page_types import PageTypes
    from vizapp.vmm.xen.paging_format import Format

Path = Literal[
    "entry", "hypercall", "exit", "bounce", "iret", "emulate", "interrupt", "event", "upcall", "idle",
    "schedule", "switch", "port", "grant", "ask", "answer",
]  # fmt: skip
PATHS: Final[tuple[str, ...]] = get_args(Path)
"""The paths of the hypervisor's code whose lengths stand in its data file."""


NO_FRAME: Final = -1


class Trap(NamedTuple):
    """An exception on its way to the guest: its vector, and the error code that goes with it."""

    vector: int
    error: int | None = None


class Frames(NamedTuple):
    """What the hypervisor has in memory for all domains.

    Attributes:
        allocator: who has which frame, free ones too.
        m2p: the first frame of the machine-to-physical table.
    """

    allocator: FrameAllocator
    m2p: int


def _free(name: str, count: int, purpose: Purpose | None) -> None:
    """Nothing is paid while the machine boots."""


class Hypervisor:
    """Xen on one processor.

    Attributes:
        frame: the registers of the current domain's guest, while the hypervisor runs.
        format: of page tables, the same for all domains.
        domains: all that there have been, by index; see ``lifecycle``.
        domain: the one whose state the processor has.
        places: where the processor is in each ring while that domain has it.
        shared: that domain's shared_info.
        space: its memory, through its own tables.
        types: what each frame is used for, and whose it is.
        scheduler: who is to have the processor.
        names: what people call the domains, and the weights that they wish for them, by index.
        lines: the interrupt lines of devices that domains drive.
        fault_address: CR2 of the page fault that is being handled.
        trap: what is being handed to the guest.
        reload: the way out must load FS and GS too.
        hvm: what it has for unmodified guests; None: VT-x or AMD-V is not in use.
    """

    def __init__(
        self, pc: Pc, tables: HostTables, form: Format, frames: Frames, types: PageTypes, options: Options
    ) -> None:
        self.pc = pc
        self.memory = pc.memory
        self.tables = tables
        self.frame = tables.frame
        self.format = form
        self.frames = frames.allocator
        self.m2p = frames.m2p
        self.types = types
        self.domains: list[Domain] = []
        self.domain: Domain
        self.shared: SharedInfo
        self.places: tuple[Place, ...] = (HYPERVISOR,)
        self._direct = DirectSpace(pc.memory, form, lambda: self.domain.page_directory, self.pay_references)
        self.space = self._direct
        self.lines = PhysicalLines(pc)
        self.timer = self.lines.timer
        self.scheduler = CreditScheduler(options.slice_cycles or slice_of(pc.hertz, SLICE_SECONDS))
        self.options = options
        self.hvm: HvmSupport | None = None
        self._hvm_space = HvmSpace(self)
        self.names: tuple[tuple[str, int], ...] = ()
        self._charge: Callable[[str, int, Purpose | None], None] = _free
        self._places: list[tuple[Place, ...]] = []
        self.fault_address = 0
        self.trap = Trap(0)
        self.reload = False

    def started(self) -> None:
        """The first domain is built, and from now on the clock runs: a loader is not what is measured."""
        self._charge = self.pc.meter.charge
        self.types.charge = self._pay_entries
        self.types.flush = lambda: address_spaces.flush(self)

    # Domains.

    def by_id(self, number: int) -> Domain | None:
        """The domain of an id, the current one for DOMID_SELF; None for one that is not, or was destroyed."""
        if number == abi.DOMID_SELF:
            return self.domain
        return next((d for d in self.domains if d.id == number and not d.dying), None)

    def shared_of(self, domain: Domain) -> SharedInfo:
        """A domain's shared_info."""
        return self.shared if domain is self.domain else SharedInfo(self.memory, domain.shared_frame)

    def make_current(self, domain: Domain) -> None:
        """What the hypervisor does for a guest it does for this domain from now on."""
        self.domain = domain
        self.shared = SharedInfo(self.memory, domain.shared_frame)
        self.space = self._direct if domain.hvm is None else self._hvm_space
        while len(self._places) <= domain.index:
            self._places.append(places_of(len(self._places)))
        self.places = self._places[domain.index]

    @property
    def directory(self) -> int:
        """The frame of the page directory on which the hypervisor runs beside the current domain."""
        if self.domain.hvm is None:
            return self.domain.page_directory
        assert self.hvm is not None
        return self.hvm.directory

    def machine_of(self, domain: Domain) -> HvmVm | None:
        """The virtual machine of an HVM domain; None of another, or of one that is no more."""
        return None if self.hvm is None else self.hvm.vms.get(domain.index)

    def frame_of(self, domain: Domain, number: int) -> int:
        """The machine frame that a domain names: an HVM domain by its physmap, ``NO_FRAME`` for none."""
        if domain.hvm is None:
            return number
        vm = self.machine_of(domain)
        return NO_FRAME if vm is None else vm.physmap.pages.get(number, NO_FRAME)

    def pseudo_physical(self, frame: int) -> int:
        """What the machine-to-physical table has for a frame."""
        return self.memory.read((self.m2p << PAGE_SHIFT) + frame * 4, 4)

    def set_pseudo_physical(self, frame: int, pfn: int) -> None:
        """Note where the owner of a frame keeps it."""
        self.memory.write((self.m2p << PAGE_SHIFT) + frame * 4, 4, pfn)
        self.pay_references(1)

    # Costs.

    def pay(self, path: Path, purpose: Purpose | None = None) -> None:
        """Charge the operations of one of the paths."""
        for name, count in self.options.paths.get(path, {}).items():
            self._charge(name, count, purpose)

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
            if not is_guest_stack(self, selector):
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
        if self.domain.index:
            payload["vm"] = self.domain.index
        self.pc.emit(events.REQUEST_REFUSED, what, payload, HYPERVISOR, HYPERVISOR)

    # The end.

    def shut_down(self, domain: Domain, reason: int) -> None:
        """A domain asked for its end."""
        if abi.SHUTDOWN_REASONS.get(reason) == "crash":
            self.stop(domain, "crashed", Message(N_("the guest reported that it had crashed")))
        else:
            self.stop(domain, "halted", Message(N_("the guest shut its domain down")))

    def crash(self, why: Message) -> str | None:
        """Kill the current domain: the phase that goes on with the others, None when the run is over."""
        self.stop(self.domain, "crashed", why)
        return self.next_phase

    @property
    def next_phase(self) -> str | None:
        """How a routine ends that may have killed the current domain."""
        return None if self.pc.stopped is not None else "events"

    def stop(self, domain: Domain, reason: str, why: Message) -> None:
        """A domain is over, and the others go on; with the initial one the machine goes down."""
        if domain.stopped is not None or self.pc.stopped is not None:
            return
        domain.stopped = (reason, why)
        self.scheduler.block(domain.index, self.pc.meter.cycles)
        payload: dict[str, int | str] = {"reason": reason, "detail": why.in_english(), "vm": domain.index}
        self.pc.emit(events.VM_STOPPED, reason, payload, HYPERVISOR, HYPERVISOR)
        if domain.privileged:
            self.pc.stop(reason, why)
        else:
            self.on_stop(domain)

    def on_stop(self, domain: Domain) -> None:
        """Tell the initial domain, if it listens, that another has ended."""
        event_channels.raise_global(self, abi.VIRQ_DOM_EXC)

    # Checkpoints.

    def save(self) -> Any:
        """Everything outside machine memory, as plain data."""
        return (
            tuple(domain.copy() for domain in self.domains), self.domain.index, self.types.save(),
            self.frames.save(), self.lines.save(), self.scheduler.save(),
            self.fault_address, self.trap, self.reload, None if self.hvm is None else self.hvm.save(),
        )  # fmt: skip

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        domains, current, types, frames, lines, scheduler, *rest, hvm = saved
        self.domains = [domain.copy() for domain in domains]
        if self.hvm is not None:
            self.hvm.load(hvm)
        self.make_current(self.domains[current])
        self.types.load(types)
        self.frames.load(frames)
        self.lines.load(lines)
        self.scheduler.load(scheduler)
        self.fault_address, self.trap, self.reload = rest
