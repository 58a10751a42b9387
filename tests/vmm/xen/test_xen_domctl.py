"""domctl, memory_op and the hypercalls with which domain 0 reaches another domain; and nobody else does."""

from __future__ import annotations

import struct

import pytest
from domains_support import Tools, build, domain_0
from xen_support import NUMBER, kernel

from vizapp.machine import events
from vizapp.vmm.xen import abi
from vizapp.vmm.xen import control_abi as c
from vizapp.vmm.xen.credit import UNDER

SELF = abi.DOMID_SELF


@pytest.fixture
def tools():
    return Tools(domain_0())


def word(value: int) -> bytes:
    return struct.pack("<I", value)


def test_a_domain_is_made_asked_about_and_ended(tools):
    run, xen = tools.run, tools.run.xen
    handle = bytes(range(16))
    assert tools.domctl("createdomain", 0, word(0) + handle + word(0)) == 0
    domain = tools.answer(8, 2)
    assert domain == 1
    assert tools.domctl("createdomain", 1) == -abi.EINVAL
    assert tools.domctl("createdomain", 0, word(0) + handle + word(1)) == -abi.EINVAL  # a full machine
    assert tools.domctl("getdomaininfo", 1) == 0
    assert tools.answer(16, 2) == 1
    assert tools.answer(20, 4) == c.DOMINF_PAUSED
    assert tools.answer(68, 16).to_bytes(16, "little") == handle
    assert tools.answer(40, 8) == xen.by_id(1).shared_frame
    assert tools.domctl("getdomaininfo", 2) == -abi.ESRCH
    assert tools.domctl("pausedomain", 0) == tools.domctl("destroydomain", 0) == -abi.EINVAL
    assert tools.domctl("destroydomain", 7) == -abi.ESRCH
    assert tools.domctl("destroydomain", 1) == 0
    assert tools.domctl("destroydomain", 1) == -abi.ESRCH
    assert [vm.state for vm in run.monitor.vms] == ["running", "stopped"]
    assert [event.payload["vm"] for event in run.kinds(events.DOMAIN_CREATED)] == [1]
    assert tools.domctl("createdomain") == 0
    assert tools.answer(8, 2) == 2  # a number is not given twice


def test_the_interface_has_a_version(tools):
    assert tools.domctl("getdomaininfo", 0, version=4) == -abi.EACCES
    tools.run.put(tools.buffer, word(99) + word(5) + bytes(136))
    assert tools.run.call("domctl", tools.buffer) == -abi.ENOSYS
    assert tools.run.call("domctl", 0x1000) == -abi.EFAULT


def test_memory_is_given_and_taken(tools):
    xen = tools.run.xen
    domain = tools.create(10)
    assert xen.by_id(domain).pages == 10
    where = tools.run.put(tools.buffer + 4096, word(10))
    assert tools.memory(c.XENMEM_POPULATE_PHYSMAP, where, 1, 0, 0, domain) == 0  # all that it may have
    assert tools.memory(c.XENMEM_CURRENT_RESERVATION, domain) == 10
    assert tools.memory(c.XENMEM_MAXIMUM_RESERVATION, domain) == 10
    assert tools.memory(c.XENMEM_CURRENT_RESERVATION, 99) == -abi.ESRCH
    assert tools.run.call("memory_op", c.XENMEM_MAXIMUM_RAM_PAGE, 0) == tools.run.pc.memory.frames
    frames = tools.frames(domain)
    assert [xen.pseudo_physical(frame) for frame in frames] == list(range(10))
    assert {xen.frames.owner(frame) for frame in frames} == {"vm1"}
    where = tools.run.put(tools.buffer + 4096, word(frames[3]) + word(1))
    assert tools.memory(c.XENMEM_DECREASE_RESERVATION, where, 2, 0, 0, domain) == 1  # frame 1 is not its
    assert xen.by_id(domain).pages == 9
    assert xen.frames.owner(frames[3]) == ""
    assert tools.memory(c.XENMEM_INCREASE_RESERVATION, where, 1, 0, 0, domain) == 1
    assert tools.domctl("max_mem", domain, struct.pack("<Q", 8)) == -abi.EINVAL
    assert tools.domctl("getmemlist", domain, struct.pack("<4Q", 20, 8, tools.buffer + 4096, 0)) == 0
    assert tools.answer(40, 8) == 2


def test_a_domain_gives_up_a_frame_when_it_is_no_longer_mapped(tools):
    run, xen = tools.run, tools.run.xen
    where = run.at("scratch") + 2 * 4096
    frame = run.frame_of(where)
    extent = run.put(tools.buffer + 4096, word(frame))
    before = xen.domain.pages
    assert tools.memory(c.XENMEM_DECREASE_RESERVATION, extent, 1, 0, 0, SELF) == 1
    assert tools.memory(c.XENMEM_DECREASE_RESERVATION, extent, 1, 0, 0, SELF) == 0  # only once
    assert xen.domain.pages == before
    assert xen.types.owner(frame) == 0
    assert run.call("update_va_mapping", where, 0, 0, 2) == 0
    assert xen.domain.pages == before - 1
    assert xen.types.owner(frame) is None
    assert run.call("update_va_mapping", where, frame << 12 | 0x63, 0, 2) == -abi.EINVAL
    pfn = run.put(tools.buffer + 4096, word(7777))
    assert tools.memory(c.XENMEM_POPULATE_PHYSMAP, pfn, 1, 0, 0, SELF) == 1
    new = run.word(pfn)
    assert xen.pseudo_physical(new) == 7777
    assert run.call("update_va_mapping", where, new << 12 | 0x63, 0, 2) == 0


def test_frames_are_exchanged(tools):
    run, xen = tools.run, tools.run.xen
    where = run.at("scratch") + 2 * 4096
    frame = run.frame_of(where)
    lists = run.put(tools.buffer + 4096, word(frame) + word(5555))
    request = (lists, 1, 0, 0, SELF, lists + 4, 1, 0, 0, SELF, 0)
    assert tools.memory(c.XENMEM_EXCHANGE, *request) == -abi.EINVAL  # mapped
    assert run.call("update_va_mapping", where, 0, 0, 2) == 0
    assert tools.memory(c.XENMEM_EXCHANGE, *request) == 0
    new = run.word(lists + 4)
    assert (xen.types.owner(new), xen.pseudo_physical(new)) == (0, 5555)
    assert tools.answer(c.NR_EXCHANGED, 4) == 1


def test_foreign_frames_are_mapped_by_domain_0_alone(tools):
    run, xen = tools.run, tools.run.xen
    domain = tools.create(4)
    frame = tools.frames(domain)[0]
    where = run.at("stack")
    value = frame << 12 | 0x63
    assert run.call("update_va_mapping", where, value, 0, 2) == -abi.EINVAL
    assert run.call("update_va_mapping_otherdomain", where, value, 0, 2, 77) == -abi.ESRCH
    assert run.call("update_va_mapping_otherdomain", where, value, 0, 2, domain) == 0
    run.put(where, b"a kernel")
    assert run.pc.memory.dump(frame << 12, 8) == b"a kernel"
    assert xen.types.visitors == {(frame, 0): (1, 1)}
    # While it is mapped so it cannot become a page table of the other domain.
    assert tools.ext(abi.MMUEXT_PIN_L1, frame, domain=domain) == -abi.EINVAL
    entry = xen.format.last_entry(run.pc.memory, xen.domain.page_directory, where)
    second = tools.frames(domain)[1]
    assert tools.update(entry, second << 12 | 0x63, domain) == 0
    assert run.frame_of(where) == second
    run.pc.memory.load(frame << 12, bytes(4096))
    assert tools.ext(abi.MMUEXT_PIN_L1, frame, domain=domain) == 0
    assert tools.ext(abi.MMUEXT_UNPIN, frame) == -abi.EINVAL  # not its own
    assert tools.ext(abi.MMUEXT_UNPIN, frame, domain=domain) == 0
    assert tools.update(second << 12 | abi.MMU_MACHPHYS_UPDATE, 99, domain) == 0
    assert xen.pseudo_physical(second) == 99
    xen.domain.privileged = False
    assert run.call("update_va_mapping_otherdomain", where, value, 0, 2, domain) == -abi.EPERM
    # Who may name nobody is told that there is nobody (set_foreigndom in Xen 3.1, arch/x86/mm.c).
    assert tools.update(entry, value, domain) == -abi.ESRCH
    assert tools.ext(abi.MMUEXT_PIN_L1, frame, domain=domain) == -abi.ESRCH
    assert tools.domctl("getdomaininfo", 0) == -abi.EPERM
    assert tools.memory(c.XENMEM_CURRENT_RESERVATION, domain) == -abi.EPERM
    assert tools.memory(c.XENMEM_POPULATE_PHYSMAP, tools.buffer + 4096, 1, 0, 0, domain) == 0


def test_a_context_goes_in_and_comes_out(tools):
    run = tools.run
    domain = build(run, kernel("hlt"), 1024, start=False)
    where = tools.buffer + 4096
    assert tools.domctl("getvcpucontext", domain, struct.pack("<IIQ", 0, 0, where)) == 0
    raw = run.xen.space.copy_from(where, c.CONTEXT_BYTES)
    (flags,) = struct.unpack_from("<I", raw, c.CTX_FLAGS)
    assert flags == c.VGCF_ONLINE | c.VGCF_IN_KERNEL
    (eip, selector, eflags) = struct.unpack_from("<3I", raw, c.CTX_USER_REGS + 32)
    assert (eip, selector & 0xFFFF, eflags) == (0xC000_0000, 0xE019, 0x202)
    (cr3,) = struct.unpack_from("<I", raw, c.CTX_CONTROL + 12)
    assert cr3 >> 12 == run.xen.by_id(domain).page_directory
    assert tools.domctl("setvcpucontext", domain, struct.pack("<IIQ", 1, 0, where)) == -abi.EINVAL
    assert tools.domctl("setvcpucontext", domain, struct.pack("<IIQ", 0, 0, 0x1000)) == -abi.EFAULT
    assert tools.domctl("getvcpuinfo", domain, word(0)) == 0
    assert tools.answer(20, 1) == 1


@pytest.mark.parametrize(
    "change",
    [
        (c.CTX_CONTROL + 12, 0x1000),
        (c.CTX_LDT_BASE, 0x123),
        (c.CTX_LDT_ENTRIES, 8193),
        (c.CTX_GDT_ENTRIES, 7169),
    ],
)
def test_a_context_that_leads_elsewhere_is_refused(tools, change):
    domain = tools.create(4)
    context = bytearray(c.CONTEXT_BYTES)
    struct.pack_into("<I", context, *change)
    where = tools.run.put(tools.buffer + 4096, bytes(context))
    assert tools.domctl("setvcpucontext", domain, struct.pack("<IIQ", 0, 0, where)) == -abi.EINVAL
    assert not tools.run.xen.by_id(domain).ready


def test_a_context_of_ring_0_starts_in_ring_1(tools):
    domain = build(tools.run, kernel("hlt"), 1024, start=False)
    where = tools.buffer + 4096
    request = struct.pack("<IIQ", 0, 0, where)
    assert tools.domctl("getvcpucontext", domain, request) == 0
    raw = bytearray(tools.run.xen.space.copy_from(where, c.CONTEXT_BYTES))
    struct.pack_into("<3I", raw, c.CTX_USER_REGS + 32, 0xC000_0000, 0xE018, 0x3002)
    tools.run.put(where, bytes(raw))
    assert tools.domctl("setvcpucontext", domain, request) == 0
    held = tools.run.xen.by_id(domain)
    assert (held.registers.cs, held.registers.eflags, held.iopl) == (0xE019, 0x202, 3)


def test_weights_are_the_schedulers(tools):
    domain = tools.create(4)
    body = struct.pack("<IIHH", c.SCHEDULER_CREDIT, 0, 512, 0)
    assert tools.domctl("scheduler_op", domain, body) == 0
    assert tools.domctl("scheduler_op", domain, struct.pack("<IIHH", 5, 1, 0, 0)) == 0
    assert tools.answer(24, 2) == 512
    account = tools.run.xen.scheduler.account_of(1)
    assert (account.weight, account.priority) == (512, UNDER)
    assert tools.domctl("scheduler_op", domain, struct.pack("<IIHH", 4, 0, 1, 0)) == -abi.EINVAL
    assert tools.run.monitor.vms[1].weight == 512


def test_without_devices_there_is_nothing_to_pass_on(tools):
    domain = tools.create(1)
    assert tools.domctl("ioport_permission", domain, struct.pack("<IIB", 0x80, 1, 1)) == -abi.EINVAL
    assert tools.domctl("iomem_permission", domain, struct.pack("<QQB", 0xB8, 1, 1)) == -abi.EINVAL
    assert tools.domctl("irq_permission", domain, bytes((0, 1))) == -abi.EINVAL
    assert tools.domctl("max_vcpus", domain, word(2)) == -abi.EINVAL


def test_hypercalls_of_other_domains_change_nothing_of_domain_0():
    attack = "\n".join(
        f"XEN {NUMBER[name]}, {first}, {second}, {third}, {fourth}\nmov [results + {4 * at}], eax"
        for at, (name, first, second, third, fourth) in enumerate(
            [
                ("domctl", "scratch", 0, 0, 0),
                ("memory_op", 3, "zero", 0, 0),
                ("update_va_mapping_otherdomain", "scratch", 0x63, 0, 2),
                ("sched_op", 4, "zero", 0, 0),
                ("physdev_op", 6, "zero", 0, 0),
                ("event_channel_op", 10, "zero", 0, 0),
            ]
        )
    )
    run = domain_0("wait: XEN 29, 0\njmp wait")
    image = kernel(f"{attack}\nSTOP\nzero: dd 0, 0")
    build(run, image)
    saved = run.xen.domain.channels.copy()
    while not run.kinds(events.VM_STOPPED):
        run.pc.run(max_steps=2000)
    (at,) = struct.unpack("<I", run.monitor.guest_read(image.symbols["results"], 4, 1))
    results = struct.unpack("<6i", run.monitor.guest_read(image.symbols["results"], 24, 1))
    assert at != 0
    assert results == (-1, -1, -1, -1, 0, -1)
    assert run.xen.domain.channels == saved
    assert run.pc.stopped is None
