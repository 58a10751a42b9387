"""Which engine runs a guest: direct execution, virtual-8086 mode too, or translation, 16-bit code too."""

from __future__ import annotations

import random

import pytest
from test_hardware_real_mode import noise
from test_trap_equivalence import states
from vmm_support import ORIGIN, Run, assemble, small_image

from tests.lengths import FULL
from vizapp.guest.real_mode import rom_image
from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.isa.registers import CR0_PE, CS, EFLAGS_IF, EFLAGS_IOPL, EFLAGS_TF, EFLAGS_VM
from vizapp.machine import events
from vizapp.machine.features import Features
from vizapp.machine.image import Image
from vizapp.vmm.binary_translation.engine import DIRECT, INTERPRETED, TRANSLATED, choose
from vizapp.vmm.binary_translation.technique import BinaryTranslation
from vizapp.vmm.native import Native

SEEDS = 200 if FULL else 12

BODIES = {
    "the same EIP in two segments": """
        mov dword [gdt + 0x38], 0x1000FFFF; mov dword [gdt + 0x3C], 0x00CF9A00; push a; ret; a: inc eax;
        cmp eax, 3; jae e; push a; jmp 0x38:(c - 0x1000); times 0x1000 - ($ - a) nop; b: inc ebx; jmp 8:d;
        c: ret; d: push a; ret; e: nop""",
    "a jump where the branch falls through": """
        mov ecx, 3; a: cmp ecx, 1; je b; jmp c; b: inc ebx; c: inc edx; dec ecx; jnz a""",
    "16-bit code and stack": """
        mov dword [gdt + 0x38], 0x0000FFFF; mov dword [gdt + 0x3C], 0x00009A10;
        mov dword [gdt + 0x40], 0x0000FFFF; mov dword [gdt + 0x44], 0x00009212;
        jmp 0x38:(a - $$); bits 16; a: mov ax, 0x40; mov ss, ax; mov sp, 0; call f; call f; mov cx, 3;
        b: loop b; push 0x246; popf; pushf; pop dx; mov si, f - $$; call si; pushfd; pop edi; cli; sti;
        mov eax, 0x12345; push eax; pop bx; pop bp; lea esi, [eax + ebx * 2]; jmp dword 8:c;
        f: inc word [0]; mov bp, sp; ret; bits 32; c: mov ax, 0x10; mov ss, ax; mov esp, 0x120000""",
    "far calls between 16 and 32 bits": """
        mov dword [gdt + 0x38], 0x0000FFFF; mov dword [gdt + 0x3C], 0x00009A10; call 0x38:(f - $$);
        mov edx, esp; jmp h; bits 16; f: mov bx, sp; o32 retf; bits 32; h: nop""",
    "RET beyond the segment": """
        mov dword [gdt + 0x38], 0x0000FFFF; mov dword [gdt + 0x3C], 0x00409A10; jmp 0x38:(a - $$);
        a: push dword 0x12345; ret""",
    "JMP beyond the segment": """
        mov dword [gdt + 0x38], 0x0000FFFF; mov dword [gdt + 0x3C], 0x00409A10; jmp 0x38:(a - $$);
        a: inc eax; jmp near $ + 0x20000""",
}


@pytest.mark.parametrize("size", [1 << 18, 1 << 10])
@pytest.mark.parametrize("name", BODIES)
def test_ends_as_on_the_bare_machine(name: str, size: int) -> None:
    guest = small_image(BODIES[name])
    run = Run(guest, BinaryTranslation(size)).run(200_000)
    assert run.ending() == Run(guest, Native()).run(200_000).ending()


@pytest.mark.parametrize(
    ("cr0", "eflags", "cpl", "reversible", "expected"),
    [
        (CR0_PE, EFLAGS_IF, 3, True, (DIRECT, "application")),
        (CR0_PE, EFLAGS_IF, 3, False, (INTERPRETED, "segments")),
        (CR0_PE, 0, 3, True, (INTERPRETED, "if")),
        (CR0_PE, EFLAGS_IF | EFLAGS_IOPL, 3, True, (INTERPRETED, "iopl")),
        (CR0_PE, EFLAGS_VM, 3, False, (DIRECT, "virtual-8086")),
        (CR0_PE, EFLAGS_IF, 0, True, (TRANSLATED, "kernel")),
        (CR0_PE, EFLAGS_IF | EFLAGS_TF, 0, True, (INTERPRETED, "single-step")),
        (CR0_PE, EFLAGS_IF, 1, True, (INTERPRETED, "middle-ring")),
        (0, EFLAGS_IF, 0, True, (TRANSLATED, "real-mode")),
    ],
)
def test_the_rule(cr0: int, eflags: int, cpl: int, reversible: bool, expected: tuple[str, str]) -> None:
    cpu = Run(small_image("nop"), BinaryTranslation()).monitor.vms[0].virtual.cpu
    cpu.cr0, cpu.eflags = cr0, eflags
    cpu.set_code_segment(cpu.segments[CS], cpl)
    assert choose(cpu, lambda: reversible) == expected


def test_a_change_of_engine_is_told_with_its_cause() -> None:
    run = Run(small_image("USER; mov eax, 7; int 0x80"), BinaryTranslation()).run()
    chosen = [(event.payload["engine"], event.cause) for event in run.kinds(events.ENGINE_SELECTED)]
    assert chosen == [(TRANSLATED, "kernel"), (DIRECT, "application"), (TRANSLATED, "kernel")]


_TASK = """
        push dword 0x2000
        push dword 0x2100
        push dword 0x2000
        push dword 0x2000
        push dword 0x2000
        push dword 0xFF00
        push dword {flags:#x}
        push dword 0x2000
        push dword 0
        iret
"""


def task(seed: int) -> Image:
    """A kernel that goes to virtual-8086 code at 2000:0, at one IOPL or another.

    Without SGDT, SIDT and SMSW, which tell of the monitor wherever execution is direct.
    """
    choose_one = random.Random(seed)
    flags = 0x20002 | choose_one.choice((0, 0x200)) | choose_one.choice((0, 0x3000))
    lines = [line.strip() for line in _TASK.format(flags=flags).strip().splitlines()]
    kernel = small_image(";".join(lines)).segments[0][1]
    code = noise(choose_one).replace(b"\x0f\x01", b"\x90\x90")
    parts = ((GuestPhysical(ORIGIN), kernel), (GuestPhysical(0x2_0000), code))
    return Image("task", "native", parts, Linear(ORIGIN))


@pytest.mark.oracle
def test_random_code_in_virtual_8086_mode() -> None:
    direct = 0
    for seed in range(SEEDS):
        native, run = Run(task(seed), Native()), Run(task(seed), BinaryTranslation())
        both = zip(states(native, 150), states(run, 150), strict=False)
        for count, (expected, found) in enumerate(both):
            assert found == expected, f"seed {seed}, instruction {count}"
        if native.pc.stopped:
            assert run.run(5000).ending() == native.ending()
        guest = run.monitor.vms[0]
        direct += guest.instructions - guest.emulated - guest.cached
    assert direct > SEEDS


_ROM = """
bits 16
org 0xF0000
start:  xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7000
        inc word [0x500]
        mov dx, 0x3F8
        mov al, [0x500]
        add al, '0'
        out dx, al
        cmp byte [0x500], 3
        jae done
        mov al, 0xFE
        out 0x64, al
        jmp $
done:   cli
        hlt
        times 0xFFF0 - ($ - $$) nop
        jmp 0xF000:start - $$
        times 0x10000 - ($ - $$) db 0
"""


def test_the_reset_line_starts_the_rom_again() -> None:
    guest = rom_image("reset.bin", assemble(_ROM))
    run = Run(guest, BinaryTranslation(), features=Features(large_pages=False)).run(100_000)
    assert run.serial == "123"
    assert run.reason == "halted"
