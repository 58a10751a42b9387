"""The structure through which a monitor controls one virtual CPU, a VMCS or a VMCB, as the phases use it.

Both vendors keep the same things: what the guest's registers are while it is off the processor, what makes
it exit, why it did, and what to deliver on the way back. Here they have common names; a vendor's class
knows where each is and what it costs to reach. A field is read at most once after an exit, and written only
if it changes:

    exit ──▶ (fields unknown) ──read──▶ known ──write, if different──▶ known ──▶ entry

Fields of the guest's state, by name: ``eip esp eflags cr0 cr3 cr4 dr7``, ``sysenter_cs _esp _eip``,
``gdtr_base gdtr_limit idtr_base idtr_limit``, ``interruptibility``, and of es cs ss ds fs gs ldtr tr
``_selector _base _limit _access``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

from vizapp.isa.descriptors import AR_DPL_SHIFT, AR_P
from vizapp.isa.registers import CS, EFLAGS_FIXED, SEGMENTS, SS
from vizapp.machine.segments import SegmentState, TableRegister

if TYPE_CHECKING:
    from vizapp.isa.addresses import HostPhysical
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.cpu_state import CpuState
    from vizapp.machine.guest_mode import Delivery
    from vizapp.machine.pc import Pc
    from vizapp.messages import Message
    from vizapp.vmm.hardware_assisted.exit import Exit
    from vizapp.vmm.hardware_assisted.nested_map import NestedMap
    from vizapp.vmm.host_tables import HostTables

SHADOW_BY_STI: Final = 1 << 0
SHADOW_BY_MOV_SS: Final = 1 << 1
UNUSABLE: Final = 1 << 16
"""Of the access rights of a segment register: it was loaded with a null selector."""
_REMEMBERED: Final = 4096
_CPL: Final = 3  # of ``general``
_PARTS: Final = ("selector", "base", "limit", "access")
_SEGMENT_FIELDS: Final = tuple(f"{name}_{part}" for name in SEGMENTS for part in _PARTS)
_TABLE_FIELDS: Final = (
    "gdtr_base", "gdtr_limit", "idtr_base", "idtr_limit",
    *(f"{name}_{part}" for name in ("ldtr", "tr") for part in _PARTS),
)  # fmt: skip
_SYSENTER: Final = ("sysenter_cs", "sysenter_esp", "sysenter_eip")

# How the guest can run now: by itself, as a task of virtual-8086 mode that stands for real mode, or not at
# all, so that the monitor has to run its instructions for it.
DIRECT: Final = "direct"
VIRTUAL_8086: Final = "virtual-8086"
NOT: Final = "not"


class Controls(NamedTuple):
    """What a monitor wants of a new virtual CPU.

    Attributes:
        nested: its nested tables; None: with shadow paging.
        shadow: the CR3 of its shadow tables.
        host_cr3, host_esp: the monitor's, after an exit.
        host_tables: the monitor's GDT, IDT and TSS.
        switch_code: where the stubs are that enter the guest, and the one where an exit leads.
        cr4_bits: the bits of CR4 that the guest's processor has.
        tag: a VPID or ASID of its own, from 1 on.
        intercepts: controls that are not to be as the monitor would have them, by name.
    """

    nested: NestedMap | None
    shadow: int
    host_cr3: int
    host_esp: int
    host_tables: HostTables
    switch_code: int
    cr4_bits: int
    tag: int
    intercepts: Mapping[str, bool]


class ControlStructure:
    """One virtual CPU's, at a host-physical address.

    Attributes:
        address: of the VMCS region or the VMCB.
        controls: what the monitor wants of it.
        ready: it has been set up.
        kind: VMCS or VMCB.
        saved_where: for people: where the guest's registers are while it is off the processor.
    """

    kind: ClassVar[str]
    saved_where: ClassVar[Message]
    general_here: ClassVar[tuple[str, ...]] = ()
    """General registers that the structure has, and the monitor's stack has not."""
    general: ClassVar[tuple[str, ...]] = ("eip", "esp", "eflags", "ss_access", "interruptibility")
    """What ``read_general`` reads: the fourth is where CPL is."""

    doubtful: ClassVar[frozenset[int]] = frozenset()
    """Exceptions that the guest's own processor might not have raised, or not these."""

    def __init__(self, pc: Pc, address: HostPhysical, controls: Controls) -> None:
        self.pc = pc
        self.address = address
        self.controls = controls
        self.ready = False
        self._known: dict[str, int] = {}  # guest state, since the last exit
        self._kept: dict[str, int] = {}  # what only the monitor writes

    # What a vendor has to say.

    def get(self, field: str) -> int:
        """Read a field, and pay for it."""
        raise NotImplementedError

    def get_all(self, fields: tuple[str, ...]) -> list[int]:
        """Read some fields, and pay for each."""
        raise NotImplementedError

    def put(self, field: str, value: int) -> None:
        """Write a field, and pay for it."""
        raise NotImplementedError

    def peek(self, field: str) -> int:
        """What a field holds, for whoever looks on: nothing is paid for."""
        raise NotImplementedError

    def set_up(self) -> None:
        """Fill in a new one."""
        self.ready = True

    def take_exit(self) -> Exit:
        """Find out why the guest was left."""
        raise NotImplementedError

    def read_control(self, cpu: Cpu) -> None:
        """Bring the virtual control registers up to date: the guest owns some of their bits."""
        raise NotImplementedError

    def write_control(self, cpu: Cpu) -> None:
        """Let the processor have what the virtual control registers say."""
        raise NotImplementedError

    def seen_control(self, cpu: Cpu) -> tuple[int, int, int]:
        """CR0, CR3 and CR4 as the guest sees them, without paying."""
        raise NotImplementedError

    def live_control(self, virtual: Cpu, real: Cpu) -> tuple[int, int, int]:
        """The same of the guest that runs; ``virtual`` has what the monitor keeps."""
        raise NotImplementedError

    def real_control(self) -> tuple[int, int, int]:
        """CR0, CR3 and CR4 as the processor has them for it, without paying."""
        return self.peek("cr0"), self.peek("cr3"), self.peek("cr4")

    def way_to_run(self, cpu: Cpu) -> str:
        """``DIRECT``, ``VIRTUAL_8086`` or ``NOT``, for the state that the virtual CPU is in."""
        raise NotImplementedError

    def set_mode(self, way: str) -> None:
        """The guest is to run that way: ``DIRECT`` or ``VIRTUAL_8086``."""

    def stops_waiting(self) -> bool:
        """Whether the guest waits in HLT by itself, which it then does no longer."""
        return False

    def own_frame(self, guest_frame: int) -> int | None:
        """The host frame of a page that the monitor needs in guest-physical memory; None: the guest's own."""
        return None

    def refusal(self) -> str:
        """Why the instruction that enters a guest has failed: for sentences."""
        return ""

    def inject(self, event: Delivery) -> None:
        """Have the next entry deliver an event."""
        raise NotImplementedError

    def ask_for_window(self, *, wanted: bool) -> None:
        """Have the guest exit as soon as it can take an interrupt, or not."""
        raise NotImplementedError

    def set_tsc_offset(self, offset: int) -> None:
        """What is added to the time stamp counter for the guest."""
        raise NotImplementedError

    def forget_translations(self) -> None:
        """Have the processor forget what it knows of this guest's address spaces."""
        raise NotImplementedError

    def forget_translation(self, linear: int) -> None:
        """Have it forget one page."""
        self.forget_translations()

    def switch_to(self) -> None:
        """Make it the current one, after another virtual CPU's."""
        raise NotImplementedError

    def entry(self) -> int:
        """Which stub enters the guest: an offset in the code page of the switch."""
        raise NotImplementedError

    # What differs between the guest's registers and what stands for them, where a vendor's hardware needs it.

    def seen_flags(self, cpu: Cpu, value: int) -> int:
        """EFLAGS as the guest has them; ``cpu`` holds what they were at entry."""
        return value | EFLAGS_FIXED

    def real_flags(self, cpu: Cpu) -> int:
        """EFLAGS as the processor gets them."""
        return cpu.eflags

    def seen_cpl(self, access: int) -> int:
        """The guest's CPL, from what is in that field."""
        return access >> AR_DPL_SHIFT & 3

    def real_cpl(self, cpu: Cpu) -> int:
        """The CPL at which the guest is to run."""
        return cpu.cpl

    def seen_segment(self, cpu: Cpu, index: int, state: SegmentState) -> SegmentState:
        """A segment register as the guest has it."""
        return state

    def real_segment(self, cpu: Cpu, index: int) -> SegmentState:
        """A segment register as the processor gets it."""
        return cpu.segments[index]

    def seen_task(self, cpu: Cpu, state: SegmentState) -> SegmentState:
        """TR as the guest has it."""
        return state

    def real_task(self, cpu: Cpu) -> SegmentState:
        """TR as the processor gets it."""
        return cpu.tr

    def live_state(self, virtual: Cpu, state: CpuState) -> CpuState:
        """The guest's registers while it runs, as it sees them."""
        return state

    def ring_of(self, cpu: Cpu) -> int:
        """The guest's ring while it runs."""
        return cpu.cpl

    def registers_in_stub(
        self, offset: int, real: tuple[int, ...], saved: tuple[int, ...]
    ) -> tuple[int, ...]:
        """The guest's general registers while a stub, at this offset of its page, moves them."""
        raise NotImplementedError

    # The same for all.

    def after_exit(self) -> None:
        """The guest has run: whatever was known of its registers may have changed."""
        self._known = {}

    def read(self, field: str) -> int:
        """A field of the guest's state, read from the structure if it is not known yet."""
        value = self._known.get(field)
        if value is None:
            value = self._known[field] = self.get(field)
        return value

    def read_all(self, fields: tuple[str, ...]) -> list[int]:
        """``read`` some fields."""
        known = self._known
        unknown = tuple([field for field in fields if field not in known])
        if unknown:
            known.update(zip(unknown, self.get_all(unknown), strict=True))
        return [known[field] for field in fields]

    def write(self, field: str, value: int) -> None:
        """Change a field of the guest's state, unless it is known to hold the value."""
        if self._known.get(field) != value:
            self.put(field, value)
            self._known[field] = value

    def keep(self, field: str, value: int) -> None:
        """Change a field that only the monitor changes."""
        if self._kept.get(field) != value:
            self.put(field, value)
            self._kept[field] = value

    def kept(self, field: str) -> int:
        """What the monitor has put there last; 0: nothing yet."""
        return self._kept.get(field, 0)

    def read_general(self, cpu: Cpu) -> None:
        """EIP, ESP, EFLAGS and CPL, and whether the last instruction holds interrupts off."""
        cpu.eip, cpu.esp, flags, cpl, blocking, *others = self.read_all(self.general)
        cpu.eflags, cpu.cpl = self.seen_flags(cpu, flags), self.seen_cpl(cpl)
        cpu.shadow = bool(blocking & (SHADOW_BY_STI | SHADOW_BY_MOV_SS))
        for name, value in zip(self.general_here, others, strict=True):
            setattr(cpu, name, value)

    def write_general(self, cpu: Cpu) -> None:
        """The same the other way; CPL goes with the segments."""
        self.write("eip", cpu.eip)
        self.write("esp", cpu.esp)
        self.write("eflags", self.real_flags(cpu))
        if not cpu.shadow:
            blocking = self.read("interruptibility")
            self.write("interruptibility", blocking & ~(SHADOW_BY_STI | SHADOW_BY_MOV_SS))
        elif not self.read("interruptibility") & (SHADOW_BY_STI | SHADOW_BY_MOV_SS):
            self.write("interruptibility", self.read("interruptibility") | SHADOW_BY_MOV_SS)
        for name in self.general_here:
            self.write(name, getattr(cpu, name))

    def read_segments(self, cpu: Cpu) -> None:
        """ES CS SS DS FS GS with their hidden parts, and CPL."""
        *values, cpl = self.read_all((*_SEGMENT_FIELDS, self.general[_CPL]))
        for index in range(len(SEGMENTS)):
            state = _state(*values[4 * index : 4 * index + 4])
            cpu.segments[index] = self.seen_segment(cpu, index, state)
        cpu.set_segment(SS, cpu.segments[SS])
        cpu.set_code_segment(cpu.segments[CS], self.seen_cpl(cpl))

    def write_segments(self, cpu: Cpu) -> None:
        """The same the other way."""
        for index, name in enumerate(SEGMENTS):
            state = self.real_segment(cpu, index)
            access = access_of(state)
            if index == SS:  # what CPL is, the processor takes from here
                access = access & ~(3 << AR_DPL_SHIFT) | self.real_cpl(cpu) << AR_DPL_SHIFT
            self._write_segment(name, state, access)

    def read_tables(self, cpu: Cpu) -> None:
        """GDTR, IDTR, LDTR and TR."""
        values = self.read_all(_TABLE_FIELDS)
        cpu.gdtr, cpu.idtr = TableRegister(*values[:2]), TableRegister(*values[2:4])
        cpu.ldtr, cpu.tr = _state(*values[4:8]), self.seen_task(cpu, _state(*values[8:]))

    def write_tables(self, cpu: Cpu) -> None:
        """The same the other way."""
        self.write("gdtr_base", cpu.gdtr.base)
        self.write("gdtr_limit", cpu.gdtr.limit)
        self.write("idtr_base", cpu.idtr.base)
        self.write("idtr_limit", cpu.idtr.limit)
        self._write_segment("ldtr", cpu.ldtr, access_of(cpu.ldtr))
        tr = self.real_task(cpu)
        self._write_segment("tr", tr, access_of(tr))

    def read_registers(self, cpu: Cpu) -> None:
        """The MSRs of SYSENTER, and DR7."""
        cpu.sysenter = [self.read(name) for name in _SYSENTER]
        cpu.debug[7] = self.read("dr7")

    def write_registers(self, cpu: Cpu) -> None:
        """The same the other way."""
        for name, value in zip(_SYSENTER, cpu.sysenter, strict=True):
            self.write(name, value)
        self.write("dr7", cpu.debug[7])

    def write_residue(self, cpu: Cpu) -> None:
        """CR2 and DR6, of a vendor whose structure has them."""

    def peek_state(self, cpu: Cpu) -> None:
        """Make ``cpu`` hold what the structure holds of the guest, without paying."""
        read = self.peek
        cpu.cr0, cpu.cr3, cpu.cr4 = self.seen_control(cpu)
        cpu.eip, cpu.esp, cpu.eflags = read("eip"), read("esp"), self.seen_flags(cpu, read("eflags"))
        for name in self.general_here:
            setattr(cpu, name, read(name))
        cpu.gdtr = TableRegister(read("gdtr_base"), read("gdtr_limit"))
        cpu.idtr = TableRegister(read("idtr_base"), read("idtr_limit"))
        cpu.ldtr, cpu.tr = self._peek_segment("ldtr"), self.seen_task(cpu, self._peek_segment("tr"))
        for index, name in enumerate(SEGMENTS):
            cpu.segments[index] = self.seen_segment(cpu, index, self._peek_segment(name))
        cpu.cpl = self.seen_cpl(read(self.general[_CPL]))

    def save(self) -> Any:
        """What is known of its fields, as plain data; they themselves are in machine memory."""
        return dict(self._known), dict(self._kept), self.ready

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        known, kept, self.ready = saved
        self._known, self._kept = dict(known), dict(kept)

    def _peek_segment(self, name: str) -> SegmentState:
        return _state(*[self.peek(f"{name}_{part}") for part in _PARTS])

    def _write_segment(self, name: str, state: SegmentState, access: int) -> None:
        self.write(f"{name}_selector", state.selector)
        self.write(f"{name}_base", state.base)
        self.write(f"{name}_limit", state.limit)
        self.write(f"{name}_access", access)


@lru_cache(_REMEMBERED)
def _state(selector: int, base: int, limit: int, access: int) -> SegmentState:
    """Of the fields of a segment register, which has the same few values time and again."""
    return SegmentState(selector, base, limit, 0 if access & UNUSABLE else access)


def access_of(state: SegmentState) -> int:
    """Access rights as the structure has them: a null segment is marked, not merely absent."""
    return state.access if state.access & AR_P else UNUSABLE | state.access
