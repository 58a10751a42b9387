"""What a panel is told of hypercalls."""

from __future__ import annotations

from domains_support import domain_0

from vizapp.session.details.hypercalls import hypercalls
from vizapp.session.details.registry import Subject
from vizapp.session.recorder import EventStore
from vizapp.vmm.xen import abi


def test_hypercalls_are_told_with_what_their_registers_meant():
    run = domain_0("XEN 29, 0\nXEN 17, 0, 0\nXEN 18, 9, 0, 0\nXEN 14, scratch, 1, 0, 2\nhere: jmp here")
    while not (run.pc.cpu.cpl == 1 and run.pc.cpu.eip == run.at("here")):
        run.pc.step()
    store = EventStore()
    store.extend(run.events)
    rows = hypercalls(Subject(run.pc, run.monitor, store, run.pc.position + 1))
    assert rows is not None
    *_, idle, version, console, mapping = rows
    assert (idle.name, idle.operation, idle.arguments[0]) == ("sched_op", "yield", ("command", 0))
    assert (version.operation, version.result, version.error) == ("version", abi.VERSION_3_1, "")
    assert (console.arguments[1], console.error) == (("count", 0), "ENOSYS")
    assert (mapping.error, mapping.refusal) == ("EINVAL", "machine frame 0x0 does not belong to the domain")
    assert mapping.vm == 0
