"""A guest's own descriptors, and page tables that it writes as if they were its own."""

from __future__ import annotations

import struct

import pytest
from domains_support import Tools, build, domain_0
from xen_support import Run, kernel, recount_machine, started

from vizapp.isa.descriptors import CODE_READ, DATA_READ_WRITE, pack, segment, to_bytes, unpack
from vizapp.machine import events
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.descriptors import checked
from vizapp.vmm.xen.frame_info import PageType

FLAT = to_bytes(pack(segment(0, 0xFFFF_FFFF, DATA_READ_WRITE, 0)))
LIMIT = abi.GUEST_LIMIT
GDT = """
        mov edi, scratch
        mov dword [edi + 8], 0x0000FFFF
        mov dword [edi + 12], 0x00CF9200
        mov ecx, [esi + 68]
        mov edx, scratch - 0xC0000000
        shr edx, 12
        mov ecx, [ecx + edx * 4]
        mov [results], ecx
        shl ecx, 12
        or ecx, 0x61
        XEN 14, scratch, ecx, 0, 2
        XEN 2, results, 512
        mov [results + 4], eax
        mov ax, 0x09
        mov ds, ax
        mov es, ax
"""


def kernel_with_table(body: str):
    return kernel("mov esi, [start_info]\n" + GDT + body)


def test_a_table_of_the_guests_own_is_made_harmless_and_used():
    run = Run(kernel_with_table("mov dword [results + 8], 77\nSTOP")).run()
    assert (run.reason, run.words("results", 3)[1:]) == ("halted", (0, 77))
    low, high = run.words(run.at("scratch") + 8, 2)
    found = unpack(low, high)
    assert (found.dpl, found.limit) == (1, LIMIT)
    frame = run.word("results")
    assert run.xen.types.info(frame)[:2] == (PageType.SEGMENTS, 1)
    assert run.xen.domain.gdt == (frame,)


@pytest.mark.parametrize(
    ("entry", "refused"),
    [
        (bytes(8), False),
        (FLAT, False),
        (to_bytes(pack(segment(0xFD00_0000, 0xFFF, DATA_READ_WRITE, 3))), False),  # out of reach
        (to_bytes(pack(segment(0, 0xFFFF_FFFF, CODE_READ, 0))), False),
        (struct.pack("<II", 0x00680000, 0x00008900), True),  # a TSS
        (struct.pack("<II", 0x00680000, 0x00008200), True),  # an LDT
        (struct.pack("<II", 0xE0080000, 0x0000EC00), True),  # a call gate into ring 0
        (struct.pack("<II", 0xE0190000, 0x0000EC00), False),  # and one into the kernel
        (struct.pack("<II", 0xE0080000, 0x0000EE00), True),  # an interrupt gate
        (struct.pack("<II", 0x00080000, 0x00008500), True),  # a task gate
    ],
)  # fmt: skip
def test_descriptors_are_checked_one_by_one(entry, refused):
    found = checked(entry, LIMIT)
    assert (found is None) == refused
    if found is not None:
        descriptor = unpack(*struct.unpack("<II", found))
        assert not descriptor.present or descriptor.dpl > 0
        if descriptor.present and not descriptor.is_system and not descriptor.access & 4:
            assert descriptor.base + descriptor.limit <= LIMIT or descriptor.limit == 0


def test_update_descriptor_changes_one_entry_and_no_page_table():
    run = started()
    where = run.frame_of("scratch") << 12
    low, high = struct.unpack("<II", FLAT)
    assert run.call("update_descriptor", where + 16, 0, low, high) == 0
    assert unpack(*run.words(run.at("scratch") + 16, 2)).dpl == 1
    assert run.call("update_descriptor", where + 17, 0, low, high) == -abi.EINVAL
    assert run.call("update_descriptor", where, 0, 0x00680000, 0x00008900) == -abi.EINVAL
    root = run.xen.domain.page_directory << 12
    assert run.call("update_descriptor", root, 0, low, high) == -abi.EINVAL
    assert run.call("update_descriptor", 0x1000, 0, low, high) == -abi.EINVAL
    assert run.call("set_gdt", run.at("results"), 7169) == -abi.EINVAL
    run.put("results", struct.pack("<I", run.xen.domain.page_directory))
    assert run.call("set_gdt", run.at("results"), 1) == -abi.EINVAL
    assert run.xen.domain.gdt == ()
    recount_machine(run)


LDT = """
        mov edi, scratch
        mov dword [edi + 8], 0x0000FFFF
        mov dword [edi + 12], 0x00CFF200
        mov esi, [start_info]
        mov ecx, [esi + 68]
        mov edx, scratch - 0xC0000000
        shr edx, 12
        mov ecx, [ecx + edx * 4]
        shl ecx, 12
        or ecx, {flags:#x}
        XEN 14, scratch, ecx, 0, 2
        mov dword [results], 13
        mov dword [results + 4], scratch
        mov dword [results + 8], 512
        XEN 26, results, 1, 0, 0x7FF0
        mov [results + 12], eax
        mov ax, 0x0F
load:   mov fs, ax
        mov dword [fs:results], 99
        STOP
"""


def test_a_page_of_the_ldt_is_mapped_when_it_is_needed():
    run = Run(kernel(LDT.format(flags=0x61))).run()
    assert (run.reason, run.words("results", 4)) == ("halted", (99, run.at("scratch"), 512, 0))
    assert run.xen.types.info(run.frame_of("scratch")).type is PageType.SEGMENTS
    assert run.xen.domain.ldt == (run.at("scratch"), 512)


def test_an_ldt_that_the_guest_can_write_is_a_page_fault_of_its_own():
    run = Run(kernel(LDT.format(flags=0x63))).run()
    assert run.word("vector") == 14
    assert run.word(run.at("shared_info") + abi.VCPU_CR2) == run.at("scratch") + 8


def test_each_domain_has_its_own_tables():
    run = domain_0("wait: XEN 29, 0\njmp wait")
    image = kernel_with_table(
        "again: XEN 29, 0\nmov dword [results + 8], 77\nadd dword [results + 12], 1\njmp again"
    )
    build(run, image)
    while run.monitor.vms[1].instructions < 300:
        run.pc.run(max_steps=500)
    raw = run.monitor.guest_read(image.symbols["results"] + 8, 8, 1)
    assert struct.unpack("<2I", raw)[0] == 77
    assert len(run.kinds(events.VM_SCHEDULED)) > 10
    assert run.pc.stopped is None


STORE = """
        XEN 21, 0, 2
        mov esi, [start_info]
        mov ebx, [esi + 60]
        mov edx, scratch
        sub edx, 0xC0000000
        shr edx, 10
        lea edi, [ebx + 4096 + edx]
        mov eax, [edi]
        mov [results], eax
        {store}
        mov [results + 4], eax
        mov eax, [edi]
        mov [results + 8], eax
        STOP
"""


@pytest.mark.parametrize(
    ("store", "change"),
    [
        ("and dword [edi], ~2", lambda old: old & ~2),
        ("xor eax, eax\nxchg [edi], eax", lambda old: 0),
        ("mov dword [edi], 0", lambda old: 0),
        ("mov byte [edi], 0x61", lambda old: old & ~0xFF | 0x61),
        ("mov ecx, 0\nlock cmpxchg [edi], ecx", lambda old: 0),
    ],
)
def test_a_store_into_a_page_table_is_an_update(store, change):
    run = Run(kernel(STORE.format(store=store))).run()
    assert run.reason == "halted"
    old, _, new = run.words("results", 3)
    assert new & ~0x60 == change(old) & ~0x60
    assert run.word("vector") == 0
    assert len(run.kinds(events.INSTRUCTION_EMULATED)) == 1
    recount_machine(run)


def test_a_store_that_breaks_the_rules_is_the_fault_that_it_was():
    run = Run(kernel(STORE.format(store="mov dword [edi], 0x1063"))).run()
    assert run.word("vector") == 14
    assert [event.payload["name"] for event in run.kinds(events.REQUEST_REFUSED)] == ["writable page table"]
    without = Run(kernel(STORE.format(store="mov dword [edi], 0").replace("XEN 21, 0, 2", ""))).run()
    assert without.word("vector") == 14
    recount_machine(run)


def test_time_in_each_state_is_told():
    body = """
        mov dword [bind], 0
        XEN 32, 1, bind
        XEN 24, 5, 0, area
        XEN 15, 3000000, 0
        XEN 29, 1
        XEN 24, 4, 0, results
        STOP
upcall: mov byte [shared_info], 0
        mov dword [shared_info + 4], 0
        mov dword [shared_info + 2048], 0
        and dword [esp + 8], ~0x200   ; it goes on with events masked
        jmp hypercall_page + 32 * 23
area:   dd results + 44, 0
"""
    run = Run(kernel(body, before="%define UPCALL")).run()
    raw = run.monitor.guest_read(run.at("results"), 44)
    state, entered, running, runnable, blocked, offline = struct.unpack("<I5Q", raw)
    assert state == 0
    assert 2_000_000 < blocked <= 3_100_000
    assert running > 0
    assert runnable == 0
    assert entered >= blocked
    assert offline == 0


def test_a_poll_ends_with_its_event_or_its_time():
    tools = Tools(domain_0("int 0x82\nhere: jmp here"))
    run = tools.run
    run.put("results", struct.pack("<3I", 0, 0, 0))
    assert run.call("event_channel_op", abi.EVTCHNOP_BIND_IPI, run.at("results")) == 0
    ports = run.put("scratch", struct.pack("<2I", 1, 5))
    request = struct.pack("<IIQ", ports, 2, 2_000_000)
    where = run.put(tools.buffer + 2048, request)
    assert run.call("sched_op", 3, run.put(where, struct.pack("<IIQ", ports, 129, 0))) == -abi.EINVAL
    run.put(where, request)
    assert run.call("sched_op", 3, where) == 0
    assert run.xen.domain.poll == (1, 5)
    run.put("results", struct.pack("<I", 1))
    assert run.call("event_channel_op", abi.EVTCHNOP_SEND, run.at("results")) == 0
    assert (run.xen.domain.blocked, run.xen.domain.poll_deadline) == (False, None)
    assert run.call("sched_op", 3, where) == 0
    assert not run.xen.domain.blocked  # one of them is pending already
    run.xen.shared.set_bit(abi.SHARED_PENDING, 1, False)
    cpu = run.pc.cpu
    cpu.eax, cpu.ebx, cpu.ecx = 29, 3, where
    start = run.pc.meter.cycles
    while run.pc.cpu.eip != run.at("here"):
        run.pc.step()
    assert run.pc.meter.cycles >= 2_000_000 * run.pc.hertz // 10**9 > start
