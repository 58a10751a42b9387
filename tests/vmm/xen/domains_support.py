"""A builder outside the machine: it makes domains by the hypercalls that a kernel in domain 0 would make."""

from __future__ import annotations

import struct

from xen_support import BASE, Run, kernel, started

from vizapp.isa.addresses import PAGE_SIZE, HostPhysical
from vizapp.machine.image import Image
from vizapp.vmm.xen import abi
from vizapp.vmm.xen import control_abi as c

COMMANDS = {name: number for number, name in c.DOMCTL_NAMES.items()}
SHARED_INFO_FLAGS = 0x63


class Tools:
    """Hypercalls of the current domain, with their structures in its scratch pages."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.buffer = run.at("scratch")

    def domctl(self, name: str, domain: int = 0, body: bytes = b"", version: int = 5) -> int:
        head = struct.pack("<IIHHI", COMMANDS[name], version, domain, 0, 0)
        self.run.put(self.buffer, head + body.ljust(128, b"\0"))
        return self.run.call("domctl", self.buffer)

    def answer(self, offset: int, size: int) -> int:
        raw = self.run.xen.space.copy_from(self.buffer + offset, size)
        return int.from_bytes(raw, "little")

    def memory(self, command: int, *words: int) -> int:
        self.run.put(self.buffer, struct.pack(f"<{len(words)}I", *words))
        return self.run.call("memory_op", command, self.buffer)

    def create(self, pages: int) -> int:
        """A domain with so many frames, at the pseudo-physical numbers from 0 on."""
        assert self.domctl("createdomain") == 0
        domain = self.answer(8, 2)
        assert self.domctl("max_mem", domain, struct.pack("<Q", pages * 4)) == 0
        assert self.domctl("max_vcpus", domain, struct.pack("<I", 1)) == 0
        done = 0
        while done < pages:
            count = min(64, pages - done)
            where = self.buffer + PAGE_SIZE
            self.run.put(where, struct.pack(f"<{count}I", *range(done, done + count)))
            assert self.memory(c.XENMEM_POPULATE_PHYSMAP, where, count, 0, 0, domain) == count
            done += count
        return domain

    def frames(self, domain: int) -> list[int]:
        """Its machine frames by pseudo-physical number."""
        xen = self.run.xen
        special = {xen.by_id(domain).shared_frame, *xen.by_id(domain).grants}
        owned = [frame for frame in xen.types.owned_by(domain) if frame not in special]
        return sorted(owned, key=xen.pseudo_physical)

    def ext(self, command: int, first: int, second: int = 0, domain: int = abi.DOMID_SELF) -> int:
        self.run.put(self.buffer, struct.pack("<3I", command, first, second))
        return self.run.call("mmuext_op", self.buffer, 1, 0, domain)

    def update(self, pointer: int, value: int, domain: int = abi.DOMID_SELF) -> int:
        self.run.put(self.buffer, struct.pack("<QQ", pointer, value))
        return self.run.call("mmu_update", self.buffer, 1, 0, domain)


def build(run: Run, image: Image, pages: int = 2048, *, start: bool = True, **info: int) -> int:
    """A domain with a kernel, as a builder lays it out: its id."""
    tools = Tools(run)
    domain = tools.create(pages)
    frames = tools.frames(domain)
    memory, xen = run.pc.memory, run.xen
    base = image.virtual_base
    ((offset, data),) = image.segments
    end = offset + len(data) + PAGE_SIZE - 1 & ~(PAGE_SIZE - 1)

    def place(at: int, content: bytes) -> None:
        for done in range(0, len(content), PAGE_SIZE):
            frame = frames[at + done >> 12]
            memory.load(HostPhysical(frame << 12), content[done : done + PAGE_SIZE])

    place(0, data)
    list_at, tables = end >> 12, 4 + pages // 1024
    place(end, struct.pack(f"<{pages}I", *frames))
    info_at = list_at + -(-pages * 4 // PAGE_SIZE)
    directory = info_at + 1
    stack = directory + tables
    fields = {
        "nr_pages": pages, "shared_info": xen.by_id(domain).shared_frame << 12,
        "pt_base": base + (directory << 12),
        "nr_pt_frames": tables, "mfn_list": base + end, **info,
    }  # fmt: skip
    page = bytearray(abi.PLATFORM.ljust(PAGE_SIZE, b"\0"))
    for name, value in fields.items():
        struct.pack_into("<I", page, abi.START_INFO[name], value)
    place(info_at << 12, bytes(page))
    first, root = base >> 22, frames[directory] << 12
    for index in range(tables - 1):
        table = frames[directory + 1 + index] << 12
        memory.write(root + (first + index) * 4, 4, table | 0x67)
        for entry in range(1024):
            number = index * 1024 + entry
            if number < pages:
                read_only = directory <= number < stack
                memory.write(table + entry * 4, 4, frames[number] << 12 | (0x61 if read_only else 0x63))
    assert tools.ext(abi.MMUEXT_PIN_L2, frames[directory], domain=domain) == 0
    page_of_calls = image.symbols["hypercall_page"] - base >> 12
    assert tools.domctl("hypercall_init", domain, struct.pack("<Q", frames[page_of_calls])) == 0
    context = bytearray(c.CONTEXT_BYTES)
    struct.pack_into("<I", context, c.CTX_FLAGS, c.VGCF_IN_KERNEL | c.VGCF_ONLINE)
    registers = {
        "esi": 12, "eip": 32, "cs": 36, "eflags": 40, "esp": 44, "ss": 48, "es": 52, "ds": 56,
    }  # fmt: skip
    values = {
        "esi": base + (info_at << 12), "eip": image.entry, "cs": 0xE019, "eflags": 0x202,
        "esp": base + (stack + 1 << 12), "ss": 0xE021, "es": 0xE021, "ds": 0xE021,
    }  # fmt: skip
    for name, at in registers.items():
        struct.pack_into("<I", context, c.CTX_USER_REGS + at, values[name])
    struct.pack_into("<2I", context, c.CTX_KERNEL_SS, 0xE021, base + (stack + 1 << 12))
    struct.pack_into("<I", context, c.CTX_CONTROL + 12, c.cr3_of(frames[directory]))
    where = tools.buffer + PAGE_SIZE
    run.put(where, bytes(context))
    assert tools.domctl("setvcpucontext", domain, struct.pack("<IIQ", 0, 0, where)) == 0
    if start:
        assert tools.domctl("unpausedomain", domain) == 0
    return domain


SPARE = 24 << 20


def domain_0(body: str = "hlt", **options) -> Run:
    """A kernel in domain 0, just through its start, with memory to spare for others."""
    return Run(kernel(f"ready:\n{body}", **options), spare=SPARE).until("ready")


__all__ = ["BASE", "Tools", "build", "domain_0", "started"]
