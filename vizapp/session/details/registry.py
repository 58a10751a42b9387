"""The details by name: each looks at the machine at the cursor and gives a plain value.

Adding one takes a module here, a name in the package, and a line in ``DETAILS``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vizapp.session.details import (
    CACHE_BYTES,
    CONTROL_STRUCTURE,
    DOMAINS,
    EXITS,
    HYPERCALLS,
    MAPPINGS,
    MEMORY_MAP,
    PAGE_FAULTS,
    PAGE_TYPES,
    PATH,
    PORTING,
    RINGS,
    SCHEDULE,
    TRANSLATION,
    TRANSLATION_CACHE,
    WALK,
)
from vizapp.session.details.cache_bytes import cache_bytes
from vizapp.session.details.control_structure import control_structure
from vizapp.session.details.domains import domains
from vizapp.session.details.exits import exits
from vizapp.session.details.hypercalls import hypercalls
from vizapp.session.details.mappings import mappings
from vizapp.session.details.memory_map import memory_map
from vizapp.session.details.page_faults import page_faults
from vizapp.session.details.page_types import page_types
from vizapp.session.details.path import path
from vizapp.session.details.porting import porting
from vizapp.session.details.rings import rings
from vizapp.session.details.schedule import schedule
from vizapp.session.details.translation import translation
from vizapp.session.details.translation_cache import translation_cache
from vizapp.session.details.walk import walk
from vizapp.session.journeys.journey import Journeys

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vizapp.guest.port import DiffLine
    from vizapp.machine.pc import Pc
    from vizapp.session.protocol import Watch
    from vizapp.session.recorder import EventStore
    from vizapp.session.run_states import Change
    from vizapp.vmm.base import Monitor


def _unknown(_address: int) -> str:
    return ""


class Subject(NamedTuple):
    """What a detail looks at.

    Attributes:
        position: the cursor's.
        vm: the virtual machine that is asked about.
        address: the linear address that is asked about; None: what the guest last touched.
        heat: how often execution arrived at each guest instruction, by EIP, in the whole recording.
        porting: both builds of a guest that was ported; nothing of one that runs as it is.
        symbols: the labels of the first guest's image.
        journeys: packets and blocks that were followed in the whole recording.
        run_states: what each virtual machine did, in the whole recording.
        way: how the instruction at a linear address has run; see ``session.ways``.
    """

    pc: Pc
    monitor: Monitor
    store: EventStore
    position: int
    vm: int = 0
    address: int | None = None
    heat: Mapping[int, int] = MappingProxyType({})
    porting: tuple[DiffLine, ...] = ()
    symbols: Mapping[str, int] = MappingProxyType({})
    journeys: Journeys = Journeys()
    run_states: Sequence[Change] = ()
    way: Callable[[int], str] = _unknown


DETAILS: Final[Mapping[str, Callable[[Subject], Any]]] = {
    EXITS: exits,
    WALK: walk,
    MAPPINGS: mappings,
    MEMORY_MAP: memory_map,
    CONTROL_STRUCTURE: control_structure,
    TRANSLATION: translation,
    TRANSLATION_CACHE: translation_cache,
    CACHE_BYTES: cache_bytes,
    PORTING: porting,
    DOMAINS: domains,
    PAGE_TYPES: page_types,
    PAGE_FAULTS: page_faults,
    HYPERCALLS: hypercalls,
    RINGS: rings,
    PATH: path,
    SCHEDULE: schedule,
}


def details_of(watch: Watch, subject: Subject) -> dict[str, Any]:
    """The details that are watched, in the order of the registry; None where there is nothing to say."""
    return {
        name: look(subject._replace(address=watch.addresses.get(name)))
        for name, look in DETAILS.items()
        if name in watch.details
    }
