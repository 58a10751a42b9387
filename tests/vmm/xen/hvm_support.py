"""An HVM domain made from outside, and a device model in domain 0 that is fifty instructions long."""

from __future__ import annotations

import struct

from domains_support import Tools
from xen_support import Run, kernel

from vizapp.guest.assembler import assemble
from vizapp.isa.addresses import PAGE_SHIFT, HostPhysical
from vizapp.machine.features import Features
from vizapp.machine.image import Image
from vizapp.vmm.xen import control_abi as c

PAGES = 0x400
IOREQ_GFN = PAGES  # behind the guest's own memory
# Sleeps until its port rings; writes to ports are kept, reads of the line status say that the line is free,
# other ports read as their own number. Strings move to and from ``window``, where the guest's page 32 is.
MODEL = """
%define LINE_PORT 0x99
        mov eax, 1
ready:  XEN 29, 3, polled
        mov eax, [port]
        btr [shared_info + 2048], eax
        mov byte [shared_info], 0
        mov esi, ioreq
        mov al, [esi + 32]
        mov ah, al
        and ah, 15
        cmp ah, 1
        jne near ready
        mov edx, [esi]
        mov ecx, [esi + 16]
        test al, 16
        jnz string
        test al, 32
        jnz input
        mov edi, [used]
        mov eax, [esi + 24]
        mov [kept + edi * 8], edx
        mov [kept + edi * 8 + 4], eax
        inc dword [used]
        jmp done
input:  mov eax, edx
        cmp edx, 0x3FD
        jne other
        mov eax, 0x60
other:  mov [esi + 24], eax
        jmp done
string: mov ebx, [esi + 24]
        sub ebx, 32 * 4096
        add ebx, window
        test al, 32
        jz out_string
in_string:
        mov [ebx], cl
        inc ebx
        loop in_string
        jmp done
out_string:
        mov edi, [used]
        movzx eax, byte [ebx]
        mov [kept + edi * 8], edx
        mov [kept + edi * 8 + 4], eax
        inc dword [used]
        inc ebx
        loop out_string
done:   and byte [esi + 32], 0xF0
        or byte [esi + 32], 3
        inc dword [answered]
        mov ebx, [esi]
        push ebx
        XEN 32, 4, port
        pop ebx
        cmp ebx, LINE_PORT              ; a write there raises an interrupt line
        jne near ready
        XEN 34, 3, line
        jmp near ready
        align 8
polled: dd port, 1, 0, 0
port:   dd 0
line:   dd 0
used:   dd 0
answered: dd 0
        align 4096
ioreq:  times 4096 db 0
window: times 4096 db 0
kept:   times 4096 db 0
"""


def flat(source: str, origin: int = 0x10000) -> Image:
    """An unmodified guest: flat, 32 bits, at 64 KB."""
    assembly = assemble(f"bits 32\norg {origin}\n{source}", "guest.asm", bits=32)
    return Image("guest", "native", ((origin, assembly.data),), origin, symbols=dict(assembly.symbols))


class HvmRun(Run):
    """Domain 0 with the device model, and one HVM domain with an image in it."""

    def __init__(
        self,
        image: Image,
        vendor: str = "vt-x",
        *,
        nested: bool = False,
        model: str = MODEL,
        board: Features | None = None,
        pages: int = PAGES,
    ) -> None:
        super().__init__(kernel(model), spare=8 << 20, hvm=vendor, nested=nested, board=board)
        self.until("ready")
        self.tools = Tools(self)
        self.guest = image
        self.domain = self.make(pages)
        self.load(image)

    def make(self, pages: int) -> int:
        tools = self.tools
        assert tools.domctl("createdomain", 0, bytes(20) + struct.pack("<I", 1)) == 0
        domain = tools.answer(8, 2)
        assert tools.domctl("max_mem", domain, struct.pack("<Q", pages * 4 + 4)) == 0
        assert tools.domctl("max_vcpus", domain, struct.pack("<I", 1)) == 0
        for first in range(0, pages, 64):
            where = tools.buffer + 4096
            self.put(where, struct.pack("<64I", *range(first, first + 64)))
            assert tools.memory(c.XENMEM_POPULATE_PHYSMAP, where, 64, 0, 0, domain) == 64
        self.put(where, struct.pack("<I", IOREQ_GFN))
        assert tools.memory(c.XENMEM_POPULATE_PHYSMAP, where, 1, 0, 0, domain) == 1
        assert self.param(domain, 5, IOREQ_GFN) == 0
        assert self.map("ioreq", IOREQ_GFN, domain) == 0
        assert self.map("window", 32, domain) == 0
        remote = self.word(self.at("ioreq") + 48)
        self.put(tools.buffer, struct.pack("<HHI", domain, 0, remote))
        assert self.call("event_channel_op", 0, tools.buffer) == 0
        port = int.from_bytes(self.xen.space.copy_from(tools.buffer + 8, 4), "little")
        self.put("port", struct.pack("<I", port))
        self.put("line", struct.pack("<HBB", domain, 4, 1))
        return domain

    def map(self, label: str, gfn: int, domain: int) -> int:
        value = gfn << PAGE_SHIFT | 0x63
        return self.call("update_va_mapping_otherdomain", self.at(label), value, 0, 2, domain)

    def param(self, domain: int, index: int, value: int) -> int:
        self.put(self.tools.buffer, struct.pack("<HHIQ", domain, 0, index, value))
        return self.call("hvm_op", 0, self.tools.buffer)

    def line(self, irq: int, level: int) -> int:
        self.put(self.tools.buffer, struct.pack("<HBB", self.domain, irq, level))
        return self.call("hvm_op", 3, self.tools.buffer)

    @property
    def machine(self):
        return self.xen.hvm.vms[1]

    def load(self, image: Image) -> None:
        """What a builder does by foreign maps."""
        for address, data in image.segments:
            self.machine.memory.load(address, data)
        context = bytearray(c.CONTEXT_BYTES)
        struct.pack_into("<I", context, c.CTX_USER_REGS + 32, image.entry)
        where = self.tools.buffer + 4096
        self.put(where, bytes(context))
        body = struct.pack("<IIQ", 0, 0, where)
        assert self.tools.domctl("setvcpucontext", self.domain, body) == 0

    def start(self, steps: int = 400_000) -> HvmRun:
        assert self.tools.domctl("unpausedomain", self.domain) == 0
        self.pc.run(max_steps=steps)
        return self

    @property
    def kept(self) -> list[tuple[int, int]]:
        """What the device model was written: (port or address, value)."""
        count = self.word("used")
        words = self.words("kept", 2 * count)
        return list(zip(words[::2], words[1::2], strict=True))

    def make_bare(self) -> int:
        """Another HVM domain, with a page of memory and nothing else."""
        assert self.tools.domctl("createdomain", 0, bytes(20) + struct.pack("<I", 1)) == 0
        domain = self.tools.answer(8, 2)
        assert self.tools.domctl("max_mem", domain, struct.pack("<Q", 16)) == 0
        assert self.tools.domctl("max_vcpus", domain, struct.pack("<I", 1)) == 0
        where = self.put(self.tools.buffer + 4096, struct.pack("<I", 5))
        assert self.tools.memory(c.XENMEM_POPULATE_PHYSMAP, where, 1, 0, 0, domain) == 1
        return domain

    def guest_word(self, label: str, index: int = 0) -> int:
        at = self.machine.memory.where(self.guest.symbols[label] + 4 * index)
        return self.pc.memory.read(HostPhysical(at), 4)
