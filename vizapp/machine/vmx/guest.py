"""VMX non-root operation: what of the guest's doings leads to its monitor (``machine.guest_mode.GuestMode``).

The controls are those of the last entry: what a monitor does to the VMCS later counts from the next one on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa import vectors
from vizapp.isa.registers import CR0_PE, EFLAGS_IF
from vizapp.machine.guest_mode import EXTERNAL, NMI, Delivery, VmExit
from vizapp.machine.vmx import controls as c
from vizapp.machine.vmx import fields as f
from vizapp.machine.vmx.checks import INFO_ERROR, INFO_TYPE_SHIFT, INFO_VALID, secondary_of
from vizapp.machine.vmx.intercepts import INTERCEPTS
from vizapp.machine.vmx.reasons import NUMBERS

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.vmx.checks import Values
    from vizapp.machine.vmx.unit import VmxUnit

_TASK_SOURCES: Final = {"call": 0, "iret": 1, "jmp": 2}
_TASK_SOURCE_SHIFT: Final = 30


class Wishes(NamedTuple):
    """The controls that the last entry took from the VMCS, as plain data."""

    pin: int
    primary: int
    secondary: int
    exit: int
    exceptions: int
    pf_mask: int
    pf_match: int
    io_bitmaps: tuple[int, int]
    msr_bitmap: int
    tsc_offset: int
    cr_masks: tuple[int, int]
    cr_shadows: tuple[int, int]
    cr3_targets: tuple[int, ...]
    ept_pointer: int
    vpid: int

    @staticmethod
    def of(values: Values) -> Wishes:
        """From the fields of a VMCS."""
        primary = values[f.PRIMARY_CONTROLS]
        secondary = secondary_of(values)
        return Wishes(
            values[f.PIN_CONTROLS],
            primary,
            secondary,
            values[f.EXIT_CONTROLS],
            values[f.EXCEPTION_BITMAP],
            values[f.PF_MASK],
            values[f.PF_MATCH],
            (values[f.IO_BITMAP_A], values[f.IO_BITMAP_B]),
            values[f.MSR_BITMAP],
            values[f.TSC_OFFSET] if primary & c.USE_TSC_OFFSETTING else 0,
            (values[f.CR0_MASK], values[f.CR4_MASK]),
            (values[f.CR0_SHADOW], values[f.CR4_SHADOW]),
            tuple(values[f.CR3_TARGETS[index]] for index in range(values[f.CR3_TARGET_COUNT])),
            values[f.EPT_POINTER] if secondary & c.ENABLE_EPT else 0,
            values[f.VPID_FIELD] if secondary & c.ENABLE_VPID else 0,
        )


def event_info(cpu: Cpu, event: Delivery) -> int:
    """An event in the layout of the information fields; in real mode no event has an error code."""
    error = INFO_ERROR if event.error is not None and cpu.cr0 & CR0_PE else 0
    return INFO_VALID | error | event.type << INFO_TYPE_SHIFT | event.vector


class VmxGuest:
    """A guest in non-root operation.

    Attributes:
        unit: the processor's VMX.
        wishes: the controls in force.
        tsc_offset: what is added to the time stamp counter.
        shadowed: whether the present step began in an interrupt shadow.
        length: of the last system instruction.
        last: the last system instruction that was carried out: what an interrupt shadow stems from.
        unblocked_nmis_at: the offset of an IRET that ended the blocking of NMIs, should it fault after all.
    """

    def __init__(self, unit: VmxUnit, wishes: Wishes) -> None:
        self.unit = unit
        self.wishes = wishes
        self.tsc_offset = wishes.tsc_offset
        self.shadowed = False
        self.length = 0
        self.last = ""
        self.unblocked_nmis_at: int | None = None

    def before(self, cpu: Cpu, instruction: Instruction) -> None:
        """Exit where the controls ask for this instruction; see ``intercepts`` for what comes before it."""
        self.length = instruction.length
        if instruction.opcode.operation == "iret":
            self.unblocked_nmis_at = cpu.eip if cpu.nmi_blocked else None
        intercept = INTERCEPTS.get(instruction.opcode.operation)
        if intercept is not None:
            intercept(self, cpu, instruction)
        self.last = instruction.opcode.operation

    def exception(self, cpu: Cpu, event: Delivery, detail: int | None) -> None:
        """Exit for an exception whose bit is set; of a page fault, where the error code is as asked."""
        wanted = bool(self.wishes.exceptions >> event.vector & 1)
        error = event.error or 0
        if event.vector == vectors.PF and error & self.wishes.pf_mask != self.wishes.pf_match:
            wanted = not wanted
        if wanted:
            raise VmExit(
                NUMBERS["exception-nmi"],
                detail or 0 if event.vector in (vectors.PF, vectors.DB) else 0,
                event=event_info(cpu, event),
                error=error,
            )

    def task_switch(self, cpu: Cpu, selector: int, cause: str) -> None:
        """Task switches always exit."""
        raise VmExit(NUMBERS["task-switch"], selector | _TASK_SOURCES[cause] << _TASK_SOURCE_SHIFT)

    def between(self, cpu: Cpu, *, interrupt: bool) -> int | None:
        """NMI window, NMI, interrupt window, external interrupt: in this order."""
        pin, primary = self.wishes.pin, self.wishes.primary
        if primary & c.NMI_WINDOW and not (cpu.nmi_blocked or cpu.shadow):
            raise VmExit(NUMBERS["nmi-window"])
        # With virtual NMIs the blocking is the guest's own and concerns those that it is given.
        open_to_nmi = not cpu.shadow and (pin & c.VIRTUAL_NMIS or not cpu.nmi_blocked)
        if cpu.nmi_pending and pin & c.NMI_EXITING and open_to_nmi:
            cpu.nmi_pending = False
            raise VmExit(
                NUMBERS["exception-nmi"], 0, event=event_info(cpu, Delivery(vectors.NMI, NMI)), nmi=1
            )
        if primary & c.INTERRUPT_WINDOW and cpu.system_flags & EFLAGS_IF and not cpu.shadow:
            raise VmExit(NUMBERS["interrupt-window"])
        if interrupt and pin & c.EXTERNAL_INTERRUPT_EXITING and not cpu.shadow:
            info = {}
            if self.wishes.exit & c.ACKNOWLEDGE_INTERRUPT:
                cpu.charge("io")  # the vector is read from the off-chip controller
                info["event"] = event_info(cpu, Delivery(self.unit.acknowledge(), EXTERNAL))
            raise VmExit(NUMBERS["external-interrupt"], 0, **info)
        return None

    @property
    def holds_interrupts(self) -> bool:
        """Whether external interrupts exit."""
        return bool(self.wishes.pin & c.EXTERNAL_INTERRUPT_EXITING)

    def seen(self, register: int, value: int) -> int:
        """The monitor's bits as the read shadow has them."""
        if register not in (0, 4):
            return value
        mask, shadow = self.wishes.cr_masks[register >> 2], self.wishes.cr_shadows[register >> 2]
        return value & ~mask | shadow & mask

    def loaded(self, register: int, present: int, value: int) -> int:
        """The monitor's bits stay."""
        mask = self.wishes.cr_masks[register >> 2]
        return value & ~mask | present & mask

    def shut_down(self, cpu: Cpu) -> VmExit | None:
        """A triple fault exits always, and is no delivery of an event."""
        return VmExit(NUMBERS["triple-fault"])

    def leave(self, cpu: Cpu, leaving: VmExit) -> None:
        """The exit."""
        self.unit.leave(cpu, self, leaving)
