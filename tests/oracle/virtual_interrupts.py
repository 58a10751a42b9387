"""What takes VIF for IF, with each IOPL, VME or PVI, VIF, VIP and IF, as cases for ``probe``."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from tests.oracle.probe import CODE, DATA, VIRTUAL_CODE, Case, Tables, code
from vizapp.isa import descriptors as d
from vizapp.isa.registers import CR4_PVI, CR4_VME, EFLAGS_IF, EFLAGS_NT, EFLAGS_TF, EFLAGS_VIF, EFLAGS_VIP

BIG, GRANULAR = 0x4000, 0x8000
READ_WRITE, EXECUTE_READ = 0x92, 0x9A
VM = 0x2_0000
START, STACK = 4, 0x8000
FLAGS = (0, EFLAGS_IF, EFLAGS_TF, EFLAGS_IF | EFLAGS_TF, EFLAGS_IF | EFLAGS_NT | 0x1C01, 0x3CD4)
# 20h and 22h go to the IDT, whose gates for them may be used, and so does 12h, whose gate may not.
VECTORS = (0x20, 0x22, 0x12, 0x11, 0x21)


def _codes(*, virtual: bool) -> Iterator[str]:
    """What is tried; the 32-bit forms in both modes."""
    yield from ("cli", "sti", "cli\nsti\npushf", "pushf", "o32 pushf")
    for flags in FLAGS:
        yield f"push word {flags:#x}\npopfw\nnop"
    for flags in (0, EFLAGS_VIF | EFLAGS_VIP, EFLAGS_IF | EFLAGS_VIF):
        yield f"push dword {flags:#x}\npopfd\nnop"
    if not virtual:
        return
    for flags in FLAGS:
        yield f"push word {flags:#x}\npush cs\npush word next\no16 iret\nnext: nop"
    for flags in (EFLAGS_IF, EFLAGS_VIP | VM):
        yield f"push dword {flags:#x}\npush dword {VIRTUAL_CODE >> 4:#x}\npush dword next\niretd\nnext: nop"
    for vector in VECTORS:
        yield f"int {vector:#x}"
    yield from ("int3", "into")


def _flags() -> Iterator[int]:
    for iopl, bits in product(range(4), product((0, EFLAGS_VIF), (0, EFLAGS_VIP), (0, EFLAGS_IF))):
        yield iopl << 12 | sum(bits) | 0x802


def in_tasks() -> Iterator[Case]:
    """In virtual-8086 mode."""
    segments = dict.fromkeys(("cs", "ss", "ds", "es", "fs", "gs"), DATA >> 4) | {"cs": VIRTUAL_CODE >> 4}
    for text, flags, cr4 in product(_codes(virtual=True), _flags(), (0, CR4_VME, CR4_PVI)):
        if cr4 == CR4_PVI and flags & EFLAGS_IF:
            continue
        yield Case(
            f"{text} with {flags:#x} and CR4 {cr4}".replace("\n", "; "),
            code(text, 16, START),
            base=VIRTUAL_CODE,
            eip=START,
            eflags=flags | VM,
            registers={"esp": STACK},
            segments=segments,
            cr4=cr4,
            watch=DATA + STACK - 8,
        )


def in_rings(tables: Tables) -> Iterator[Case]:
    """In protected mode, at CPL 3 and 1."""
    for ring, bits in ((3, 32), (1, 32), (3, 16)):
        access = READ_WRITE | ring << d.AR_DPL_SHIFT | BIG | GRANULAR
        data = d.selector(tables.add(0, 0xF_FFFF, access), ring)
        access = EXECUTE_READ | ring << d.AR_DPL_SHIFT | (BIG if bits == 32 else 0)
        cs = d.selector(tables.add(CODE, 0xFFFF, access), ring)
        segments = dict.fromkeys(("ss", "ds", "es", "fs", "gs"), data) | {"cs": cs}
        for text, flags, cr4 in product(_codes(virtual=False), _flags(), (0, CR4_VME, CR4_PVI)):
            if cr4 == CR4_VME and flags & EFLAGS_IF:
                continue
            yield Case(
                f"{text} with {flags:#x} and CR4 {cr4} in ring {ring}, {bits} bits".replace("\n", "; "),
                code(text, bits, START),
                base=CODE,
                eip=START,
                eflags=flags,
                registers={"esp": 0x8800},
                segments=segments,
                cr4=cr4,
                watch=0x8800 - 8,
            )


def entered(tables: Tables) -> Iterator[Case]:
    """By IRETD from ring 0, to an INT 20h at the beginning of a task or of a segment of ring 3."""
    ring = 3 << d.AR_DPL_SHIFT | BIG
    ss = d.selector(tables.add(0, 0xF_FFFF, READ_WRITE | ring | GRANULAR), 3)
    cs = d.selector(tables.add(CODE, 0xFFFF, EXECUTE_READ | ring), 3)
    targets = {
        "a task": (5 * "push byte 0\n", VM, VIRTUAL_CODE >> 4),
        "ring 3": (f"push byte {ss}\n" if ss < 0x80 else f"push dword {ss}\n", 0, cs),
    }
    for (name, (first, mode, code_selector)), flags, cr4 in product(
        targets.items(), _flags(), (0, CR4_VME, CR4_PVI)
    ):
        if flags & EFLAGS_IF:
            continue
        yield Case(
            f"to {name} with {flags:#x} and CR4 {cr4}",
            code(f"{first}push eax\npush ecx\npush edx\npush byte 0\niretd"),
            eip=CODE + START,
            registers={"esp": 0x8800, "eax": STACK, "ecx": flags | mode, "edx": code_selector},
            cr4=cr4,
            watch=0x8800 - 16,
        )


def cases(tables: Tables) -> list[Case]:
    """All of them."""
    return [*in_tasks(), *in_rings(tables), *entered(tables)]
