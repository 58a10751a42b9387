"""The parts of a PC and the wires between them; what makes them move is in ``pc``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vizapp.isa.addresses import M32, PAGE_MASK, PAGE_SHIFT, HostPhysical, Linear
from vizapp.isa.registers import CR0_AM, CR4_PVI, CR4_VME, CS
from vizapp.machine import events
from vizapp.machine.board import Board
from vizapp.machine.code_cache import CodeCache
from vizapp.machine.cpu import Cpu
from vizapp.machine.debug import ENABLED, WatchedImplicit, WatchedSpace, is_watched
from vizapp.machine.decoded import Decoded
from vizapp.machine.events import Event, Payload, make_event
from vizapp.machine.fast_maps import NO_RING, RINGS
from vizapp.machine.features import Features
from vizapp.machine.hot_blocks import HotBlocks
from vizapp.machine.identity import FEATURE_APIC, Identity, with_fpu, with_large_pages
from vizapp.machine.implicit_access import ImplicitAccess
from vizapp.machine.memory import PhysicalMemory
from vizapp.machine.meter import Meter
from vizapp.machine.mmu import Mmu
from vizapp.machine.mp_tables import MP_BASE, mp_tables
from vizapp.machine.passages import Passages
from vizapp.machine.peripherals import Peripherals
from vizapp.machine.places import APPLICATION, GUEST_KERNEL, Place
from vizapp.machine.segments import SegmentState
from vizapp.machine.virtualization import unit_for
from vizapp.messages import Message

_SHOWN_BYTES = 8
_BARE_PLACES = tuple(
    Place(ring=ring, component=APPLICATION if ring == 3 else GUEST_KERNEL) for ring in range(RINGS)
)


def bare_place(cpu: Cpu) -> Place:
    """Where a processor without a monitor is."""
    return _BARE_PLACES[cpu.cpl]


class Hardware:
    """Processor, memory, devices and the meter; with ``features`` a full PC.

    Attributes:
        position: steps done. An event's position is that of the step that made it.
        instructions: guest instructions retired; a repeated one counts once.
        emulated: those of them that a monitor has done in the guest's stead.
        listener: told of each event.
        marks_by_vm: whose the ``marks`` are, by virtual machine, if there are several.
        guest_address: the guest EIP that an EIP of the processor stands for, where translations run.
        guest_next: the linear address of the guest instruction whose translation begins here, if one does.
        guest_state: EIP and general registers of the guest whose translation the processor runs, if it does.
        read_time: (source, value) -> the value that guest code gets instead; sources are ``tsc`` and the
            timer's.
    """

    def __init__(
        self,
        prices: Mapping[str, int],
        memory_bytes: int,
        hertz: int,
        identity: Identity,
        features: Features | None = None,
    ) -> None:
        self.hertz = hertz
        self.position = 0
        self.instructions = 0
        self.emulated = 0
        self.listener: Callable[[Event], None] | None = None
        self.read_time: Callable[[str, int], int] | None = None
        self.guest_address: Callable[[int], int] | None = None
        self.guest_next: Callable[[], int | None] | None = None
        self.guest_state: Callable[[], tuple[int, ...] | None] | None = None
        self.meter = Meter(prices)
        self.memory = PhysicalMemory(memory_bytes)
        self.mmu = Mmu(self.memory, self.meter)
        self.board = Board(
            self.memory.dump, hertz, lambda: self.meter.cycles, lambda: self.meter.place, self._timed
        )
        self.pic, self.pit = self.board.pic, self.board.pit
        self.uart, self.screen = self.board.uart, self.board.screen
        if features is not None:
            identity = self._equip(features, identity)
        self.mmu.pse36 = identity.has_pse36
        self.code = CodeCache(self.memory, self.mmu)
        self.blocks = HotBlocks(self.memory, self.mmu, self.code, self.meter)
        self._implicit = ImplicitAccess(self.mmu)
        self.cpu = Cpu(self.mmu, self.board, implicit=self._implicit, identity=identity, tsc=self._tsc)
        self.cpu.unit = unit_for(identity, self.memory, self.mmu, self._acknowledge)
        self._watched = WatchedSpace(self.mmu)
        self._watched_implicit = WatchedImplicit(self._implicit)
        self._watched.cpu = self._watched_implicit.cpu = self.cpu
        self.cpu.read_physical = self.mmu.read_physical
        self.cpu.passages = self._passages = Passages(self.mmu.readable[NO_RING], self.mmu.writable[NO_RING])
        self.cpu.charge = self.meter.pay
        self.cpu.notify = self._notify
        self.cpu.mode_changed = self._mode_changed
        self.cpu.ring_changed = self._ring_changed
        self.mmu.on_switched.append(self._switched)
        self.marks_by_vm: dict[int, Mapping[Linear, str]] = {}
        self._on_access: Callable[[Place, int, int, bool], None] | None = None
        self._left: Place | None = None  # the place that this step has left
        self._control: tuple[int, int, int, tuple[int, ...]] = (0, 0, 0, ())  # as the MMU has them
        self._guarded_rings = False
        self._place_of: Callable[[Cpu], Place] = bare_place
        # By ring: the code segment last used there, and its part of the decoded code.
        self._code_of: list[tuple[SegmentState | None, dict[int, Decoded]]] = [(None, {})] * RINGS
        self._mode_changed()
        self.meter.enter(bare_place(self.cpu))

    @property
    def place_of(self) -> Callable[[Cpu], Place]:
        """Says where the processor is; asked whenever its mode changes."""
        return self._place_of

    @place_of.setter
    def place_of(self, place_of: Callable[[Cpu], Place]) -> None:
        self._place_of = place_of
        self.code.unlink()
        self._mode_changed()
        self.meter.enter(place_of(self.cpu))
        self._left = None

    @property
    def marks(self) -> Mapping[Linear, str]:
        """Progress marks of guest code by linear address."""
        return self.code.marks

    @marks.setter
    def marks(self, marks: Mapping[Linear, str]) -> None:
        self.code.marks = marks
        self.code.unlink()
        self.blocks.forget()

    @property
    def on_access(self) -> Callable[[Place, int, int, bool], None] | None:
        """Told (place, linear page, frame, write) before a ring first uses a page, and at times again."""
        return self._on_access

    @on_access.setter
    def on_access(self, call: Callable[[Place, int, int, bool], None] | None) -> None:
        self._on_access = call
        self.mmu.on_fill = None if call is None else self._filled
        self.mmu.drop_maps()
        self.code.unlink()

    @property
    def on_port(self) -> Callable[[Place, int, int, bool, int], None] | None:
        """Told (place, port, size, write, value) after each access to a port by the processor."""
        return self.board.on_port

    @on_port.setter
    def on_port(self, call: Callable[[Place, int, int, bool, int], None] | None) -> None:
        self.board.on_port = call

    @property
    def interrupts_blocked(self) -> bool:
        """Whether the devices' interrupts are not delivered and time does not reach them."""
        return self.board.frozen

    @interrupts_blocked.setter
    def interrupts_blocked(self, blocked: bool) -> None:
        self.board.frozen = blocked

    def emit(
        self,
        kind: str,
        cause: str,
        payload: Payload,
        source: Place | None = None,
        target: Place | None = None,
    ) -> None:
        """Tell of an event of this step, with the charges made since the last one; places default to here."""
        charges = self.meter.take_charges()
        if self.listener is not None:
            here, cycles = self.meter.place, self.meter.cycles
            event = Event(
                self.position, cycles, kind, source or here, target or here, cause, payload, charges
            )
            self.listener(event)

    def count_emulated(self, linear: Linear | None = None, vm: int | None = None) -> None:
        """A monitor has done a guest instruction, the one at ``linear``, in the stead of ``vm``'s guest."""
        self.instructions += 1
        self.emulated += 1
        if linear is not None and linear in self.marks:
            self.pass_mark(linear, vm)

    def pass_mark(self, linear: Linear, vm: int | None = None) -> None:
        """The guest instruction at a progress mark has retired, in ``vm`` (None: where the processor is).

        With several guests a mark counts only in those whose own it is.
        """
        number = self.meter.place.vm if vm is None else vm
        label = self.marks_by_vm.get(number, self.marks).get(linear)
        if label is None:
            return
        payload: dict[str, int | str] = {"label": label, "instructions": self.instructions}
        if self.marks_by_vm:
            payload["vm"] = number
        self.emit(events.MARK_PASSED, label, payload)

    def whereabouts(self) -> dict[str, str | int | float | Message]:
        """EIP and the bytes there, for sentences, found without touching anything."""
        linear = self.cpu.segments[CS].base + self.cpu.eip & M32
        frame = self.mmu.probe(linear)
        raw = b""
        if frame is not None and frame < self.memory.frames:
            host = HostPhysical(frame << PAGE_SHIFT | linear & PAGE_MASK)
            raw = self.memory.dump(host, _SHOWN_BYTES)
        return {"address": f"{linear:#010x}", "bytes": raw.hex(" ") or "?"}

    def _equip(self, features: Features, identity: Identity) -> Identity:
        """Make it a full PC; what its processor then says of itself."""

        def set_a20(enabled: bool) -> None:
            self.mmu.a20 = enabled

        size, mmio = self.memory.size, self.mmu.mmio
        self.board.attach(Peripherals(features, self.board, self.memory, size, mmio, set_a20, self._timed))
        if features.large_pages:
            identity = with_large_pages(identity)
        if features.fpu:
            identity = with_fpu(identity)
        if not features.apic:
            return identity
        identity = identity.with_features(FEATURE_APIC)
        leaf = identity.leaf(1)
        self.memory.load(MP_BASE, mp_tables(MP_BASE, leaf.eax, leaf.edx))
        return identity

    def _notify(self, kind: str, cause: str, payload: Payload) -> None:
        meter, source, self._left = self.meter, self._left, None
        charges = meter.take_charges()
        if self.listener is not None:
            here = meter.place
            self.listener(
                make_event((
                    self.position, meter.cycles, kind, source or here, here, cause, payload, charges
                ))
            )  # fmt: skip

    def _mode_changed(self) -> None:
        cpu = self.cpu
        control = (cpu.cr0, cpu.cr3, cpu.cr4, cpu.pointers)
        if control != self._control:
            self._control = control
            self.mmu.configure(*control)
            # By these bits CPL decides whether the processor is watched.
            self._guarded_rings = bool(cpu.cr0 & CR0_AM or cpu.cr4 & (CR4_VME | CR4_PVI))
        self._ring_changed()

    def _switched(self, tag: int) -> None:
        """The processor is in another address space; its mode follows."""
        cpu, mmu = self.cpu, self.mmu
        cpu.readable, cpu.writable = mmu.readable[cpu.cpl], mmu.writable[cpu.cpl]
        self._implicit.follow()
        self._passages.use(mmu.readable[NO_RING], mmu.writable[NO_RING])
        self._code_of = [(None, {})] * RINGS

    def _ring_changed(self) -> None:
        cpu, mmu = self.cpu, self.mmu
        mmu.ring = cpl = cpu.cpl
        cpu.readable, cpu.writable = mmu.readable[cpl], mmu.writable[cpl]
        if cpu.watched or cpu.debug[7] & ENABLED or self._guarded_rings:
            cpu.watched = watched = is_watched(cpu)
            cpu.space = self._watched if watched else mmu
            cpu.implicit = self._watched_implicit if cpu.debug[7] & ENABLED else self._implicit
            if watched:
                cpu.readable, cpu.writable = {}, {}
        segment = cpu.segments[CS]
        known, hot = self._code_of[cpl]
        if segment is known:
            self.code.hot = hot
        else:
            self.code.select(cpu)
            self._code_of[cpl] = segment, self.code.hot
        place, here = self._place_of(cpu), self.meter.place
        if place is not here and place != here:
            if self._left is None:
                self._left = here
            self.meter.enter(place)

    def _filled(self, linear: int, frame: int, write: bool) -> None:
        assert self._on_access is not None
        self._on_access(self.meter.place, linear, frame, write)

    def _acknowledge(self) -> int:
        return self.board.interrupts.acknowledge()

    def _timed(self, source: str, value: int) -> int:
        if self.read_time is None or not self.meter.place.is_guest:
            return value
        return self.read_time(source, value)

    def _tsc(self) -> int:
        return self._timed("tsc", self.meter.cycles)
