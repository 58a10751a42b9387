"""Each hypercall: what it does, and the errors that it documents."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from xen_support import BASE, MEMORY, NUMBER, Run, kernel, recount_machine, started

from vizapp.errors import ScenarioError
from vizapp.isa.addresses import GuestPhysical, HostPhysical, Linear
from vizapp.isa.descriptors import unpack_gate
from vizapp.machine import events
from vizapp.machine.image import Image
from vizapp.vmm.host_tables import IDT, TSS
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.continuation import Continuation
from vizapp.vmm.xen.domain import Channel, Entry
from vizapp.vmm.xen.entries import TSS_ESP1, TSS_SS1
from vizapp.vmm.xen.frame_info import PageType
from vizapp.vmm.xen.hypercalls import TABLE, call

WILD = 0x1000_0000  # nothing is mapped there
HIDDEN = abi.M2P_END


@pytest.fixture
def run():
    return started()


def pack(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *(word & 0xFFFF_FFFF for word in words))


def gate(run: Run, vector: int):
    return unpack_gate(
        *struct.unpack("<2I", run.pc.memory.dump(run.xen.tables.physical(IDT) + vector * 8, 8))
    )


def test_boot_gives_the_guest_what_the_abi_says():
    run = Run(kernel("hlt"))
    xen, info = run.xen, run.xen.frame.esi
    assert run.monitor.guest_read(info, 15) == b"xen-3.0-x86_32\0"
    fields = {name: run.word(info + offset) for name, offset in abi.START_INFO.items() if name != "magic"}
    assert fields["nr_pages"] == MEMORY >> 12
    assert fields["shared_info"] == xen.domain.shared_frame << 12
    assert fields["flags"] == abi.SIF_PRIVILEGED | abi.SIF_INITDOMAIN
    assert run.frame_of(fields["pt_base"]) == xen.domain.page_directory
    assert run.words(fields["mfn_list"], 2) == (run.frame_of(BASE), run.frame_of(BASE) + 1)
    assert xen.frame.eip == BASE
    assert xen.frame.cs == abi.FLAT_RING1_CS
    assert xen.frame.ss == abi.FLAT_RING1_DS
    stack = xen.frame.esp
    assert stack & 0xFFF == 0
    assert run.frame_of(stack - 4) - run.frame_of(BASE) == stack - 4 - BASE >> 12
    assert xen.shared.masked
    assert run.pc.meter.cycles == 0


def test_page_tables_of_the_boot_are_read_only_and_the_last_512_kilobytes_are_free():
    run = Run(kernel("hlt"))
    directory = run.word(run.xen.frame.esi + 60)
    count = run.word(run.xen.frame.esi + 64)
    for page in range(count):
        table = run.xen.types.info(run.frame_of(directory + page * 4096))
        assert table.type is (PageType.L2 if page == 0 else PageType.L1)
    end = run.xen.frame.esp
    while run.monitor.processor_translate(end) is not None:
        end += 4096
    assert end % (4 << 20) == 0
    assert end - run.xen.frame.esp >= 512 << 10


def test_hypercall_page_is_that_of_the_abi(run):
    page = run.monitor.guest_read(run.at("hypercall_page"), 4096)
    assert page[0:8] == bytes.fromhex("b800000000cd82c3")
    assert page[29 * 32 : 29 * 32 + 8] == bytes.fromhex("b81d000000cd82c3")
    assert page[23 * 32 : 23 * 32 + 8] == bytes.fromhex("50b817000000cd82")


def test_machine_to_physical_table_can_be_read_by_the_guest():
    run = started(f"mov eax, [{abi.M2P_START:#x} + ebx * 4]")
    run.pc.cpu.ebx = run.frame_of(BASE) + 5
    run.pc.step()
    assert run.pc.cpu.eax == 5


@pytest.mark.parametrize("number", [11, 37, 38, 1000, 0xFFFF_FFFF, NUMBER["xenoprof_op"]])
def test_an_unknown_hypercall_is_enosys(run, number):
    assert call(run.xen, number, (0,) * 6) == -abi.ENOSYS


# Arguments with a pointer that leads nowhere, for every call that takes one.
POINTERS = {
    "set_trap_table": [(WILD,)],
    "mmu_update": [(WILD, 1, 0, abi.DOMID_SELF)],
    "mmuext_op": [(WILD, 1, 0, abi.DOMID_SELF)],
    "multicall": [(WILD, 1)],
    "console_io": [(0, 1, WILD)],
    "xen_version": [(command, WILD) for command in (1, 2, 3, 4, 5, 6, 8)],
    "sched_op": [(2, WILD), (3, WILD), (4, WILD)],
    "set_gdt": [(WILD, 1)],
    "memory_op": [(3, WILD), (4, WILD), (11, WILD), (12, WILD)],
    "grant_table_op": [(command, WILD, 1) for command in range(8)],
    "physdev_op": [(command, WILD) for command in (5, 6, 7, 12)],
    "domctl": [(WILD,)],
    "vcpu_op": [(4, 0, WILD), (5, 0, WILD), (6, 0, WILD), (8, 0, WILD)],
    "callback_op": [(0, WILD)],
    "event_channel_op": [(command, WILD) for command in range(11)],
    "event_channel_op_compat": [(WILD,)],
}


@pytest.mark.parametrize(("name", "a"), [(name, a) for name, many in POINTERS.items() for a in many])
@pytest.mark.parametrize("where", [WILD, HIDDEN, 0xFFFF_FFFF])
def test_a_wild_pointer_is_efault(run, name, a, where):
    assert run.call(name, *(where if word == WILD else word for word in a)) == -abi.EFAULT
    assert run.pc.stopped is None


def test_the_hypervisor_does_not_write_where_the_guest_could_not(run):
    for where in (abi.M2P_START, run.word(run.word("start_info") + 60)):
        assert run.call("xen_version", 1, where) == -abi.EFAULT


def test_every_handler_is_a_hypercall_of_the_abi():
    assert set(TABLE) <= set(NUMBER)


# traps


def test_set_trap_table_registers_and_clears(run):
    xen = run.xen
    table = pack(13 | 4 << 8 | 0xE019 << 16, 0x1111, 0x55 | 0 << 16, 0x2222, 0, 0)
    assert run.call("set_trap_table", run.put("scratch", table)) == 0
    assert xen.domain.traps[13] == Entry(0xE019, 0x1111, 4)
    assert xen.domain.traps[0x55] == Entry(1, 0x2222, 0)
    assert run.call("set_trap_table", 0) == 0
    assert xen.domain.traps == {}
    assert gate(run, 0x80).dpl == 0


@pytest.mark.parametrize(
    ("flags", "selector", "direct"),
    [
        (3, 0xE019, True), (3, 0xE018, True), (1, 0xE019, True), (7, 0xE019, False), (3, 0xE021, False),
        (3, 0xE008, False), (3, 0xE00B, False), (3, 0x0009, False), (3, 0xE01D, False), (3, 0, False),
    ],
)  # fmt: skip
def test_only_a_harmless_entry_gets_the_direct_gate(run, flags, selector, direct):
    run.call("set_trap_table", run.put("scratch", pack(0x80 | flags << 8 | selector << 16, 0x1234, 0, 0)))
    found = gate(run, 0x80)
    if direct:
        assert found[:4] == (0xE019, 0x1234, 15, flags & 3)
    else:
        assert found.dpl == 0
        assert found.selector == 0xE008


def test_a_long_trap_table_is_read_in_parts(run):
    table = b"".join(pack(0x20 + i & 0xFF | 0xE019 << 16, i + 1) for i in range(100)) + pack(0, 0)
    where = run.put("scratch", table)
    first = call(run.xen, 0, (where, 0, 0, 0, 0, 0))
    assert first == Continuation((where + 64 * 8,))
    assert call(run.xen, 0, (*first.arguments, 0, 0, 0, 0, 0)) == 0
    assert len([vector for vector in run.xen.domain.traps if vector >= 0x20]) == 100 + 2 - 2


def test_stack_switch_sets_stack_1_of_the_processor(run):
    assert run.call("stack_switch", 0xE020, 0xC012_3450) == 0
    tss = run.xen.tables.physical(TSS)
    assert run.pc.memory.read(tss + TSS_ESP1, 4) == 0xC012_3450
    assert run.pc.memory.read(tss + TSS_SS1, 4) == 0xE021


def test_callbacks_are_registered_by_either_call(run):
    domain = run.xen.domain
    assert run.call("set_callbacks", 0xE019, 0x10, 0xE018, 0x20) == 0
    assert (domain.event_callback, domain.failsafe_callback) == (Entry(0xE019, 0x10), Entry(0xE019, 0x20))
    assert run.call("callback_op", 0, run.put("scratch", pack(0, 0xE019, 0x30))) == 0
    assert run.call("callback_op", 0, run.put("scratch", pack(1 | 1 << 16, 0xE019, 0x40))) == 0
    assert (domain.event_callback, domain.failsafe_callback) == (Entry(0xE019, 0x30), Entry(0xE019, 0x40, 4))
    assert run.call("callback_op", 0, run.put("scratch", pack(9, 0, 0))) == -abi.ENOSYS
    assert run.call("callback_op", 1, run.at("scratch")) == -abi.ENOSYS
    assert run.call("callback_op", 1, run.put("scratch", pack(0, 0, 0))) == -abi.EINVAL
    assert run.call("callback_op", 2, run.at("scratch")) == -abi.ENOSYS


# memory


def table_of(run: Run, where: str | int) -> int:
    """The machine address of the entry that maps an address."""
    linear = run.at(where) if isinstance(where, str) else where
    directory = run.xen.domain.page_directory
    entry = run.pc.memory.read((directory << 12) + (linear >> 22) * 4, 4)
    return (entry & ~0xFFF) + (linear >> 12 & 1023) * 4


def test_mmu_update_writes_counts_and_stops_at_the_first_refusal(run):
    mine, pte = run.frame_of("scratch"), table_of(run, BASE + 0x30_0000)
    requests = pack(pte, 0, mine << 12 | 1, 0, pte + 4, 0, 0x1001, 0, pte + 8, 0, 0, 0)
    done = run.at("results")
    assert run.call("mmu_update", run.put("scratch", requests), 3, done, abi.DOMID_SELF) == -abi.EINVAL
    assert run.word(done) == 1
    assert run.pc.memory.read(pte, 4) == mine << 12 | 1
    (refusal,) = run.kinds(events.REQUEST_REFUSED)
    assert refusal.cause == "mmu_update"
    assert refusal.payload["reason"] == "machine frame 0x1 does not belong to the domain"


def test_mmu_update_keeps_accessed_and_dirty(run):
    pte = table_of(run, run.put("scratch", b"written"))
    before = run.pc.memory.read(pte, 4)
    assert before & 0x60 == 0x60
    request = run.put("results", pack(pte | 2, 0, before & ~0x60, 0))
    assert run.call("mmu_update", request, 1, 0, abi.DOMID_SELF) == 0
    assert run.pc.memory.read(pte, 4) == before


def test_mmu_update_of_the_machine_to_physical_table(run):
    frame = run.frame_of("scratch")
    request = run.put("results", pack(frame << 12 | 1, 0, 0x777, 0))
    assert run.call("mmu_update", request, 1, 0, abi.DOMID_SELF) == 0
    assert run.word(abi.M2P_START + frame * 4) == 0x777
    request = run.put("results", pack(run.xen.m2p << 12 | 1, 0, 0x777, 0))
    assert run.call("mmu_update", request, 1, 0, abi.DOMID_SELF) == -abi.EINVAL


@pytest.mark.parametrize("name", ["mmu_update", "mmuext_op"])
def test_requests_for_other_domains_and_unknown_commands(run, name):
    request = run.put("results", pack(99 | 3, 0, 0, 0))
    assert run.call(name, request, 1, 0, 7) == -abi.ESRCH
    assert run.call(name, request, 1, 0, abi.DOMID_SELF) == -abi.ENOSYS
    assert run.call(name, request, 0, 0, abi.DOMID_SELF) == 0


def test_a_machine_address_beyond_32_bits_is_refused(run):
    request = run.put("results", pack(0, 1, 0, 0))
    assert run.call("mmu_update", request, 1, 0, abi.DOMID_SELF) == -abi.EINVAL


def test_a_long_request_goes_on_where_it_stopped(run):
    pte = table_of(run, BASE + 0x30_0000)
    where = run.put("scratch", b"".join(pack(pte + i * 4, 0, 0, 0) for i in range(150)))
    done = run.at("results")
    arguments, parts = (where, 150, done, abi.DOMID_SELF, 0, 0), 0
    while isinstance(result := call(run.xen, 1, arguments), Continuation):
        arguments, parts = (*result.arguments, 0, 0), parts + 1
    assert (result, parts, run.word(done)) == (0, 2, 150)


def test_update_va_mapping_maps_refuses_and_flushes():
    run = started("mov eax, [scratch]\nmov eax, [scratch]\nhlt")
    run.put("scratch", pack(0x11))
    run.put(run.at("scratch") + 4096, pack(0x22))
    run.pc.step()
    assert run.pc.cpu.eax == 0x11
    other = run.frame_of(run.at("scratch") + 4096) << 12 | 1
    assert run.call("update_va_mapping", run.at("scratch"), other, 0, abi.UVMF_INVLPG) == 0
    run.pc.step()
    assert run.pc.cpu.eax == 0x22
    assert run.call("update_va_mapping", abi.HYPERVISOR_START, other) == -abi.EINVAL
    assert run.call("update_va_mapping", WILD, other) == -abi.EINVAL
    assert run.call("update_va_mapping", run.at("scratch"), 0x1001) == -abi.EINVAL
    assert run.call("update_va_mapping", run.at("scratch"), 0, 0, abi.UVMF_TLB_FLUSH) == 0


def test_without_a_flush_the_old_translation_stays():
    run = started("mov eax, [scratch]\nmov eax, [scratch]\nhlt")
    run.put("scratch", pack(0x11))
    run.pc.step()
    assert run.call("update_va_mapping", run.at("scratch"), 0, 0, 0) == 0
    run.pc.step()
    assert run.pc.cpu.eax == 0x11


def test_a_stale_writable_translation_never_reaches_a_table():
    run = started("mov dword [scratch], 0\nmov dword [scratch], 0x1003\nhlt")
    run.pc.step()  # the TLB now holds a writable translation
    frame = run.frame_of("scratch")
    assert run.call("update_va_mapping", run.at("scratch"), frame << 12 | 1, 0, 0) == 0
    assert ext(run, abi.MMUEXT_PIN_L1, frame) == 0
    run.run()
    assert run.word("vector") == 14
    assert run.pc.memory.read(HostPhysical(frame << 12), 4) == 0


def make_directory(run: Run) -> int:
    """A second directory like the first, at ``scratch``; its frame."""
    frame, old = run.frame_of("scratch"), run.xen.domain.page_directory
    run.put("scratch", run.pc.memory.dump(HostPhysical(old << 12), 4096))
    run.call("update_va_mapping", run.at("scratch"), frame << 12 | 1, 0, abi.UVMF_INVLPG)
    return frame


def ext(run: Run, command: int, argument: int) -> int:
    mask = run.at("results")  # of virtual CPUs, for the commands that take one
    return run.call("mmuext_op", run.put("results", pack(command, argument, mask)), 1, 0, abi.DOMID_SELF)


def test_mmuext_pins_switches_and_unpins(run):
    frame, old = make_directory(run), run.xen.domain.page_directory
    assert ext(run, abi.MMUEXT_PIN_L1, frame) == -abi.EINVAL
    assert ext(run, abi.MMUEXT_PIN_L2, frame) == 0
    assert ext(run, abi.MMUEXT_PIN_L2, frame) == -abi.EINVAL
    assert ext(run, abi.MMUEXT_NEW_BASEPTR, frame) == 0
    assert run.pc.cpu.cr3 == frame << 12
    assert run.xen.domain.page_directory == frame
    assert ext(run, abi.MMUEXT_UNPIN, old) == 0
    assert ext(run, abi.MMUEXT_UNPIN, old) == -abi.EINVAL
    assert run.xen.types.info(old).uses == 0
    assert [event.payload["cr3"] for event in run.kinds(events.ADDRESS_SPACE_SWITCHED)] == [frame << 12]


def test_a_page_directory_that_is_still_writable_is_no_base_pointer(run):
    old = run.xen.domain.page_directory
    assert ext(run, abi.MMUEXT_NEW_BASEPTR, run.frame_of("scratch")) == -abi.EINVAL
    assert ext(run, abi.MMUEXT_NEW_BASEPTR, 1) == -abi.EINVAL
    assert run.xen.domain.page_directory == old


@pytest.mark.parametrize("command", range(6, 13))
def test_flushes_forget(command):
    run = started("mov eax, [scratch]\nmov eax, [scratch]\nhlt")
    run.pc.step()
    run.call("update_va_mapping", run.at("scratch"), 0, 0, 0)
    if command == abi.MMUEXT_FLUSH_CACHE:
        assert ext(run, command, 0) == -abi.EINVAL  # for who drives devices
        run.xen.domain.devices = (range(0xA0, 0x100),)
    assert ext(run, command, run.at("scratch")) == 0
    run.run()
    assert run.word("vector") == (13 if command == abi.MMUEXT_FLUSH_CACHE else 14)  # HLT, or the page


# events


def op(run: Run, command: int, *words: int) -> tuple[int, tuple[int, ...]]:
    where = run.put("results", pack(*words, 0, 0))
    result = run.call("event_channel_op", command, where)
    return result, run.words(where, len(words) + 2)


def test_event_channels_are_bound_asked_about_and_closed(run):
    assert op(run, abi.EVTCHNOP_BIND_VIRQ, 0, 0) == (0, (0, 0, 1, 0))
    assert op(run, abi.EVTCHNOP_BIND_VIRQ, 0, 0)[0] == -abi.EEXIST
    assert op(run, abi.EVTCHNOP_BIND_VIRQ, 24, 0)[0] == -abi.EINVAL
    assert op(run, abi.EVTCHNOP_BIND_VIRQ, 1, 1)[0] == -abi.ENOENT
    assert op(run, abi.EVTCHNOP_BIND_IPI, 0) == (0, (0, 2, 0))
    assert op(run, abi.EVTCHNOP_BIND_IPI, 1)[0] == -abi.ENOENT
    assert op(run, abi.EVTCHNOP_ALLOC_UNBOUND, abi.DOMID_SELF | 3 << 16)[1][1] == 3
    assert op(run, abi.EVTCHNOP_ALLOC_UNBOUND, 5)[0] == -abi.ESRCH
    assert run.xen.domain.channels == {1: Channel("virq", 0), 2: Channel("ipi"), 3: Channel("unbound", 3)}
    assert op(run, abi.EVTCHNOP_STATUS, abi.DOMID_SELF, 1)[1] == (abi.DOMID_SELF, 1, 4, 0)
    assert op(run, abi.EVTCHNOP_STATUS, abi.DOMID_SELF, 9)[1][2] == 0
    assert op(run, abi.EVTCHNOP_STATUS, abi.DOMID_SELF, 1024)[0] == -abi.EINVAL
    assert op(run, abi.EVTCHNOP_STATUS, 4, 1)[0] == -abi.ESRCH
    assert op(run, abi.EVTCHNOP_CLOSE, 2)[0] == 0
    assert op(run, abi.EVTCHNOP_CLOSE, 2)[0] == -abi.EINVAL
    for command in (11, 99):
        assert op(run, command, 0)[0] == -abi.ENOSYS


def test_ports_run_out(run):
    run.xen.domain.channels = {port: Channel("ipi") for port in range(1, 1024)}
    assert op(run, abi.EVTCHNOP_BIND_VIRQ, 0, 0)[0] == -abi.ENOSPC


def test_sending_is_for_ipis_and_into_the_void(run):
    run.xen.domain.channels = {1: Channel("virq"), 2: Channel("ipi"), 3: Channel("unbound")}
    assert [op(run, abi.EVTCHNOP_SEND, port)[0] for port in (1, 2, 3, 4)] == [-abi.EINVAL, 0, 0, -abi.EINVAL]
    assert [run.xen.shared.bit(abi.SHARED_PENDING, port) for port in (1, 2, 3)] == [False, True, False]


def test_closing_a_port_forgets_what_was_pending(run):
    run.xen.domain.channels = {2: Channel("ipi")}
    op(run, abi.EVTCHNOP_SEND, 2)
    op(run, abi.EVTCHNOP_CLOSE, 2)
    assert not run.xen.shared.bit(abi.SHARED_PENDING, 2)


def test_the_older_form_has_the_command_in_front(run):
    where = run.put("results", pack(abi.EVTCHNOP_BIND_IPI, 0, 0))
    assert run.call("event_channel_op_compat", where) == 0
    assert run.words(where, 3) == (abi.EVTCHNOP_BIND_IPI, 0, 1)


# the rest


def test_console_writes_in_parts_and_reads_what_is_there(run):
    text = bytes(range(32, 127)) * 3
    where = run.put("scratch", text)
    first = call(run.xen, 18, (0, len(text), where, 0, 0, 0))
    assert first == Continuation((0, len(text) - 128, where + 128))
    while isinstance(first, Continuation):
        first = call(run.xen, 18, (*first.arguments, 0, 0, 0))
    assert (first, run.serial.encode()) == (0, text)
    run.pc.uart.receive(b"abc")
    assert run.call("console_io", 1, 2, where) == 2
    assert run.monitor.guest_read(where, 2) == b"ab"
    assert run.call("console_io", 2, 0, where) == -abi.ENOSYS


def test_versions(run):
    where = run.at("scratch")
    assert run.call("xen_version", 0, 0) == 3 << 16 | 1
    assert run.call("xen_version", 3, where) == 0
    assert run.monitor.guest_read(where, 16) == b"xen-3.0-x86_32 \0"
    assert run.call("xen_version", 5, where) == 0
    assert run.word(where) == 0xFC00_0000
    assert run.call("xen_version", 7, 0) == 4096
    assert run.call("xen_version", 6, run.put(where, pack(1, 0))) == -abi.EINVAL
    assert run.call("xen_version", 9, where) == -abi.ENOSYS
    assert run.call("xen_version", 2, where) == run.call("xen_version", 4, where) == 0
    assert run.call("xen_version", 8, where) == 0
    assert run.monitor.guest_read(where, 16) == bytes(16)


def test_multicall_makes_each_call_and_keeps_each_result(run):
    entries = pack(17, 9, 0, 0, 0, 0, 0, 0) + pack(99, 9, 0, 0, 0, 0, 0, 0) + pack(13, 9, 0, 0, 0, 0, 0, 0)
    where = run.put("scratch", entries)
    assert run.call("multicall", where, 3) == 0
    results = [run.word(where + i * 32 + 4) for i in range(3)]
    assert results == [abi.VERSION_3_1, 2**32 - abi.ENOSYS, 2**32 - abi.EINVAL]


def test_multicall_goes_on_with_a_call_that_was_interrupted(run):
    where = run.put("scratch", pack(18, 0, 0, 200, run.at("hypercall_page"), 0, 0, 0) + pack(17, *[0] * 7))
    first = call(run.xen, 13, (where, 2, 0, 0, 0, 0))
    assert first == Continuation((where, 2))
    assert run.words(where + 8, 3) == (0, 72, run.at("hypercall_page") + 128)
    assert run.call("multicall", *first.arguments) == 0
    assert len(run.monitor.devices.uart.output) == 200
    assert run.word(where + 36) == abi.VERSION_3_1


def test_task_switched_flag_and_debug_registers(run):
    assert run.call("fpu_taskswitch", 1) == 0
    assert run.pc.cpu.cr0 & 8
    assert run.monitor.guest_view().control[0] & 8
    assert run.call("fpu_taskswitch", 0) == 0
    assert not run.pc.cpu.cr0 & 8
    assert run.call("set_debugreg", 0, 0xC000_0000) == 0
    assert run.call("get_debugreg", 0) == 0xC000_0000 - 2**32
    assert run.call("set_debugreg", 0, 0xFF00_0000) == -abi.EPERM
    assert run.call("set_debugreg", 4, 0) == -abi.EINVAL
    assert run.call("get_debugreg", 8) == -abi.EINVAL


def test_timers_are_checked(run):
    where = run.put("scratch", pack(999_999, 0))
    assert run.call("vcpu_op", 6, 0, where) == -abi.EINVAL
    assert run.call("vcpu_op", 6, 1, where) == -abi.ENOENT
    assert run.call("vcpu_op", 99, 0, where) == -abi.ENOSYS
    assert run.call("vcpu_op", 6, 0, run.put("scratch", pack(2_000_000, 0))) == 0
    assert run.xen.domain.period == 2_000_000
    assert run.call("vcpu_op", 7, 0) == 0
    assert run.xen.domain.tick is None
    assert run.call("vcpu_op", 8, 0, run.put("scratch", pack(1, 0, 1))) == -abi.ETIME
    assert run.call("vcpu_op", 8, 0, run.put("scratch", pack(1, 0, 0))) == 0
    assert run.xen.domain.deadline is not None
    assert run.call("vcpu_op", 9, 0) == 0
    assert run.xen.domain.deadline is None
    assert run.call("set_timer_op", 0, 0) == 0
    assert run.call("sched_op", 99) == -abi.ENOSYS
    assert run.call("sched_op", 0) == 0


@pytest.mark.parametrize("when", [1 << 63, 1 << 51])
def test_a_deadline_that_cannot_be_meant_is_soon(run, when):
    run.call("set_timer_op", when & 0xFFFF_FFFF, when >> 32)
    assert run.xen.domain.deadline - run.pc.meter.cycles == pytest.approx(run.pc.hertz // 10, rel=1e-3)


@pytest.mark.parametrize(
    ("reason", "stop", "sentence"),
    [(0, "halted", "the guest shut its domain down"), (1, "halted", "the guest shut its domain down"),
     (3, "crashed", "the guest reported that it had crashed")],
)  # fmt: skip
@pytest.mark.parametrize("compat", [False, True])
def test_shutdown(reason, stop, sentence, compat):
    body = f"XEN 6, 2, {reason}" if compat else f"mov dword [poweroff], {reason}\nXEN 29, 2, poweroff"
    run = Run(kernel(body)).run()
    assert (run.reason, run.sentence) == (stop, sentence)
    assert [event.kind for event in run.events[-3:]] == [
        events.HYPERCALL_MADE, events.VM_STOPPED, events.MACHINE_STOPPED,
    ]  # fmt: skip


def test_images_that_cannot_be_a_domain_are_told_why():
    image = kernel("hlt")
    with pytest.raises(ScenarioError, match="starts in real mode"):
        Run(replace(image, bits=16))
    with pytest.raises(ScenarioError, match="needs at least 4096 KB of memory as a domain, and has 1024 KB"):
        Run(image, memory=1 << 20)
    high = replace(image, virtual_base=Linear(0xFBFF_0000))
    with pytest.raises(ScenarioError, match="would reach into the hypervisor's part of linear memory"):
        Run(high)
    symbols = {**image.symbols, "hypercall_page": Linear(BASE + 5)}
    with pytest.raises(ScenarioError, match="hypercall_page of kernel is at 0xc0000005, which is no page"):
        Run(replace(image, symbols=symbols))
    with pytest.raises(ScenarioError, match="no page of the image"):
        Run(replace(image, symbols={"hypercall_page": Linear(0)}))


@pytest.mark.parametrize("base", [0, 0x40_0000, 0xC010_0000, 0xF800_0000])
def test_a_kernel_is_mapped_where_it_was_linked(base):
    code = b"\xf4"
    run = Run(Image("x", "xen", ((GuestPhysical(0), code),), Linear(base), virtual_base=Linear(base)))
    assert run.monitor.guest_read(Linear(base), 1) == code
    assert run.monitor.guest_translate(Linear(base + 0x1234)) == 0x1234
    recount_machine(run)
    run.run()
    assert run.sentence.startswith("HLT at")
