"""A VMCB as the monitor uses it: a page of memory, whose fields it reads and writes as memory.

There are no read shadows: a register that the processor must have otherwise than the guest sees it is kept by
intercepting its reads too.

                          processor has                         guest owns
    CR0   shadow paging   guest's | PG, WP                       TS, MP
          nested paging   guest's                                all
    CR3   shadow paging   the shadow's                           nothing: reads and writes exit
          nested paging   guest's                                all
    CR4   shadow paging   guest's less PSE, PAE, PGE             nothing: writes exit
          nested paging   guest's                                all
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.isa.registers import SEGMENTS
from vizapp.machine.guest_mode import SOFTWARE_EXCEPTION, SOFTWARE_INTERRUPT
from vizapp.machine.svm.codes import INTERCEPTS as BITS
from vizapp.machine.svm.leaving import packed
from vizapp.machine.svm.vmcb import BY_NAME, read_field, read_fields, write_field
from vizapp.messages import N_, Message
from vizapp.vmm.amd_v import switch
from vizapp.vmm.amd_v.controls import Chosen, chosen_intercepts, set_up
from vizapp.vmm.amd_v.exits import read_exit
from vizapp.vmm.hardware_assisted.control_structure import (
    DIRECT,
    UNUSABLE,
    Controls,
    ControlStructure,
)

if TYPE_CHECKING:
    from vizapp.isa.addresses import HostPhysical
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.guest_mode import Delivery
    from vizapp.machine.pc import Pc
    from vizapp.vmm.hardware_assisted.exit import Exit

_PARTS: Final = ("selector", "base", "limit")
NAMES: Final[dict[str, str]] = {
    **{name: name for name in BY_NAME},
    **{
        f"{segment}_{part}": f"{segment}.{part}"
        for segment in (*SEGMENTS, "ldtr", "tr", "gdtr", "idtr")
        for part in _PARTS
    },
    **{f"{segment}_access": f"{segment}.attributes" for segment in (*SEGMENTS, "ldtr", "tr")},
    "eip": "rip", "esp": "rsp", "eflags": "rflags", "eax": "rax", "interruptibility": "interrupt_shadow",
}  # fmt: skip
"""The common names of ``control_structure`` and those of ``machine.svm.vmcb``."""

FLUSH_ALL: Final = 1
_WRITES: Final = 16  # where the bits of writes begin in the word that intercepts control registers
_V_IRQ: Final = 1 << 8
_V_PRIORITY: Final = 15 << 16
_V_IGNORE_TPR: Final = 1 << 20
_V_MASKING: Final = 1 << 24
_OWN_CR0: Final = r.CR0_TS | r.CR0_MP
_PAGING_FORMAT: Final = r.CR4_PSE | r.CR4_PAE | r.CR4_PGE
_VINTR: Final = BITS["vintr"]


class VmcbStructure(ControlStructure):
    """One VMCB."""

    kind: ClassVar[str] = "VMCB"
    saved_where: ClassVar[Message] = Message(N_("in the VMCB"))
    general_here: ClassVar[tuple[str, ...]] = ("eax",)
    general: ClassVar[tuple[str, ...]] = ("eip", "esp", "eflags", "cpl", "interruptibility", "eax")

    doubtful: ClassVar[frozenset[int]] = frozenset({vectors.GP})
    """An instruction of SVM is #UD for the guest; the processor, whose EFER.SVME is 1 for VMRUN's sake,
    checks privilege level and address before it looks at the intercepts."""

    def __init__(self, pc: Pc, address: HostPhysical, controls: Controls, maps: tuple[int, int]) -> None:
        super().__init__(pc, address, controls)
        self.maps = maps
        self.chosen: Chosen = chosen_intercepts(controls, pc.cpu.identity.cr4_bits)

    # Fields.

    def get(self, field: str) -> int:
        """A load."""
        self.pc.meter.charge("mon_memory_reference")
        return self.peek(field)

    def get_all(self, fields: tuple[str, ...]) -> list[int]:
        """A load each."""
        self.pc.meter.charge("mon_memory_reference", len(fields))
        values = read_fields(self.pc.memory, self.address, [NAMES[field] for field in fields])
        return [
            value & 0xFF | value << 4 & 0xF000 if field.endswith("_access") else value
            for field, value in zip(fields, values, strict=True)
        ]

    def put(self, field: str, value: int) -> None:
        """A store."""
        self.pc.meter.charge("mon_memory_reference")
        if field.endswith("_access"):
            value = 0 if value & UNUSABLE else value & 0xFF | (value & 0xF000) >> 4
        elif field == "interruptibility":
            value = int(bool(value))
        write_field(self.pc.memory, self.address, NAMES[field], value)

    def peek(self, field: str) -> int:
        """The same without paying."""
        value = read_field(self.pc.memory, self.address, NAMES[field])
        if field.endswith("_access"):
            return value & 0xFF | value << 4 & 0xF000
        return value

    def set_up(self) -> None:
        """Intercepts and the rest of a new VMCB."""
        super().set_up()
        set_up(self, self.controls, self.chosen)

    def switch_to(self) -> None:
        """VMRUN is told which VMCB; there is nothing to load."""

    def take_exit(self) -> Exit:
        """Read EXITCODE and what goes with it."""
        if self.kept("tlb_control"):
            self.keep("tlb_control", 0)
        return read_exit(self)

    def entry(self) -> int:
        """VMRUN."""
        return switch.ENTER

    # Control registers.

    def read_control(self, cpu: Cpu) -> None:
        """What of them the guest may have changed by itself."""
        if self.controls.nested is None:
            cpu.cr0 = cpu.cr0 & ~_OWN_CR0 | self.read("cr0") & _OWN_CR0
        else:
            cpu.cr0, cpu.cr3, cpu.cr4 = self.read("cr0"), self.read("cr3"), self.read("cr4")

    def write_control(self, cpu: Cpu) -> None:
        """The registers, and whether reading them has to exit."""
        if self.controls.nested is not None:
            self.write("cr0", cpu.cr0)
            self.write("cr3", cpu.cr3)
            self.write("cr4", cpu.cr4)
            return
        cr0 = cpu.cr0 & ~(r.CR0_CD | r.CR0_NW) | r.CR0_PG | r.CR0_WP
        cr4 = cpu.cr4 & ~_PAGING_FORMAT
        self.write("cr0", cr0)
        self.write("cr3", self.controls.shadow)
        self.write("cr4", cr4)
        # The selective intercept of CR0 compares with what the processor has: where that is not what the
        # guest sees, every write has to exit, and every read.
        exiting = 0
        for index, differs in ((0, cr0 != cpu.cr0), (4, cr4 != cpu.cr4)):
            exiting |= differs * (1 << index | 1 << _WRITES + index)
        self.keep("intercept_cr", self.chosen.control_registers | exiting)

    def seen_control(self, cpu: Cpu) -> tuple[int, int, int]:
        """What an intercepted read would give, or the register."""
        return self._seen(cpu, self.peek("cr0"), self.peek("cr3"), self.peek("cr4"))

    def live_control(self, virtual: Cpu, real: Cpu) -> tuple[int, int, int]:
        """The same of the guest that runs."""
        return self._seen(virtual, real.cr0, real.cr3, real.cr4)

    def _seen(self, virtual: Cpu, cr0: int, cr3: int, cr4: int) -> tuple[int, int, int]:
        if self.controls.nested is not None:
            return cr0, cr3, cr4
        return virtual.cr0 & ~_OWN_CR0 | cr0 & _OWN_CR0, virtual.cr3, virtual.cr4

    # What is not as the common class has it.

    def way_to_run(self, cpu: Cpu) -> str:
        """By itself: SVM's guests may be in any mode."""
        return DIRECT

    def seen_cpl(self, access: int) -> int:
        """It is what it says."""
        return access

    def write_segments(self, cpu: Cpu) -> None:
        """With CPL."""
        super().write_segments(cpu)
        self.write("cpl", cpu.cpl)

    def read_registers(self, cpu: Cpu) -> None:
        """The fields are wider than the registers."""
        super().read_registers(cpu)
        cpu.sysenter = [value & M32 for value in cpu.sysenter]

    def write_residue(self, cpu: Cpu) -> None:
        """VMRUN loads CR2 and DR6 from here."""
        self.put("cr2", cpu.cr2)
        self.put("dr6", cpu.debug[6])

    # Events, time and translations.

    def inject(self, event: Delivery) -> None:
        """By EVENTINJ. Of INT n, INT3 and INTO nothing is injected: the instruction runs again."""
        if event.type not in (SOFTWARE_INTERRUPT, SOFTWARE_EXCEPTION):
            self.put("eventinj", packed(event))

    def ask_for_window(self, *, wanted: bool) -> None:
        """A virtual interrupt that is intercepted when the guest would take it."""
        bits = self.chosen.first | (1 << _VINTR.bit if wanted else 0)
        self.keep("intercept_misc1", bits)
        wish = _V_MASKING | (_V_IRQ | _V_PRIORITY | _V_IGNORE_TPR if wanted else 0)
        self.keep("v_intr", wish)

    def set_tsc_offset(self, offset: int) -> None:
        """TSC_OFFSET."""
        self.keep("tsc_offset", offset)

    def forget_translations(self) -> None:
        """TLB_CONTROL: VMRUN flushes, everything, for this generation cannot flush by ASID."""
        self.keep("tlb_control", FLUSH_ALL)

    def forget_translation(self, linear: int) -> None:
        """INVLPGA."""
        self.pc.meter.charge("invlpg")
        self.pc.mmu.invalidate_tagged(linear, self.controls.tag)

    def registers_in_stub(
        self, offset: int, real: tuple[int, ...], saved: tuple[int, ...]
    ) -> tuple[int, ...]:
        """The guest's general registers while the stub moves them; EAX and ESP are in the VMCB."""
        if not switch.popped(offset):
            return saved
        return (saved[0], *real[1:4], saved[4], *real[5:])
