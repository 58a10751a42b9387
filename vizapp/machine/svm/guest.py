"""SVM guest mode: what the VMCB of the running guest asks for, kept on the chip from VMRUN to #VMEXIT.

    v_intr    24            20       19..16         8       3..0
              V_INTR_MASKING IGN_TPR V_INTR_PRIO    V_IRQ   V_TPR

APM Vol. 2, "SVM Intercepts", "Interrupt and Local APIC Support".
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from vizapp.isa import vectors
from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine.debug import report
from vizapp.machine.guest_mode import Delivery, VmExit
from vizapp.machine.svm import codes
from vizapp.machine.svm.intercepts import INSTRUCTIONS
from vizapp.machine.svm.leaving import leave

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.svm.unit import SvmUnit
    from vizapp.machine.svm.vmcb import Block

V_TPR: Final = 0xF
V_IRQ: Final = 1 << 8
V_INTR_PRIO_SHIFT: Final = 16
V_IGN_TPR: Final = 1 << 20
V_INTR_MASKING: Final = 1 << 24

TASK_BY_IRET: Final = 1 << 36
TASK_BY_JUMP: Final = 1 << 38
_TASK_CAUSES: Final = {"call": 0, "iret": TASK_BY_IRET, "jmp": TASK_BY_JUMP}
_CACHED: Final = (
    "intercept_cr", "intercept_dr", "intercept_exceptions", "intercept_misc1", "intercept_misc2",
    "iopm_base_pa", "msrpm_base_pa", "tsc_offset", "guest_asid", "v_intr", "v_intr_vector", "np_enable",
    "n_cr3",
)  # fmt: skip


_cached: Final = itemgetter(*_CACHED)


class SvmGuest:
    """The guest that runs.

    Attributes:
        unit: whose it is.
        vmcb: host-physical address of its VMCB.
        controls: the fields that the processor keeps on the chip, by name.
        host_if: IF when VMRUN was executed.
        efer: the guest's.
        host_cr4: of VMRUN's moment, which says what format the nested tables have.
        tsc_offset, shadowed: see ``GuestMode``.
    """

    def __init__(self, unit: SvmUnit, vmcb: int, controls: dict[str, int], *, host_if: bool) -> None:
        self.unit = unit
        self.vmcb = vmcb
        self.controls = controls
        self.host_if = host_if
        self.efer = self.host_cr4 = 0
        self.tsc_offset = controls["tsc_offset"]
        self.shadowed = False

    @staticmethod
    def cached(block: Block) -> dict[str, int]:
        """The controls that VMRUN takes from a VMCB."""
        return dict(zip(_CACHED, _cached(block.numbers), strict=True))

    def intercepts(self, name: str) -> bool:
        """Whether the exit of that name is asked for."""
        field, bit, _ = codes.INTERCEPTS[name]
        return bool(self.controls[field] >> bit & 1)

    @property
    def masks_interrupts(self) -> bool:
        """V_INTR_MASKING: the host's IF decides about physical interrupts, the guest's about virtual ones."""
        return bool(self.controls["v_intr"] & V_INTR_MASKING)

    @property
    def holds_interrupts(self) -> bool:
        """Whether a physical interrupt leads to the monitor, whatever the guest's IF says."""
        return self.masks_interrupts and self.host_if and self.intercepts("intr")

    def before(self, cpu: Cpu, instruction: Instruction) -> None:
        """Raise VmExit if the instruction is intercepted and no exception precedes that."""
        check = INSTRUCTIONS.get(instruction.opcode.operation)
        if check is not None:
            check(self, cpu, instruction)

    def exception(self, cpu: Cpu, event: Delivery, detail: int | None) -> None:
        """Raise VmExit if the exception is intercepted: CR2 is as it was, DR6 tells already of a #DB.

        NMI has an intercept of its own, and so has ICEBP, the one #DB without a reason for DR6.
        """
        vector = event.vector
        if vector == vectors.NMI or (vector == vectors.DB and detail is None):
            return
        if self.controls["intercept_exceptions"] >> vector & 1:
            info = {"exitinfo2": detail} if vector == vectors.PF and detail is not None else {}
            if vector == vectors.DB and detail is not None:
                report(cpu, detail)
            raise VmExit(codes.EXCEPTION + vector, event.error or 0, **info)

    def task_switch(self, cpu: Cpu, selector: int, cause: str) -> None:
        """Raise VmExit if task switches are intercepted."""
        if self.intercepts("task-switch"):
            raise VmExit(codes.TASK_SWITCH, selector, exitinfo2=_TASK_CAUSES[cause])

    def between(self, cpu: Cpu, *, interrupt: bool) -> int | None:
        """NMI, physical interrupt, virtual interrupt, in this order."""
        nmi = cpu.nmi_pending and not cpu.nmi_blocked
        if nmi and self.intercepts("nmi"):
            raise VmExit(codes.NMI)
        open_ = cpu.system_flags & EFLAGS_IF and not cpu.shadow
        physical = interrupt and (self.host_if if self.masks_interrupts else open_)
        if physical and not nmi and self.intercepts("intr"):
            raise VmExit(codes.INTR)
        if not (open_ and self._virtual_interrupt()) or nmi or physical:
            return None
        if self.intercepts("vintr"):
            raise VmExit(codes.VINTR)
        self.controls["v_intr"] &= ~V_IRQ
        return self.controls["v_intr_vector"] & 0xFF

    def _virtual_interrupt(self) -> bool:
        word = self.controls["v_intr"]
        priority = word >> V_INTR_PRIO_SHIFT & 0xF
        return bool(word & V_IRQ) and (bool(word & V_IGN_TPR) or priority > word & V_TPR)

    def seen(self, register: int, value: int) -> int:
        """Control registers have no shadows: a read is intercepted, or shows what is there."""
        return value

    def loaded(self, register: int, present: int, value: int) -> int:
        """As they have none, a write is intercepted or takes effect."""
        return value

    def shut_down(self, cpu: Cpu) -> VmExit | None:
        """The exit of a triple fault, if the monitor wants it."""
        return VmExit(codes.SHUTDOWN) if self.intercepts("shutdown") else None

    def leave(self, cpu: Cpu, leaving: VmExit) -> None:
        """#VMEXIT."""
        leave(self, cpu, leaving)

    @classmethod
    def restored(cls, unit: SvmUnit, saved: dict[str, Any]) -> SvmGuest:
        """The guest that ``save`` saw."""
        guest = cls(unit, saved["vmcb"], dict(saved["controls"]), host_if=saved["host_if"])
        guest.efer, guest.host_cr4, guest.shadowed = saved["efer"], saved["host_cr4"], saved["shadowed"]
        return guest

    def save(self) -> dict[str, Any]:
        """What the chip keeps, as plain data."""
        return {
            "vmcb": self.vmcb, "controls": dict(self.controls), "host_if": self.host_if, "efer": self.efer,
            "host_cr4": self.host_cr4, "shadowed": self.shadowed,
        }  # fmt: skip
