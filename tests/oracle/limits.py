"""Accesses at, across and beyond the limits of every kind of segment, as cases for ``probe``.

Each instruction that reaches memory in a way of its own, through each kind of segment, at the offsets where
something changes: the first and last that are valid, those across, and those where the offset goes round.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.oracle.probe import CODE, CODE_BYTES, DATA, VIRTUAL_CODE, Case, Tables, code
from vizapp.isa import descriptors as d

BIG, GRANULAR = 0x4000, 0x8000
STACK = 0x8800  # of the flat stack
READ_ONLY, READ_WRITE, DOWN_READ_ONLY, DOWN = 0x90, 0x92, 0x94, 0x96
EXECUTE, EXECUTE_READ = 0x98, 0x9A
LIMIT = 0xFF
START = 4  # behind an INT 20h, so that a jump to 0 is an end

# (name, base, 20 bits of the limit, access), what is interesting about it as offsets
SEGMENTS = (
    ("up", DATA, LIMIT, READ_WRITE | BIG, (0, LIMIT)),
    ("up 16", DATA, LIMIT, READ_WRITE, (0, LIMIT)),
    ("read-only", DATA, LIMIT, READ_ONLY | BIG, (LIMIT,)),
    ("one byte", DATA, 0, READ_WRITE | BIG, (0,)),
    ("pages", DATA, 0, READ_WRITE | BIG | GRANULAR, (0xFFF,)),
    ("64 KB", DATA, 0xFFFF, READ_WRITE, (0xFFFF,)),
    ("4 GB", DATA, 0xF_FFFF, READ_WRITE | BIG | GRANULAR, (0xFFFF, 0xFFFF_FFFF)),
    ("down", DATA, LIMIT, DOWN | BIG, (0, LIMIT, 0xFFFF, 0xFFFF_FFFF)),
    ("down 16", DATA, LIMIT, DOWN, (0, LIMIT, 0xFFFF)),
    ("down read-only", DATA, LIMIT, DOWN_READ_ONLY | BIG, (LIMIT,)),
    ("down pages", DATA - 0x1000, 0, DOWN | BIG | GRANULAR, (0xFFF,)),
    ("down nothing", DATA, 0xF_FFFF, DOWN | BIG | GRANULAR, (0xFFFF_FFFF,)),
    ("down nothing 16", DATA, 0xFFFF, DOWN, (0xFFFF,)),
    ("code", DATA, LIMIT, EXECUTE_READ | BIG, (LIMIT,)),
    ("execute-only", DATA, LIMIT, EXECUTE | BIG, (0,)),
)
DISTANCES = (-8, -7, -6, -5, -4, -3, -2, -1, 0, 1)


def _list(text: str) -> tuple[str, ...]:
    return tuple(" ".join(text.split()).split(" | "))


# Through DS at {at}, which is [ebx] or [bx].
ACCESSES = _list(
    """
    mov al, {at} | mov ax, {at} | mov eax, {at} | mov {at}, al | mov {at}, ax | mov {at}, eax | add
    {at}, al | add {at}, ax | add {at}, eax | cmp {at}, eax | xchg {at}, eax | movzx eax, word {at} |
    les eax, {at} | les ax, {at} | bound ecx, {at} | bound cx, {at} | cmpxchg8b {at} | sgdt {at} |
    fxsave {at} | bt {at}, ecx | push dword {at} | pop dword {at} | pop word {at} | lar eax, {at} | call
    dword far {at} | jmp word far {at} | mov ds, {at} | fnstcw {at} | xadd {at}, ax | inc byte {at} |
    setc {at} | imul eax, {at}, 3 | jmp word {at} | sldt {at} | smsw {at}
    """
)
# By the registers that they have themselves.
STRINGS = _list(
    """
    lodsb | lodsd | stosb | stosw | stosd | movsd | cmpsw | scasd | rep stosd | rep movsw | repe cmpsb |
    xlatb | rep lodsb
    """
)
STACKS = _list(
    """
    push eax | push ax | pop eax | pop ax | pusha | pushaw | popa | popaw | pushf | popf | enter 8, 0 |
    enter 8, 2 | enter 0, 1 | leave | call next | ret | ret 4 | retf | o16 push ds | pop es | iretd |
    push dword 5 | push word 5 | call {cs}:next | mov eax, [esp] | mov [ebp], ax | a32 mov al, [ebp + 1]
    """
)
NEXT = "\nnext:"
# In virtual-8086 mode any selector is as good as another, so these would lead anywhere.
LEAVING = frozenset(
    {"ret", "ret 4", "retf", "iretd", "jmp word {at}", "jmp word far {at}", "call dword far {at}"}
)


def _access(tables: Tables, base: int, limit: int, access: int, ring: int) -> int:
    return d.selector(tables.add(base, limit, access | ring << d.AR_DPL_SHIFT), ring)


def _flat(tables: Tables, ring: int, bits: int) -> dict[str, int]:
    """Code of ``bits`` bits with data and a stack, all of a ring."""
    size = BIG if bits == 32 else 0
    flat = _access(tables, 0, 0xF_FFFF, READ_WRITE | BIG | GRANULAR, ring)
    # Nothing gets far that returns to what it found on a stack.
    cs = _access(tables, CODE, START + CODE_BYTES - 1, EXECUTE_READ | size, ring)
    return {"cs": cs, "ss": flat, "ds": flat, "es": flat, "fs": flat, "gs": flat}


def _case(name: str, text: str, bits: int, **what: object) -> Case:
    return Case(name, code(text, bits, START), base=CODE, eip=START, **what)  # type: ignore[arg-type]


def data(tables: Tables) -> Iterator[Case]:
    """Through DS, ES or GS, and strings through DS and ES."""
    for name, base, limit, access, edges in SEGMENTS:
        offsets = sorted({edge + distance & 0xFFFF_FFFF for edge in edges for distance in DISTANCES})
        for number, offset in enumerate(offsets):
            ring, bits = (0, 3)[number % 2], (32, 16)[number // 2 % 2]
            segments = _flat(tables, ring, bits)
            at = "[bx]" if bits == 16 and offset < 0x1_0000 and number % 3 else "[ebx]"
            registers = {"ebx": offset, "esp": STACK, "eax": 0x1234_5678, "ecx": 0x20}
            watch = DATA + (offset & 0xF_FFF0 if offset < 0x1_0000 else 0)
            selector = _access(tables, base, limit, access, ring)
            for position, text in enumerate(ACCESSES):
                # Not every one everywhere: each meets each segment, and each offset most of them.
                if (position + number) % 3 == 2:
                    continue
                through = ("ds", "gs")[position % 2]
                place = at if through == "ds" else at.replace("[", "[gs:")
                yield _case(
                    f"{text.format(at=place)} {name} {offset:#x} ring {ring} {bits}",
                    text.format(at=place),
                    bits,
                    registers=registers,
                    segments={**segments, through: selector},
                    watch=watch,
                )
            for position, text in enumerate(STRINGS):
                if (position + number) % 3 == 0:
                    continue
                through = "es" if (position + number) % 2 else "ds"
                yield _case(
                    f"{text} {name} {offset:#x} through {through} ring {ring} {bits}",
                    text,
                    bits,
                    registers={**registers, "esi": offset, "edi": offset, "ecx": 3},
                    segments={**segments, through: selector},
                    watch=watch,
                )


def stacks(tables: Tables) -> Iterator[Case]:
    """Pushes and pops near the ends of stacks of every kind."""
    kinds = [segment for segment in SEGMENTS if segment[3] & 0x0A == 0x02]
    for name, base, limit, access, edges in kinds:
        offsets = sorted(
            {
                edge + distance & 0xFFFF_FFFF
                for edge in (0, *edges)
                for distance in (-7, -4, -3, -2, -1, 0, 1, 2, 4, 5, 8)
            }
        )
        for number, offset in enumerate(offsets):
            ring, bits = (3, 0)[number % 2], (32, 16)[number // 2 % 2]
            segments = {**_flat(tables, ring, bits), "ss": _access(tables, base, limit, access, ring)}
            watch = DATA + (offset - 8 & 0xFFFF if 8 <= offset < 0x1_0000 else 0)
            for position, text in enumerate(STACKS):
                if (position + number) % 3 == 1:
                    continue
                yield _case(
                    f"{text} {name} {offset:#x} ring {ring} {bits}",
                    text.format(cs=segments["cs"]) + NEXT,
                    bits,
                    registers={"esp": offset, "ebp": offset, "eax": 0x1234_5678, "ebx": 0xBBBB_CCCC},
                    segments=segments,
                    watch=watch,
                )


FETCHED = _list(
    """
    nop | mov al, 1 | mov ax, 0x1234 | mov eax, 0x12345678 | jmp $ + 2 | jmp $ + 0x40 | call $ + 3 |
    call $ + 0x60 | jnc $ + 0x50 | jc $ + 0x50 | loop $ + 0x50 | jmp ebx | call ebx | jmp dword
    {cs}:0x31000
    """
)


def fetches(tables: Tables) -> Iterator[Case]:
    """Code at the end of its segment, and jumps out of it."""
    for ring in (0, 3):
        for bits in (32, 16):
            for limit in (0x3F, 0xFFFF):
                base = CODE if limit < 0xFFFF else VIRTUAL_CODE
                access = EXECUTE_READ | (BIG if bits == 32 else 0)
                segments = _flat(tables, ring, bits)
                segments["cs"] = _access(tables, base, limit, access, ring)
                for text in FETCHED:
                    for distance in (-8, -5, -4, -3, -2, -1, 0):
                        eip = limit + distance
                        yield Case(
                            f"{text} at {eip:#x} of {limit:#x} ring {ring} {bits}",
                            code(text.format(cs=segments["cs"]), bits),
                            base=base,
                            eip=eip,
                            registers={"esp": STACK, "ebx": limit + 1, "ecx": 5},
                            segments=segments,
                            watch=STACK - 8,
                        )


def virtual_8086(tables: Tables) -> Iterator[Case]:
    """Limits of 64 KB at which a virtual-8086 task ends."""
    selectors = dict.fromkeys(("cs", "ss", "ds", "es", "fs", "gs"), DATA >> 4) | {"cs": VIRTUAL_CODE >> 4}
    for text in (text for text in (*ACCESSES, *STRINGS, *STACKS) if text not in LEAVING):
        for offset in (0, 1, 2, 0xFFF8, 0xFFFA, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF, 0x1_0000):
            at = "[bx]" if offset < 0x1_0000 else "[ebx]"
            registers = {"ebx": offset, "eax": 0x1234_5678, "esi": offset, "edi": offset, "ecx": 2}
            stack = offset if text in STACKS else 0x8000
            yield Case(
                f"{text.format(at=at, cs=0)} {offset:#x} virtual",
                code(text.format(at=at, cs=VIRTUAL_CODE >> 4) + NEXT, 16, START),
                base=VIRTUAL_CODE,
                eip=START,
                eflags=0x2_3002,
                registers={**registers, "esp": stack, "ebp": offset},
                segments=selectors,
                watch=DATA + (offset & 0xFFF0),
            )


def cases(tables: Tables) -> list[Case]:
    """All of them."""
    return [*data(tables), *stacks(tables), *fetches(tables), *virtual_8086(tables)]
