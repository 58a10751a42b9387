"""Neighbours beside a host: frames pass between them, and processes reach for what is not theirs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.goldens.make import result_of, results
from tests.vmm.test_hosted_several import outputs
from vizapp.experiment.hosted import with_io
from vizapp.guest.assembler import assemble
from vizapp.guest.catalogue import guest_directory
from vizapp.guest.library import build_guest
from vizapp.guest.source import assemble_image
from vizapp.isa.addresses import GuestPhysical, HostPhysical
from vizapp.machine import events as ev
from vizapp.machine.devices.lance import Lance
from vizapp.machine.image import Image
from vizapp.machine.places import VM_APP
from vizapp.session.builder import build
from vizapp.session.scenario import Scenario, VmScenario
from vizapp.session.session import Session
from vizapp.vmm.hosted import layout

SOURCE = Path(__file__).with_name("neighbours.asm")
MINE = 8 << 20  # the memory by which the hostile process knows itself
SLOT_MEMORY = 36  # of a process's slot in host.asm
KILLED = "killed: it touched"


@cache
def neighbour(number: int, *, calls: bool) -> Image:
    """A guest that talks to the station of virtual machine ``number``."""
    address = (0x000C_2900_0001 + number).to_bytes(6, "big")
    defines = {"PEER": ", ".join(str(byte) for byte in address)}
    if calls:
        defines["CALLS"] = ""
    image = assemble_image(SOURCE, "neighbour", "native", defines, [guest_directory()])
    return replace(image, needs_pc=True, needs_network=True)


def fnv(words: list[int]) -> str:
    """What a guest's ``result:`` line makes of what it has noted."""
    total = 2166136261
    for word in words:
        total = (total ^ word) * 16777619 % 2**32
    return f"{total:08X}"


def answered(number: int) -> int:
    """What the caller sums up of the answer to frame ``number``."""
    total = 0
    for index in reversed(range(182)):
        total = (total << 3 | total >> 29) % 2**32
        total = total & ~0xFF | (total + number * 8 + 1 + index + 1) & 0xFF
    return total


@pytest.mark.parametrize("hosted", [{}, {"combining": False, "notification": False}])
def test_frames_pass_between_two_machines_without_the_wire(hosted: dict[str, bool]) -> None:
    """Those for the other's address, once it has a port; those for everybody go on the wire as well."""
    other = VmScenario(neighbour(0, calls=False), name="answers")
    plan = Scenario(neighbour(1, calls=True), "binary-translation", others=(other,), name="calls")
    machine = build(with_io(plan, "hosted", hosted))
    assert machine.pc.board.peripherals is not None
    adapter = machine.pc.board.peripherals.network
    assert isinstance(adapter, Lance)
    on_the_wire: list[bytes] = []
    adapter.on_frame = lambda sent, address, frame: on_the_wire.append(frame) if sent else None
    machine.pc.run()
    wanted = [fnv([answered(number) for number in range(6)]), fnv([5])]
    assert [result_of(output) for output in outputs(machine)] == wanted
    groups = {frame[14] for frame in on_the_wire if frame[0] & 1}
    alone = {frame[14] for frame in on_the_wire if not frame[0] & 1}
    assert {1, 3} <= groups <= {1, 3, 5}  # the wire takes longer than the run does at its end
    assert alone <= {0}


def test_guests_that_send_each_other_frames_do_as_on_the_bare_machine() -> None:
    other = VmScenario(neighbour(0, calls=False), name="answers")
    plan = Scenario(neighbour(1, calls=True), "binary-translation", others=(other,), name="calls")
    session = Session(with_io(plan, "hosted", {}), lockstep=True)
    session.run()
    card = session.scorecard()
    assert card.holds is True, card
    assert card.compared == session.timeline.end_instruction


def hostile_plan(code: str) -> Scenario:
    """A host whose VMApps begin with ``code``, if their guest has ``MINE`` bytes of memory; the first has."""
    host = build_guest("host")
    ((base, data),) = host.segments
    symbols = host.symbols
    names = ("shared_page", "kernel_stack_top", "processes", "cross_page")
    text = (
        "".join(f"{name} equ {symbols[name]:#x}\n" for name in names)
        + "VMAPP equ 0\nSHARED equ 0x500000\nWINDOW equ 0x40000000\n"
        + f"cmp dword [SHARED + {layout.GUEST}], {MINE}\njne peaceful\n{code}\n"
        + f"peaceful: mov ecx, SHARED + {layout.STATION}\njmp {symbols['vmapp'] + 5:#x}\n"
    )
    at, start = symbols["program_disk"], symbols["vmapp"]
    attack = assemble(text, bits=32, origin=at).data
    assert len(attack) < symbols["vmapp"] - at
    jump = assemble(f"jmp near {at:#x}\n", bits=32, origin=start).data
    patched = bytearray(data)
    patched[at - base : at - base + len(attack)] = attack
    patched[start - base : start - base + len(jump)] = jump
    host = replace(host, segments=((GuestPhysical(base), bytes(patched)),))
    first = Scenario(
        build_guest("rings"),
        "binary-translation",
        memory=MINE,
        others=(VmScenario(build_guest("hello"), name="other"),),
    )
    return replace(with_io(first, "hosted", {}), host=host)


def hostile(code: str) -> Session:
    """Such a host, when it has run."""
    session = Session(hostile_plan(code))
    session.run()
    return session


@pytest.mark.parametrize(
    "code",
    [
        "mov eax, [shared_page + 0x2000]",  # the pages that the other VMApp shares with its VMM
        "mov [shared_page + 0x2000], eax",
        "mov eax, [cross_page + 0x1000]",  # the state of the other's world
        "mov [0xFFFF0000], eax",  # its own switch page, which is the kernel's
        f"mov eax, [WINDOW + {MINE:#x}]",  # behind its own guest's memory
        "cli",
        "mov cr3, eax",
        "in al, 0x60",
        "ud2",
        "mov ebx, 0\nmov ecx, 0x7F0000\nmov edx, 512\nmov eax, 1\nint 0x80",  # a buffer that is not there
    ],
)
def test_a_process_that_reaches_for_what_is_not_its_own_ends(code: str) -> None:
    """The host's kernel ends it; the other machine goes on, and nothing was let through."""
    session = hostile(code)
    machine = session.machine
    assert KILLED in bytes(machine.pc.uart.output).decode("ascii")
    first, second = outputs(machine)
    assert first == ""
    assert result_of(second) == results()["hello"]
    assert session.leaks == ()


@pytest.mark.parametrize(
    "code",
    [
        # Sectors into the other's shared pages, and into the kernel's stack.
        "mov ebx, 3\nmov ecx, shared_page + 0x2000\nmov eax, 2\nint 0x80",
        "mov ebx, 3\nmov ecx, kernel_stack_top - 512\nmov eax, 2\nint 0x80",
        # What the kernel has written down of it, out of its own page: other memory, another part of the disk.
        f"mov dword [SHARED + {layout.FRAME}], 0x100000",
        f"mov dword [SHARED + {layout.EXTENT}], 0\nmov ecx, 9\nmov eax, 3\nint 0x80\n"
        "mov ebx, 2\nmov ecx, 0x400000\nmov edx, 512\nmov eax, 2\nint 0x80",
    ],
)
def test_what_a_process_asks_for_beyond_its_own_is_refused(code: str) -> None:
    """All goes on as if it had not asked."""
    session = hostile(code)
    assert [result_of(output) for output in outputs(session.machine)] == [
        results()["rings"],
        results()["hello"],
    ]
    assert session.leaks == ()


def test_the_auditor_sees_a_process_that_has_another_machines_memory() -> None:
    """As it would if the host's kernel had noted the wrong place of its guest's memory."""
    plan = hostile_plan("mov eax, [WINDOW]")
    session = Session(plan)
    session.next_event([ev.RETURNED])
    machine = session.machine
    assert machine.pc.meter.place.component == VM_APP
    assert plan.host is not None
    theirs = machine.monitor.vms[1].memory.p2m[0]  # type: ignore[attr-defined]
    machine.pc.memory.write(HostPhysical(plan.host.symbols["processes"] + SLOT_MEMORY), 4, theirs << 12)
    session.run(max_steps=5_000)
    (leak,) = session.leaks
    assert (leak.place.vm, leak.place.component, leak.kind) == (0, VM_APP, "frame")
    assert (leak.number, leak.owner) == (theirs, "vm1")
