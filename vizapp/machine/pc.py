"""The PC: one processor with its memory and devices, run step by step or as fast as it goes.

A step is one instruction retired (or one iteration of a repeated one), one delivery of an interrupt or an
exception, one phase of a monitor, or the end of the run. Running is nothing but stepping without a look
between the steps, so both give the same states and the same events.

A monitor is reached through doors: addresses in its own pages that the hardware leads to. When the processor
is about to fetch there, phases run instead, each naming the next, until one leaves the processor to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from vizapp.isa import vectors
from vizapp.isa.addresses import PAGE_SIZE
from vizapp.isa.registers import EFLAGS_IF, EFLAGS_TF
from vizapp.machine import events
from vizapp.machine.clock import NEVER
from vizapp.machine.cpu import Cpu
from vizapp.machine.cpu_state import load_cpu, save_cpu
from vizapp.machine.debug import due as due_trap
from vizapp.machine.debug import is_held
from vizapp.machine.decoded import BRANCH
from vizapp.machine.doors import PhaseRunner
from vizapp.machine.faults import Fault, Shutdown, TripleFault, Unimplemented
from vizapp.machine.features import Features
from vizapp.machine.guest_mode import GuestMode, VmExit
from vizapp.machine.identity import PENTIUM_4, Identity
from vizapp.machine.memory import MemorySnapshot
from vizapp.machine.outside import Outside
from vizapp.machine.peripherals import NMI, Peripherals
from vizapp.messages import N_, Message

NOTHING_COMES: Final = Message(N_("the processor halted, and no interrupt that could wake it is coming"))


class Pc(Outside):
    """One machine.

    ``prices`` are cycles by input, ``memory_bytes`` whole pages, ``hertz`` cycles a second; ``features`` make
    it a full PC.

    Attributes:
        stopped: why the run is over: (reason, sentence). Reasons: halted, shutdown, crashed, and what a
            monitor gives to ``stop``.
        monitor: whose phases run behind the doors.
        on_reset: what the reset line of a full PC does; without it, it ends the run (reason shutdown).
    """

    def __init__(
        self,
        prices: Mapping[str, int],
        memory_bytes: int,
        hertz: int,
        identity: Identity = PENTIUM_4,
        features: Features | None = None,
    ) -> None:
        super().__init__(prices, memory_bytes, hertz, identity, features)
        self.stopped: tuple[str, Message] | None = None
        self.monitor: PhaseRunner | None = None
        self.on_reset: Callable[[], None] | None = None

    def step(self) -> None:
        """Do one step; nothing once the machine has stopped."""
        self.pause_requested = False
        try:
            plain = self.stopped is None and self._step_plainly()
        except (Fault, VmExit, Unimplemented, TripleFault, Shutdown) as interruption:
            self._interrupted(interruption)
        else:
            if not plain:
                self.run(max_steps=1)

    def run(
        self,
        max_steps: int | None = None,
        until_cycle: int | None = None,
        until_instruction: int | None = None,
    ) -> None:
        """Do steps until a bound is reached, the machine stops, or a pause is requested.

        Returns too when the processor waits and ``interrupts_blocked`` forbids what would wake it, or for an
        input.
        """
        last = NEVER if max_steps is None else self.position + max_steps
        cycle = NEVER if until_cycle is None else until_cycle
        instruction = NEVER if until_instruction is None else until_instruction
        while (
            self.stopped is None
            and not self.pause_requested
            and self.position < last
            and self.meter.cycles < cycle
            and self.instructions < instruction
        ):
            if self.cpu.halted and self.board.frozen and self.phase is None:
                return
            if self.awaits:
                if not self.attended:
                    self._awaits = ()
                    self._end("halted", NOTHING_COMES)
                return
            self._left = None
            if self.inputs.due <= self.position:
                self._take_inputs()
            try:
                self._turn(min(last, self.inputs.due), cycle, instruction)
            except (Fault, VmExit, Unimplemented, TripleFault, Shutdown) as interruption:
                self._interrupted(interruption)

    def stop(self, reason: str, message: Message) -> None:
        """End the run, for good."""
        if self.stopped is None:
            self.stopped = (reason, message)
            self.emit(events.MACHINE_STOPPED, reason, {"reason": reason})

    def inject(self, vector: int) -> bool:
        """Deliver an interrupt as if its line had risen now: one step. False if the PIC would not pass it."""
        if not self.board.request(vector):
            return False
        self._interrupt(vector)
        return True

    def save(self) -> dict[str, Any]:
        """The whole machine as data that later runs do not change."""
        return {
            "position": self.position,
            "instructions": self.instructions,
            "emulated": self.emulated,
            "stopped": self.stopped,
            "awaits": self._awaits,
            "inputs": self.inputs.done,
            "phase": self.phase,
            "arrival": self._arrival,
            "cpu": save_cpu(self.cpu),
            "unit": None if self.cpu.unit is None else self.cpu.unit.save(),
            "tlb": self.mmu.save(),
            "memory": self.memory.snapshot(),
            "meter": self.meter.save(),
            "board": self.board.save(),
            "monitor": None if self.monitor is None else self.monitor.save(),
        }

    @staticmethod
    def weigh(older: Mapping[str, Any], newer: Mapping[str, Any]) -> int:
        """How many bytes of memory one saved machine keeps that another does not keep too."""
        memory: MemorySnapshot = newer["memory"]
        return memory.unshared(older["memory"]) * PAGE_SIZE

    def load(self, saved: Mapping[str, Any]) -> None:
        """Become the machine that ``save`` saw."""
        self.position, self.instructions = saved["position"], saved["instructions"]
        self.emulated, self._awaits = saved["emulated"], saved["awaits"]
        self.stopped, self.phase, self._arrival = saved["stopped"], saved["phase"], saved["arrival"]
        self.inputs.seek(saved["inputs"])
        self.memory.restore(saved["memory"])
        if self.monitor is not None:
            self.monitor.load(saved["monitor"])
        if self.cpu.unit is not None:
            self.cpu.unit.load(self.cpu, saved["unit"])
        load_cpu(self.cpu, saved["cpu"])
        self.mmu.load(saved["tlb"])
        # After the processor, whose change of mode has entered a place.
        self.meter.load(saved["meter"])
        self.board.load(saved["board"])
        self.code.revalidate()
        self.blocks.revalidate()
        self._left = None

    def _interrupted(self, interruption: Exception) -> None:
        """What came of a step instead of what it was to do."""
        match interruption:
            case VmExit():
                self._leave(interruption)
            case Fault():
                self._guarded(partial(self.cpu.take, interruption))
            case Unimplemented():
                self._end("crashed", self._where(interruption.message))
            case TripleFault():
                self._triple_fault(interruption)
            case Shutdown():
                self._end("shutdown", self._where(interruption.message))

    def _step_plainly(self) -> bool:
        """Do one step if it is a known instruction and nothing comes before it; else do nothing.

        This is ``_turn`` and ``_execute`` for what nearly every single step is.
        """
        cpu, meter, board = self.cpu, self.meter, self.board
        found = self.code.hot.get(cpu.eip)
        if (
            found is None
            or found[2] & ~BRANCH
            or self.phase is not None
            or self._arrival is not None
            or self.inputs.due <= self.position
            or (meter.cycles >= board.clock.due and not board.frozen)
            or (board.interrupts.intr and cpu.system_flags & EFLAGS_IF)
            or cpu.system_flags & EFLAGS_TF
            or cpu.single_step
            or cpu.traps
            or cpu.halted
            or cpu.shadow
            or cpu.watched
            or cpu.nmi_pending
            or cpu.guest_mode is not None
            or (board.peripherals is not None and board.peripherals.signal is not None)
        ):
            return False
        self._left = None
        run, price, _, _, _ = found
        run(cpu)
        meter.counts[price] += 1
        meter.cycles += meter.prices[price]
        if meter.place.is_guest:
            self.instructions += 1
            if self._heat is not None:
                self._heat[cpu.eip] = self._heat.get(cpu.eip, 0) + 1
            if self.on_retired is not None:
                self.on_retired()
        self.position += 1
        return True

    def _turn(self, last: int, cycle: int, instruction: int) -> None:
        """One step of a kind that has to be chosen, or instructions until the next such choice."""
        cpu = self.cpu
        if self.phase is not None:
            self._run_phases(last, cycle, instruction)
            return
        if cpu.guest_mode is not None:
            cpu.guest_mode.shadowed = cpu.shadow
        self.board.advance()
        peripherals = self.board.peripherals
        if peripherals is not None and peripherals.signal is not None:
            self._take_signal(peripherals)
        elif (cpu.single_step or cpu.traps) and not is_held(cpu):
            self._guarded(partial(cpu.take, due_trap(cpu)))
        elif cpu.guest_mode is not None and (vector := self._of_guest(cpu.guest_mode)) is not None:
            self._interrupt(vector)
        elif cpu.nmi_pending and not (cpu.nmi_blocked or cpu.shadow) and (cpu.unit is None or cpu.unit.gif):
            cpu.nmi_pending, cpu.nmi_blocked = False, True
            self._interrupt(vectors.NMI)
        elif self.board.interrupts.intr and self._takes_interrupts(cpu) and not self.board.frozen:
            self._interrupt(self.board.interrupts.acknowledge())
        elif cpu.halted:
            self._wait()
        else:
            going = True
            while going:
                due = self.board.clock.due
                if due > cycle or self.board.frozen:
                    due = cycle
                self._execute(last, due, instruction)
                going = self._goes_on(last, cycle, instruction)

    def _goes_on(self, last: int, cycle: int, instruction: int) -> bool:
        """Whether the next step is an instruction again, and all else that ``_turn`` looks for is as before.

        Most instructions after which it has to be looked for have changed nothing of it.
        """
        cpu, board, cycles = self.cpu, self.board, self.meter.cycles
        if (
            self.position >= last
            or cycles >= cycle
            or self.instructions >= instruction
            or self.phase is not None
            or self.pause_requested
            or self.stopped is not None
            or cpu.guest_mode is not None
            or cpu.halted
            or cpu.single_step
            or cpu.traps
            or cpu.nmi_pending
            or (board.peripherals is not None and board.peripherals.signal is not None)
        ):
            return False
        if not board.frozen:
            if cycles >= board.clock.due:
                return False
            if (cpu.system_flags & EFLAGS_IF or cpu.unit is not None) and board.interrupts.intr:
                return False
        self._left = None
        return True

    def _takes_interrupts(self, cpu: Cpu) -> bool:
        taken = None if cpu.unit is None else cpu.unit.interrupts_open
        return bool(cpu.system_flags & EFLAGS_IF and not cpu.shadow) if taken is None else taken

    def _of_guest(self, mode: GuestMode) -> int | None:
        """What comes between instructions under VMX or SVM: an exit, or the vector of a virtual interrupt."""
        return mode.between(self.cpu, interrupt=self.board.interrupts.intr and not self.board.frozen)

    def _run_phases(self, last: int, cycle: int, instruction: int) -> None:
        """Phases of the monitor, each a step, until it leaves the processor to itself."""
        monitor, meter = self.monitor, self.meter
        assert monitor is not None
        while self.phase is not None:
            name, self._left = self.phase, None
            try:
                self.phase = monitor.run_phase(name)
            except Fault as fault:
                raise RuntimeError(f"phase {name} let a fault of the guest escape: {fault}") from fault
            self.position += 1
            if (
                self.position >= last
                or meter.cycles >= cycle
                or self.instructions >= instruction
                or self.pause_requested
                or self.stopped is not None
            ):
                return

    def _interrupt(self, vector: int) -> None:
        """Deliver an external interrupt."""
        self._guarded(partial(self.cpu.deliver, vector, external=True))

    def _take_signal(self, peripherals: Peripherals) -> None:
        """What needs no permission: NMI, or the reset line."""
        signal, peripherals.signal = peripherals.signal, None
        if signal == NMI:
            self.cpu.nmi_pending = True
        elif self.on_reset is not None:
            self.on_reset()
            self.position += 1
        else:
            self._end("shutdown", Message(N_("the guest reset the machine")))

    def _guarded(self, deliver: Callable[[], None]) -> None:
        """A delivery is a step, even if it is the last."""
        try:
            deliver()
        except VmExit as leaving:
            self._leave(leaving)
        except TripleFault as end:
            self._triple_fault(end)
        except Unimplemented as limit:
            self._end("crashed", self._where(limit.message))
        else:
            self.position += 1

    def _leave(self, leaving: VmExit) -> None:
        """An exit from a guest to its monitor is a step."""
        assert self.cpu.guest_mode is not None
        try:
            self.cpu.guest_mode.leave(self.cpu, leaving)
        except TripleFault as end:  # the monitor's own state is no good
            self._shut_down(end)
        except Shutdown as end:
            self._end("shutdown", self._where(end.message))
        else:
            self.position += 1

    def _triple_fault(self, end: TripleFault) -> None:
        leaving = None if self.cpu.guest_mode is None else self.cpu.guest_mode.shut_down(self.cpu)
        if leaving is None:
            self._shut_down(end)
        else:
            self._leave(leaving)

    def _wait(self) -> None:
        """Wait in HLT for an interrupt and take it, or end the run when none can come."""
        in_guest = self.cpu.guest_mode is not None
        held = self.cpu.guest_mode is not None and self.cpu.guest_mode.holds_interrupts
        if held or self._takes_interrupts(self.cpu):
            for _ in range(self.board.waking_events):
                if self.board.clock.due == NEVER:
                    break
                self.meter.charge("idle_cycle", max(0, self.board.clock.due - self.meter.cycles))
                self.board.clock.advance()
                if self.board.interrupts.intr:
                    if not in_guest:  # a guest's monitor is asked first
                        self._interrupt(self.board.interrupts.acknowledge())
                    return
            if self._await_input():
                self.position += 1
                return
            sentence = NOTHING_COMES
        else:
            sentence = Message(N_("the processor halted with interrupts disabled"))
        self._end("halted", sentence)

    def _end(self, reason: str, message: Message) -> None:
        self.stop(reason, message)
        self.position += 1

    def _shut_down(self, end: TripleFault) -> None:
        text = N_("triple fault at {address} ({bytes}): {faults}; the processor shut down")
        self._end("shutdown", Message(text, {**self.whereabouts(), "faults": str(end)}))

    def _where(self, message: Message) -> Message:
        return Message(N_("{problem} (at {address}: {bytes})"), {**self.whereabouts(), "problem": message})
