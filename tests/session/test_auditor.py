"""The auditor tells what the guest may reach from what it may not, once for each thing."""

from vizapp.isa import vectors
from vizapp.machine.events import (
    EXCEPTION_DELIVERED,
    INTERRUPT_DELIVERED,
    NESTED_PAGE_MAPPED,
    VM_ENTERED,
    VM_EXITED,
    Event,
)
from vizapp.machine.places import APPLICATION, GUEST_KERNEL, VMM, Place
from vizapp.session.auditor import Auditor
from vizapp.vmm.base import READABLE, Ownership
from vizapp.vmm.frame_allocator import FrameRange

KERNEL = Place(ring=1, vm=0, component=GUEST_KERNEL)
APP = Place(ring=3, vm=0, component=APPLICATION)
OTHER = Place(ring=1, vm=1, component=GUEST_KERNEL)
MONITOR = Place(ring=0, component=VMM)
MAP = Ownership(
    (
        FrameRange(0, 16, "vmm"),
        FrameRange(16, 64, "vm0"),
        FrameRange(80, 16, "vm1"),
        FrameRange(100, 2, READABLE),
    ),
    ((0x20, 0x21, "vmm"), (0x3F8, 0x3FF, "vm0")),
    ((0, "vmm"), (4, "vmm")),
)


def auditor() -> Auditor:
    return Auditor(lambda: MAP, 128)


def test_own_memory_and_ports_are_no_leak() -> None:
    audit = auditor()
    audit.access(1, KERNEL, 20, True)
    audit.access(2, APP, 79, False)
    audit.port(3, KERNEL, 0x3F8, True)
    assert audit.let_through(10) == 0


def test_what_everyone_may_read_is_a_leak_when_written() -> None:
    audit = auditor()
    audit.access(1, KERNEL, 100, False)
    audit.access(2, APP, 100, False)
    assert audit.let_through(10) == 0
    audit.access(3, KERNEL, 100, True)
    (leak,) = audit.leaks
    assert (leak.number, leak.write, leak.owner) == (100, True, READABLE)


def test_the_monitor_may_do_everything() -> None:
    audit = auditor()
    audit.access(1, MONITOR, 20, True)
    audit.port(2, MONITOR, 0x20, True)
    assert audit.let_through(10) == 0


def test_a_page_of_the_monitor_in_the_guest_is_a_leak_counted_once() -> None:
    audit = auditor()
    for position in (5, 6, 7):
        audit.access(position, KERNEL, 3, True)
    assert audit.let_through(5) == 0
    assert audit.let_through(6) == audit.let_through(100) == 1
    (leak,) = audit.leaks
    assert (leak.position, leak.kind, leak.number, leak.write, leak.owner) == (5, "frame", 3, True, "vmm")


def test_reading_and_writing_another_s_page_are_two_leaks() -> None:
    audit = auditor()
    audit.access(1, OTHER, 20, False)
    audit.access(2, OTHER, 20, True)
    assert audit.let_through(3) == 2


def test_a_port_and_an_interrupt_of_the_monitor_are_leaks() -> None:
    audit = auditor()
    audit.port(1, APP, 0x21, True)
    audit.event(Event(2, 0, INTERRUPT_DELIVERED, APP, KERNEL, "0x20", {"vector": 0x20}))
    assert [leak.kind for leak in audit.leaks] == ["port", "line"]


def test_dma_to_what_is_another_s_is_a_leak() -> None:
    audit = auditor()
    audit.dma(1, 0, 20, True)
    audit.dma(1, 1, 90, True)
    assert audit.leaks == []
    audit.dma(4, 0, 90, True)
    audit.dma(5, 0, 90, True)
    audit.dma(6, 1, 3, False)
    found = [(leak.position, leak.place.vm, leak.kind, leak.number, leak.owner) for leak in audit.leaks]
    assert found == [(4, 0, "dma", 90, "vm1"), (6, 1, "dma", 3, "vmm")]


def test_what_lies_beyond_memory_is_nobody_s() -> None:
    audit = auditor()
    audit.access(1, KERNEL, 128, True)
    assert audit.let_through(2) == 0


def test_memory_that_changed_hands_by_the_books_is_no_leak() -> None:
    maps = [MAP, MAP._replace(frames=(FrameRange(0, 128, "vm0"),))]
    audit = Auditor(lambda: maps.pop(0) if len(maps) > 1 else maps[0], 128)
    audit.access(1, KERNEL, 3, True)
    assert audit.let_through(2) == 0


def test_refusals_are_counted_up_to_the_cursor() -> None:
    audit = auditor()
    for position, vector, target in (
        (3, vectors.GP, MONITOR),
        (5, vectors.PF, MONITOR),
        (7, vectors.GP, KERNEL),
    ):
        audit.event(Event(position, 0, EXCEPTION_DELIVERED, APP, target, "", {"vector": vector}))
    assert audit.refused(3) == 0
    assert audit.refused(4) == audit.refused(100) == 1


def test_a_nested_fault_is_a_refusal_unless_a_page_is_mapped_for_it() -> None:
    audit = auditor()
    for position, mapped in ((3, True), (6, False), (9, False)):
        audit.event(Event(position, 0, VM_EXITED, KERNEL, MONITOR, "npf", {}))
        if mapped:
            audit.event(Event(position + 1, 0, NESTED_PAGE_MAPPED, MONITOR, MONITOR, "nested-fill", {}))
        if position == 9:
            audit.drop_after(9)
        audit.event(Event(position + 2, 0, VM_ENTERED, MONITOR, KERNEL, "vmrun", {}))
    assert [audit.refused(position) for position in (6, 7, 100)] == [0, 1, 1]


def test_a_cut_run_forgets_what_lay_behind() -> None:
    audit = auditor()
    audit.access(5, KERNEL, 3, True)
    audit.access(9, KERNEL, 4, True)
    audit.drop_after(9)
    assert audit.let_through(100) == 1
    audit.access(9, KERNEL, 4, True)
    assert audit.let_through(100) == 2
