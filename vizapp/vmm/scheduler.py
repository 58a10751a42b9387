"""Which virtual machine has the processor: borrowed virtual time, the scheduler of the first Xen releases.

Every virtual machine has a virtual time that goes on while it runs, the slower the greater its weight. The
processor goes to the one that is furthest behind. It keeps it for a slice, the context switch allowance;
then, if another is further behind, it is switched. One that has waited does not save up what it did not use:
on waking it starts from where those that can run are.

    virtual time of a machine:  cycles it has run / its weight
    among those that never wait, after any number of slices:
        | cycles of a / weight of a  -  cycles of b / weight of b |  <=  slice / least weight

Nothing here reads a clock or acts by itself. A monitor asks when a door has brought it in, and tells the
counter of cycles; what is due next is what it programs the physical timer for.
"""

from __future__ import annotations

from typing import Any, Final

DEFAULT_SLICE_SECONDS: Final = 0.005
"""The context switch allowance of Xen 2 and 3 (``ctx_allow`` in xen/common/sched_bvt.c): 5 ms."""
DEFAULT_WEIGHT: Final = 256
"""That of Xen's schedulers; only the ratio of two weights matters."""

_UNIT: Final = 1 << 20  # virtual time of one cycle at weight 1, so that a division by a weight loses little


class Scheduler:
    """Virtual machines 0, 1, ... by weight (1 or more each), with slices of ``slice_cycles``.

    Attributes:
        current: which of them has the processor, or had it last.
        used: cycles of the processor that each has had, up to the last ``account``.
    """

    def __init__(self, weights: tuple[int, ...], slice_cycles: int) -> None:
        self.slice_cycles = slice_cycles
        self.current = 0
        self.used: tuple[int, ...] = (0,) * len(weights)
        self._weights = weights
        self._times: tuple[int, ...] = (0,) * len(weights)
        self._ready: tuple[bool, ...] = (True,) * len(weights)
        self._since: int | None = None  # the cycle up to which the current one's use is counted
        self._slice_end = 0

    @property
    def any_ready(self) -> bool:
        """Whether any machine can run."""
        return any(self._ready)

    def is_ready(self, vm: int) -> bool:
        """Whether the machine can run: it neither waits nor has stopped."""
        return self._ready[vm]

    def start(self, now: int) -> None:
        """The current machine has the processor from the cycle ``now`` on, for a slice of its own."""
        self._since = now
        self._slice_end = now + self.slice_cycles

    def account(self, now: int) -> None:
        """Count what the current machine has used up to the cycle ``now``."""
        if self._since is None:
            return
        ran = now - self._since
        self._since = now
        vm = self.current
        self.used = _put(self.used, vm, self.used[vm] + ran)
        self._times = _put(self._times, vm, self._times[vm] + ran * _UNIT // self._weights[vm])

    def block(self, vm: int, now: int) -> None:
        """The machine has nothing to run, for now or (it has stopped) for good."""
        if vm == self.current:
            self.account(now)
            self._since = None
        self._ready = _put(self._ready, vm, value=False)

    def wake(self, vm: int, now: int) -> None:
        """The machine can run again; it does not get back what it missed while it waited."""
        if self._ready[vm]:
            return
        self.account(now)
        behind = [time for time, ready in zip(self._times, self._ready, strict=True) if ready]
        if behind:
            self._times = _put(self._times, vm, max(self._times[vm], min(behind)))
        self._ready = _put(self._ready, vm, value=True)
        if vm == self.current:
            self.start(now)

    def slice_end(self) -> int | None:
        """The cycle at which another machine may have to take over; None while no other can run."""
        others = any(ready for vm, ready in enumerate(self._ready) if vm != self.current)
        return self._slice_end if others else None

    def must_switch(self, now: int) -> bool:
        """Whether the processor is due to another machine than the current one."""
        if not self._ready[self.current]:
            return self.any_ready
        end = self.slice_end()
        if end is None or now < end:
            return False
        self.account(now)
        if self._furthest_behind() != self.current:
            return True
        self._slice_end = now + self.slice_cycles
        return False

    def switch(self, now: int) -> int:
        """Give the processor to the machine that is furthest behind: its number.

        ValueError if none can run.
        """
        self.account(now)
        if not self.any_ready:
            raise ValueError("no virtual machine can run")
        self.current = self._furthest_behind()
        self.start(now)
        return self.current

    def save(self) -> Any:
        """The state, as plain data."""
        return self.current, self.used, self._times, self._ready, self._since, self._slice_end

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self.current, self.used, self._times, self._ready, self._since, self._slice_end = saved

    def _furthest_behind(self) -> int:
        """Of equals the one that comes next after the current one, so that each has its turn."""
        count = len(self._times)
        order = ((self.current + 1 + index) % count for index in range(count))
        return min((vm for vm in order if self._ready[vm]), key=lambda vm: self._times[vm])


def slice_of(hertz: int, seconds: float = DEFAULT_SLICE_SECONDS) -> int:
    """A slice in cycles of a processor, at least one."""
    return max(1, int(hertz * seconds))


def _put(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    return (*values[:index], value, *values[index + 1 :])
