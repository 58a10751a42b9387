"""The details that panels watch: exits by reason, walks, mappings; and how they reach a frame."""

from __future__ import annotations

import pytest

from vizapp.errors import ScenarioError
from vizapp.experiment.scenarios import make_scenario
from vizapp.machine.events import VM_ENTERED, VM_EXITED, Event
from vizapp.machine.inputs import NAMES
from vizapp.machine.places import GUEST_KERNEL, VMM, VMX_NON_ROOT, VMX_ROOT, Place
from vizapp.machine.walks import GUEST
from vizapp.session.details import CONTROL_STRUCTURE, EXITS, MAPPINGS, WALK
from vizapp.session.details.exits import tabulate
from vizapp.session.details.mappings import mappings
from vizapp.session.details.registry import DETAILS, Subject
from vizapp.session.details.walk import references, walk
from vizapp.session.protocol import Watch
from vizapp.session.session import Session

INSIDE = [Place(world=VMX_NON_ROOT, vm=vm, component=GUEST_KERNEL) for vm in range(2)]
MONITOR = Place(world=VMX_ROOT, component=VMM)
PRICES = [10] * len(NAMES)


def _exit(cycle: int, reason: str, vm: int = 0, charges: tuple[tuple[str, int], ...] = ()) -> Event:
    return Event(0, cycle, VM_EXITED, INSIDE[vm], MONITOR, reason, {}, charges)


def _entry(cycle: int, vm: int = 0) -> Event:
    return Event(0, cycle, VM_ENTERED, MONITOR, INSIDE[vm], "vmresume", {})


def test_exits_are_timed_from_exit_to_entry() -> None:
    events = [
        _entry(0),
        _exit(110, "cpuid", charges=(("vm_exit", 1),)),
        _entry(200),
        _exit(310, "cpuid", charges=(("vm_exit", 1),)),
        _entry(350),
        _exit(1010, "cr-access", charges=(("vm_exit", 1),)),
        _entry(1900),
        _exit(2000, "hlt"),
    ]
    rows = tabulate(events, PRICES, 0)
    assert [row.reason for row in rows] == ["cr-access", "cpuid", "hlt"]
    slow, quick, last = rows
    assert (slow.samples, slow.time, slow.shortest, slow.longest) == (1, 900, 900, 900)
    assert (quick.samples, quick.time, quick.shortest, quick.longest, quick.mean) == (2, 150, 50, 100, 75)
    assert (last.samples, last.open, last.time, last.mean) == (1, 1, 0, 0)
    assert sum(row.share for row in rows) == pytest.approx(1)
    assert sum(row.time_share for row in rows) == pytest.approx(1)


def test_exits_of_another_virtual_machine_do_not_count() -> None:
    events = [_exit(10, "cpuid"), _entry(20, vm=1), _exit(30, "hlt", vm=1), _entry(60, vm=0)]
    (row,) = tabulate(events, PRICES, 0)
    assert (row.reason, row.time) == ("cpuid", 50)
    (row,) = tabulate(events, PRICES, 1)
    assert (row.reason, row.open) == ("hlt", 1)


def _subject(session: Session, address: int | None = None) -> Subject:
    pc, monitor, _, _ = session.machine
    return Subject(pc, monitor, session.store, session.timeline.cursor, 0, address)


@pytest.fixture(scope="module")
def native() -> Session:
    session = Session(make_scenario("minikernel"))
    session.run(max_instructions=20_000)
    return session


@pytest.fixture(scope="module")
def shadowed() -> Session:
    session = Session(make_scenario("minikernel", technique_name="trap-and-emulate", virtualizable=True))
    session.run(max_instructions=20_000)
    return session


def test_the_bare_machine_walks_the_guests_tables(native: Session) -> None:
    found = walk(_subject(native))
    assert found is not None
    assert found.guest == found.processor
    assert references(found.processor) == (2, 0)
    assert (found.paging, found.nested, found.shadowed) == (True, False, False)
    assert found.guest_physical == found.host_physical


def test_a_shadow_is_walked_instead(shadowed: Session) -> None:
    found = walk(_subject(shadowed))
    assert found is not None
    assert found.shadowed
    assert not found.nested
    assert [step.table for step in found.guest] == [GUEST, GUEST]
    assert found.guest != found.processor
    assert found.guest_physical is not None
    assert found.host_physical == shadowed.machine.monitor.guest_physical(found.guest_physical)


def test_an_address_that_is_not_mapped(native: Session) -> None:
    found = walk(_subject(native, 0xE000_0000))
    assert found is not None
    assert found.guest_physical is None
    assert found.host_physical is None
    assert not found.processor[-1].present


def test_the_shadow_never_has_more_than_the_guest(shadowed: Session) -> None:
    found = mappings(_subject(shadowed))
    assert found.kind == "shadow"
    assert any(row.processor for row in found.rows)
    monitor = shadowed.machine.monitor
    for row in found.rows:
        if row.guest is None or row.processor is None:
            continue
        assert row.processor.writable <= row.guest.writable
        assert row.processor.user <= row.guest.user
        host = monitor.guest_physical(row.guest.frame << 12)
        assert host is not None
        assert host >> 12 == row.processor.frame


def test_native_tables_are_shared(native: Session) -> None:
    found = mappings(_subject(native))
    assert found.kind == "shared"
    assert all(row.guest == row.processor for row in found.rows)


def test_a_frame_has_what_is_watched_and_no_more(native: Session) -> None:
    assert native.frame().details == {}
    native.begin(Watch(frozenset((WALK, MAPPINGS)), {WALK: 0x0010_0000}))
    details = native.frame().details
    assert set(details) == {WALK, MAPPINGS}
    assert details[WALK].linear == 0x0010_0000
    native.watch_details(())
    assert native.frame().details == {}


def test_looking_changes_nothing(shadowed: Session) -> None:
    pc = shadowed.machine.pc
    before = pc.memory.dump(0, pc.memory.size), pc.meter.cycles, pc.mmu.save()
    shadowed.watch_details(DETAILS)
    frame = shadowed.frame()
    assert frame.details[EXITS] == ()
    assert (pc.memory.dump(0, pc.memory.size), pc.meter.cycles, pc.mmu.save()) == before
    shadowed.watch_details(())


ASSISTED = [("vt-x", "shadow"), ("vt-x", "nested"), ("amd-v", "shadow"), ("amd-v", "nested")]


@pytest.fixture(scope="module", params=ASSISTED, ids="-".join)
def assisted(request: pytest.FixtureRequest) -> Session:
    technique, paging = request.param
    session = Session(make_scenario("minikernel", technique_name=technique, paging=paging))
    session.run(max_instructions=5_000)
    return session


def test_every_exit_is_in_the_table(assisted: Session) -> None:
    rows = DETAILS[EXITS](_subject(assisted))
    counted = assisted.report()["events"]["vm-exit"]
    assert {row.reason: row.samples for row in rows} == counted
    assert sum(row.open for row in rows) <= 1
    assert all(row.shortest <= row.mean <= row.longest for row in rows if row.samples > row.open)


def test_both_dimensions_are_walked_under_nested_paging(assisted: Session) -> None:
    found = walk(_subject(assisted))
    assert found is not None
    monitor = assisted.machine.monitor
    assert found.nested == (assisted.scenario.paging == "nested")
    assert found.shadowed != found.nested
    levels = 4 if assisted.scenario.technique == "vt-x" else 2
    assert references(found.processor) == ((2, 3 * levels) if found.nested else (2, 0))
    assert found.guest_physical is not None
    assert found.host_physical == monitor.guest_physical(found.guest_physical)


def test_mappings_lead_to_the_guests_own_memory(assisted: Session) -> None:
    found = mappings(_subject(assisted))
    assert found.kind == assisted.scenario.paging
    monitor = assisted.machine.monitor
    mapped = [row for row in found.rows if row.guest is not None and row.processor is not None]
    assert mapped
    for row in mapped:
        assert row.guest is not None
        assert row.processor is not None
        host = monitor.guest_physical(row.guest.frame << 12)
        assert host is not None
        assert host >> 12 == row.processor.frame


def test_the_structure_tells_what_an_exit_changed(assisted: Session) -> None:
    assisted.next_event({VM_EXITED})
    found = DETAILS[CONTROL_STRUCTURE](_subject(assisted))
    assert found is not None
    intel = assisted.scenario.technique == "vt-x"
    assert found.kind == ("VMCS" if intel else "VMCB")
    by_name = {field.name: field for field in found.fields}
    # The Pentium 4, which runs the one with shadow paging, has no such fields.
    assert (
        ("vpid" in by_name) == ("ept_pointer" in by_name) == (intel and assisted.scenario.paging == "nested")
    )
    assert any(field.by_exit for field in found.fields)
    assert not any(field.by_monitor for field in found.fields)
    code = by_name["exit_reason" if intel else "exitcode"]
    event = assisted.store.preceding(assisted.timeline.cursor, {VM_EXITED})
    assert event is not None
    assert code.value == event.payload["reason" if intel else "exitcode"]
    assisted.next_event({VM_ENTERED})
    assisted.back()
    after = DETAILS[CONTROL_STRUCTURE](_subject(assisted))
    assert after is not None
    assert {field.name for field in after.fields if field.by_exit} == {
        field.name for field in found.fields if field.by_exit
    }


@pytest.mark.parametrize("technique", ["vt-x", "amd-v"])
def test_an_intercept_makes_its_exits_come_and_go(technique: str) -> None:
    counts = []
    for intercepts in ({}, {"rdtsc": True}):
        scenario = make_scenario("syscall", technique_name=technique, intercepts=intercepts, iterations=3)
        session = Session(scenario)
        session.run(max_instructions=3_000)
        counts.append(session.report()["events"]["vm-exit"].get("rdtsc", 0))
        found = DETAILS[CONTROL_STRUCTURE](_subject(session))
        assert found is not None
        assert dict(found.intercepts)["rdtsc"] == bool(intercepts)
    assert counts[0] == 0
    assert counts[1] > 0


@pytest.mark.parametrize(
    ("technique", "intercepts"),
    [
        ("vt-x", {"cr3": False}),
        ("amd-v", {"cr3": False}),
        ("vt-x", {"bogus": True}),
        ("amd-v", {"bogus": True}),
    ],
)
def test_an_intercept_that_cannot_be_is_refused(technique: str, intercepts: dict[str, bool]) -> None:
    with pytest.raises(ScenarioError):
        Session(make_scenario("hello", technique_name=technique, intercepts=intercepts))


def test_only_hardware_has_intercepts() -> None:
    with pytest.raises(ScenarioError, match="vt-x and amd-v"):
        make_scenario("hello", technique_name="trap-and-emulate", intercepts={"hlt": True})
