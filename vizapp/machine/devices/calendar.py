"""The calendar of a real-time clock: fields that can be set to anything, and that run on from there."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from vizapp.machine.devices.cmos import CENTURY

MINUTE, HOUR, DAY = 60, 3600, 86400
_FIELDS = {
    0: "second",
    2: "minute",
    4: "hour",
    6: "weekday",
    7: "day",
    8: "month",
    9: "year",
    CENTURY: "century",
}


class Calendar(NamedTuple):
    """A date and time. ``weekday`` is 1 (Sunday) to 7 and independent of the date; ``year`` is 0-99."""

    second: int
    minute: int
    hour: int
    weekday: int
    day: int
    month: int
    year: int
    century: int

    @classmethod
    def of(cls, date: datetime) -> Calendar:
        """A date with its own day of the week."""
        century, year = divmod(date.year, 100)
        weekday = date.isoweekday() % 7 + 1
        return cls(date.second, date.minute, date.hour, weekday, date.day, date.month, year, century)

    @property
    def time_of_day(self) -> int:
        """Seconds since midnight."""
        return HOUR * self.hour + MINUTE * self.minute + self.second

    def register(self, index: int) -> int:
        """The field that the clock shows at a register."""
        value: int = getattr(self, _FIELDS[index])
        return value

    def with_register(self, index: int, value: int) -> Calendar:
        """The calendar with one field set."""
        return self._replace(**{_FIELDS[index]: value})

    def after(self, seconds: int) -> Calendar:
        """``seconds`` later. Fields that name no date, such as a day 0, count from the nearest one."""
        if not seconds:
            return self
        year = min(max(100 * self.century + self.year, 1), 9000)
        month = min(max(self.month, 1), 12)
        first = datetime(year, month, 1)
        day = min(max(self.day, 1), ((first + timedelta(31)).replace(day=1) - first).days)
        total = self.time_of_day + seconds
        date = first + timedelta(days=day - 1, seconds=total)
        weekday = (self.weekday - 1 + total // DAY) % 7 + 1
        return Calendar.of(date)._replace(weekday=weekday)


def next_alarm(now: int, hour: int | None, minute: int | None, second: int | None) -> int | None:
    """Seconds from a time of day to the next that has these fields (None: any); None if there is none."""
    at = now + 1
    while at <= now + 2 * DAY:
        time = at % DAY
        if hour is not None and time // HOUR != hour:
            at += HOUR - time % HOUR
        elif minute is not None and time % HOUR // MINUTE != minute:
            at += MINUTE - time % MINUTE
        elif second is not None and time % MINUTE != second:
            at += 1
        else:
            return at - now
    return None
