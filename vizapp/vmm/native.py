"""The bare machine: no monitor, the guest owns everything. The yardstick for every other technique."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, GuestPhysical, HostPhysical, Linear
from vizapp.isa.registers import CS
from vizapp.machine import real_mode
from vizapp.machine.places import APPLICATION, GUEST_KERNEL, Place
from vizapp.messages import N_, Message
from vizapp.vmm.base import CpuView, Devices, Options, Ownership, SoftwareOnly
from vizapp.vmm.frame_allocator import FrameRange
from vizapp.vmm.guest_start import start_bare
from vizapp.vmm.processor_view import cpu_view, read_linear
from vizapp.vmm.sole_guest import SoleGuest
from vizapp.vmm.stage import StageWorld, bare_stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.cpu import Cpu
    from vizapp.machine.image import Image
    from vizapp.machine.input_log import Input
    from vizapp.machine.pc import Pc

OWNER: Final = "vm0"
_KERNEL: Final = tuple(Place(ring=ring, component=GUEST_KERNEL) for ring in range(3))
_PLACES: Final = (*_KERNEL, Place(ring=3, component=APPLICATION))
_IN_PROCESSOR: Final = Message(N_("in the processor"))


class NativeMonitor(SoftwareOnly):
    """What stands where a monitor would: it has no phases and no state, and both truths are one."""

    def __init__(self, pc: Pc) -> None:
        self._pc = pc
        self.devices = Devices(pc.pic, pc.pit, pc.uart, pc.screen, pc.board)
        self.vms = (SoleGuest(pc, self.devices),)
        self.current = 0
        self.on_input: Callable[[int, Input], None] | None = None

    def run_phase(self, name: str) -> str | None:
        """There are no doors, so there is nothing to run."""
        raise ValueError(f"the bare machine has no phase {name}")

    def save(self) -> None:
        """Nothing is kept."""

    def load(self, saved: None) -> None:
        """Nothing is kept."""

    def place_of(self, cpu: Cpu) -> Place:
        """The kernel in rings 0 to 2, applications in ring 3."""
        return _PLACES[cpu.cpl]

    def stage(self) -> tuple[StageWorld, ...]:
        """Kernel and applications."""
        return bare_stage()

    def guest_view(self, vm: int = 0) -> CpuView:
        """The processor."""
        code = self._pc.cpu.segments[CS]
        view = cpu_view(self._pc.cpu, _IN_PROCESSOR)
        return view._replace(code_base=code.base, code_bits=32 if code.big else 16)

    def processor_view(self, vm: int = 0) -> CpuView:
        """The same."""
        return self.guest_view()

    def guest_translate(self, linear: Linear, vm: int = 0) -> GuestPhysical | None:
        """Through the guest's tables, or what the TLB remembers of them."""
        frame = self._pc.mmu.probe(linear)
        return None if frame is None else GuestPhysical(frame << PAGE_SHIFT | linear & PAGE_MASK)

    def processor_translate(self, linear: Linear, vm: int = 0) -> HostPhysical | None:
        """The same."""
        found = self.guest_translate(linear)
        return None if found is None else HostPhysical(found)

    def guest_physical(self, address: GuestPhysical, vm: int = 0) -> HostPhysical | None:
        """The same address, if there is memory."""
        return HostPhysical(address) if address < self._pc.memory.size else None

    def guest_read(self, linear: Linear, count: int, vm: int = 0) -> bytes | None:
        """What is there."""
        return read_linear(self._pc.memory, self.processor_translate, linear, count)

    def ownership(self) -> Ownership:
        """Everything is the guest's."""
        devices = (FrameRange(frame, 1, OWNER) for frame in sorted(self._pc.mmu.mmio.frames))
        return Ownership(
            (FrameRange(0, self._pc.memory.frames, OWNER), *devices),
            ((0, 0xFFFF, OWNER),),
            tuple((line, OWNER) for line in range(16)),
        )


class Native:
    """Runs a guest on the bare machine."""

    name = "native"
    title = Message(N_("Native"))
    build = "native"
    claims_equivalence = True

    def host_memory(self, options: Options) -> int:
        """The guest's memory is the machine's."""
        return options.memory

    def start(self, pc: Pc, image: Image, options: Options) -> NativeMonitor:
        """Load the image and point the processor at its entry, or at the reset vector."""
        start_bare(pc.memory, pc.cpu, options.memory, image)
        if image.rom:
            pc.on_reset = lambda: real_mode.power_on(pc.cpu)
        monitor = NativeMonitor(pc)
        pc.monitor = monitor
        pc.place_of = monitor.place_of
        return monitor
