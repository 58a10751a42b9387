"""The inner loop: instruction after instruction, decoded or in blocks, until something is to be looked at.

A monitor is reached here: where the processor is about to fetch from a door, its phase is named instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vizapp.isa.addresses import M32, HostPhysical, Linear
from vizapp.isa.instruction import Instruction
from vizapp.isa.registers import CS, EFLAGS_TF
from vizapp.machine.crossings import Crossings
from vizapp.machine.debug import check_execution
from vizapp.machine.decoded import (
    BRANCH,
    MARKED,
    PASSAGE,
    PRICED,
    REPEATED,
    SILENT,
    SYSTEM,
    Decoded,
    instruction_of,
)
from vizapp.machine.doors import Door
from vizapp.machine.features import Features
from vizapp.machine.hardware import Hardware
from vizapp.machine.identity import Identity
from vizapp.machine.meter import UNFINISHED
from vizapp.machine.repetition import repeat

_WORTH_A_VIEW = 8  # steps


class InnerLoop(Hardware):
    """A PC that executes.

    Attributes:
        phase: the monitor phase that the next step runs.
        doors: by host-physical address; a monitor sets them before the first step.
        pause_requested: the loop returns after the present step.
        on_retired: told after each guest instruction that the processor itself has retired.
    """

    def __init__(
        self,
        prices: Mapping[str, int],
        memory_bytes: int,
        hertz: int,
        identity: Identity,
        features: Features | None = None,
    ) -> None:
        super().__init__(prices, memory_bytes, hertz, identity, features)
        self.phase: str | None = None
        self.doors: dict[HostPhysical, Door] = {}
        self.blocks.doors = self.code.doors = self.doors
        self.pause_requested = False
        self.on_retired: Callable[[], None] | None = None
        self._crossings = Crossings(self)
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
        self.settle_heat()
        self._heat = self.blocks.heat = heat

    def settle_heat(self) -> None:
        """Enter all heat there is, that of translations by the guest's own addresses."""
        self.blocks.settle()
        if self._heat is None or self.guest_address is None:
            return
        for eip in [eip for eip in self._heat if eip in self.code.translated]:
            count, guest = self._heat.pop(eip), self.guest_address(eip)
            if guest >= 0:
                self._heat[guest] = self._heat.get(guest, 0) + count

    def _execute(self, last: int, due: int, until_instruction: int) -> None:
        """Run instructions until a bound is reached or one changes how to go on."""
        cpu, meter = self.cpu, self.meter
        stepping = bool(cpu.system_flags & EFLAGS_TF)
        if stepping or cpu.shadow or cpu.watched:
            last = self.position + 1
            if cpu.watched:
                check_execution(cpu)
        if cpu.unit is not None:
            cpu.unit.shadowed = cpu.shadow
        cpu.shadow = False
        guest = meter.in_guest
        if guest:
            # No step retires more than one, so the bound in instructions is one in steps.
            bound = self.position + until_instruction - self.instructions
            last = min(last, bound)
        retired = self.on_retired if guest else None
        heat = self._heat if guest else None
        hot = self.code.hot
        counts, prices, blocks = meter.counts, meter.prices, self.blocks
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
                crossed = True
                while crossed:
                    linked = view.linked
                    link = linked[eip] if eip in linked else blocks.arrive(view, eip)
                    position = self.position
                    if link is not None:
                        position = blocks.run(view, link, cpu, position, last, due)
                        if position != self.position:
                            if guest:
                                self.instructions += position - self.position
                            self.position = position
                            if position >= last or meter.cycles >= due:
                                return
                            eip = cpu.eip
                    crossed = eip in view.crossings
                    if crossed:
                        after = view.crossings[eip]()
                        if after is None:
                            break
                        self.position = position = position + 1
                        eip = cpu.eip
                        if guest:
                            self.instructions += 1
                            if heat is not None:
                                heat[eip] = heat.get(eip, 0) + 1
                        if (
                            position >= last
                            or meter.cycles >= due
                            or meter.in_guest is not guest
                            or self.pause_requested
                        ):
                            return
                        view = after
                hot, counts = self.code.hot, meter.counts
            try:
                run, price, kind, _, _ = decoded = found or hot[eip]
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
                # An instruction that was not a plain one: what it charged may not be of this place any more,
                # and what it changed has to be looked for.
                if not kind & PRICED:
                    meter.instruction(price)
                if kind & SYSTEM:
                    last = self.position
                    if meter.pending:  # what made no event in this step belongs to no later one
                        meter.pending.clear()
                    if kind & PASSAGE and view is not None and not kind & (MARKED | SILENT) and eip in hot:
                        self._crossings.learn(view, eip, instruction_of(decoded))
                if kind & REPEATED and cpu.eip == eip:
                    counts[UNFINISHED] += 1
                elif guest and not kind & SILENT:
                    self.instructions += 1
                    if kind & MARKED:
                        last = self.position
                        self.pass_mark(self.code.marked(Linear(cpu.segments[CS].base + eip & M32)))
            else:
                counts[price] += 1
                meter.cycles += prices[price]
                if guest:
                    self.instructions += 1
            if (
                (heat is not None or retired is not None)
                and not kind & SILENT
                and not (kind & REPEATED and cpu.eip == eip)
            ):
                if heat is not None:
                    heat[cpu.eip] = heat.get(cpu.eip, 0) + 1
                if retired is not None:
                    retired()
                    if self.pause_requested:
                        last = self.position
            self.position += 1
            if self.position >= last or meter.cycles >= due:
                return
            if kind & REPEATED and cpu.eip == eip:
                self._repeat(instruction_of(decoded), price, last, due)

    def _repeat(self, instruction: Instruction, price: int, last: int, due: int) -> None:
        """Do many iterations at once, with at least one step left to the bounds."""
        meter = self.meter
        each = meter.prices[price]
        most = last - self.position - 1
        if each:
            most = min(most, (due - meter.cycles - 1) // each)
        done = repeat(self.cpu, instruction, most, self.blocks.guarded)
        meter.counts[price] += done
        meter.counts[UNFINISHED] += done
        meter.cycles += done * each
        self.position += done

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
