"""Popek and Goldberg's three properties at the cursor, of the whole run and of each virtual machine."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vizapp.session.frames import Efficiency, Scorecard
from vizapp.session.locksteps import Locksteps

if TYPE_CHECKING:
    from vizapp.session.auditor import Auditor
    from vizapp.session.builder import Machine
    from vizapp.session.equivalence import Lockstep
    from vizapp.session.timeline import Timeline


class Scorecards:
    """What is known of one session's run.

    Attributes:
        scored: what another run of the same scenario found of equivalence, by ``adopt``.
    """

    def __init__(
        self,
        machine: Machine,
        timeline: Timeline,
        auditor: Auditor,
        lockstep: Lockstep | Locksteps | None,
    ) -> None:
        self.scored: Scorecard | None = None
        self._scored_each: tuple[Scorecard, ...] = ()
        self._scored_to = 0  # the end of the recording when that was found
        self._machine = machine
        self._timeline = timeline
        self._auditor = auditor
        self._lockstep = lockstep

    @property
    def up_to_date(self) -> bool:
        """Whether equivalence is known up to the end of the recording."""
        return self.scored is not None and self._scored_to == self._timeline.end

    def adopt(self, outcome: Scorecard, other: Scorecards) -> None:
        """Take over what the run of ``other`` has found."""
        self.scored, self._scored_to = outcome, self._timeline.end
        if isinstance(other._lockstep, Locksteps):
            self._scored_each = tuple(other.of(vm) for vm in range(len(other._lockstep.each)))

    def adopt_each(self, outcome: Scorecard, each: tuple[Scorecard, ...]) -> None:
        """Take over what was found of the run, and of each virtual machine."""
        self.scored, self._scored_to = outcome, self._timeline.end
        self._scored_each = each

    def whole(self) -> Scorecard:
        """Of the run."""
        position, pc = self._timeline.cursor, self._machine.pc
        cached = sum(guest.cached for guest in self._machine.monitor.vms)
        return replace(
            self._known_equivalence(),
            refused=self._auditor.refused(position),
            let_through=self._auditor.let_through(position),
            efficiency=Efficiency(pc.instructions - pc.emulated - cached, cached, pc.emulated),
        )

    def of(self, vm: int) -> Scorecard:
        """Of one of several virtual machines."""
        position, guest = self._timeline.cursor, self._machine.monitor.vms[vm]
        total = guest.instructions
        card = Scorecard(self._machine.technique.claims_equivalence, None, 0, total)
        if isinstance(self._lockstep, Locksteps):
            found = self._lockstep.each[vm]
            different = found.first_difference
            card = replace(card, holds=different is None, compared=found.compared, first_difference=different)
        elif self._scored_each:
            card = replace(self._scored_each[vm], total=total)
        return replace(
            card,
            refused=self._auditor.refused(position, vm),
            let_through=self._auditor.let_through(position, vm),
            efficiency=Efficiency(
                guest.instructions - guest.emulated - guest.cached, guest.cached, guest.emulated
            ),
        )

    def _known_equivalence(self) -> Scorecard:
        technique = self._machine.technique
        claimed, total = technique.claims_equivalence, self._timeline.end_instruction
        if technique.name == "native":
            return Scorecard(claimed, True, total, total)
        if self._lockstep is not None:
            found = self._lockstep.first_difference
            return Scorecard(claimed, found is None, self._lockstep.compared, total, found)
        if self.scored is not None:
            return replace(self.scored, total=max(total, self.scored.total))
        return Scorecard(claimed, None, 0, total)
