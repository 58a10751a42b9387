"""Lays a unit out: each guest instruction as high as what it has become, so that the two stand side by side.

guest                     cache
┌ 0 ───────────────┐╌╌╌╌╌┌ 0 ─────────┐
│                  │     │ 1          │      a group: one guest instruction, its cache instructions
└──────────────────┘╌╌╌╌╌└ 2 ─────────┘
                         ┌ 3 ─────────┐      no guest instruction's: leads on to the next unit
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vizapp.session.details.translation import TranslatedUnit


class Group(NamedTuple):
    """Rows that belong together: from ``top`` on, ``rows`` of them; ``guest`` -1 where there is none."""

    guest: int
    cache: tuple[int, ...]
    top: int
    rows: int


def groups_of(unit: TranslatedUnit) -> tuple[Group, ...]:
    """The groups in the order of the cache; a detour that lies elsewhere comes behind the unit."""
    groups: list[Group] = []
    shown: set[int] = set()
    top = 0

    def add(guest: int, cache: Sequence[int]) -> None:
        nonlocal top
        groups.append(Group(guest, tuple(cache), top, max(1, len(cache))))
        shown.update(cache)
        top += max(1, len(cache))

    for index, line in enumerate(unit.guest):
        before = [at for at in range(line.first) if at not in shown and unit.cache[at].guest < 0]
        if before:
            add(-1, before)
        add(index, range(line.first, line.end))
    rest = [at for at in range(len(unit.cache)) if at not in shown]
    while rest:
        owner = unit.cache[rest[0]].guest
        run = [at for at in rest if unit.cache[at].guest == owner]
        add(owner if owner >= 0 else -1, run)
        rest = [at for at in rest if at not in shown]
    return tuple(groups)


def row_of(groups: Sequence[Group], guest: int) -> int:
    """The first row of a guest instruction; -1 if it has none."""
    return next((group.top for group in groups if group.guest == guest >= 0), -1)
