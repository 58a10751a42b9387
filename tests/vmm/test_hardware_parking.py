"""Guests under VT-x and AMD-V do the same, cycle for cycle, whether fast maps are parked or dropped."""

from __future__ import annotations

import pytest
from hardware_support import SETTINGS, HardwareRun

from vizapp.guest.library import build_guest


def outcome(setting: str, *, parks: bool) -> tuple[HardwareRun, object]:
    run = HardwareRun(
        build_guest("minikernel", "native"),
        setting,
        others=(build_guest("syscall", "native"),),
        slice_cycles=20_000,
    )
    run.pc.mmu.parks = parks
    run.pc.run(until_instruction=20_000)
    pc = run.pc
    saved = pc.save()
    del saved["memory"]
    return run, (run.events, saved, pc.memory.digest(), pc.meter.rows())


@pytest.mark.parametrize("setting", SETTINGS)
def test_parking_tells_in_time_alone(setting: str) -> None:
    run, parked = outcome(setting, parks=True)
    _, dropped = outcome(setting, parks=False)
    assert parked == dropped
    assert run.exits()
