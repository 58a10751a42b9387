"""Several domains: made by hypercalls, run side by side, ended one by one."""

from __future__ import annotations

from domains_support import SPARE, Tools, build, domain_0
from xen_support import BASE, Run, kernel

from vizapp.guest.library import build_guest
from vizapp.machine import events
from vizapp.session.state_hash import state_hash
from vizapp.vmm.xen import abi

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


SLICE = 40_000  # cycles


def pair_at_work() -> Run:
    """Domain 0 waiting, and two that count, in slices so short that they take turns."""
    run = Run(kernel(f"ready:\n{WAIT}"), spare=SPARE, slice_cycles=SLICE).until("ready")
    build(run, counting("one"))
    build(run, counting("two"))
    return run


def outcome(run: Run) -> tuple:
    """Run until both have ended, and a bit further."""
    while sum(vm.stopped is not None for vm in run.monitor.vms) < 2:
        run.pc.run(max_steps=3000)
    run.pc.run(max_steps=1000)
    return run.pc.position, run.pc.meter.cycles, run.serial, state_hash(run.pc)


def test_a_run_of_several_is_the_same_stepped_run_and_taken_up_again():
    run = pair_at_work()
    expected = outcome(run)
    assert len(run.kinds(events.VM_SCHEDULED)) > 4
    again = pair_at_work()
    saved = None
    while sum(vm.stopped is not None for vm in again.monitor.vms) < 2:
        for _ in range(3000):
            again.pc.step()
        if saved is None:
            saved = again.pc.save()
            kept = again.pc.position, again.monitor.guest_view(1), again.monitor.guest_view(2)
    again.pc.run(max_steps=1000)
    assert (again.pc.position, again.pc.meter.cycles, again.serial, state_hash(again.pc)) == expected
    assert saved is not None
    again.pc.load(saved)
    assert (again.pc.position, again.monitor.guest_view(1), again.monitor.guest_view(2)) == kept
    assert outcome(again) == expected


def test_what_is_away_is_seen_where_it_was_put():
    run = pair_at_work()
    views = {}
    for _ in range(40):
        run.pc.run(max_steps=97)
        for vm in (1, 2):
            if run.monitor.current != vm and vm in views and not views[vm][0]:
                assert run.monitor.guest_view(vm).general == views[vm][1]
        views = {vm: (run.monitor.current == vm, run.monitor.guest_view(vm).general) for vm in (1, 2)}
    away = 2 if run.monitor.current != 2 else 1
    view = run.monitor.processor_view(away)
    assert "another domain" in view.where.in_english()
    assert view.control[3] >> 12 == run.xen.domains[away].page_directory
    assert run.monitor.guest_translate(BASE + 5, away) == 5
    host = run.monitor.guest_physical(5, away)
    assert host == run.monitor.processor_translate(BASE + 5, away)
    assert run.xen.frames.owner(host >> 12) == f"vm{away}"


def test_a_domain_gives_up_a_xenstore_that_never_answers():
    run = domain_0("sleep: XEN 29, 1\njmp sleep")
    tools = Tools(run)
    number = build(run, build_guest("network-send", "xen"), start=False)
    frames, memory = tools.frames(number), run.pc.memory
    store, console = frames[-1] << 12, frames[-2] << 12
    (info,) = (frame << 12 for frame in frames if memory.dump(frame << 12, 8) == b"xen-3.0-")
    for field, frame in (("store", store), ("console", console)):
        run.put(tools.buffer, number.to_bytes(2, "little") + bytes(6))
        assert run.call("event_channel_op", abi.EVTCHNOP_ALLOC_UNBOUND, tools.buffer) == 0
        memory.write(info + abi.START_INFO[f"{field}_mfn"], 4, frame >> 12)
        memory.write(info + abi.START_INFO[f"{field}_evtchn"], 4, tools.answer(4, 4))
    assert tools.domctl("unpausedomain", number) == 0
    domain = run.xen.domains[1]
    while domain.stopped is None and run.pc.stopped is None:
        run.pc.run(max_steps=20_000)
    assert domain.stopped is not None
    assert domain.stopped[0] == "crashed"
    assert memory.dump(console + 1024, 24) == b"xenstore does not answer"
