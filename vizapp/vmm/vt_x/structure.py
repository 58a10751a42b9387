"""A VMCS as the monitor uses it: fields by VMREAD and VMWRITE, controls, exits, injection.

CR0, CR3 and CR4 of the guest are two things each: what the guest sees, and what VMX needs or the monitor's
paging wants. For the bits of the guest/host mask a read shadow answers, and a write that differs from it
exits:

                          processor has                         guest owns
    CR0   shadow paging   guest's | PE, PG, NE, WP               TS
          EPT             guest's | what VMX fixes               all but what VMX fixes
    CR3   shadow paging   the shadow's                           nothing: loads and stores exit
          EPT             guest's                                all (an identity map's while PG = 0)
    CR4   shadow paging   guest's less PSE, PAE, PGE; VMXE       TSD, DE
          EPT             guest's | VMXE                         what its processor has
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vizapp.isa import registers as r
from vizapp.isa.addresses import M32, PAGE_SHIFT
from vizapp.isa.descriptors import AR_P, TSS_32_BUSY
from vizapp.machine.segments import SegmentState, paragraph_segment, virtual_segment
from vizapp.machine.vmx import controls as c
from vizapp.machine.vmx import fields as f
from vizapp.machine.vmx.capabilities import capabilities
from vizapp.machine.vmx.region import Vmcs
from vizapp.messages import N_, Message
from vizapp.vmm.hardware_assisted.control_structure import (
    DIRECT,
    NOT,
    VIRTUAL_8086,
    Controls,
    ControlStructure,
)
from vizapp.vmm.vt_x import switch
from vizapp.vmm.vt_x.controls import ALL_EXCEPTIONS, chosen_controls, set_up
from vizapp.vmm.vt_x.entry_state import accepts, like_8086
from vizapp.vmm.vt_x.exits import read_exit
from vizapp.vmm.vt_x.operations import invept, message, vmclear, vmptrld, vmread, vmread_all, vmwrite

if TYPE_CHECKING:
    from vizapp.isa.addresses import HostPhysical
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.cpu_state import CpuState
    from vizapp.machine.guest_mode import Delivery
    from vizapp.machine.pc import Pc
    from vizapp.vmm.hardware_assisted.exit import Exit

ENCODINGS: Final[dict[str, int]] = {
    **{field.name.removeprefix("guest_"): field.encoding for field in f.FIELDS if field.type == f.GUEST},
    **{field.name: field.encoding for field in f.FIELDS if field.type != f.GUEST},
    "eip": f.GUEST_RIP, "esp": f.GUEST_RSP, "eflags": f.GUEST_RFLAGS,
    **{
        f"{name}_access": encoding
        for name, encoding in zip(f.SEGMENTS, f.GUEST_RIGHTS, strict=True)
    },
}  # fmt: skip
"""The common names of ``control_structure`` and those of ``machine.vmx.fields``."""

IDENTITY_MAP: Final = 0xFEFF_C000
"""Where the page directory lies that maps every address to itself, in guest-physical memory that the guest
does not have: for a guest whose paging is off, on a processor that wants it on."""

_VALID: Final = 1 << 31
_ERROR: Final = 1 << 11
_TYPE_SHIFT: Final = 8
_PAGING_FORMAT: Final = r.CR4_PSE | r.CR4_PAE | r.CR4_PGE
_VIRTUAL_INTERRUPTS: Final = r.CR4_VME | r.CR4_PVI
_NO_TASK: Final = SegmentState(0, 0, 0, TSS_32_BUSY | AR_P)
_VIRTUAL_FLAGS: Final = r.EFLAGS_VM | r.EFLAGS_IOPL | r.EFLAGS_IF


class VmcsStructure(ControlStructure):
    """One VMCS.

    Attributes:
        virtual_8086: the guest's real mode is run as a virtual-8086 task.
        identity_map: host frame of the identity map; 0 where none is needed.
    """

    kind: ClassVar[str] = "VMCS"
    saved_where: ClassVar[Message] = Message(N_("in the VMCS"))

    def __init__(self, pc: Pc, address: HostPhysical, controls: Controls) -> None:
        super().__init__(pc, address, controls)
        self.capable = capabilities(pc.cpu.identity)
        self.chosen = chosen_controls(self.capable, controls)
        self.virtual_8086 = False
        self.identity_map = 0
        self._launched = False
        self._real_cr3 = controls.shadow
        self._region = Vmcs(pc.memory, address)

    @property
    def unrestricted(self) -> bool:
        """Whether the guest may be in real mode and without paging."""
        return bool(self.chosen.secondary & c.UNRESTRICTED)

    # Fields.

    def get(self, field: str) -> int:
        """VMREAD."""
        return vmread(self.pc, ENCODINGS[field])

    def get_all(self, fields: tuple[str, ...]) -> list[int]:
        """VMREAD each."""
        return vmread_all(self.pc, [ENCODINGS[field] for field in fields])

    def put(self, field: str, value: int) -> None:
        """VMWRITE."""
        vmwrite(self.pc, ENCODINGS[field], value)

    def peek(self, field: str) -> int:
        """From the region."""
        return self._region.read(ENCODINGS[field])

    def set_up(self) -> None:
        """Controls and host state of a VMCS that was just made current for the first time."""
        super().set_up()
        set_up(self, self.controls, self.chosen)
        self.keep("cr0_guest_host_mask", self.cr0_mask)
        self.keep("cr4_guest_host_mask", self.cr4_mask)

    def switch_to(self) -> None:
        """VMPTRLD."""
        if not self.ready:
            vmclear(self.pc, self.address)
        vmptrld(self.pc, self.address)

    def take_exit(self) -> Exit:
        """VMREAD the exit information."""
        self._launched = True
        return read_exit(self)

    def entry(self) -> int:
        """VMLAUNCH the first time, then VMRESUME."""
        return switch.RESUME if self._launched else switch.LAUNCH

    def refusal(self) -> str:
        """The VM-instruction error."""
        return message(self.get("vm_instruction_error"))

    def stops_waiting(self) -> bool:
        """The activity state: without HLT exiting the guest has waited in the processor."""
        if self.chosen.primary & c.HLT_EXITING or not self.read("activity"):
            return False
        self.write("activity", 0)
        return True

    def own_frame(self, guest_frame: int) -> int | None:
        """The identity map."""
        return (self.identity_map or None) if guest_frame == IDENTITY_MAP >> PAGE_SHIFT else None

    # Control registers.

    @property
    def cr0_mask(self) -> int:
        """The bits of CR0 that are the monitor's."""
        if self.controls.nested is None:
            return M32 & ~r.CR0_TS
        own = r.CR0_NE | r.CR0_CD | r.CR0_NW
        return own if self.unrestricted else own | r.CR0_PE | r.CR0_PG

    @property
    def cr4_mask(self) -> int:
        """The bits of CR4 that are the monitor's."""
        if self.controls.nested is None:
            return M32 & ~(r.CR4_TSD | r.CR4_DE)
        absent = M32 & ~self.controls.cr4_bits | r.CR4_VMXE
        return absent if self.unrestricted else absent | r.CR4_PSE | r.CR4_PAE | _VIRTUAL_INTERRUPTS

    def read_control(self, cpu: Cpu) -> None:
        """What of them the guest may have changed by itself."""
        cpu.cr0 = self._seen(cpu.cr0, self.read("cr0"), self.cr0_mask)
        cpu.cr4 = self._seen(cpu.cr4, self.read("cr4"), self.cr4_mask)
        if self._guest_has_cr3(cpu.cr0):
            cpu.cr3 = self.read("cr3")

    def write_control(self, cpu: Cpu) -> None:
        """CR0, CR4 with their read shadows, and below EPT CR3 and the PDPTEs."""
        self.keep("cr0_read_shadow", cpu.cr0)
        self.keep("cr4_read_shadow", cpu.cr4)
        cr0 = cpu.cr0 & ~(r.CR0_CD | r.CR0_NW) | self.capable.guest_cr0_fixed(self.chosen.secondary)
        cr4 = cpu.cr4 | r.CR4_VMXE
        if self.virtual_8086:  # what concerns IF is to trap, whatever the guest wants for tasks of its own
            cr4 &= ~_VIRTUAL_INTERRUPTS
        if self.controls.nested is None:
            cr4 &= ~_PAGING_FORMAT
            cr0 |= r.CR0_WP
        elif self._guest_has_cr3(cpu.cr0):
            self._real_cr3 = cpu.cr3
        else:
            self._real_cr3 = IDENTITY_MAP
            cr4 = cr4 & ~r.CR4_PAE | r.CR4_PSE
        self.write("cr0", cr0)
        self.write("cr4", cr4)
        self.write("cr3", self._real_cr3)
        if self.controls.nested is not None:
            exiting = 0 if self._guest_has_cr3(cpu.cr0) else c.CR3_LOAD_EXITING | c.CR3_STORE_EXITING
            self.keep("primary_controls", self.kept("primary_controls") & ~_CR3 | exiting | self._cr3_wanted)
            if cr0 & r.CR0_PG and cr4 & r.CR4_PAE:
                for index, pointer in enumerate(cpu.pointers):
                    self.write(f"pdpte{index}", pointer)

    @property
    def _cr3_wanted(self) -> int:
        return self.chosen.primary & _CR3

    def seen_control(self, cpu: Cpu) -> tuple[int, int, int]:
        """From mask and read shadow, as MOV from CR does."""
        cr0 = self._seen(cpu.cr0, self.peek("cr0"), self.cr0_mask)
        cr4 = self._seen(cpu.cr4, self.peek("cr4"), self.cr4_mask)
        return cr0, self.peek("cr3") if self._guest_has_cr3(cr0) else cpu.cr3, cr4

    def live_control(self, virtual: Cpu, real: Cpu) -> tuple[int, int, int]:
        """The same, of the guest that runs."""
        cr0 = self._seen(virtual.cr0, real.cr0, self.cr0_mask)
        cr4 = self._seen(virtual.cr4, real.cr4, self.cr4_mask)
        return cr0, real.cr3 if self._guest_has_cr3(cr0) else virtual.cr3, cr4

    def _guest_has_cr3(self, cr0: int) -> bool:
        return self.controls.nested is not None and (self.unrestricted or bool(cr0 & r.CR0_PG))

    @staticmethod
    def _seen(virtual: int, real: int, mask: int) -> int:
        return virtual & mask | real & ~mask

    # Real mode as a virtual-8086 task.

    def way_to_run(self, cpu: Cpu) -> str:
        """By itself where VM entry accepts it, as a virtual-8086 task where that can stand for real mode."""
        if self.unrestricted:
            return DIRECT
        if cpu.cr0 & r.CR0_PE:
            return DIRECT if accepts(cpu) else NOT
        return VIRTUAL_8086 if all(like_8086(state) for state in cpu.segments) else NOT

    def set_mode(self, way: str) -> None:
        """In a virtual-8086 task every exception comes here, for its handler is real mode's."""
        self.virtual_8086 = way == VIRTUAL_8086
        self.keep("exception_bitmap", ALL_EXCEPTIONS if self.virtual_8086 else self.chosen.exceptions)

    def seen_flags(self, cpu: Cpu, value: int) -> int:
        """A virtual-8086 task has VM, and IOPL 0, so that what concerns IF and IOPL traps."""
        if self.virtual_8086:
            value = value & ~_VIRTUAL_FLAGS | cpu.eflags & _VIRTUAL_FLAGS
        return value | r.EFLAGS_FIXED

    def real_flags(self, cpu: Cpu) -> int:
        """The other way."""
        return cpu.eflags & ~_VIRTUAL_FLAGS | r.EFLAGS_VM | r.EFLAGS_IF if self.virtual_8086 else cpu.eflags

    def seen_cpl(self, access: int) -> int:
        """Real mode has CPL 0, the task that stands for it 3."""
        return 0 if self.virtual_8086 else super().seen_cpl(access)

    def real_cpl(self, cpu: Cpu) -> int:
        """The other way."""
        return 3 if self.virtual_8086 else cpu.cpl

    def ring_of(self, cpu: Cpu) -> int:
        """The guest's ring while it runs."""
        return 0 if self.virtual_8086 else cpu.cpl

    def seen_segment(self, cpu: Cpu, index: int, state: SegmentState) -> SegmentState:
        """As a load in real mode leaves it."""
        if not self.virtual_8086:
            return state
        held = cpu.segments[index]
        return held if held.selector == state.selector else paragraph_segment(cpu, index, state.selector)

    def real_segment(self, cpu: Cpu, index: int) -> SegmentState:
        """As virtual-8086 mode has it."""
        state = cpu.segments[index]
        return virtual_segment(state.selector) if self.virtual_8086 else state

    def seen_task(self, cpu: Cpu, state: SegmentState) -> SegmentState:
        """TR that was never loaded."""
        return cpu.tr if state == _NO_TASK and not cpu.tr.usable else state

    def real_task(self, cpu: Cpu) -> SegmentState:
        """VM entry wants a busy TSS: one without a byte, if the guest has none."""
        return cpu.tr if cpu.tr.usable else _NO_TASK

    def live_state(self, virtual: Cpu, state: CpuState) -> CpuState:
        """The guest's registers while it runs, as it sees them."""
        segments = tuple(
            self.seen_segment(virtual, index, segment) for index, segment in enumerate(state.segments)
        )
        return state._replace(
            eflags=self.seen_flags(virtual, state.eflags),
            cpl=0 if self.virtual_8086 else state.cpl,
            segments=segments,
            tr=self.seen_task(virtual, state.tr),
        )

    # Events, time and translations.

    def inject(self, event: Delivery) -> None:
        """By the VM-entry interruption information, which the exit clears."""
        error = 0
        if event.error is not None:
            error = _ERROR
            self.put("entry_exception_error", event.error)
        if event.length:
            self.put("entry_instruction_length", event.length)
        self.put("entry_interruption_info", _VALID | error | event.type << _TYPE_SHIFT | event.vector)

    def ask_for_window(self, *, wanted: bool) -> None:
        """Interrupt-window exiting."""
        primary = self.kept("primary_controls")
        self.keep("primary_controls", primary & ~c.INTERRUPT_WINDOW | (c.INTERRUPT_WINDOW if wanted else 0))

    def set_tsc_offset(self, offset: int) -> None:
        """TSC offset."""
        self.keep("tsc_offset", offset)

    def forget_translations(self) -> None:
        """Without a VPID every entry has forgotten them already."""
        if self.chosen.secondary & c.ENABLE_EPT:
            invept(self.pc)

    def registers_in_stub(
        self, offset: int, real: tuple[int, ...], saved: tuple[int, ...]
    ) -> tuple[int, ...]:
        """The guest's general registers while a stub moves them; ESP is in the VMCS."""
        if not switch.popped(offset):
            return saved
        return (*real[:4], saved[4], *real[5:])

    def save(self) -> object:
        """With what is not in the region."""
        return super().save(), self.virtual_8086, self._launched, self._real_cr3

    def load(self, saved: object) -> None:
        """Take up a saved state."""
        assert isinstance(saved, tuple)
        known, self.virtual_8086, self._launched, self._real_cr3 = saved
        super().load(known)


_CR3: Final = c.CR3_LOAD_EXITING | c.CR3_STORE_EXITING
