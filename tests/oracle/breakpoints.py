"""Data breakpoints on what the processor itself reads and writes, as cases for ``probe``."""

from __future__ import annotations

from collections.abc import Iterator

from tests.oracle.probe import CODE, DATA, GDT, IMAGE, Case, Tables, code
from vizapp.isa import descriptors as d

AT = CODE + 0x10  # an INT 20h lies at CODE
STACK = 0x8800
WRITE, ACCESS = 1, 3
BYTE, WORD, DOUBLE = 0, 1, 3
DATA_SEGMENT, BIG = 0x92, 0x4000
GATE = IMAGE + 8 * 3  # of INT3
ARM = "mov dr0, ebx\nmov dr7, ecx\n"
OVERWRITE = f"mov [{GATE:#x}], eax\nmov [{GATE + 4:#x}], edx\n"
# (what is executed, the breakpoint's place in the descriptor that AX names)
SELECTED = (
    *(("mov fs, ax", at, ACCESS, DOUBLE if at % 4 == 0 else BYTE) for at in (-4, -1, 0, 4, 7, 8)),
    ("mov fs, ax", 4, WRITE, DOUBLE),
    *((f"{name} edx, ax", at, ACCESS, DOUBLE) for name in ("lar", "lsl") for at in (0, 4)),
    *((f"{name} ax", at, ACCESS, DOUBLE) for name in ("verr", "verw") for at in (0, 4)),
    ("push eax\npop fs", 0, ACCESS, DOUBLE),
)
FAR = (
    "call 8:next\nnext:",
    "jmp 8:next\nnext:",
    "push cs\npush dword next\nretf\nnext:",
    "pushfd\npush cs\npush dword next\niretd\nnext:",
)


def _descriptor(selector: int) -> int:
    return GDT + selector


def _case(name: str, text: str, where: int, kind: int, length: int, **registers: int) -> Case:
    armed = {"ebx": where, "ecx": 1 | (kind | length << 2) << 16, "esp": STACK}
    return Case(name, code(f"{ARM}{text}\nnop", origin=AT), eip=AT, registers={**armed, **registers})


def _through_gate(name: str, text: str, where: int, kind: int, length: int) -> Case:
    """``text`` ends with an INT3, whose handler follows it; its frame is what is told."""
    whole = f"{OVERWRITE}{ARM}{text}\n"
    handler = AT + len(code(whole, origin=AT))
    registers = {"eax": 8 << 16 | handler & 0xFFFF, "edx": handler & 0xFFFF_0000 | 0x8E00, "esp": STACK}
    armed = {"ebx": where, "ecx": 1 | (kind | length << 2) << 16}
    raw = code(f"{whole}nop\nnop", origin=AT)
    return Case(name, raw, eip=AT, registers={**registers, **armed}, watch=STACK - 16)


def cases(tables: Tables) -> Iterator[Case]:
    """All of them."""

    def selector(access: int, number: int = 0) -> int:
        return d.selector(tables.add(DATA, 0xFFFF - number, access | BIG))

    known = selector(DATA_SEGMENT | d.TYPE_ACCESSED)
    for text, at, kind, length in SELECTED:
        name = f"{text} with {kind} at {at}"
        yield _case(name, text, _descriptor(known) + at, kind, length, eax=known)
    for number, (at, length) in enumerate(((4, DOUBLE), (5, BYTE), (4, BYTE), (7, BYTE)), 1):
        fresh = selector(DATA_SEGMENT, number)
        where = _descriptor(fresh) + at
        yield _case(f"accessed bit, {at} {length}", "mov fs, ax", where, WRITE, length, eax=fresh)
    absent = selector(DATA_SEGMENT & ~d.AR_P)
    yield _case("absent", "mov fs, ax", _descriptor(absent), ACCESS, DOUBLE, eax=absent)
    yield _case("mov ss", "mov ss, ax\nnop", _descriptor(0x10), ACCESS, DOUBLE, eax=0x10)
    yield _case("call's frame", FAR[0], STACK - 8, WRITE, DOUBLE)
    for text in FAR:
        yield _case(text, text, _descriptor(0x08), ACCESS, DOUBLE)
    for at in (0, 4, 8):
        yield _through_gate(f"gate {at}", "int3", GATE + at, ACCESS, DOUBLE)
    yield _through_gate("code of a gate", "int3", _descriptor(0x08), ACCESS, DOUBLE)
    for below in (4, 8, 12, 16):
        yield _through_gate(f"frame {below}", "int3", STACK - below, WRITE, DOUBLE)
    for after in ("int3", "nop\nnop"):
        text = f"o16 push ss\no16 pop ss\n{after}"
        yield _through_gate(f"pop ss, {after}", text, STACK - 2, ACCESS, WORD)
