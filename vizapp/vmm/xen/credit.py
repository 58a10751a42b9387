"""Which domain has the processor: credits, the scheduler of Xen 3.

Every accounting period hands out as many credits as it has cycles, by weight, to the domains that want the
processor; who runs pays for each cycle. So a domain is UNDER what is due to it, or OVER:

    BOOST    has just woken, and was UNDER: before all others, so that it can answer soon; for a tick
    UNDER    has credits left
    OVER     has used more than its share; runs when nobody else wants to

Of equals the one that has waited longest is next, for a slice. One that waits does not save up: nobody has
more credits than a period.

A domain with a cap, in percent of the processor, gets no more credits than that, whatever its weight. Once it
has used more than a period's it is *parked*: it does not run, even while the processor is idle, until an
accounting has brought it back to none or more.

Source: Xen 3.1, common/sched_credit.c.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

SLICE_SECONDS: Final = 0.03
TICKS_PER_SLICE: Final = 3
BOOST, UNDER, OVER = range(3)
PRIORITIES: Final = ("boost", "under", "over")


class Account(NamedTuple):
    """What the scheduler keeps of a domain.

    Attributes:
        credit: cycles that it may still run before it has had its share.
        queued: a number that grows with each time that a domain is put behind the others.
        active: it has wanted the processor since the last accounting.
        cap: percent of the processor that it may have at most; 0 is no cap.
        parked: it has used too much of that.
    """

    weight: int
    credit: int = 0
    priority: int = UNDER
    ready: bool = False
    queued: int = 0
    active: bool = False
    cap: int = 0
    parked: bool = False

    @property
    def runs(self) -> bool:
        """Whether it may have the processor now."""
        return self.ready and not self.parked


class CreditScheduler:
    """Domains by number, with slices of ``slice_cycles``.

    Attributes:
        current: the one that has the processor, or had it last.
    """

    def __init__(self, slice_cycles: int) -> None:
        self.slice_cycles = slice_cycles
        self.current = 0
        self._accounts: dict[int, Account] = {}
        self._since: int | None = None  # up to which cycle the current one has paid
        self._given = 0  # the cycle at which it got the processor
        self._slice_end = 0
        self._next_accounting = slice_cycles
        self._queue = 0

    def add(self, domain: int, weight: int) -> None:
        """A new domain, which cannot run yet."""
        self._accounts[domain] = Account(weight)

    def account_of(self, domain: int) -> Account:
        """What is kept of a domain."""
        return self._accounts[domain]

    def set_weight(self, domain: int, weight: int) -> None:
        """Change the share of a domain."""
        self._change(domain, weight=weight)

    def set_cap(self, domain: int, percent: int) -> None:
        """Change how much of the processor a domain may have at most; 0 for no limit."""
        parked = self._accounts[domain].parked and percent > 0
        self._change(domain, cap=percent, parked=parked)

    @property
    def any_ready(self) -> bool:
        """Whether any domain can run."""
        return any(account.runs for account in self._accounts.values())

    @property
    def contended(self) -> bool:
        """Whether a domain besides the current one can run."""
        current = self.current
        return any(account.runs for domain, account in self._accounts.items() if domain != current)

    def block(self, domain: int, now: int) -> None:
        """The domain has nothing to run, for now or for good."""
        if self._accounts[domain].ready:
            self._pay(now)
            self._change(domain, ready=False)

    def wake(self, domain: int, now: int) -> None:
        """The domain can run; with credits left it goes before all others, for a tick."""
        account = self._accounts[domain]
        if account.ready:
            return
        self._settle(now)
        account = self._accounts[domain]
        priority = BOOST if account.priority == UNDER else account.priority
        self._change(domain, ready=True, active=True, priority=priority, queued=self._next_place())
        if domain == self.current:
            self._begin(now)

    def give_way(self, domain: int, now: int) -> None:
        """The domain lets its equals go first."""
        self._settle(now)
        account = self._accounts[domain]
        priority = UNDER if account.priority == BOOST else account.priority
        self._change(domain, queued=self._next_place(), priority=priority)
        if domain == self.current:
            self._slice_end = now

    def slice_end(self) -> int | None:
        """The cycle at which another domain may have to take over; None while no other can run."""
        return self._slice_end if self.contended else None

    def deadline(self) -> int | None:
        """The cycle at which something is to be decided: a slice ends, or who has a cap is accounted."""
        due = [self.slice_end(), self._next_accounting if self._capped else None]
        return min((cycle for cycle in due if cycle is not None), default=None)

    def must_switch(self, now: int) -> bool:
        """Whether the processor is due to another domain than the current one."""
        if self._capped:
            self._settle(now)
        account = self._accounts[self.current]
        if not account.runs:
            return self.any_ready
        if not self.contended:
            return False
        self._settle(now)
        end = self.slice_end()
        if end is not None and now >= end:
            self._change(self.current, queued=self._next_place())
            self._slice_end = now + self.slice_cycles
            return self._best() != self.current
        return self._accounts[self._best()].priority < self._accounts[self.current].priority

    def switch(self, now: int) -> int:
        """Give the processor to whose turn it is: its number. ValueError if none can run."""
        self._settle(now)
        if not self.any_ready:
            raise ValueError("no domain can run")
        self.current = self._best()
        self._begin(now)
        return self.current

    def save(self) -> Any:
        """The state, as plain data."""
        return (
            self.current, dict(self._accounts), self._since, self._given, self._slice_end,
            self._next_accounting, self._queue,
        )  # fmt: skip

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        self.current, accounts, self._since, self._given, self._slice_end, *rest = saved
        self._accounts = dict(accounts)
        self._next_accounting, self._queue = rest

    @property
    def _capped(self) -> bool:
        """Whether a domain that wants the processor has a cap."""
        return any(account.cap and account.ready for account in self._accounts.values())

    @property
    def _tick(self) -> int:
        return max(1, self.slice_cycles // TICKS_PER_SLICE)

    def _begin(self, now: int) -> None:
        self._since = self._given = now
        self._slice_end = now + self.slice_cycles

    def _pay(self, now: int) -> None:
        """The current domain pays for what it has run."""
        account = self._accounts.get(self.current)
        if account is None or not account.ready or self._since is None:
            return
        if account.parked:
            self._since = now  # it has waited
            return
        ran, self._since = now - self._since, now
        priority = account.priority
        if priority == BOOST and now - self._given >= self._tick:
            priority = UNDER
        self._change(self.current, credit=account.credit - ran, priority=priority)

    def _settle(self, now: int) -> None:
        """Pay, and hand out the credits of the periods that are over."""
        self._pay(now)
        period = self.slice_cycles
        if now < self._next_accounting:
            return
        periods = (now - self._next_accounting) // period + 1
        self._next_accounting += periods * period
        wanting = {d: a for d, a in self._accounts.items() if a.active or a.ready or a.credit < 0}
        total = sum(account.weight for account in wanting.values())
        for domain, account in wanting.items():
            due, most = -(-period * account.weight // total), -(-period * account.cap // 100)
            credit = min(period, account.credit + periods * (min(due, most) if account.cap else due))
            priority = OVER if credit < 0 else min(account.priority, UNDER)
            parked = account.cap > 0 and credit < (0 if account.parked else -most)
            self._change(domain, credit=credit, priority=priority, active=account.ready, parked=parked)

    def _best(self) -> int:
        return min((a.priority, a.queued, d) for d, a in self._accounts.items() if a.runs)[2]

    def _next_place(self) -> int:
        self._queue += 1
        return self._queue

    def _change(self, domain: int, **changes: Any) -> None:
        self._accounts[domain] = self._accounts[domain]._replace(**changes)
