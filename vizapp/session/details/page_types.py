"""What Xen lets each machine frame be used for: whose it is, its type, who counts on it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from vizapp.vmm.xen.frame_info import VALIDATED, PageType
from vizapp.vmm.xen.monitor import XenMonitor

if TYPE_CHECKING:
    from vizapp.session.details.registry import Subject
    from vizapp.vmm.xen.hypervisor import Hypervisor

NOBODY, XEN = -1, -2
"""Owners that are no domain: a frame that is free, and one that the hypervisor or the platform has."""


class FrameRun(NamedTuple):
    """Machine frames in a row with the same owner (index of a domain), type, and being pinned or not.

    ``uses`` are uses of the type, ``references`` all references, summed over the run; ``visitors`` counts
    mappings by domains that do not own the frames.
    """

    first: int
    frames: int
    owner: int
    type: str
    pinned: bool
    uses: int
    references: int
    visitors: int


class PageUse(NamedTuple):
    """All machine memory in runs, and how many frames of each domain have each type."""

    frames: int
    runs: tuple[FrameRun, ...]
    counts: tuple[tuple[int, str, int], ...]


def page_types(subject: Subject) -> PageUse | None:
    """The frames of the machine as the hypervisor keeps them; None under another technique."""
    monitor = subject.monitor
    if not isinstance(monitor, XenMonitor):
        return None
    xen = monitor.xen
    total = subject.pc.memory.frames
    runs = _runs(xen, total)
    counts: dict[tuple[int, str], int] = {}
    for run in runs:
        if run.owner >= 0:
            key = run.owner, run.type
            counts[key] = counts.get(key, 0) + run.frames
    return PageUse(total, runs, tuple((*key, count) for key, count in sorted(counts.items())))


def _runs(xen: Hypervisor, total: int) -> tuple[FrameRun, ...]:
    index_of = {domain.id: domain.index for domain in xen.domains}
    visits: dict[int, int] = {}
    for (frame, _), (mappings, _) in xen.types.visitors.items():
        visits[frame] = visits.get(frame, 0) + mappings
    runs: list[FrameRun] = []
    owned = sorted(xen.types.owners)
    for frame in owned:
        info = xen.types.info(frame)
        kind = info.type if info.uses or (info.type in VALIDATED and info.pinned) else PageType.NONE
        one = FrameRun(
            frame,
            1,
            index_of.get(xen.types.owners[frame], NOBODY),
            kind.value,
            info.pinned,
            info.uses,
            info.references,
            visits.get(frame, 0),
        )
        last = runs[-1] if runs else None
        if last is not None and last.first + last.frames == frame and _alike(last, one):
            runs[-1] = last._replace(
                frames=last.frames + 1,
                uses=last.uses + one.uses,
                references=last.references + one.references,
                visitors=last.visitors + one.visitors,
            )
        else:
            runs.append(one)
    return _with_the_rest(xen, runs, total)


def _alike(one: FrameRun, other: FrameRun) -> bool:
    same = (one.owner, one.type, one.pinned) == (other.owner, other.type, other.pinned)
    return same and bool(one.visitors) == bool(other.visitors)


def _with_the_rest(xen: Hypervisor, runs: list[FrameRun], total: int) -> tuple[FrameRun, ...]:
    """The runs, with those between them that no domain owns."""
    taken = [item for item in xen.frames.ranges() if item.owner]
    edges = [(0, 0), *((run.first, run.first + run.frames) for run in runs), (total, total)]
    rest: list[FrameRun] = []
    for (_, end), (start, _) in pairwise(edges):
        at = end
        while at < start:
            holder = next((item for item in taken if item.first <= at < item.end), None)
            following = min((item.first for item in taken if item.first > at), default=start)
            stop = min(start, following if holder is None else holder.end)
            owner = NOBODY if holder is None and at >= taken[0].first else XEN
            if rest and rest[-1].owner == owner and rest[-1].first + rest[-1].frames == at:
                rest[-1] = rest[-1]._replace(frames=stop - rest[-1].first)
            else:
                rest.append(FrameRun(at, stop - at, owner, "", False, 0, 0, 0))
            at = stop
    return tuple(sorted((*runs, *rest)))
