"""Guests from source, assembled by NASM or written as bytes, on a PC under a technique."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.machine.events import Event
from vizapp.machine.features import Features
from vizapp.machine.identity import PENTIUM_4, PENTIUM_4_VIRTUALIZABLE
from vizapp.machine.image import Image
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc
from vizapp.messages import Message
from vizapp.vmm.base import Options, Paths, Technique, VmOptions
from vizapp.vmm.native import Native
from vizapp.vmm.scheduler import DEFAULT_WEIGHT
from vizapp.vmm.trap_and_emulate.technique import TrapAndEmulate

GUESTS = Path(__file__).parents[2] / "assets" / "guests"
ORIGIN = 0x10_0000
HERTZ = 100_000_000
MEMORY = 4 << 20


@lru_cache
def assemble(source: str, *defines: str) -> bytes:
    with TemporaryDirectory() as name:
        file = Path(name) / "guest.asm"
        file.write_text(source)
        output = Path(name) / "guest.bin"
        options = [f"-D{define}" for define in defines]
        command = ["nasm", "-f", "bin", "-w-all", f"-I{GUESTS}/", *options, "-o", str(output), str(file)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        return output.read_bytes()


def image_of(code: bytes, name: str = "test") -> Image:
    return Image(name, "native", ((GuestPhysical(ORIGIN), code),), Linear(ORIGIN))


def library_image(name: str) -> Image:
    return image_of(assemble((GUESTS / f"{name}.asm").read_text(), "NATIVE"), name)


# A kernel's start: flat segments of ring 0 (8, 10) and 3 (1B, 23), one of 64 KB at 200000 (30), a TSS (28),
# an IDT whose handlers push their vector and halt, so that a fault leaves its frame. Then the body runs.
KERNEL = """
bits 32
org {origin:#x}
        lgdt [gdtr]
        lidt [idtr]
        jmp 8:.flat
.flat:  mov ax, 0x10
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov fs, ax
        mov gs, ax
        mov esp, 0x120000
        mov ax, 0x28
        ltr ax
        jmp main
%macro USER 0
        push dword 0x23
        push dword 0x118000
        push dword 0x202
        push dword 0x1B
        push dword %%user
        iret
%%user: mov ax, 0x23
        mov ds, ax
        mov es, ax
%endmacro
; Paging on, the first 4 MB mapped to themselves for everyone; page tables at 130000 and 131000.
%macro PAGING 0
        mov edi, 0x131000
        mov eax, 7
        mov ecx, 1024
%%fill: stosd
        add eax, 4096
        loop %%fill
        mov dword [0x130000], 0x131007
        mov eax, 0x130000
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80010000
        mov cr0, eax
%endmacro
%define PTE(address) 0x131000 + (address) / 4096 * 4
        align 8
gdt:    dq 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF, 0x00CFFA000000FFFF, 0x00CFF2000000FFFF
        dw 0x67, tss - $$
        db {high:#x}, 0x89, 0, 0
        dq 0x004092200000FFFF
        times 8 dq 0
gdt_end:
gdtr:   dw gdt_end - gdt - 1
        dd gdt
        align 8
idt:
%assign vector 0
%rep 256
        dw (handlers - $$) + vector * 8
        dw 8
        db 0
%if vector = 0x80 || vector = 3
        db 0xEF
%else
        db 0x8E
%endif
        dw {high:#x}
%assign vector vector + 1
%endrep
idtr:   dw 256 * 8 - 1
        dd idt
        align 4
tss:    dd 0, 0x11C000, 0x10
        times 23 dd 0
        align 8
handlers:
%assign vector 0
%rep 256
        db 0x68
        dd vector
        hlt
        jmp $
%assign vector vector + 1
%endrep
main:
{body}
        hlt
        jmp $
"""
ORACLE_PAGES = range(0x100, 0x140)


def small_image(body: str) -> Image:
    """A test kernel that runs ``body``, instructions parted by semicolons, after setting itself up."""
    body = body.replace(";", "\n")
    return image_of(assemble(KERNEL.format(origin=ORIGIN, high=ORIGIN >> 16, body=body)))


class Run:
    """A PC with a guest, its events recorded."""

    def __init__(
        self,
        image: Image,
        technique: Technique | None = None,
        *,
        virtualizable: bool = False,
        memory: int = MEMORY,
        paths: Paths | None = None,
        others: tuple[Image, ...] = (),
        slice_cycles: int | None = None,
        weights: tuple[int, ...] = (),
        features: Features | None = None,
        host_memory: int | None = None,
    ) -> None:
        self.technique = technique or TrapAndEmulate()
        weights = weights or (DEFAULT_WEIGHT,) * (1 + len(others))
        options = Options(
            memory,
            paths or {},
            virtualizable,
            weight=weights[0],
            features=features,
            others=tuple(
                VmOptions(other, memory, weight=weight, features=features)
                for other, weight in zip(others, weights[1:], strict=True)
            ),
            slice_cycles=slice_cycles,
            host_memory=host_memory,
        )
        identity = PENTIUM_4_VIRTUALIZABLE if virtualizable else PENTIUM_4
        prices = dict.fromkeys(NAMES, 1)
        own = features if isinstance(self.technique, Native) else None
        self.pc = Pc(prices, self.technique.host_memory(options), HERTZ, identity, own)
        self.events: list[Event] = []
        self.pc.listener = self.events.append
        self.monitor = self.technique.start(self.pc, image, options)

    def run(self, steps: int = 2_000_000) -> Run:
        self.pc.run(max_steps=steps)
        return self

    @property
    def serial(self) -> str:
        return bytes(self.monitor.devices.uart.output).decode("ascii")

    @property
    def reason(self) -> str:
        return self.pc.stopped[0] if self.pc.stopped else ""

    def kinds(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    def memory(self, address: int, size: int = 4, vm: int = 0) -> int:
        """Guest-physical memory."""
        host = self.monitor.guest_physical(GuestPhysical(address), vm)
        assert host is not None
        return self.pc.memory.read(host, size)

    def ending(self, vm: int = 0) -> tuple[object, ...]:
        """Why the guest ended, and what it has in its registers and its memory."""
        view = self.monitor.guest_view(vm)
        hosts = (self.monitor.guest_physical(GuestPhysical(page << 12), vm) for page in ORACLE_PAGES)
        pages = tuple(self.pc.memory.dump(host, 4096) for host in hosts if host is not None)
        guest = self.monitor.vms[vm]
        reason = guest.stopped[0] if guest.stopped else ""
        return reason, guest.instructions, view._replace(where=Message("")), pages


def like_native(body: str) -> Run:
    """Run a test kernel on the virtualizable processor, and find that it ended as on the bare machine."""
    image = small_image(body)
    run = Run(image, virtualizable=True).run()
    assert run.ending() == Run(image, Native()).run().ending()
    return run
