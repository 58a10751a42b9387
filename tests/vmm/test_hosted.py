"""A monitor beside a host operating system: two worlds, their switch, and the way of a device access."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest

from tests.goldens.make import result_of, results
from tests.session.test_input import READER
from tests.session.test_waiting import CHARACTER
from tests.session.test_waiting import scenario as waiting
from vizapp.errors import ScenarioError, UnknownNameError
from vizapp.experiment.hosted import with_io
from vizapp.experiment.scenarios import make_scenario
from vizapp.isa.registers import CR0_PG, CS
from vizapp.machine import events as ev
from vizapp.machine.debug import is_watched
from vizapp.machine.events import Event
from vizapp.machine.places import HOST, HOST_KERNEL, VM_APP, VM_DRIVER, VMM_WORLD, Place
from vizapp.session.builder import Machine, build
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session
from vizapp.session.state_hash import state_hash
from vizapp.vmm.hosted.layout import CROSS
from vizapp.vmm.stubs import EXIT

FRAMES = 8
OFF = {"ports": False, "combining": False, "notification": False}


@cache
def scenario(guest: str, iterations: int | None = None, **hosted: bool) -> Scenario:
    return make_scenario(
        guest, technique_name="binary-translation", io="hosted", iterations=iterations, hosted=hosted
    )


class Listened:
    """A run with all its events."""

    def __init__(self, guest: str, iterations: int | None = None, **hosted: bool) -> None:
        self.machine: Machine = build(scenario(guest, iterations, **hosted))
        self.events: list[Event] = []
        self.machine.pc.listener = self.events.append
        self.machine.pc.run()

    @property
    def output(self) -> str:
        return bytes(self.machine.monitor.devices.uart.output).decode("ascii")

    def switches(self, cause: str | None = None) -> int:
        return sum(event.kind == ev.WORLD_SWITCHED and cause in (None, event.cause) for event in self.events)

    @property
    def system_calls(self) -> int:
        return sum(
            event.kind == ev.SOFTWARE_INTERRUPT_DELIVERED and event.source.component == VM_APP
            for event in self.events
        )


@cache
def bare_result(guest: str, iterations: int | None) -> str:
    machine = build(make_scenario(guest, iterations=iterations))
    machine.pc.run()
    return result_of(bytes(machine.monitor.devices.uart.output).decode("ascii"))


@cache
def listened(guest: str, iterations: int | None = None, **hosted: bool) -> Listened:
    return Listened(guest, iterations, **hosted)


@pytest.mark.parametrize(
    ("guest", "iterations", "options"),
    [
        ("popf", None, {}),
        ("selfmodify", None, {}),
        ("disk-read", 1, {}),
        ("disk-write", 1, OFF),
        ("network-send", FRAMES, {}),
        ("network-send", 4, OFF),
        ("network-receive", 4, {}),
        ("network-receive", 4, OFF),
    ],
)
def test_a_guest_does_what_it_does_on_the_bare_machine(
    guest: str, iterations: int | None, options: dict[str, bool]
) -> None:
    """Its registers after each instruction, and its memory at the end, with frames and sectors in it."""
    session = Session(scenario(guest, iterations, **options), lockstep=True)
    session.run()
    card = session.scorecard()
    assert card.holds is True, card
    assert card.compared == session.timeline.end_instruction
    assert session.leaks == ()
    assert result_of(session.final_serial) == bare_result(guest, iterations)


def test_the_host_prints_what_the_virtual_serial_port_sends() -> None:
    run = listened("hello")
    assert bytes(run.machine.pc.uart.output).decode("ascii") == run.output


def test_the_worlds_take_turns_and_each_knows_its_own_tables() -> None:
    machine = build(scenario("minikernel"))
    pc = machine.pc
    held: dict[str, set[tuple[object, ...]]] = {HOST: set(), VMM_WORLD: set()}
    worlds = []

    def listen(event: Event) -> None:
        if event.kind == ev.WORLD_SWITCHED:
            worlds.append((event.source.world, event.target.world))
        elif event.kind in (ev.RETURNED, ev.EXCEPTION_DELIVERED, ev.SOFTWARE_INTERRUPT_DELIVERED):
            cpu = pc.cpu
            if cpu.cr0 & CR0_PG and not CROSS <= cpu.eip < CROSS + 0x1000:
                held[pc.meter.place.world].add((cpu.gdtr, cpu.idtr, cpu.ldtr.selector, cpu.tr.selector))

    pc.listener = listen
    pc.run(until_instruction=4_000)
    assert worlds[0] == (HOST, VMM_WORLD)
    assert all(first == second[::-1] for first, second in pairwise(worlds))
    assert [len(tables) for tables in held.values()] == [1, 1]
    assert held[HOST] != held[VMM_WORLD]


def test_the_switch_is_code_that_the_processor_executes() -> None:
    machine = build(scenario("hello"))
    pc = machine.pc
    passed: list[tuple[int, str]] = []
    while not any(world == VMM_WORLD for _, world in passed):
        if CROSS <= pc.cpu.eip < CROSS + 0x1000 and pc.phase is None:
            pc.step()
            passed.append((pc.cpu.cr3, pc.meter.place.world))
        elif passed:
            break
        else:
            pc.run(max_steps=1)
    host, vmm = passed[0], passed[-1]
    assert host[1] == HOST
    assert vmm[1] == VMM_WORLD
    assert host[0] != vmm[0]
    assert len(passed) > 20


def test_the_switch_is_total() -> None:
    """Each world finds its debug registers, its MSRs of SYSENTER and its CR2 as it has left them.

    The host's breakpoint is where the VMM goes through at every exit to the guest: it must not hit there.
    """
    machine = build(scenario("popf"))
    pc, cpu, vm = machine.pc, machine.pc.cpu, machine.monitor.vms[0]

    left: dict[str, tuple[list[int], list[int], int]] = {}

    def held() -> tuple[list[int], list[int], int]:
        return list(cpu.debug), list(cpu.sysenter), cpu.cr2

    def go_to(world: str) -> None:
        for _ in range(200_000):
            inside = CROSS <= cpu.eip < CROSS + 0x1000 or not cpu.cr0 & CR0_PG
            if not inside:
                if pc.meter.place.world == world and pc.phase is None:
                    return
                left[pc.meter.place.world] = held()
            pc.run(max_steps=1)
        raise AssertionError(f"the processor does not come to {world}")

    def put(debug: list[int], sysenter: list[int], cr2: int) -> None:
        cpu.debug[:], cpu.sysenter[:], cpu.cr2 = debug, sysenter, cr2
        cpu.watched = is_watched(cpu)

    every_exit = vm.tables.code(EXIT)  # type: ignore[attr-defined]
    hosts = ([every_exit, 0x1111, 0x2222, 0x3333, 0, 0, 0xFFFF_0FF0, 0x401], [0x08, 0x4444, 0x5555], 0x6666)
    vmms = ([0x7777, 0x8888, 0x9999, 0xAAAA, 0, 0, 0xFFFF_0FF1, 0x400], [0x0C, 0xBBBB, 0xCCCC], 0xDDDD)
    go_to(HOST)
    put(*hosts)
    go_to(VMM_WORLD)
    assert held() == ([0, 0, 0, 0, 0, 0, 0xFFFF_0FF0, 0x400], [0, 0, 0], 0)
    put(*vmms)
    for _ in range(3):
        go_to(HOST)
        assert held() == hosts
        go_to(VMM_WORLD)
        assert held() == left[VMM_WORLD]  # CR2 is another: there were page faults
        assert held()[:2] == vmms[:2]
    pc.run()
    assert result_of(bytes(machine.monitor.devices.uart.output).decode("ascii")) == bare_result("popf", None)


def test_an_interrupt_that_hits_the_vmm_is_served_by_the_host() -> None:
    """VMM's IDT, world switch, and the same vector again by INT in VMDriver."""
    events = listened("popf").events
    interesting = (ev.INTERRUPT_DELIVERED, ev.WORLD_SWITCHED, ev.SOFTWARE_INTERRUPT_DELIVERED)
    told = [event for event in events if event.kind in interesting]
    found = 0
    for hit, switch, again in zip(told, told[1:], told[2:], strict=False):
        if hit.kind == ev.INTERRUPT_DELIVERED and hit.target.world == VMM_WORLD:
            assert (switch.kind, switch.cause) == (ev.WORLD_SWITCHED, "interrupt")
            assert again.kind == ev.SOFTWARE_INTERRUPT_DELIVERED
            assert again.payload["vector"] == hit.payload["vector"] == switch.payload["vector"]
            assert again.source.component == VM_DRIVER
            assert again.target.component == HOST_KERNEL
            found += 1
    assert found > 10


def test_an_access_to_the_adapter_goes_through_vmapp_to_the_wire() -> None:
    events = listened("network-send", FRAMES, **OFF).events
    start = next(
        index
        for index, event in enumerate(events)
        if event.cause == "port" and event.payload["write"] and event.payload["port"] == 0x310
    )
    following = [event for event in events[start:] if event.kind != ev.ADDRESS_SPACE_SWITCHED]
    switch, to_app, call = following[:3]
    assert (switch.source.world, switch.target.world) == (VMM_WORLD, HOST)
    assert (to_app.kind, to_app.target.component) == (ev.RETURNED, VM_APP)
    assert (call.kind, call.source.component, call.target.component) == (
        ev.SOFTWARE_INTERRUPT_DELIVERED,
        VM_APP,
        HOST_KERNEL,
    )
    network = listened("network-send", FRAMES, **OFF).machine.pc.board.peripherals
    assert network is not None
    assert network.network is not None


@pytest.mark.parametrize(
    ("guest", "iterations"), [("network-send", FRAMES), ("network-receive", 4), ("disk-write", 1)]
)
@pytest.mark.parametrize("options", [{}, OFF], ids=["optimized", "not"])
def test_what_goes_through_the_host_arrives_intact(
    guest: str, iterations: int, options: dict[str, bool]
) -> None:
    assert result_of(listened(guest, iterations, **options).output) == bare_result(guest, iterations)


def test_a_host_runs_as_the_guest_of_a_host() -> None:
    assert result_of(listened("host").output) == results()["host"]


def test_each_optimization_saves_what_it_is_for() -> None:
    plain = listened("network-send", FRAMES, **OFF)
    handled = listened("network-send", FRAMES, combining=False, notification=False)
    combined = listened("network-send", FRAMES, notification=False)
    told = listened("network-send", FRAMES)
    assert handled.switches("port") < plain.switches("port") * 2 / 3
    assert combined.switches("port") < handled.switches("port") * 2 / 3
    assert told.system_calls < combined.system_calls


def test_going_back_and_forward_gives_the_same_state() -> None:
    session = Session(scenario("disk-read", 1))
    session.advance()
    end = session.timeline.end
    there = state_hash(session.machine.pc)
    session.seek(end // 2)
    middle = state_hash(session.machine.pc)
    session.seek(end)
    assert state_hash(session.machine.pc) == there
    session.seek(end // 2)
    assert state_hash(session.machine.pc) == middle


@pytest.mark.parametrize("early", [True, False], ids=["while the host starts", "later"])
def test_a_key_reaches_the_guest_through_the_host(early: bool) -> None:
    session = Session(with_io(Scenario(READER, "binary-translation"), "hosted", {}), lockstep=True)
    session.run(max_steps=400 if early else 40_000)
    session.feed("keyboard", "a", True)
    session.run(max_steps=400)
    session.feed("keyboard", "a", False)
    assert session.run().guest_registers["ebx"] == 0x9E
    assert session.scorecard().holds


def test_where_the_guest_waits_for_a_character_the_host_does_too() -> None:
    plan = waiting("binary-translation", "pentium-4-672", line=4)
    session = Session(with_io(plan, "hosted", {}), lockstep=True)
    session.attended = True
    for _ in range(2):
        frame = session.run()
        assert frame.waiting is not None
        assert session.machine.pc.meter.place == Place(world=HOST, component=HOST_KERNEL)
        session.feed(*CHARACTER)
    frame = session.run()
    assert frame.stopped is not None
    assert frame.guest_registers["ebx"] == 2
    assert session.scorecard().holds


def test_in_the_hosts_world_the_guests_state_is_where_the_switch_left_it() -> None:
    session = Session(scenario("rings"))
    session.next_event([f"{ev.WORLD_SWITCHED}:serial"])
    monitor = session.machine.monitor
    guest, processor = monitor.guest_view(), monitor.processor_view()
    assert session.machine.pc.meter.place.world == HOST
    assert processor.control[3] != session.machine.pc.cpu.cr3
    assert processor.selectors[CS] == monitor.vms[0].tables.frame.cs  # type: ignore[attr-defined]
    assert guest.selectors[CS] == 0x08
    assert session.frame().sentence.in_english().startswith("MOV CR3 in the switch page")


def test_the_stage_has_two_worlds() -> None:
    vmm, host = Session(scenario("hello")).stage.worlds
    assert (vmm.id, host.id) == (VMM_WORLD, HOST)
    assert [component.id for component in host.components] == [HOST_KERNEL, VM_DRIVER, VM_APP]


@pytest.mark.parametrize(
    ("choices", "wrong"),
    [
        ({"technique_name": "vt-x", "io": "hosted"}, "there do: binary-translation"),
        ({"io": "split"}, "only under paravirtual"),
        ({"technique_name": "paravirtual", "io": "hosted"}, "there do: binary-translation"),
        ({"technique_name": "binary-translation", "hosted": {"ports": True}}, "add --io hosted"),
    ],
)
def test_what_cannot_be_is_refused(choices: dict[str, object], wrong: str) -> None:
    with pytest.raises(ScenarioError, match=wrong):
        make_scenario("hello", **choices)  # type: ignore[arg-type]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean hosted"):
        make_scenario("hello", technique_name="binary-translation", io="hostet")
    with pytest.raises(UnknownNameError, match="did you mean ports"):
        make_scenario("hello", technique_name="binary-translation", io="hosted", hosted={"port": True})
