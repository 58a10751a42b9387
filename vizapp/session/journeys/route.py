"""What a route is made of: who takes part in a way of doing I/O, where each stands, and the stages in order.

left, right    shares of the drawing's width
row, rows      the row of the drawing that a node begins in, and how many it goes over
"""

from __future__ import annotations

from typing import Final, NamedTuple

from vizapp.messages import N_

LABELS: Final = 0.085
"""The share of the width, at the left, that is for the titles of the rows."""
RING: Final = "ring"
"""The node that is drawn as a ring with slots and indices."""


class Row(NamedTuple):
    """A band of the drawing: its title, its ring (-1: hardware), and how high it is against the others."""

    title: str
    ring: int
    weight: float = 1.0


class Node(NamedTuple):
    """Somebody who takes part; ``key`` is what stages name it by."""

    key: str
    title: str
    row: int
    left: float
    right: float
    rows: int = 1


class Group(NamedTuple):
    """A frame around nodes: a domain, a world; ``{vm}`` in its title is the name of the journey's own."""

    title: str
    row: int
    left: float
    right: float
    rows: int = 1


class Stage(NamedTuple):
    """A step of the way, from a node to a node, and what happens there in a sentence."""

    key: str
    title: str
    source: str
    target: str
    about: str


class Route(NamedTuple):
    """A way: ``title`` names what travels; ``ring`` is the ring's name where it leads through one."""

    name: str
    title: str
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    nodes: tuple[Node, ...]
    stages: tuple[Stage, ...]
    ring: str = ""


RING_3, RING_1, RING_0 = Row(N_("ring 3"), 3), Row(N_("ring 1"), 1), Row(N_("ring 0"), 0)
HARDWARE: Final = Row(N_("hardware"), -1)
INJECTED: Final = Stage(
    "injected", N_("virtual interrupt"), "vmm", "guest",
    N_("The VMM delivers the interrupt of the virtual adapter through the guest's own table."),
)  # fmt: skip
