"""Guests of binary translation on bare metal, whose frames and sectors the VMkernel carries."""

from __future__ import annotations

import pickle
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from tests.goldens.make import result_of
from tests.vmm.vmkernel.kernel_support import networked, station, together
from vizapp.experiment.scenarios import make_scenario
from vizapp.guest.library import build_guest
from vizapp.machine import events as ev
from vizapp.machine.devices.carried_drive import CarriedDrive, Request
from vizapp.machine.devices.relayed_lance import CAME, LOST
from vizapp.machine.events import Event
from vizapp.machine.meter import Purpose
from vizapp.machine.places import VMKERNEL, VMM, Place
from vizapp.resources import assets
from vizapp.session.builder import Machine, build
from vizapp.session.details import PATH
from vizapp.session.details.path import Paths
from vizapp.session.journeys.routes import ROUTES
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session
from vizapp.session.state_hash import state_hash
from vizapp.vmm.saved_vm import restore_vm, save_vm
from vizapp.vmm.trap_and_emulate.monitor import TrapAndEmulateMonitor
from vizapp.vmm.vmkernel.kernel import MOST_WAITING, Vmkernel

ESX = "binary-translation"
RING = 16  # descriptors of a library guest's
SHIPPED = assets() / "scenarios"
HOSTED_PLAINLY = {"ports": False, "combining": False, "notification": False}


@cache
def bare_result(guest: str, iterations: int) -> str:
    machine = build(make_scenario(guest, iterations=iterations))
    machine.pc.run()
    return result_of(bytes(machine.monitor.devices.uart.output).decode("ascii"))


def kernel_of(machine: Machine) -> Vmkernel:
    assert isinstance(machine.monitor, TrapAndEmulateMonitor)
    assert machine.monitor.host.kernel is not None
    return machine.monitor.host.kernel


@pytest.mark.parametrize(
    ("guest", "iterations", "technique"),
    [
        ("network-send", 18, ESX),
        ("network-receive", 10, ESX),
        ("disk-read", 2, ESX),
        ("disk-write", 1, ESX),
        ("network-send", 3, "vt-x"),
        ("disk-write", 1, "vt-x"),
        ("network-receive", 3, "amd-v"),
        ("disk-read", 1, "amd-v"),
    ],
)
def test_a_guest_does_what_it_does_on_the_bare_machine(guest: str, iterations: int, technique: str) -> None:
    """Its registers after each instruction, and its memory at the end, with frames and sectors in it."""
    session = Session(make_scenario(guest, technique_name=technique, iterations=iterations), lockstep=True)
    session.run()
    card = session.scorecard()
    assert card.holds is True, card
    assert card.compared == session.timeline.end_instruction
    assert session.leaks == ()
    assert result_of(session.final_serial) == bare_result(guest, iterations)


def test_under_vt_x_several_guests_share_them_too() -> None:
    guests = (("network-send", 4), ("disk-write", 1), ("network-receive", 4))
    scenario = together(*(build_guest(name, iterations=count) for name, count in guests))
    session = Session(
        replace(scenario, technique="vt-x", processor="nehalem", paging="nested"), lockstep=True
    )
    session.run()
    report = session.report()
    assert session.leaks == ()
    for guest, vm in zip(guests, report["vms"], strict=True):
        assert vm["scorecard"]["equivalence"]["holds"] is True, vm
        assert result_of(vm["serial"]) == bare_result(*guest)
    middle, end = session.timeline.end // 2, session.timeline.end
    there = state_hash(session.machine.pc)
    session.seek(middle)
    session.seek(end)
    assert state_hash(session.machine.pc) == there


def test_several_guests_share_one_adapter_and_one_disk() -> None:
    guests = (("network-send", 8), ("disk-write", 2), ("network-receive", 8))
    session = Session(make_scenario(str(SHIPPED / "shared-devices.yaml")), lockstep=True)
    session.run()
    report = session.report()
    assert report["scorecard"]["resource_control"]["let_through"] == 0
    for guest, vm in zip(guests, report["vms"], strict=True):
        assert vm["scorecard"]["equivalence"]["holds"] is True, vm
        assert result_of(vm["serial"]) == bare_result(*guest)
    assert report["events"]["vm-switch"] > 3


PING = """
        call    network_buffer
        jc      late
        mov     esi, frame_head
        mov     ecx, 14
        rep     movsb
        sub     edi, 8
        mov     esi, network_mac
        movsd
        movsw
        add     edi, 2
        mov     eax, 0x12345678
        mov     ecx, 250
        rep     stosd
        mov     ecx, 1014
        call    network_transmit
        call    network_receive
        jc      late
        mov     eax, [esi + 14]
        call    note
        call    put_hex
        call    network_release
        jmp     end
"""
PONG = """
        call    network_receive
        jc      late
        mov     ebx, [esi + 14]
        mov     ebp, [esi + 1010]
        push    ecx
        push    esi
        call    network_buffer
        pop     esi
        pop     ecx
        jc      late
        push    ecx
        push    esi
        push    edi
        rep     movsb
        pop     edi
        pop     esi
        pop     ecx
        push    edi
        push    esi
        add     esi, 6
        movsd
        movsw
        pop     esi
        movsd
        movsw
        pop     edi
        lea     eax, [ebx + ebp]
        mov     [edi + 14], eax
        call    network_transmit
        call    network_release
        call    network_drain
        mov     eax, ebx
        call    note
        call    put_hex
        jmp     end
"""


@cache
def ping_pong() -> Session:
    session = Session(
        together(networked(PONG, name="pong"), networked(PING, station(0), "ping")), lockstep=True
    )
    session.run()
    return session


def test_a_frame_between_two_guests_goes_from_memory_to_memory() -> None:
    session = ping_pong()
    report = session.report()
    serials = [vm["serial"] for vm in report["vms"]]
    assert "12345678" in serials[0]
    assert "2468ACF0" in serials[1]
    assert [vm["scorecard"]["equivalence"]["holds"] for vm in report["vms"]] == [True, True]
    assert session.leaks == ()
    events = session.store.batch(0).events
    switched = [event for event in events if event.kind == ev.FRAME_SWITCHED]
    assert [(event.cause, event.payload["from"], event.payload["to"]) for event in switched] == [
        ("local", 1, "0"), ("local", 0, "1"),
    ]  # fmt: skip
    assert not [event for event in events if event.kind == ev.FRAME_SENT and "vm" not in event.payload]


class Watched:
    """A monitor, asked for its phases: a device of the guest is before each as the last has left it."""

    def __init__(self, machine: Machine) -> None:
        self._monitor, self._pc = machine.monitor, machine.pc
        self._adapter = machine.monitor.vms[0].devices.peripherals.network  # type: ignore[attr-defined]
        self._before = self._adapter.save()
        self._inside = True
        self.ran: set[str] = set()
        machine.pc.listener, machine.pc.on_retired = self._event, self._retired
        machine.pc.monitor = self  # type: ignore[assignment]

    def run_phase(self, name: str) -> str | None:
        assert self._adapter.save() == self._before
        assert self._inside
        self.ran.add(name)
        following = self._monitor.run_phase(name)
        self._before = self._adapter.save()
        return following

    def _event(self, event: Event) -> None:
        doors = (ev.EXCEPTION_DELIVERED, ev.INTERRUPT_DELIVERED, ev.SOFTWARE_INTERRUPT_DELIVERED)
        self._inside = self._inside or (event.kind in doors and event.target.component == VMM)

    def _retired(self) -> None:
        self._inside = False


def test_such_a_frame_is_followed_to_the_other_guest() -> None:
    session = ping_pong()
    session.watch_details({PATH})
    found = session.seek(session.timeline.end).details[PATH]
    assert isinstance(found, Paths)
    assert [(one.route, one.vm) for one in found.shown] == [("kernel-local", 1), ("kernel-local", 0)]
    for one in found.shown:
        assert [stop.stage for stop in one.stops] == [stage.key for stage in ROUTES["kernel-local"].stages]


def test_nothing_of_a_device_happens_before_a_door_has_opened() -> None:
    """Phases follow a physical interrupt, a fault or a call of the cache, and in between nothing changes."""
    machine = build(make_scenario("network-receive", technique_name=ESX, iterations=4))
    watched = Watched(machine)
    machine.pc.run()
    assert {"serve_adapter", "fetch_frame", "take_frame", "switch_frame", "deliver_frame"} <= watched.ran
    assert kernel_of(machine).due() == ""


def test_a_physical_interrupt_comes_by_the_monitors_own_gate_before_the_virtual_one() -> None:
    session = Session(make_scenario("disk-read", technique_name=ESX, iterations=1))
    session.run()
    events = session.store.batch(0).events
    asked = next(event for event in events if event.kind == ev.BLOCKS_ASKED and "vm" in event.payload)
    later = [event for event in events if event.position > asked.position]
    told = next(event for event in later if event.kind == ev.INTERRUPT_INJECTED and event.cause == "0x2e")
    between = [event for event in events if asked.position <= event.position <= told.position]
    commanded = [event for event in between if event.kind == ev.BLOCKS_ASKED and "vm" not in event.payload]
    assert [event.payload["block"] for event in commanded] == [8]
    assert any(event.kind == ev.INTERRUPT_DELIVERED and event.payload["vector"] == 0xFE for event in between)


def test_going_back_and_forward_gives_the_same_state() -> None:
    images = (build_guest("network-receive", iterations=3), build_guest("disk-read", iterations=1))
    session = Session(together(*images))
    session.advance()
    end = session.timeline.end
    there = state_hash(session.machine.pc)
    marks = (end // 3, end // 2, end * 2 // 3)
    found = {}
    for mark in reversed(marks):
        session.seek(mark)
        found[mark] = state_hash(session.machine.pc)
    session.seek(end)
    assert state_hash(session.machine.pc) == there
    for mark in marks:
        session.seek(mark)
        assert state_hash(session.machine.pc) == found[mark]


FLOOD = """
        mov     eax, STATION_FETCH      ; more than the ring takes and the VMkernel keeps
        xor     edx, edx
        mov     ebx, 60
        mov     ecx, 60
        call    station_ask
        jc      late
        mov     ebx, [clock_ticks]
.sleep: WAIT_FOR_INTERRUPT
        cmp     ebx, [clock_ticks]
        je      .sleep
        xor     ebp, ebp
        xor     edi, edi
.take:  call    network_poll
        jc      .rest
        cmp     [esi + AT_NUMBER], ebp
        jne     late
        inc     ebp
        call    network_release
        jmp     .take
.rest:  mov     ebx, [clock_ticks]      ; the others come when there is room
.again: WAIT_FOR_INTERRUPT
        cmp     ebx, [clock_ticks]
        je      .again
        inc     edi
        cmp     edi, 3
        jb      .take
        mov     eax, ebp
        call    put_decimal
        jmp     end
"""


def test_what_a_guests_ring_has_no_room_for_waits_and_more_than_that_is_lost() -> None:
    """And what the bare machine is told of it, by number of frames alone, leads to the same memory."""
    session = Session(together(networked(FLOOD, name="flood")), lockstep=True)
    adapter = session.machine.monitor.vms[0].devices.peripherals.network  # type: ignore[attr-defined]
    told, tell = Counter(), adapter.on_carried

    def listen(said: tuple[str | bytes | int, ...]) -> None:
        told[said[0]] += 1
        tell(said)

    adapter.on_carried = listen
    session.run()
    assert session.final_serial.startswith(f"{RING + MOST_WAITING}\n")
    assert (told[CAME], told[LOST]) == (RING + MOST_WAITING, 60 - RING - MOST_WAITING)
    card = session.scorecard()
    assert card.holds is True, card


def test_a_machine_that_moves_takes_along_what_it_has_written() -> None:
    def made() -> Machine:
        return build(make_scenario("disk-write", technique_name=ESX, iterations=2))

    first, second = made(), made()
    first.pc.run(max_steps=30_000)
    saved = pickle.loads(pickle.dumps(save_vm(first.pc, first.monitor, ESX)))  # type: ignore[arg-type]
    assert saved.state["sectors"]
    restore_vm(second.pc, second.monitor, ESX, saved)  # type: ignore[arg-type]
    second.pc.run()
    output = bytes(second.monitor.devices.uart.output).decode("ascii")
    assert result_of(output) == bare_result("disk-write", 2)


HOSTILE = """
        mov     edi, transmit_ring      ; every descriptor is the adapter's: buffers where there is no memory,
        mov     ecx, RING               ; of all lengths, without beginning or end
        mov     eax, 0x83FF0000
        mov     ebx, 0xF0000000
.one:   stosd
        xchg    eax, ebx
        stosd
        xchg    eax, ebx
        add     eax, 0x00012345
        xor     eax, 0x01000000
        add     ebx, 0x0123
        dec     ecx
        jnz     .one
        mov     edi, receive_ring
        mov     ecx, RING
.two:   mov     dword [edi], 0x80FFFFF0
        mov     dword [edi + 4], 0xF001
        add     edi, 8
        dec     ecx
        jnz     .two
        mov     edx, LANCE_RDP
        mov     eax, CSR0_TDMD | CSR0_IENA
        out     dx, ax
        mov     dword [lance_block + 16], 0xFFFFFFF8    ; the rings themselves beyond all memory
        mov     dword [lance_block + 20], 0xFFFFFFF8
        mov     eax, 4
        out     dx, ax
        mov     eax, CSR0_INIT
        out     dx, ax
        mov     eax, CSR0_IDON | CSR0_STRT | CSR0_IENA
        out     dx, ax
        mov     eax, CSR0_TDMD | CSR0_IENA
        out     dx, ax
        SAY     text_done
        jmp     end
"""


def test_what_a_hostile_guest_writes_into_its_rings_harms_nobody() -> None:
    session = Session(
        together(build_guest("network-receive", iterations=6), networked(HOSTILE, name="hostile"))
    )
    session.run()
    report = session.report()
    assert session.leaks == ()
    assert result_of(report["vms"][0]["serial"]) == bare_result("network-receive", 6)
    assert "done" in report["vms"][1]["serial"]


def test_no_request_leaves_its_guests_extent() -> None:
    """A drive that a guest has somehow made to ask for more is refused, and the others' sectors stay."""
    machine = build(together(build_guest("disk-write", iterations=1), build_guest("disk-read", iterations=1)))
    kernel = kernel_of(machine)
    physical = machine.pc.board.peripherals.ide.drives[0].disk  # type: ignore[union-attr]
    first, second = kernel.extents
    drive = machine.monitor.vms[0].devices.peripherals.ide.drives[0]  # type: ignore[attr-defined]
    assert isinstance(drive, CarriedDrive)
    before = [physical.read(second.first + index) for index in range(4)]
    for block, count in (
        (first.sectors, 1),
        (first.sectors - 1, 2),
        (-8, 1),
        (second.first - first.first, 1),
    ):
        drive.request = Request(1, True, block, count, b"x" * 512 * count)
        assert kernel.due() == "start_request"
        kernel.start_request()
        assert drive.request is None
        assert kernel.due() == ""
    assert [physical.read(second.first + index) for index in range(4)] == before
    assert physical.read(0).startswith(b"VMKERNEL")


def test_the_vmkernel_has_a_place_of_its_own_and_its_work_is_input_and_output() -> None:
    session = Session(make_scenario("network-send", technique_name=ESX, iterations=2))
    components = [component.id for world in session.stage.worlds for component in world.components]
    assert components[:2] == [VMM, VMKERNEL]
    session.next_event([ev.FRAME_SWITCHED])
    assert session.machine.pc.meter.place == Place(component=VMKERNEL)
    session.run()
    assert session.machine.pc.meter.by_purpose()[Purpose.IO] > 0


def test_without_an_adapter_or_a_disk_there_is_no_vmkernel() -> None:
    monitor = build(make_scenario("hello", technique_name=ESX)).monitor
    assert isinstance(monitor, TrapAndEmulateMonitor)
    assert monitor.host.kernel is None


def busy(scenario: Scenario) -> int:
    """Cycles in which the processor did something."""
    machine = build(scenario)
    machine.pc.run()
    purposes = machine.pc.meter.by_purpose()
    return sum(purposes.values()) - purposes[Purpose.IDLE]


def per_iteration(guest: str, **choices: object) -> int:
    few, many = (busy(make_scenario(guest, iterations=count, **choices)) for count in (2, 6))  # type: ignore[arg-type]
    return (many - few) // 4


@pytest.mark.parametrize("guest", ["network-send", "network-receive"])
def test_a_frame_costs_more_than_on_the_bare_machine_and_less_than_beside_a_host(guest: str) -> None:
    """No world switches: VMware's own figures for ESX against Workstation say no more than the order."""
    native = per_iteration(guest)
    esx = per_iteration(guest, technique_name=ESX)
    hosted = per_iteration(guest, technique_name=ESX, io="hosted", hosted=HOSTED_PLAINLY)
    assert native < esx < hosted
