"""Grants between two domains: mapped, unmapped, transferred, copied, and all the ways to be refused."""

from __future__ import annotations

import struct

import pytest
from domains_support import Tools, build, domain_0
from xen_support import kernel

from vizapp.machine import events
from vizapp.vmm.xen import abi
from vizapp.vmm.xen import control_abi as c
from vizapp.vmm.xen.frame_info import PageType

HOST, READ_ONLY = abi.GNTMAP_HOST_MAP, abi.GNTMAP_READONLY
U64 = 1 << 64


class Pair:
    """Domain 0 and a domain that has granted it frames; hypercalls are domain 0's."""

    def __init__(self) -> None:
        self.run = domain_0()
        self.tools = Tools(self.run)
        self.other = build(self.run, kernel("hlt"), 1024, start=False)
        self.xen = self.run.xen
        self.domain = self.xen.by_id(self.other)
        assert (
            self.op(abi.GNTTABOP_SETUP_TABLE, "<HxxIhxxI", self.other, 1, 99, self.tools.buffer + 2048)[2]
            == 0
        )
        self.table = self.domain.grants[0] << 12
        self.frames = self.tools.frames(self.other)
        self.window = self.run.at("stack")  # a page of domain 0 whose entry is free to use

    def op(self, command: int, form: str, *fields: int) -> tuple[int, ...]:
        """One request; its fields afterwards."""
        self.run.put(self.tools.buffer, struct.pack(form, *fields))
        assert self.run.call("grant_table_op", command, self.tools.buffer, 1) == 0
        raw = self.xen.space.copy_from(self.tools.buffer, struct.calcsize(form))
        return struct.unpack(form, raw)

    def grant(self, reference: int, frame: int, flags: int = 1, domain: int = 0) -> None:
        self.run.pc.memory.load(self.table + reference * 8, struct.pack("<HHI", flags, domain, frame))

    def flags(self, reference: int) -> int:
        return self.run.pc.memory.read(self.table + reference * 8, 2)

    def map(self, reference: int, flags: int = HOST, domain: int | None = None, address: int | None = None):
        """(status, handle, bus address)."""
        where = self.window if address is None else address
        form = "<QIIHhIQ"
        domain = self.other if domain is None else domain
        *_, status, handle, bus = self.op(0, form, where, flags, reference, domain, 99, 0, 0)
        return status, handle, bus

    def unmap(self, handle: int, address: int | None = None, bus: int = 0) -> int:
        where = self.window if address is None else address
        return self.op(1, "<QQIhxx", where, bus, handle, 99)[3]


@pytest.fixture
def pair():
    return Pair()


def test_a_granted_frame_is_mapped_used_and_given_back(pair):
    frame = pair.frames[1000]
    pair.run.pc.memory.write(frame << 12, 4, 0x1234)
    pair.grant(5, frame)
    assert pair.map(5) == (0, 0, frame << 12)
    assert pair.flags(5) == 1 | abi.GTF_READING | abi.GTF_WRITING
    assert pair.run.frame_of(pair.window) == frame
    assert pair.run.word(pair.window) == 0x1234
    info = pair.xen.types.info(frame)
    assert (info.type, info.uses) == (PageType.WRITABLE, 2 + 1)  # its owner's, the entry's and the grant's
    shares = pair.run.monitor.ownership().shares
    assert shares[frame] == {("vm0", False), ("vm0", True)}
    assert pair.unmap(0) == 0
    assert pair.flags(5) == 1
    assert pair.run.monitor.processor_translate(pair.window) is None
    assert pair.xen.types.info(frame).uses == 1
    assert not pair.run.monitor.ownership().shares
    assert [event.cause for event in pair.run.kinds(events.GRANT_MAPPED)] == ["vm1"]
    assert len(pair.run.kinds(events.GRANT_UNMAPPED)) == 1


def test_a_read_only_mapping_is_no_use_for_writing(pair):
    frame = pair.frames[1000]
    pair.grant(5, frame, 1 | abi.GTF_READONLY)
    assert pair.map(5)[0] == abi.GNTST_GENERAL_ERROR
    assert pair.map(5, HOST | READ_ONLY)[0] == 0
    assert pair.flags(5) == 1 | abi.GTF_READONLY | abi.GTF_READING
    assert pair.xen.types.visitors == {(frame, 0): (1, 0)}
    assert pair.unmap(0) == 0
    assert pair.flags(5) == 1 | abi.GTF_READONLY


def test_every_mapping_that_cannot_be_says_why(pair):
    frame = pair.frames[1000]
    pair.grant(1, frame)
    pair.grant(2, frame, domain=7)
    pair.grant(3, frame, flags=0)
    pair.grant(4, pair.run.frame_of("scratch"))  # not the granting domain's
    table = next(f for f in pair.frames if pair.xen.types.info(f).type is PageType.L1)
    pair.grant(5, table)
    assert pair.map(1, flags=0)[0] == abi.GNTST_BAD_GNTREF
    assert pair.map(1, domain=77)[0] == abi.GNTST_BAD_DOMAIN
    assert pair.map(512)[0] == abi.GNTST_BAD_GNTREF
    assert pair.map(2)[0] == pair.map(3)[0] == abi.GNTST_GENERAL_ERROR
    assert pair.map(4)[0] == pair.map(5)[0] == abi.GNTST_BAD_PAGE
    assert pair.map(5, HOST | READ_ONLY)[0] == 0  # a page table may be read
    assert pair.unmap(0) == 0
    for address in (pair.window + 4, 0x1000_0000, 0xFC00_0000, 0xFF00_2000):
        assert pair.map(1, address=address)[0] == abi.GNTST_GENERAL_ERROR
    assert pair.flags(1) == 1
    assert pair.unmap(3) == abi.GNTST_BAD_HANDLE
    assert pair.map(1)[0] == 0
    assert pair.unmap(0, pair.window + 4096) == abi.GNTST_GENERAL_ERROR
    assert pair.unmap(0) == 0
    assert pair.xen.types.visitors == {}


def test_a_mapping_may_name_the_entry_itself(pair):
    pair.grant(1, pair.frames[1000])
    form, root = pair.xen.format, pair.xen.domain.page_directory
    entry = form.last_entry(pair.run.pc.memory, root, pair.window)
    flags = HOST | abi.GNTMAP_CONTAINS_PTE
    assert pair.map(1, flags, address=entry)[0] == 0
    assert pair.run.frame_of(pair.window) == pair.frames[1000]
    assert pair.unmap(0, entry) == 0
    not_mine = pair.domain.page_directory << 12
    assert pair.map(1, flags, address=not_mine)[0] == abi.GNTST_GENERAL_ERROR
    assert pair.map(1, flags, address=pair.run.frame_of("scratch") << 12)[0] == abi.GNTST_GENERAL_ERROR


def test_a_grant_in_use_outlives_its_domain(pair):
    frame = pair.frames[1000]
    pair.grant(1, frame)
    pair.run.pc.memory.write(frame << 12, 4, 77)
    assert pair.map(1)[0] == 0
    free = sum(part.frames for part in pair.xen.frames._ranges if not part.owner)
    assert pair.tools.domctl("destroydomain", pair.other) == 0
    assert pair.xen.types.owned_by(pair.other) == [frame]
    assert pair.run.word(pair.window) == 77
    assert pair.unmap(0) == 0
    assert pair.xen.types.owned_by(pair.other) == []
    assert pair.run.pc.memory.read(frame << 12, 4) == 0  # wiped
    now = sum(part.frames for part in pair.xen.frames._ranges if not part.owner)
    assert now == free + 1024 + 2  # shared_info and grant table too


def test_frames_are_transferred(pair):
    run, xen = pair.run, pair.xen
    mine = run.frame_of("scratch")
    pair.grant(9, 0, abi.GTF_ACCEPT_TRANSFER)
    form = "<IHxxIhxx"
    assert pair.op(4, form, mine, pair.other, 9, 99)[3] == abi.GNTST_BAD_PAGE  # still mapped
    where = run.at("scratch") + 2 * 4096
    mine = run.frame_of(where)
    assert run.call("update_va_mapping", where, 0, 0, 2) == 0
    assert pair.op(4, form, mine, 77, 9, 99)[3] == abi.GNTST_BAD_DOMAIN
    assert pair.op(4, form, mine, pair.other, 8, 99)[3] == abi.GNTST_GENERAL_ERROR
    assert pair.op(4, form, mine, pair.other, 9, 99)[3] == abi.GNTST_GENERAL_ERROR  # it has all it may have
    assert pair.tools.domctl("max_mem", pair.other, struct.pack("<Q", 1025 * 4)) == 0
    assert pair.op(4, form, mine, pair.other, 9, 99)[3] == 0
    assert pair.flags(9) == 2 | abi.GTF_TRANSFER_COMMITTED | abi.GTF_TRANSFER_COMPLETED
    assert run.pc.memory.read(pair.table + 9 * 8 + 4, 4) == mine
    assert xen.types.owner(mine) == pair.other
    assert xen.frames.owner(mine) == "vm1"
    assert (pair.domain.pages, xen.domain.pages) == (1025, 2047)
    assert pair.op(4, form, mine, pair.other, 9, 99)[3] == abi.GNTST_BAD_PAGE
    assert run.kinds(events.MEMORY_MOVED)[-1].payload == {"pages": 1, "frame": mine, "vm": 1, "from": 0}


def copy(pair, source: tuple, target: tuple, count: int, flags: int) -> int:
    """Each side is (reference or frame, domain, offset)."""
    return pair.op(5, "<IHHIHHHHhxx", *source, *target, count, flags, 99)[8]


def test_copies_by_grant_in_both_directions(pair):
    frame, own = pair.frames[1000], pair.run.frame_of("results")
    pair.grant(1, frame)
    pair.grant(2, frame, 1 | abi.GTF_READONLY)
    pair.run.pc.memory.load((frame << 12) + 100, b"from the other domain")
    me = abi.DOMID_SELF
    at = pair.run.at("results") & 0xFFF
    assert copy(pair, (1, pair.other, 100), (own, me, at), 21, abi.GNTCOPY_SOURCE_GREF) == 0
    assert pair.xen.space.copy_from(pair.run.at("results"), 21) == b"from the other domain"
    pair.run.put("results", b"and back")
    assert copy(pair, (own, me, at), (1, pair.other, 4088), 8, abi.GNTCOPY_DEST_GREF) == 0
    assert pair.run.pc.memory.dump((frame << 12) + 4088, 8) == b"and back"
    assert copy(pair, (own, me, at), (2, pair.other, 0), 8, 2) == abi.GNTST_GENERAL_ERROR
    assert copy(pair, (own, me, at), (1, pair.other, 4089), 8, 2) == abi.GNTST_BAD_COPY_ARG
    assert copy(pair, (frame, pair.other, 0), (own, me, 0), 8, 0) == abi.GNTST_PERMISSION_DENIED
    assert copy(pair, (frame, me, 0), (own, me, 0), 8, 0) == abi.GNTST_GENERAL_ERROR
    root = pair.xen.domain.page_directory
    assert copy(pair, (own, me, 0), (root, me, 0), 8, 0) == abi.GNTST_GENERAL_ERROR
    assert copy(pair, (1, 77, 0), (own, me, 0), 8, 1) == abi.GNTST_BAD_DOMAIN
    assert pair.flags(1) == 1
    assert pair.domain.granted == {}
    assert [event.payload["bytes"] for event in pair.run.kinds(events.GRANT_COPIED)] == [21, 8]


def test_tables_grow_and_are_asked_about(pair):
    ask = "<HxxIIhxx"
    assert pair.op(6, ask, pair.other, 0, 0, 99)[1:] == (1, 4, 0)
    assert pair.op(6, ask, 99, 0, 0, 99)[3] == abi.GNTST_BAD_DOMAIN
    setup = "<HxxIhxxI"
    where = pair.tools.buffer + 2048
    assert pair.op(2, setup, pair.other, 5, 99, where)[2] == abi.GNTST_GENERAL_ERROR
    assert pair.op(2, setup, abi.DOMID_SELF, 2, 99, where)[2] == 0
    assert pair.run.words(where, 2) == pair.xen.domain.grants
    assert pair.op(3, "<Hh", pair.other, 99)[1] == 0
    assert pair.run.call("grant_table_op", 99, pair.tools.buffer, 1) == -abi.ENOSYS
    assert pair.run.call("grant_table_op", 0, 0x1000, 1) == -abi.EFAULT
    # A page of a grant table is memory like any other to its domain, but never a page table.
    assert pair.tools.ext(abi.MMUEXT_PIN_L1, pair.xen.domain.grants[0]) == -abi.EINVAL
    request = c.XENMEM_DECREASE_RESERVATION
    where = pair.run.put(pair.tools.buffer + 2048, struct.pack("<I", pair.xen.domain.grants[0]))
    assert pair.tools.memory(request, where, 1, 0, 0, abi.DOMID_SELF) == 0
