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
from typing import Any

from vizapp.isa import vectors
from vizapp.isa.addresses import M32, HostPhysical, Linear
from vizapp.isa.instruction import Instruction
from vizapp.isa.registers import CS, EFLAGS_IF, EFLAGS_TF
from vizapp.machine import events
from vizapp.machine.clock import NEVER
from vizapp.machine.code_cache import BRANCH, MARKED, PRICED, REPEATED, SYSTEM, Decoded
from vizapp.machine.cpu_state import load_cpu, save_cpu
from vizapp.machine.debug import check_execution, report
from vizapp.machine.doors import Door, PhaseRunner
from vizapp.machine.faults import Fault, TripleFault, Unimplemented
from vizapp.machine.features import Features
from vizapp.machine.hardware import Hardware
from vizapp.machine.identity import PENTIUM_4, Identity
from vizapp.machine.input_log import Input, InputLog
from vizapp.machine.peripherals import NMI, Peripherals
from vizapp.machine.repetition import repeat
from vizapp.messages import N_, Message

_WORTH_A_VIEW = 8  # steps


class Pc(Hardware):
    """One machine.

    ``prices`` are cycles by input, ``memory_bytes`` whole pages, ``hertz`` cycles a second; ``features`` make
    it a full PC.

    Attributes:
        stopped: why the run is over: (reason, sentence). Reasons: halted, shutdown, crashed, and what a
            monitor gives to ``stop``.
        phase: the monitor phase that the next step runs.
        doors: by host-physical address; a monitor sets them before the first step.
        monitor: whose phases run behind the doors.
        pause_requested: ``run`` returns after the present step.
        on_reset: what the reset line of a full PC does; without it, it ends the run (reason shutdown).
        inputs: what comes from outside and when; not part of what is saved, but of the recording.
        give_input: hands an input to the guest's devices, the PC's own unless a monitor has others.
        on_retired: told after each guest instruction that the processor itself has retired.
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
        self.phase: str | None = None
        self.doors: dict[HostPhysical, Door] = {}
        self.blocks.doors = self.doors
        self.monitor: PhaseRunner | None = None
        self.pause_requested = False
        self.on_retired: Callable[[Pc], None] | None = None
        self.on_reset: Callable[[], None] | None = None
        self.inputs = InputLog()
        self.give_input: Callable[[Input], None] = self.board.take_input
        self._heat: dict[int, int] | None = None
        self._arrival: HostPhysical | None = None  # the door whose phases run, or have just run

    @property
    def heat(self) -> dict[int, int] | None:
        """Where to count how often execution arrived at each EIP by a guest instruction that retired.

        The counts are complete once it has been set to another dictionary, or to None.
        """
        return self._heat

    @heat.setter
    def heat(self, heat: dict[int, int] | None) -> None:
        self.blocks.settle()
        self._heat = self.blocks.heat = heat

    def step(self) -> None:
        """Do one step; nothing once the machine has stopped."""
        self.pause_requested = False
        self.run(max_steps=1)

    def run(
        self,
        max_steps: int | None = None,
        until_cycle: int | None = None,
        until_instruction: int | None = None,
    ) -> None:
        """Do steps until a bound is reached, the machine stops, or a pause is requested.

        Returns too when the processor waits and ``interrupts_blocked`` forbids what would wake it.
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
            self._left = None
            if self.inputs.due <= self.position:
                self._take_inputs()
            try:
                self._turn(min(last, self.inputs.due), cycle, instruction)
            except Fault as fault:
                self._guarded(partial(self.cpu.take, fault))
            except Unimplemented as limit:
                self._end("crashed", self._where(limit.message))
            except TripleFault as end:
                self._shut_down(end)

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

    def feed(self, source: str, *data: str | bool | bytes) -> None:
        """An input comes from outside, now: a key (name, down) or bytes for the serial port."""
        self._take_inputs()
        entry = Input(self.position, source, data)
        self.inputs.add(entry)
        self.give_input(entry)

    def save(self) -> dict[str, Any]:
        """The whole machine as data that later runs do not change."""
        return {
            "position": self.position,
            "instructions": self.instructions,
            "emulated": self.emulated,
            "stopped": self.stopped,
            "inputs": self.inputs.done,
            "phase": self.phase,
            "arrival": self._arrival,
            "cpu": save_cpu(self.cpu),
            "tlb": self.mmu.save(),
            "memory": self.memory.snapshot(),
            "meter": self.meter.save(),
            "board": self.board.save(),
            "monitor": None if self.monitor is None else self.monitor.save(),
        }

    def load(self, saved: Mapping[str, Any]) -> None:
        """Become the machine that ``save`` saw."""
        self.position, self.instructions = saved["position"], saved["instructions"]
        self.emulated = saved["emulated"]
        self.stopped, self.phase, self._arrival = saved["stopped"], saved["phase"], saved["arrival"]
        self.inputs.seek(saved["inputs"])
        self.memory.restore(saved["memory"])
        if self.monitor is not None:
            self.monitor.load(saved["monitor"])
        load_cpu(self.cpu, saved["cpu"])
        self.mmu.load(saved["tlb"])
        # After the processor, whose change of mode has entered a place.
        self.meter.load(saved["meter"])
        self.board.load(saved["board"])
        self.code.revalidate()
        self.blocks.revalidate()
        self._left = None

    def _take_inputs(self) -> None:
        for entry in self.inputs.take(self.position):
            self.give_input(entry)

    def _turn(self, last: int, cycle: int, instruction: int) -> None:
        """One step of a kind that has to be chosen, or instructions until the next such choice."""
        cpu = self.cpu
        if self.phase is not None:
            self._run_phase(self.phase)
            return
        self.board.advance()
        peripherals = self.board.peripherals
        if peripherals is not None and peripherals.signal is not None:
            self._take_signal(peripherals)
        elif cpu.single_step or cpu.traps:
            report(cpu)
            self._guarded(partial(cpu.deliver, vectors.DB))
        elif cpu.nmi_pending and not (cpu.nmi_blocked or cpu.shadow):
            cpu.nmi_pending, cpu.nmi_blocked = False, True
            self._interrupt(vectors.NMI)
        elif (
            self.board.interrupts.intr
            and cpu.system_flags & EFLAGS_IF
            and not cpu.shadow
            and not self.board.frozen
        ):
            self._interrupt(self.board.interrupts.acknowledge())
        elif cpu.halted:
            self._wait()
        else:
            due = cycle if self.board.frozen else min(cycle, self.board.clock.due)
            self._execute(last, due, instruction)

    def _execute(self, last: int, due: int, until_instruction: int) -> None:
        """Run instructions until a bound is reached or one changes how to go on."""
        cpu, meter = self.cpu, self.meter
        stepping = bool(cpu.system_flags & EFLAGS_TF)
        if stepping or cpu.shadow or cpu.watched:
            last = self.position + 1
            if cpu.watched:
                check_execution(cpu)
        cpu.shadow = False
        guest = meter.place.is_guest
        if guest:
            # No step retires more than one, so the bound in instructions is one in steps.
            last = min(last, self.position + until_instruction - self.instructions)
        retired = self.on_retired if guest else None
        heat = self._heat if guest else None
        hot = self.code.hot
        counts, prices = meter.counts, meter.prices
        found: Decoded | None = None
        if self._arrival is not None:
            found = self._arrive()
            if found is None:
                return
        # Whoever watches each instruction sees each; few steps are not worth a look at what is compiled.
        view = self.blocks.view(cpu) if retired is None and last - self.position >= _WORTH_A_VIEW else None
        at_branch = found is None
        while True:
            eip = cpu.eip
            if at_branch and view is not None:
                at_branch = False
                link = self.blocks.arrive(view, eip)
                if link is not None:
                    position = self.blocks.run(view, link, cpu, self.position, last, due)
                    if position != self.position:
                        if guest:
                            self.instructions += position - self.position
                        self.position = position
                        if position >= last or meter.cycles >= due:
                            return
                        continue
            try:
                run, price, kind, instruction = found or hot[eip]
            except KeyError:
                found = self._arrive()
                if found is None:
                    return
                continue
            found = None
            if stepping:
                cpu.single_step = True  # before: an INT clears it
            run(cpu)
            if kind & BRANCH:
                at_branch = True
            if kind & ~BRANCH:
                if self._retire(kind, price, eip, guest):
                    last = self.position
            else:
                counts[price] += 1
                meter.cycles += prices[price]
                if guest:
                    self.instructions += 1
            if (heat is not None or retired is not None) and not (kind & REPEATED and cpu.eip == eip):
                if heat is not None:
                    heat[cpu.eip] = heat.get(cpu.eip, 0) + 1
                if retired is not None:
                    retired(self)
                    if self.pause_requested:
                        last = self.position
            self.position += 1
            if self.position >= last or meter.cycles >= due:
                return
            if kind & REPEATED and cpu.eip == eip:
                self._repeat(instruction, price, last, due)

    def _repeat(self, instruction: Instruction, price: int, last: int, due: int) -> None:
        """Do many iterations at once, with at least one step left to the bounds."""
        meter = self.meter
        each = meter.prices[price]
        most = last - self.position - 1
        if each:
            most = min(most, (due - meter.cycles - 1) // each)
        done = repeat(self.cpu, instruction, most)
        meter.counts[price] += done
        meter.cycles += done * each
        self.position += done

    def _retire(self, kind: int, price: int, eip: int, guest: bool) -> bool:
        """Account for an instruction that was not a plain one; whether the run loop has to look around."""
        if not kind & PRICED:
            self.meter.instruction(price)
        if kind & SYSTEM:
            self.meter.take_charges()  # what made no event in this step belongs to no later one
        if guest and not (kind & REPEATED and self.cpu.eip == eip):
            self.instructions += 1
            if kind & MARKED:
                self.pass_mark(Linear(self.cpu.segments[CS].base + eip & M32))
        return bool(kind & (SYSTEM | MARKED))

    def _arrive(self) -> Decoded | None:
        """The instruction at EIP by the long way; None when a door is there and its phases begin.

        None too after an access to a device behind memory: what is due may have changed.
        """
        if self.mmu.mmio.touched:
            self.mmu.mmio.touched = False
            return None
        host = self.code.locate(self.cpu)
        passed, self._arrival = self._arrival, None
        door = self.doors.get(host)
        if door is not None and door.ring == self.cpu.cpl and door.world == self.meter.place.world:
            if passed != host:
                self._arrival = host
                self.phase = door.phase
                return None
            # Its phases have run; what stands there is now executed, this once.
            found = self.code.instruction_at(self.cpu, host)
            self.code.hot.pop(self.cpu.eip, None)
            return found
        return self.code.instruction_at(self.cpu, host)

    def _run_phase(self, name: str) -> None:
        assert self.monitor is not None
        try:
            self.phase = self.monitor.run_phase(name)
        except Fault as fault:
            raise RuntimeError(f"phase {name} let a fault of the guest escape: {fault}") from fault
        self.position += 1

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
        except TripleFault as end:
            self._shut_down(end)
        except Unimplemented as limit:
            self._end("crashed", self._where(limit.message))
        else:
            self.position += 1

    def _wait(self) -> None:
        """Wait in HLT for an interrupt and take it, or end the run when none can come."""
        if self.cpu.system_flags & EFLAGS_IF:
            for _ in range(self.board.waking_events):
                if self.board.clock.due == NEVER:
                    break
                self.meter.charge("idle_cycle", max(0, self.board.clock.due - self.meter.cycles))
                self.board.clock.advance()
                if self.board.interrupts.intr:
                    self._interrupt(self.board.interrupts.acknowledge())
                    return
            sentence = Message(N_("the processor halted, and no interrupt that could wake it is coming"))
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
