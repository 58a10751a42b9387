"""Random guests under random VMCBs, in the frame of `svm.asm`.

On QEMU an access through a null selector does not fault, NW may be set without CD, VMLOAD and VMSAVE leave a
guest that is not intercepted, INT3 and INTO leave as INT n, and STI has a shadow where IF was set. Guests do
nothing of it, and ``compared`` is all but the shadow.

Instructions whose results are a machine's own (CPUID, RDTSC, IN) have theirs cleared. HLT and shutdown are
always intercepted: QEMU would wait for ever, or reset.
"""

from __future__ import annotations

from random import Random

from tests.oracle.svm import SOURCE, by_case

GOLDEN = SOURCE.parent.parent / "goldens" / "svm_random.txt"
SEED, COUNT = 1, 100
"""Of the cases whose results on QEMU are kept."""
_SHADOW = 14  # the column

_START, _END = "; ---- cases\n", "; ---- end of cases\n"
_CLEAR = "\nxor eax, eax\nxor edx, edx"
_SELECTORS = (0, 3, 8, 0x10, 0x1B, 0x18, 0x23, 0x20, 0x28, 0x30, 0x7FF8)
_PLAIN = (
    "nop", "pushfd", "popfd", "cli", "sti", "clts", "smsw eax", "sgdt [0x20F000]", "sidt [0x20F000]",
    "sldt eax", "str eax", "hlt", "ud2", "int 0x80", "int 0x30", "iretd", "wbinvd",
    "invlpg [0x1234]", "lgdt [gdt_pointer]", "mov ebx, cr0", "mov ebx, cr2", "mov ebx, cr3", "mov ebx, cr4",
    "mov ebx, dr6", "mov ebx, dr7", "push eax", "pop ecx", "xor ecx, ecx\ndiv ecx", "vmmcall", "pause",
    "mov [0x00500004], eax", "mov ebx, [0x00500008]", "mov al, 0x7F\nadd al, 1", "out 0x80, al",
    "out 0x80, ax",
    "mov dx, 0x80\nout dx, eax", "mov dx, 0x80\nmov esi, STACK\nmov ecx, 2\nrep outsb", "stgi", "clgi",
    "xor eax, eax\nvmrun", "xor eax, eax\nvmload", "xor eax, eax\nvmsave", "invlpga",
    *(text + _CLEAR for text in ("cpuid", "rdtsc", "in al, 0x80", "mov ecx, 0x174\nrdmsr")),
    "mov ecx, 0x174\nxor eax, eax\nxor edx, edx\nwrmsr",
)  # fmt: skip
# Bits of the words of intercepts that are drawn; those of HLT, shutdown, VMRUN, VMMCALL, VMLOAD
# and VMSAVE are always set.
_FIRST = (5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 17, 18, 20, 21, 23, 25, 26, 27, 28)
_SECOND = (4, 5, 9)
_EXCEPTIONS = (0, 1, 3, 4, 6, 8, 10, 11, 12, 13, 14)
_EVENTS = (0x8000_0030, 0x8000_0480, 0x8000_0202, 0x8000_0B0D, 0x8000_0B0E, 0x8000_0306, 0x8000_0300)


def _instruction(random: Random, *, paged: bool) -> str:
    kind = random.randrange(6)
    if kind == 0:
        register = random.choice(("ds", "es", "ss", "fs"))
        selectors = _SELECTORS if register == "fs" else _SELECTORS[2:]  # accesses by a null one do not fault
        return f"mov eax, {random.choice(selectors):#x}\nmov {register}, ax"
    if kind == 1:
        values = {
            "cr0": (0x8000_0011, 0x8001_0011, 0x8000_001B) if paged else (0x11, 0x13, 0x1B, 0x4_0011),
            "cr3": ("TABLES",), "cr4": (0, 4), "cr2": (0x1234,), "dr7": (0x400,), "dr3": (0x1234,),
        }  # fmt: skip
        register = random.choice(sorted(values))
        return f"mov eax, {random.choice(values[register])}\nmov {register}, eax"
    return random.choice(_PLAIN)


def _bits(random: Random, choice: tuple[int, ...]) -> int:
    share = random.choice((0.0, 0.1, 0.4))
    return sum(1 << bit for bit in choice if random.random() < share)


def _case(random: Random, number: int) -> tuple[str, str]:
    """The host's part and the guest's."""
    paged, user = random.random() < 0.4, random.random() < 0.4
    control = _bits(random, (0, 2, 3, 4, 16, 18, 19, 20))
    debug = _bits(random, (3, 6, 7, 19, 23))
    flags = random.choice((2, 2, 0x202, 0x3002, 0x3202, 0x802))
    host = [
        f"CASE '{number:04d}', guest{number}",
        "mov byte [IOPM + 0x10], " + str(random.choice((0, 1, 2))),
        "mov byte [MSRPM + 0x5D], " + str(random.choice((0, 1, 2, 3))),
        *(["call paging"] if paged else []),
        *(["call user"] if user else []),
        f"mov dword [VMCB], {control:#x}",
        f"mov dword [VMCB + 4], {debug:#x}",
        f"mov dword [VMCB + 8], {_bits(random, _EXCEPTIONS):#x}",
        f"or dword [VMCB + 0x0C], {1 << 31 | 1 << 24 | _bits(random, _FIRST):#x}",
        f"or dword [VMCB + 0x10], {0xC | _bits(random, _SECOND):#x}",
        f"mov dword [SAVE + 0x170], {flags:#x}",
    ]
    if random.random() < 0.25:
        host.append(f"mov dword [VMCB + 0x0A8], {random.choice(_EVENTS):#x}")
        host.append("mov dword [VMCB + 0x0AC], 2")
    elif random.random() < 0.3:
        window = random.random() < 0.5
        host.append(f"or dword [VMCB + 0x0C], {int(window) << 4}")
        host.append(f"mov dword [VMCB + 0x060], {random.choice((0x0101_0100, 0x0101_0102, 0x0111_010F)):#x}")
        host.append("mov dword [VMCB + 0x064], 0x30")
    guest = [_instruction(random, paged=paged) for _ in range(random.randint(1, 4))]
    body = "\n".join((f"guest{number}:", *guest, "vmmcall"))
    return "\n".join((*host, "call go")), body


def source(seed: int, count: int) -> str:
    """A host with ``count`` cases; the global flag and VMLOAD are left to `svm.asm` itself."""
    text = SOURCE.read_text(encoding="ascii")
    head, rest = text.split(_START)
    tail = rest.split(_END)[1]
    random = Random(seed)
    cases = [_case(random, number) for number in range(count)]
    silence = "mov al, 0xFF\nout 0x21, al\nout 0xA1, al\n"
    hosts = "\n".join(host for host, _ in cases)
    guests = "\n".join(guest for _, guest in cases)
    end = "mov esi, last\njmp start.end\n"
    # The rest of the host is never reached, but its routines are.
    return f"{head}{silence}{hosts}\n{end}{tail}".replace("g_cpuid: ", f"{guests}\ng_cpuid: ", 1)


def compared(text: str) -> dict[str, list[str]]:
    """What was printed of each case, as far as QEMU has it right."""
    rows = {case: line.split() for case, line in by_case(text).items()}
    return {case: row[:_SHADOW] + row[_SHADOW + 1 :] for case, row in rows.items()}
