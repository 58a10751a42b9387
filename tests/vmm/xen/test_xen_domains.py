"""Several domains: made by hypercalls, run side by side, ended one by one."""

from __future__ import annotations

from domains_support import build, domain_0
from xen_support import kernel

from vizapp.machine import events

COUNT = """
        mov ecx, {count}
again:  add dword [results], 1
        loop again
        XEN 18, 0, text_end - text, text
        STOP
text:   db "{name}", 10
text_end:
"""
WAIT = "wait: XEN 29, 0\njmp wait"


def counting(name: str, count: int = 2000):
    return kernel(COUNT.format(name=name, count=count))


def test_a_domain_that_was_built_runs_beside_domain_0():
    run = domain_0(WAIT)
    build(run, counting("one"))
    build(run, counting("two"))
    while len(run.kinds(events.VM_STOPPED)) < 2:
        run.pc.run(max_steps=5000)
    assert run.serial.split() == ["one", "two"]
    assert [vm.state for vm in run.monitor.vms] == ["running", "stopped", "stopped"]
    assert run.monitor.vms[1].stopped[0] == "halted"
    assert run.monitor.vms[1].instructions > 2000
    assert sum(vm.instructions for vm in run.monitor.vms) == run.pc.instructions
