"""Whatever a domain asks for: no writable mapping of a page table, nor one of a frame that was not lent.

What is checked is memory itself, walked as the processor would from every table that it could be given, and
the processor's TLB; the hypervisor's counts are not asked.
"""

from __future__ import annotations

import struct

from domains_support import Tools, build, domain_0
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from xen_support import kernel

from vizapp.isa.paging import PTE_P, PTE_W
from vizapp.machine.faults import Fault
from vizapp.vmm.xen import abi
from vizapp.vmm.xen import control_abi as c
from vizapp.vmm.xen.guest_access import GuestMemoryError
from vizapp.vmm.xen.paging_format import PLAIN

GRANTED, READ_ONLY, LENT = 1, 2, 1
FIRST_XEN_SLOT = PLAIN.first_xen_slot


class Attack:
    """A domain without privileges, beside one that has granted it two frames."""

    def __init__(self) -> None:
        self.run = domain_0()
        self.tools = Tools(self.run)
        self.xen = self.run.xen
        self.other = build(self.run, kernel("hlt"), 1024, start=False)
        self.domain = self.xen.by_id(self.other)
        where = self.tools.buffer + 2048
        self.run.put(self.tools.buffer, struct.pack("<HxxIhxxI", self.other, 1, 0, where))
        assert self.run.call("grant_table_op", abi.GNTTABOP_SETUP_TABLE, self.tools.buffer, 1) == 0
        self.theirs = self.tools.frames(self.other)
        table = self.domain.grants[0] << 12
        self.lent = {self.theirs[1000], self.theirs[1001]}
        self.read_only = self.theirs[1001]
        self.run.pc.memory.load(table + 8 * GRANTED, struct.pack("<HHI", 1, 0, self.theirs[1000]))
        self.run.pc.memory.load(table + 8 * READ_ONLY, struct.pack("<HHI", 5, 0, self.theirs[1001]))
        self.xen.domain.privileged = False
        root = self.xen.domain.page_directory
        tables = [entry >> 12 for entry in self.words(root)[768:770] if entry & PTE_P]
        data = [self.run.frame_of(self.run.at("scratch") + at) for at in (0, 4096, 8192)]
        spare = [self.run.frame_of(0xC030_0000 + at) for at in range(0, 5 * 4096, 4096)]
        self.mine = [root, *tables, *data, *spare]
        self.frames = [*self.mine, *self.theirs[1000:1003], self.domain.page_directory, 0xB8, 1, 0xFFFFF]
        self.window = self.run.at("stack")

    def words(self, frame: int) -> tuple[int, ...]:
        return struct.unpack("<1024I", self.run.pc.memory.dump(frame << 12, 4096))

    def ask(self, kind: str, a: int, b: int, flags: int) -> None:
        """One request, with numbers that lead near what there is."""
        run, tools = self.run, self.tools
        frame, target = self.mine[a % len(self.mine)], self.frames[b % len(self.frames)]
        entry = target << 12 | flags
        if kind == "update":
            slots = (770, 771, 1007, 1008, 0, 1, 512, (self.window >> 12) % 1024)
            tools.update((frame << 12) + slots[b % 8] * 4, entry)
        elif kind == "map":
            pages = [self.window, run.at("scratch") + 8192, 0xC030_0000, 0xC030_1000, 0xC030_4000]
            run.call("update_va_mapping", pages[a % 5], entry, 0, flags % 3)
        elif kind == "pin":
            tools.ext((abi.MMUEXT_PIN_L1, abi.MMUEXT_PIN_L2, abi.MMUEXT_UNPIN)[a % 3], target)
        elif kind == "base":
            tools.ext(abi.MMUEXT_NEW_BASEPTR, target)
        elif kind == "grant":
            form = "<QIIHhIQ"
            request = struct.pack(form, self.window, 2 | flags & 4, 1 + b % 3, self.other, 0, 0, 0)
            run.put(tools.buffer, request)
            run.call("grant_table_op", abi.GNTTABOP_MAP_GRANT_REF, tools.buffer, 1)
        elif kind == "ungrant":
            run.put(tools.buffer, struct.pack("<QQIhxx", self.window, 0, b % 3, 0))
            run.call("grant_table_op", abi.GNTTABOP_UNMAP_GRANT_REF, tools.buffer, 1)
        elif kind == "memory":
            where = run.put(tools.buffer + 2048, struct.pack("<I", target))
            tools.memory(
                (c.XENMEM_DECREASE_RESERVATION, c.XENMEM_POPULATE_PHYSMAP)[a % 2], where, 1, 0, 0, 0x7FF0
            )
        elif kind == "write":
            # The guest itself, wherever its tables, or what the processor remembers of them, let it.
            linear = 0xC030_0000 + (a % 5) * 4096 + (b % 8) * 4
            try:
                run.pc.mmu.write_as(linear, 4, entry, False, 1)
            except Fault:
                return
        elif kind == "gdt":
            run.put(tools.buffer + 2048, struct.pack("<I", target))
            run.call("set_gdt", tools.buffer + 2048, 512 * (a % 2))

    def check(self) -> None:
        """Every table that could be loaded, and every translation that the processor remembers."""
        xen = self.xen
        tables: dict[int, str] = {}
        mappings: list[tuple[str, int, bool]] = []
        for domain in xen.domains:
            owner = f"vm{domain.index}"
            roots = {domain.page_directory}
            roots |= {
                f for f, info in xen.types.frames.items() if info.pinned and xen.types.owner(f) == domain.id
            }
            for root in sorted(roots):
                if root == domain.page_directory or xen.types.info(root).type.value == "page-directory":
                    tables[root] = owner
                    found = [e >> 12 for e in self.words(root)[:FIRST_XEN_SLOT] if e & PTE_P]
                else:
                    found = [root]
                for table in found:
                    tables[table] = owner
                    mappings += [(owner, e >> 12, bool(e & PTE_W)) for e in self.words(table) if e & PTE_P]
        for owner, frame, writable in mappings:
            self.allowed(owner, frame, writable, tables)
        for entry in self.run.pc.mmu.tlb.entries():
            if entry.page << 12 < abi.HYPERVISOR_START:
                self.allowed("vm0", entry.frame, entry.writable, tables)
        for frame, owner in tables.items():
            assert xen.frames.owner(frame) == owner, f"a table of {owner} lies in {frame:#x}"

    def allowed(self, owner: str, frame: int, writable: bool, tables: dict[int, str]) -> None:
        if writable:
            assert frame not in tables, f"{owner} may write to the page table in {frame:#x}"
        holder = self.xen.frames.owner(frame)
        if holder != owner:
            assert owner == "vm0", f"{owner} reaches {frame:#x} of {holder}"
            assert frame in self.lent, f"{owner} reaches {frame:#x} of {holder!r}"
            assert not (writable and frame == self.read_only)


KINDS = (
    "update",
    "update",
    "map",
    "map",
    "pin",
    "base",
    "grant",
    "ungrant",
    "memory",
    "write",
    "write",
    "gdt",
)
FLAGS = st.sampled_from([0, 1, 3, 7, 0x63, 0x61, 0x67, 0x65, 0xE3, 0x163])
STEP = st.tuples(st.sampled_from(KINDS), st.integers(0, 119), st.integers(0, 119), FLAGS)


@settings(max_examples=10, deadline=None, derandomize=True, phases=(Phase.generate,))
@given(steps=st.lists(STEP, min_size=10, max_size=50))
def test_no_requests_lead_where_they_must_not(steps):
    attack = Attack()
    attack.check()
    for step in steps:
        try:
            attack.ask(*step)
        except GuestMemoryError:
            break  # it has taken the page from itself in which its requests were
        attack.check()
    assert attack.run.pc.stopped is None


def test_a_frame_that_was_given_up_is_out_of_reach_at_once():
    attack = Attack()
    run, where = attack.run, attack.run.at("scratch") + 8192
    frame = run.frame_of(where)
    run.pc.mmu.write_as(where, 4, 1, False, 1)
    assert run.call("update_va_mapping", where, 0, 0, 0) == 0  # without a flush
    assert any(entry.frame == frame for entry in run.pc.mmu.tlb.entries())
    extent = run.put(attack.tools.buffer + 2048, struct.pack("<I", frame))
    assert attack.tools.memory(c.XENMEM_DECREASE_RESERVATION, extent, 1, 0, 0, abi.DOMID_SELF) == 1
    assert not any(entry.frame == frame for entry in run.pc.mmu.tlb.entries())
    assert attack.xen.frames.owner(frame) == ""
