"""A domain: everything that the hypervisor knows of one virtual machine, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from vizapp.machine.fpu import RESET
from vizapp.machine.meter import Purpose
from vizapp.vmm.scheduler import DEFAULT_WEIGHT
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.runstate import RunState

if TYPE_CHECKING:
    from vizapp.machine.fpu import FpuState
    from vizapp.messages import Message
    from vizapp.vmm.trap_frame import SavedRegisters
    from vizapp.vmm.xen.hvm.state import HvmState

DEFAULT_PERIOD: Final = 10_000_000  # nanoseconds: every virtual CPU starts with a tick of 100 Hz
NO_TABLE: Final = -1
_NO_BREAKPOINTS: Final = (0, 0, 0, 0, 0, 0, 0xFFFF_0FF0, 0x400)  # DR0 to DR7 as after a reset


class Entry(NamedTuple):
    """Where a guest kernel wants to be entered."""

    selector: int
    offset: int
    flags: int = 0


class Channel(NamedTuple):
    """What an event channel is bound to.

    ``kind`` is ``virq`` or ``pirq`` with its number in ``detail``, ``ipi``, ``unbound`` with the domain that
    may bind to it, or ``interdomain`` with the domain, and its ``port``, at the other end.
    """

    kind: str
    detail: int = 0
    port: int = 0


TIMER: Final = Channel("virq", abi.VIRQ_TIMER)
"""What a channel is bound to on which the domain hears its timers."""


class Mapped(NamedTuple):
    """A grant that a domain has mapped: whose, which, and where.

    ``entry`` is the machine address of the page-table entry, 0 where it is mapped for devices alone.
    """

    domain: int
    reference: int
    frame: int
    entry: int
    flags: int


class Granted(NamedTuple):
    """How often a grant is in use by the domain it was made to: mapped in all, and for writing."""

    frame: int
    mappings: int = 0
    writes: int = 0


@dataclass(slots=True)
class Domain:
    """One domain with one virtual CPU.

    Attributes:
        index: its number among the virtual machines of the session; ids are the hypervisor's.
        privileged: it is the initial domain, which may control the others.
        pages: machine frames that it owns; ``max_pages`` is how many it may.
        shared_frame: machine frame of shared_info, which hypervisor and guest both write.
        page_directory: machine frame of the current top-level table.
        traps: vector to handler, as set_trap_table left it.
        kernel_ss, kernel_esp: the stack for entries from ring 3.
        event_callback, failsafe_callback: entries for events, and for returns that faulted.
        deadline: cycle at which the singleshot timer is due (None: not set).
        tick: cycle at which the periodic timer is due next; ``period`` is in nanoseconds, 0 when stopped.
        blocked: waits for an event. ``poll`` are the ports of which one ends it, whatever is masked, and
            ``poll_deadline`` the cycle that does.
        shutdown: the reason for which it has asked for its end.
        stopped: why it is over: (reason, sentence).
        paused: domain 0 keeps the processor from it; so it begins.
        ready: its virtual CPU has been given a context; ``down``: it has taken itself off.
        dying: domain 0 has destroyed it.
        registers: of its virtual CPU while another domain has the processor; ``debug`` and ``fpu`` likewise.
        gdt: machine frames of its descriptor table; ``gdt_entries`` in use.
        ldt: linear address and entries of its LDT; ``ldt_frames`` those of its pages that are mapped.
        iopl: its virtual privilege level for ports; ``io_bitmap`` (linear address, ports) allows more.
        ports, devices, lines: ranges of ports and device frames, and interrupt lines, that it may use.
        assists: bits of vm_assist.
        runstate: what its virtual CPU does; ``runstate_area`` is where that is to be told, 0: nowhere.
        grants: machine frames of its grant table; ``granted`` what of it is in use, by reference;
            ``mapped`` what it has mapped of others' by handle.
        hvm: what it has besides as a domain of unmodified code; None: its kernel is a ported one.
        before, mark, spent, spent_mark: guest instructions retired and emulated, and cycles by purpose,
            before it last got the processor, and the machine's counts at that moment.
    """

    id: int
    index: int
    shared_frame: int
    name: str = ""
    weight: int = DEFAULT_WEIGHT
    privileged: bool = False
    handle: bytes = bytes(16)
    pages: int = 0
    max_pages: int = 0
    page_directory: int = NO_TABLE
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
    poll: tuple[int, ...] = ()
    poll_deadline: int | None = None
    shutdown: int | None = None
    stopped: tuple[str, Message] | None = None
    paused: bool = False
    ready: bool = False
    down: bool = False
    dying: bool = False
    task_switched: bool = False
    registers: SavedRegisters | None = None
    debug: tuple[int, ...] = _NO_BREAKPOINTS
    fpu: FpuState = RESET
    gdt: tuple[int, ...] = ()
    gdt_entries: int = 0
    ldt: tuple[int, int] = (0, 0)
    ldt_frames: dict[int, int] = field(default_factory=dict)
    iopl: int = 0
    io_bitmap: tuple[int, int] = (0, 0)
    ports: tuple[range, ...] = ()
    devices: tuple[range, ...] = ()
    lines: tuple[int, ...] = ()
    assists: int = 0
    runstate: RunState = RunState()
    runstate_area: int = 0
    grants: tuple[int, ...] = ()
    granted: dict[int, Granted] = field(default_factory=dict)
    mapped: dict[int, Mapped] = field(default_factory=dict)
    hvm: HvmState | None = None
    on_processor: bool = False
    before: tuple[int, int] = (0, 0)
    mark: tuple[int, int] = (0, 0)
    spent: tuple[int, ...] = (0,) * len(Purpose)
    spent_mark: tuple[int, ...] = (0,) * len(Purpose)

    def copy(self) -> Self:
        """An independent copy, for checkpoints."""
        return replace(
            self,
            traps=dict(self.traps),
            channels=dict(self.channels),
            ldt_frames=dict(self.ldt_frames),
            granted=dict(self.granted),
            mapped=dict(self.mapped),
        )

    @property
    def runnable(self) -> bool:
        """Whether it has something to run."""
        alive = self.ready and self.stopped is None and not self.dying
        return alive and not self.blocked and not self.paused and not self.down

    @property
    def state(self) -> str:
        """See ``base.Guest``."""
        if self.stopped is not None or self.dying:
            return "stopped"
        if self.paused or self.down or not self.ready:
            return "paused"
        if self.blocked:
            return "waiting"
        return "running" if self.on_processor else "ready"
