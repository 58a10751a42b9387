"""The virtual CPU of a translating monitor: on the processor for applications, in the cache for a kernel.

In direct execution the processor holds it as under trap-and-emulate. In the translation cache CS and GS are
the monitor's and EIP is the cache's; the virtual IF is in the monitor segment, and the spot of the cache's
instruction says what else is not in its register.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.registers import (
    CS,
    EFLAGS_IF,
    EFLAGS_IOPL,
    EFLAGS_RF,
    EFLAGS_TF,
    FS,
    GS,
    SS,
)
from vizapp.vmm import deprivilege, stubs
from vizapp.vmm.binary_translation.cache import Key
from vizapp.vmm.binary_translation.layout import CODE_SELECTOR, DOOR_VECTOR, SEGMENT_SELECTOR
from vizapp.vmm.binary_translation.sequences import DOOR
from vizapp.vmm.binary_translation.spots import Spot
from vizapp.vmm.processor_view import set_general
from vizapp.vmm.trap_and_emulate.virtual_cpu import VIRTUAL_FLAGS, VirtualCpu

if TYPE_CHECKING:
    from vizapp.vmm.binary_translation.cache import TranslationCache
    from vizapp.vmm.binary_translation.monitor_segment import MonitorSegment
    from vizapp.vmm.trap_frame import SavedRegisters, TrapFrame

DIRECT: Final = "direct"
TRANSLATED: Final = "translated"
INTERPRETED: Final = "interpreted"


class TranslatedCpu(VirtualCpu):
    """One virtual CPU.

    Attributes:
        cache: its translations; ``segment`` is what they see of it.
        spot: where in the cache the last trap came from; None: it came from direct execution.
        unit: the unit that was run last.
    """

    cache: TranslationCache
    segment: MonitorSegment
    spot: Spot | None = None
    unit: int = -1

    @property
    def mode(self) -> str:
        """How the guest goes on.

        Applications run directly, but not where the processor would show another IF or IOPL than theirs;
        32-bit code of ring 0 runs translated; what is neither, or is being single-stepped in ring 0, the
        monitor runs for the guest, one instruction at a time.
        """
        cpu = self.cpu
        if cpu.cpl == 3:
            direct = cpu.eflags & EFLAGS_IF and cpu.eflags & EFLAGS_IOPL != EFLAGS_IOPL
            return DIRECT if direct and self.reversible else INTERPRETED
        plain = cpu.cpl == 0 and cpu.segments[CS].big and cpu.segments[SS].usable and cpu.segments[SS].big
        if plain and not cpu.eflags & EFLAGS_TF and cpu.eip <= cpu.segments[CS].limit:
            return TRANSLATED
        return INTERPRETED

    @property
    def reversible(self) -> bool:
        """Whether every segment register has what its selector would load again."""
        self.refresh()
        for index, state in enumerate(self.cpu.segments):
            if not state.usable:
                continue
            selector = state.selector
            if index in (CS, SS):
                selector = deprivilege.selector(selector, self.cpu.cpl)
            if self.shadowed(selector) != self.held_descriptor(state):
                return False
        return True

    @property
    def key(self) -> Key:
        """What the translation of the next instruction goes by."""
        code = self.cpu.segments[CS]
        return Key(self.cpu.eip, code.base, code.limit)

    def capture(self, frame: TrapFrame) -> None:
        """Take the guest's state out of the frame of a trap, from the cache or from direct execution."""
        saved = frame.read()
        if saved.cs != CODE_SELECTOR:
            self.spot, self.unit = None, -1
            super().capture(frame)
            return
        cpu = self.cpu
        spot = self.spot_of(saved.eip, saved.entry_vector)
        set_general(cpu, saved.general)
        cpu.eflags = saved.eflags & ~(VIRTUAL_FLAGS | EFLAGS_RF) | cpu.eflags & VIRTUAL_FLAGS
        self.segment.restore(cpu, spot)
        self._propagate_accessed()
        cpu.shadow = spot.shadow or cpu.eip == self._shadowed_at
        cpu.halted = cpu.single_step = False
        self.spot, self.unit = spot, spot.unit

    def spot_of(self, eip: int, vector: int) -> Spot:
        """The spot at which a trap has left ``eip``: the door's instruction is behind it, others before."""
        offset = eip - self.cache.base
        return self.cache.spots[offset - len(DOOR) if vector == DOOR_VECTOR else offset]

    def commit_translated(self, frame: TrapFrame, offset: int, *, pending: bool) -> int:
        """Put the guest's state into the frame, to go on in the cache; the exit of ``stubs`` to take."""
        cpu = self.cpu
        self.refresh()
        self.segment.show(cpu, pending=pending)
        placed = [
            (SEGMENT_SELECTOR, b"") if index == GS else self._place(index, state)
            for index, state in enumerate(cpu.segments)
        ]
        selectors = tuple(selector for selector, _ in placed)
        descriptors = tuple(descriptor for _, descriptor in placed)
        saved: SavedRegisters = frame.read()
        reload = (
            self.reload
            or saved.gs != SEGMENT_SELECTOR
            or saved.fs != selectors[FS]
            or descriptors[FS] != self._descriptors[FS]
        )
        es, _, ss, ds, fs, gs = selectors
        frame.write(
            saved._replace(
                eax=cpu.eax, ecx=cpu.ecx, edx=cpu.edx, ebx=cpu.ebx, ebp=cpu.ebp, esi=cpu.esi, edi=cpu.edi,
                eip=self.cache.base + offset, esp=cpu.esp, eflags=cpu.eflags & ~VIRTUAL_FLAGS | EFLAGS_IF,
                es=es, cs=CODE_SELECTOR, ss=ss, ds=ds, fs=fs, gs=gs,
            )
        )  # fmt: skip
        self.reload = False
        self.selectors, self._descriptors = selectors, descriptors
        self._shadowed_at = cpu.eip if cpu.shadow else -1
        return stubs.EXIT_ALL if reload else stubs.EXIT

    def save(self) -> Any:
        """Everything outside machine memory, as plain data."""
        return super().save(), self.spot, self.unit, self.segment.save(), self.cache.save()

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        state, self.spot, self.unit, segment, cache = saved
        super().load(state)
        self.segment.load(segment)
        self.cache.load(cache)
