"""The virtual CPU while the monitor has it: as much of it as a phase has asked for, and no more.

After an exit the guest's registers are in three places: EAX to EDI where the stub pushed them, most others
in the VMCS or VMCB, the rest (CR2, DR0-DR3, DR6, the floating-point unit) still in the processor, which the
monitor does not use. ``take`` brings a part of them to ``cpu``, an object of the machine's own processor
class on the guest's memory and the guest's devices, so that what the monitor does for the guest it does by
the processor's own rules. ``give_back`` writes what has changed.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import HostPhysical
from vizapp.isa.registers import CR0_PG, CR4_PAE, EFLAGS_RF
from vizapp.machine.cpu_state import load_cpu, save_cpu
from vizapp.machine.page_tables import read_pointers

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.cpu import Cpu
    from vizapp.machine.pc import Pc
    from vizapp.vmm.guest_mmu import GuestMmu
    from vizapp.vmm.hardware_assisted.control_structure import ControlStructure

GENERAL: Final = "general"
SEGMENTS: Final = "segments"
TABLES: Final = "tables"
CONTROL: Final = "control"
REGISTERS: Final = "registers"  # SYSENTER's, DR7
RESIDUE: Final = "residue"  # what stays in the processor: CR2, DR0-DR3, DR6, the floating-point unit
EVERYTHING: Final = (CONTROL, GENERAL, SEGMENTS, TABLES, REGISTERS, RESIDUE)

# As PUSHA leaves them, from the lowest address on: EDI ESI EBP (ESP) EBX EDX ECX EAX.
_PUSHED: Final = Struct("<8I")
PUSHED_BYTES: Final = _PUSHED.size


class VirtualCpu:
    """One virtual CPU.

    Attributes:
        cpu: its registers, those that are held; its space and ports are the guest's own.
        structure: its VMCS or VMCB.
        held: which parts of it ``cpu`` has.
        pushed_at: host-physical address of the general registers that the exit stub has pushed.
    """

    def __init__(
        self,
        pc: Pc,
        cpu: Cpu,
        mmu: GuestMmu,
        structure: ControlStructure,
        pushed: HostPhysical,
        charge: Callable[[str, int], None],
    ) -> None:
        self.cpu = cpu
        self.structure = structure
        self.held: tuple[str, ...] = ()
        self._pc = pc
        self._mmu = mmu
        self.pushed_at = pushed
        self._charge = charge
        self._parked = False  # CR2 and the like are here and not in the processor

    def after_exit(self) -> None:
        """The guest has run: nothing is held any more."""
        self.held = ()
        self.structure.after_exit()
        self.cpu.halted = self.cpu.single_step = False

    def take(self, *parts: str) -> Cpu:
        """Hold these parts too."""
        for part in parts:
            if part not in self.held:
                self.held = (*self.held, part)
                _TAKE[part](self)
        return self.cpu

    def hold_everything(self) -> Cpu:
        """Hold all of it: for an instruction that may use any register."""
        return self.take(*EVERYTHING)

    def give_back(self) -> None:
        """Put what is held where the processor will find it."""
        for part in self.held:
            _GIVE[part](self)

    def park(self) -> None:
        """Another virtual CPU gets the processor: take what is only there."""
        self.take(RESIDUE)
        self._parked = True

    def unpark(self) -> None:
        """This one gets the processor again."""
        if self._parked:
            self._parked = False
            self._give_residue()

    def peek(self) -> Any:
        """The whole state as the guest would see it, whatever is held, without paying: see ``save_cpu``."""
        saved = save_cpu(self.cpu)
        held = self.held
        if GENERAL not in held:
            self._read_pushed()
        self.structure.peek_state(self.cpu)
        state = save_cpu(self.cpu)
        load_state(self.cpu, saved)
        parts: dict[str, Any] = {}
        if GENERAL in held:
            parts.update(general=saved.general, eip=saved.eip, eflags=saved.eflags, cpl=saved.cpl)
        if SEGMENTS in held:
            parts.update(segments=saved.segments, cpl=saved.cpl)
        if TABLES in held:
            parts.update(gdtr=saved.gdtr, idtr=saved.idtr, ldtr=saved.ldtr, tr=saved.tr)
        control = saved.control if CONTROL in held else state.control
        cr2 = self.cpu.cr2 if RESIDUE in held or self._parked else self._pc.cpu.cr2
        parts["control"] = (control[0], cr2, control[2], control[3])
        return state._replace(**parts)

    def save(self) -> Any:
        """Everything outside machine memory, as plain data."""
        return save_cpu(self.cpu), self.structure.save(), self.held, self._parked

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        state, structure, self.held, self._parked = saved
        self.structure.load(structure)
        load_cpu(self.cpu, state)

    def _read_pushed(self) -> None:
        cpu = self.cpu
        cpu.edi, cpu.esi, cpu.ebp, _, cpu.ebx, cpu.edx, cpu.ecx, cpu.eax = _PUSHED.unpack(
            self._pc.memory.dump(self.pushed_at, PUSHED_BYTES)
        )

    def _take_general(self) -> None:
        self._read_pushed()
        self.structure.read_general(self.cpu)  # EAX too, if the structure has it
        # RF was set by the exit where the instruction is to be restarted; its handler decides anew.
        self.cpu.eflags &= ~EFLAGS_RF

    def _give_general(self) -> None:
        cpu = self.cpu
        pushed = _PUSHED.pack(cpu.edi, cpu.esi, cpu.ebp, 0, cpu.ebx, cpu.edx, cpu.ecx, cpu.eax)
        # What the structure has besides, the stub does not take from here: EAX, the last.
        self._pc.memory.load(self.pushed_at, pushed[: PUSHED_BYTES - 4 * len(self.structure.general_here)])
        self.structure.write_general(cpu)

    def _take_control(self) -> None:
        cpu = self.cpu
        self.structure.read_control(cpu)
        if cpu.cr0 & CR0_PG and cpu.cr4 & CR4_PAE:
            self._charge("mon_memory_reference", 4)
            cpu.pointers = read_pointers(self._mmu.memory, cpu.cr3) or cpu.pointers
        requested = self._mmu.flush_requested
        cpu.mode_changed()
        self._mmu.flush_requested = requested  # what the guest did by itself, the processor has followed

    def _give_control(self) -> None:
        self.structure.write_control(self.cpu)

    def _take_residue(self) -> None:
        cpu, real = self.cpu, self._pc.cpu
        if not self._parked:
            self._charge("mon_instruction", 6)
            cpu.cr2, cpu.fpu = real.cr2, real.fpu
            cpu.debug[:7] = real.debug[:7]

    def _give_residue(self) -> None:
        cpu, real = self.cpu, self._pc.cpu
        if not self._parked:
            self._charge("mon_instruction", 6)
            real.cr2, real.fpu = cpu.cr2, cpu.fpu
            real.debug[:7] = cpu.debug[:7]
            self.structure.write_residue(cpu)


def load_state(cpu: Cpu, state: Any) -> None:
    """As ``load_cpu``, telling nobody that the mode has changed: it has not."""
    told, cpu.mode_changed = cpu.mode_changed, _nothing
    load_cpu(cpu, state)
    cpu.mode_changed = told


def _nothing() -> None:
    """The mode is as before."""


_TAKE: Final[dict[str, Callable[[VirtualCpu], None]]] = {
    GENERAL: VirtualCpu._take_general,
    SEGMENTS: lambda virtual: virtual.structure.read_segments(virtual.cpu),
    TABLES: lambda virtual: virtual.structure.read_tables(virtual.cpu),
    CONTROL: VirtualCpu._take_control,
    REGISTERS: lambda virtual: virtual.structure.read_registers(virtual.cpu),
    RESIDUE: VirtualCpu._take_residue,
}
_GIVE: Final[dict[str, Callable[[VirtualCpu], None]]] = {
    GENERAL: VirtualCpu._give_general,
    SEGMENTS: lambda virtual: virtual.structure.write_segments(virtual.cpu),
    TABLES: lambda virtual: virtual.structure.write_tables(virtual.cpu),
    CONTROL: VirtualCpu._give_control,
    REGISTERS: lambda virtual: virtual.structure.write_registers(virtual.cpu),
    RESIDUE: VirtualCpu._give_residue,
}
