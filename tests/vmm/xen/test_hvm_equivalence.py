"""Library guests as HVM domains, instruction by instruction beside the bare machine."""

from __future__ import annotations

import pytest
from hvm_support import PAGES, HvmRun
from xen_support import library

from vizapp.machine.pc import Pc
from vizapp.session.equivalence import Lockstep
from vizapp.vmm.base import Options
from vizapp.vmm.registry import technique

LOOPS = ("page-fault", "pte-modify")


@pytest.mark.parametrize(
    ("guest", "vendor", "nested"),
    [
        ("rings", "vt-x", False),
        ("page-fault", "vt-x", True),
        ("popf", "amd-v", False),
        ("pte-modify", "amd-v", True),
        ("minikernel", "vt-x", True),
        ("selfmodify", "amd-v", False),
    ],
)
def test_a_guest_runs_as_on_the_bare_machine(guest, vendor, nested):
    image = library(guest, "native", iterations=8 if guest in LOOPS else None)
    run = HvmRun(image, vendor, nested=nested)
    memory = PAGES << 12
    native = technique("native")
    bare = Pc(
        run.prices,
        memory, run.pc.hertz, run.machine.virtual.cpu.identity,
    )  # fmt: skip
    bare_monitor = native.start(bare, image, Options(memory))
    check = Lockstep(run.pc, run.monitor, bare, bare_monitor, lambda address: ("?", None), 1)
    run.pc.listener = check.event

    def retired() -> None:
        if run.pc.meter.place.vm == 1:
            check.trace.note(run.pc, run.monitor.vms[1].instructions)

    run.pc.on_retired = retired
    check.begin()
    run.start(3_000_000)
    check.finish()
    assert run.xen.domains[1].stopped[0] == "halted"
    assert check.first_difference is None
    assert check.compared == run.monitor.vms[1].instructions > 500
