"""Sets of ports and frames as ranges in order, none of which touch."""

from __future__ import annotations


def with_range(ranges: tuple[range, ...], more: range) -> tuple[range, ...]:
    """The set with a range more."""
    start, stop = more.start, more.stop
    kept = []
    for each in ranges:
        if each.stop < start or each.start > stop:
            kept.append(each)
        else:
            start, stop = min(start, each.start), max(stop, each.stop)
    return tuple(sorted([*kept, range(start, stop)], key=lambda each: each.start))


def without_range(ranges: tuple[range, ...], less: range) -> tuple[range, ...]:
    """The set without what it has of a range."""
    left = []
    for each in ranges:
        left.append(range(each.start, min(each.stop, less.start)))
        left.append(range(max(each.start, less.stop), each.stop))
    return tuple(each for each in left if each)
