"""What a technique is: it prepares a PC for a guest and gives the monitor that the PC then runs under.

A technique is one module or package of ``vizapp.vmm`` and one line of ``registry``. Its ``start`` does what a
boot loader and a monitor's own initialisation do, before the clock runs; after that the monitor acts only in
phases that a door of the hardware has opened, and everything it keeps is plain data or machine memory.

To write another monitor that deprivileges: ``frame_allocator`` (host memory), ``host_tables`` (physical GDT,
IDT, TSS and address space in ring 0), ``stubs`` and ``trap_frame`` (the way in and out), ``ring0`` (a phase's
own privileged instructions), ``physical_timer`` (time through a door), ``virtual_machine`` and ``scheduler``
(several of them), ``virtual_devices`` (what the guest's ports reach), ``deprivilege`` (what guest descriptors
become), ``guest_mmu`` and ``guest_memory`` (the guest's own view of memory), ``instruction_fetch`` (what it
was about to run) and ``shadow`` (page tables for it) are shared and know nothing of each other's users.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

from vizapp.isa.addresses import GuestPhysical, HostPhysical, Linear
from vizapp.machine.places import Place
from vizapp.messages import Message
from vizapp.vmm.frame_allocator import FrameRange
from vizapp.vmm.scheduler import DEFAULT_WEIGHT
from vizapp.vmm.stage import StageWorld

if TYPE_CHECKING:
    from vizapp.machine.board import Board
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.devices.pic import Pic
    from vizapp.machine.devices.pit import Pit
    from vizapp.machine.devices.screen import TextScreen
    from vizapp.machine.devices.uart import Uart
    from vizapp.machine.features import Features
    from vizapp.machine.image import Image
    from vizapp.machine.input_log import Input
    from vizapp.machine.meter import Purpose
    from vizapp.machine.nested_paging import NestedTables
    from vizapp.machine.pc import Pc

Paths: TypeAlias = "Mapping[str, Mapping[str, int]]"
READABLE: Final = "readable"
"""The owner of frames that are the monitor's and that every guest may read."""


def cache_owner(vm: int) -> str:
    """The owner of frames with the translations of a guest's code: run, and read, by nothing else."""
    return f"vm{vm}-cache"


def segment_owner(vm: int) -> str:
    """The owner of the monitor's frame that the translations of a guest's code may write."""
    return f"vm{vm}-segment"


def app_owner(vm: int) -> str:
    """The owner of a host's frames that are the process's of a guest: no other guest's may use them."""
    return f"vm{vm}-app"


class Action(NamedTuple):
    """What is done to virtual machine ``vm`` once the counter has reached ``cycle`` and the monitor is in.

    ``kind`` is ``create`` (until then it does not run), ``pause``, ``resume`` or ``kill``.
    """

    cycle: int
    kind: str
    vm: int


@dataclass(frozen=True, slots=True)
class VmOptions:
    """One virtual machine: ``memory`` in bytes, ``features`` of a full PC's board (None: the small one)."""

    image: Image
    memory: int
    name: str = ""
    weight: int = DEFAULT_WEIGHT
    features: Features | None = None


@dataclass(frozen=True, slots=True)
class Hosted:
    """A monitor beside the operating system ``host``, whose drivers do the guest's I/O.

    The rest are the optimizations of Sugerman, Venkitachalam and Lim (2001), each on or off: ``ports`` that
    only read or change a register are the VMM's; ``combining``: frames to send wait for a world switch that
    is due anyway; ``notification``: a word in memory, and no system call, tells that a frame has come.
    """

    host: Image
    ports: bool = True
    combining: bool = True
    notification: bool = True


@dataclass(frozen=True, slots=True)
class Hvm:
    """A hypervisor's unmodified guests run by ``technique``, ``vt-x`` or ``amd-v``.

    ``paths`` are those of that technique's monitor, ``nested`` is its paging.
    """

    technique: str
    paths: Paths = field(default_factory=dict)
    nested: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """What a technique is asked for.

    Attributes:
        memory: the first guest's, in bytes.
        paths: what the monitor's code does on each of its paths: path name to (input to count).
        virtualizable: whether the monitor may turn on the processor option of that name.
        name: the first virtual machine's; ``weight`` and ``features`` are its too, see ``VmOptions``.
        others: the virtual machines besides the first.
        slice_cycles: how long one of several has the processor; None: ``scheduler.DEFAULT_SLICE_SECONDS``.
        actions: what is done to virtual machines and when.
        nested: paging by the processor's nested tables rather than by shadow tables.
        host_memory: bytes of the PC's own memory, which the guests may have to share; None: enough for all.
        lazy: a shadow is not kept true but emptied when its guest flushes, as a processor's TLB is.
        intercepts: what makes a guest exit, where it is not to be as the monitor would have it: by name,
            see the techniques that use VT-x or AMD-V.
        hosted: the host operating system, under a hosted monitor.
        hvm: how a hypervisor with a domain 0 runs unmodified guests; None: it cannot.
    """

    memory: int
    paths: Paths = field(default_factory=dict)
    virtualizable: bool = False
    name: str = ""
    weight: int = DEFAULT_WEIGHT
    features: Features | None = None
    others: tuple[VmOptions, ...] = ()
    slice_cycles: int | None = None
    actions: tuple[Action, ...] = ()
    nested: bool = False
    host_memory: int | None = None
    lazy: bool = False
    intercepts: Mapping[str, bool] = field(default_factory=dict)
    hosted: Hosted | None = None
    hvm: Hvm | None = None

    def machines(self, image: Image) -> tuple[VmOptions, ...]:
        """Every virtual machine, the first of which is started with ``image``."""
        first = VmOptions(image, self.memory, self.name, self.weight, self.features)
        return (first, *self.others)

    @property
    def all_memory(self) -> int:
        """Bytes of memory of all guests together."""
        return self.memory + sum(other.memory for other in self.others)


class CpuView(NamedTuple):
    """A processor as one of the two truths has it.

    ``general`` is EAX ECX EDX EBX ESP EBP ESI EDI, ``selectors`` ES CS SS DS FS GS, ``control`` CR0-CR4 (CR1:
    0). ``gdtr`` and ``idtr`` are (base, limit). ``where`` says where the values are: in the processor, or
    saved. The next instruction is at linear address ``code_base`` + EIP and of ``code_bits``, 16 or 32.
    """

    general: tuple[int, ...]
    eip: int
    eflags: int
    selectors: tuple[int, ...]
    cpl: int
    control: tuple[int, ...]
    gdtr: tuple[int, int]
    idtr: tuple[int, int]
    ldtr: int
    tr: int
    limits: tuple[int, ...]
    where: Message
    code_base: int = 0
    code_bits: int = 32


class Devices(NamedTuple):
    """What the guest takes for its hardware: the PC's own devices, or a virtual machine's.

    ``board`` is where its port accesses arrive; None where it has no ports. ``console`` is what
    the lines begin with that the machine which has the serial port sends there for this one, "" if it has it.
    """

    pic: Pic
    pit: Pit
    uart: Uart
    screen: TextScreen
    board: Board | None = None
    console: str = ""


class Ownership(NamedTuple):
    """Who may touch what, declared once for the auditor; what is not named is nobody's.

    ``frames`` are in order. ``ports`` are (first, last, owner), ``lines`` (interrupt line, owner). Owners are
    ``vmm`` and ``vm0``, ``vm1``... and ``READABLE``. ``shares`` are frames that others than their owners may
    use for now: (who, whether for writing).
    """

    frames: tuple[FrameRange, ...]
    ports: tuple[tuple[int, int, str], ...]
    lines: tuple[tuple[int, str], ...]
    shares: Mapping[int, frozenset[tuple[str, bool]]] = MappingProxyType({})


class Guest(Protocol):
    """What is known of each virtual machine, whoever runs it; ``virtual_machine`` has the monitors' own.

    Attributes:
        index: its number on the PC.
        name: for people.
        weight: its share of the processor against the others'.
    """

    index: int
    name: str
    weight: int

    @property
    def instructions(self) -> int:
        """Guest instructions retired; a repeated one counts once."""
        ...

    @property
    def emulated(self) -> int:
        """Those of them that the monitor has done in the guest's stead."""
        ...

    @property
    def cached(self) -> int:
        """Those of them that a translation cache has done."""
        ...

    @property
    def translated(self) -> Mapping[str, int]:
        """Instructions put into a translation cache so far, by what became of them; empty without one."""
        ...

    @property
    def stopped(self) -> tuple[str, Message] | None:
        """Why it is over: (reason, sentence); None while it goes on."""
        ...

    @property
    def state(self) -> str:
        """``running`` (it has the processor), ``ready``, ``waiting``, ``paused`` or ``stopped``."""
        ...

    @property
    def hardware(self) -> Devices:
        """What the guest takes for its devices."""
        ...

    def cycles(self) -> Mapping[Purpose, int]:
        """Cycles by purpose while it had the processor, or the monitor had it on its behalf."""
        ...


class ControlBlock(NamedTuple):
    """Where a virtual machine's VMCS or VMCB (``kind``) lies."""

    kind: str
    address: HostPhysical


class Monitor(Protocol):
    """A monitor at work on one PC, or the nothing that stands in its place on the bare machine.

    Questions about one virtual machine take its number.

    Attributes:
        devices: the first virtual machine's.
        on_input: told (number of the machine, input) when a guest's devices get something from outside by
            the monitor's hand.
    """

    devices: Devices
    on_input: Callable[[int, Input], None] | None

    @property
    def vms(self) -> Sequence[Guest]:
        """All virtual machines, by number."""
        ...

    @property
    def current(self) -> int:
        """The number of the virtual machine that has the processor, or had it last."""
        ...

    def run_phase(self, name: str) -> str | None:
        """Run one phase; the name of the next, or None when the processor goes on from where EIP is."""
        ...

    def save(self) -> Any:
        """Everything the monitor keeps outside machine memory, as plain data that is never changed again."""
        ...

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        ...

    def place_of(self, cpu: Cpu) -> Place:
        """Where the processor is."""
        ...

    def stage(self) -> tuple[StageWorld, ...]:
        """Which places there are and how they nest."""
        ...

    def guest_view(self, vm: int = 0) -> CpuView:
        """The processor as the guest sees it."""
        ...

    def processor_view(self, vm: int = 0) -> CpuView:
        """What the processor holds for the guest: live, or saved while the monitor runs."""
        ...

    def guest_translate(self, linear: Linear, vm: int = 0) -> GuestPhysical | None:
        """Where the guest's own tables put a linear address; None where they have nothing present."""
        ...

    def processor_translate(self, linear: Linear, vm: int = 0) -> HostPhysical | None:
        """Where the processor's tables put it; None where they have nothing present (yet)."""
        ...

    def guest_physical(self, address: GuestPhysical, vm: int = 0) -> HostPhysical | None:
        """Where a guest-physical address is in machine memory; None where the guest has no memory."""
        ...

    def guest_read(self, linear: Linear, count: int, vm: int = 0) -> bytes | None:
        """Bytes as the guest would read them, without touching anything; None if any is not present."""
        ...

    def ownership(self) -> Ownership:
        """The map of frames, ports and interrupt lines as this technique declares it."""
        ...

    def nested_tables(self, vm: int = 0) -> NestedTables | None:
        """The tables below the guest's own, under nested paging."""
        ...

    def control_block(self, vm: int = 0) -> ControlBlock | None:
        """The VMCS or VMCB, under VT-x or AMD-V."""
        ...


class SoftwareOnly:
    """What a monitor answers that uses neither VMX nor SVM."""

    def nested_tables(self, vm: int = 0) -> NestedTables | None:
        """None: the processor walks one set of tables."""
        return None

    def control_block(self, vm: int = 0) -> ControlBlock | None:
        """None: there is no such thing."""
        return None


class Technique(Protocol):
    """A way to run a guest; see the module.

    Attributes:
        name: as on the command line.
        title: for people.
        build: which build of a library guest it needs, ``native`` or ``xen``.
        claims_equivalence: whether a guest should run as on the bare machine, instruction for instruction.
    """

    name: str
    title: Message
    build: str
    claims_equivalence: bool

    def host_memory(self, options: Options) -> int:
        """Bytes of physical memory that the PC needs for such a guest."""
        ...

    def start(self, pc: Pc, image: Image, options: Options) -> Monitor:
        """Load the guest into a new PC and set its ``monitor``, ``place_of`` and ``doors``."""
        ...
