"""What a processor asks its virtualization hardware: VMX and SVM as the rest of the machine sees them.

A processor that has either holds a ``VirtualizationUnit``. While code runs under a monitor's control (VMX
non-root operation, SVM guest mode) ``Cpu.guest_mode`` is a ``GuestMode``, otherwise None. The machine asks it
before an instruction of system nature, before an exception is delivered, and between instructions; what it
wants to go to the monitor it raises as ``VmExit``, with nothing of the guest changed.

                  ┌────────────── guest_mode is None ──────────────┐
    VMLAUNCH, VMRESUME, VMRUN ──▶ guest_mode set ──VmExit──▶ leave ──▶ the host's next instruction
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu

# How an event came to be delivered: the interruption types that Intel and AMD share.
EXTERNAL, NMI, HARDWARE_EXCEPTION, SOFTWARE_INTERRUPT, SOFTWARE_EXCEPTION = 0, 2, 3, 4, 6
PRIVILEGED_SOFTWARE_EXCEPTION = 5


class Delivery(NamedTuple):
    """An event on its way through the IDT: vector, interruption type, error code.

    ``length`` is that of the instruction for INT n, INT3, INTO and INT1, otherwise 0.
    """

    vector: int
    type: int
    error: int | None = None
    length: int = 0


class VmExit(Exception):  # noqa: N818 - the manual's word
    """The guest is left for its monitor, before any change of the architectural state.

    Attributes:
        reason: the vendor's code: a basic exit reason, or an EXITCODE.
        qualification: Intel's exit qualification, AMD's EXITINFO1.
        info: what else the reason comes with, by the names that the unit which raised it uses.
        vectoring: the event during whose delivery it happened.
    """

    def __init__(self, reason: int, qualification: int = 0, **info: int) -> None:
        super().__init__(reason, qualification)
        self.reason = reason
        self.qualification = qualification
        self.info = info
        self.vectoring: Delivery | None = None


class GuestMode(Protocol):
    """The monitor's wishes, while its guest runs.

    Attributes:
        tsc_offset: what is added to the time stamp counter.
        shadowed: whether the present step began in an interrupt shadow.
    """

    tsc_offset: int
    shadowed: bool

    def before(self, cpu: Cpu, instruction: Instruction) -> None:
        """Asked before each instruction that has a handler in ``machine.system``.

        Raises VmExit if it is intercepted and nothing that the processor checks first forbids it; returns if
        it is to run, or to fault, as it would without.
        """
        ...

    def exception(self, cpu: Cpu, event: Delivery, detail: int | None) -> None:
        """An exception is about to be delivered.

        ``detail``: the address of a page fault, not yet in CR2; why a #DB comes, not yet in DR6.
        """
        ...

    def task_switch(self, cpu: Cpu, selector: int, cause: str) -> None:
        """A task switch is about to happen: ``cause`` is ``call`` (a task gate of the IDT too), ``iret`` or
        ``jmp``."""
        ...

    def between(self, cpu: Cpu, *, interrupt: bool) -> int | None:
        """Asked between instructions; ``interrupt``: the machine's controllers ask for the processor.

        Raises VmExit for an intercepted interrupt or NMI, an open interrupt window and the like. Returns the
        vector of a virtual interrupt that the guest takes now, or None.
        """
        ...

    @property
    def holds_interrupts(self) -> bool:
        """Whether a physical interrupt leads to the monitor, whatever the guest's IF says."""
        ...

    def seen(self, register: int, value: int) -> int:
        """What the guest reads from CR0 or CR4 (``register``), which is ``value``."""
        ...

    def loaded(self, register: int, present: int, value: int) -> int:
        """What CR0 or CR4 becomes where the guest writes ``value`` over ``present``."""
        ...

    def shut_down(self, cpu: Cpu) -> VmExit | None:
        """A triple fault in the guest: the exit that it makes, None where the processor shuts down."""
        ...

    def leave(self, cpu: Cpu, leaving: VmExit) -> None:
        """The exit: save the guest's state, load the host's, tell of it. ``Cpu.guest_mode`` is None after."""
        ...


class VirtualizationUnit(Protocol):
    """VMX or SVM of one processor: what it holds outside memory, and its model-specific registers.

    Attributes:
        gif: SVM's global interrupt flag; while it is 0, NMI and interrupts wait. Always 1 with VMX.
        shadowed: whether the present instruction began in an interrupt shadow.
        stack_loaded: whether a load of SS has cast the last shadow, and not STI.
        exit_images: by the address of a VMCS or VMCB, its page before the last exit and right after it:
            what observers compare, and nothing that a processor has.
    """

    gif: bool
    shadowed: bool
    stack_loaded: bool
    exit_images: dict[int, tuple[bytes, bytes]]

    @property
    def interrupts_open(self) -> bool | None:
        """Whether the processor takes interrupts now; None: IF and the interrupt shadow decide."""
        ...

    def read_msr(self, cpu: Cpu, index: int) -> int | None:
        """The 64 bits of a register of its own; None: not one of them."""
        ...

    def write_msr(self, cpu: Cpu, index: int, value: int) -> bool:
        """Write one of its own, or say that it is none; raises the #GP of a bad value."""
        ...

    def check_cr4(self, cpu: Cpu, value: int) -> None:
        """#GP(0) of a value that its present mode forbids in CR4."""
        ...

    def check_cr0(self, cpu: Cpu, value: int) -> None:
        """#GP(0) of a value that its present mode forbids in CR0."""
        ...

    def reset(self) -> None:
        """Power on."""
        ...

    def save(self) -> Any:
        """Its state outside memory, guest mode included, as plain data."""
        ...

    def load(self, cpu: Cpu, saved: Any) -> None:
        """Take up a saved state and set ``Cpu.guest_mode`` to fit."""
        ...
