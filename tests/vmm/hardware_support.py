"""Guests under VT-x and AMD-V, with each kind of paging and on each generation of the hardware."""

from __future__ import annotations

from typing import NamedTuple

from vmm_support import HERTZ, MEMORY, Run

from vizapp.cost.processors import load_processor
from vizapp.machine.events import VM_EXITED, Event
from vizapp.machine.features import Features
from vizapp.machine.identity import with_large_pages, without_large_pages
from vizapp.machine.image import Image
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc
from vizapp.vmm.amd_v.technique import AmdV
from vizapp.vmm.base import Options, VmOptions
from vizapp.vmm.native import Native
from vizapp.vmm.scheduler import DEFAULT_WEIGHT
from vizapp.vmm.vt_x.technique import VtX


class Setting(NamedTuple):
    technique: type[VtX | AmdV]
    processor: str
    nested: bool


SETTINGS = {
    "vt-x-shadow": Setting(VtX, "pentium-4-672", nested=False),
    "ept": Setting(VtX, "nehalem", nested=True),
    "unrestricted": Setting(VtX, "sandy-bridge", nested=True),
    "amd-v-shadow": Setting(AmdV, "k8-rev-f", nested=False),
    "npt": Setting(AmdV, "barcelona", nested=True),
}


class HardwareRun(Run):
    """A guest under one of them; with ``native`` on the same processor without a monitor."""

    def __init__(
        self,
        image: Image,
        setting: str,
        *,
        native: bool = False,
        others: tuple[Image, ...] = (),
        weights: tuple[int, ...] = (),
        features: Features | None = None,
        memory: int = MEMORY,
        slice_cycles: int | None = None,
        intercepts: dict[str, bool] | None = None,
    ) -> None:
        kind, processor, nested = SETTINGS[setting]
        weights = weights or (DEFAULT_WEIGHT,) * (1 + len(others))
        options = Options(
            memory,
            weight=weights[0],
            features=features,
            others=tuple(
                VmOptions(other, memory, weight=weight, features=features)
                for other, weight in zip(others, weights[1:], strict=True)
            ),
            slice_cycles=slice_cycles,
            nested=nested and not native,
            intercepts=intercepts or {},
        )
        self.technique = Native() if native else kind()
        identity = with_large_pages(load_processor(processor).identity())
        if native:
            identity = without_large_pages(identity.without_virtualization())
        size = self.technique.host_memory(options)
        self.pc = Pc(dict.fromkeys(NAMES, 1), size, HERTZ, identity, features if native else None)
        self.events: list[Event] = []
        self.pc.listener = self.events.append
        self.monitor = self.technique.start(self.pc, image, options)

    def exits(self) -> dict[str, int]:
        """How many exits there were, by reason."""
        found: dict[str, int] = {}
        for event in self.kinds(VM_EXITED):
            found[event.cause] = found.get(event.cause, 0) + 1
        return found
