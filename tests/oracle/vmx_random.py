"""Random guests under random controls, for ``oracle.vmx``.

Not compared, besides what ``vmx.normal`` leaves out: what interrupt shadow and which pending debug exceptions
are saved where an event was on its way, and the rights of a DS that cannot be used.
"""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from tests.oracle import vmx
from tests.oracle.vmx import EPT, GOLDEN, IDT, IO_A, IO_B, MSRS, VALID, Case
from tests.oracle.vmx_cases import nested, outer, page

SEED, COUNT = 20, 200
RANDOM_GOLDEN = GOLDEN.with_name("vmx_random.txt")
_LEFT_OUT = ("pending", "interruptibility", "ds_rights")
_CODE = """
mov eax, cr0|mov ebx, cr4|mov cr0, eax|mov cr4, ebx|or al, 8|xor al, 2|or bl, 8|mov eax, [0x9104]|
mov [0x9108], ebx|push eax|pop ecx|pushfd|popfd|int 0x80|int3|into|sti|cli|hlt|in al, 0x70|out 0x72, al|
mov dx, 0x3f8|in eax, dx|mov ax, ss|mov ss, ax|mov ds, ax|ud2|mov eax, cr3|mov cr3, eax|mov ecx, 0x21000|
lmsw ax|smsw eax|smsw bx|clts|mov ax, 8|mov ax, 0xb|invlpg [eax]|sgdt [0x9110]|sidt [0x9118]|sldt [0x9120]|
str dx|mov edx, dr6|mov dr0, eax|mov esi, 0x9100|mov edi, 0x9200|insb|outsb|pause|wbinvd|cpuid|div ecx|
mov ecx, 2|xor edx, edx|mov eax, 0x10|lldt ax|jmp 0x30:0|db 0xf1|lea esp, [esp-4]|vmread eax, ebx|
invept eax, [0x9000]|mov al, 0x7f|add al, 1|std|bound eax, [0x9104]|rdmsr
""".replace("\n", "").split("|")
_PRIMARY = (2, 9, 11, 12, 15, 16, 23, 24, 25, 28, 30)
_HLT = 1 << 7  # a guest that waits would wait for ever
_EVENTS = (0x306, 0xB0D, 0x480, 0x603, 0x30, 0xB0E, 0x300, 0x604, 0xB08, 0xB0A, 0x501)


def _bits(rng: random.Random, positions: tuple[int, ...], chance: float) -> int:
    return sum(1 << position for position in positions if rng.random() < chance)


def _fields(rng: random.Random) -> dict[str, int]:
    primary, pin = _HLT | _bits(rng, _PRIMARY, 0.25), 0
    secondary = _bits(rng, (1, 2, 5, 6), 0.35)
    fields = {"ept_pointer": EPT | 0x1E, "vpid": rng.randrange(1, 99), "secondary_controls": secondary}
    if rng.random() < 0.3:
        pin = 0x28
        primary |= _bits(rng, (22,), 0.5)
    fields |= {"primary_controls__or": primary | (1 << 31 if secondary else 0), "pin_based_controls__or": pin}
    if rng.random() < 0.6:
        fields["exception_bitmap"] = rng.getrandbits(32) & rng.getrandbits(32)
    if rng.random() < 0.3:
        fields |= {"page_fault_error_mask": rng.randrange(8), "page_fault_error_match": rng.randrange(8)}
    if rng.random() < 0.5:
        fields["cr0_guest_host_mask"] = rng.choice((8, 0xF, 0x8000_0021, 0xFFFF_FFFF))
        fields["cr0_read_shadow"] = rng.choice((0, 8, 0x8000_0031, 0x8000_003B))
    if rng.random() < 0.4:
        fields["cr4_guest_host_mask"] = 0x2000 | rng.choice((0, 8, 0x18))
        fields["cr4_read_shadow"] = rng.choice((0, 8, 0x2000))
    if rng.random() < 0.3:
        fields |= {"cr3_target_count": rng.randrange(5), "cr3_target_0": 0x21_2000, "cr3_target_1": 8}
    if rng.random() < 0.3:
        fields["guest_rflags"] = rng.choice((0x202, 0x102, 0x302, 0x3002, 0xCD7))
    info = rng.choice(_EVENTS)
    if rng.random() < 0.35 and (info != 0x30 or fields.get("guest_rflags", 2) & 0x200):
        fields["entry_interruption_info"] = VALID | info
        fields["entry_exception_error"] = rng.choice((0, 8, 0x7002))
        fields["entry_instruction_length"] = rng.choice((1, 2))
    return outer() | fields if rng.random() < 0.25 else fields


def _memory(rng: random.Random) -> tuple[tuple[int, int], ...]:
    words = [(rng.choice((IO_A, IO_B)) + 4 * rng.randrange(64), rng.getrandbits(32)) for _ in range(3)]
    words += [(MSRS + offset, rng.getrandbits(32)) for offset in (0, 0x800)]
    if rng.random() < 0.3:
        words.append(page(0x9000, rng.choice((0, 1, 5, 7)) | 0x9000))
    if rng.random() < 0.6:
        words.append(nested(0x9000, 0x9030 | rng.choice((0, 1, 3, 5, 7))))
    if rng.random() < 0.2:
        words.append(nested(rng.choice((0x21_4000, 0x21_5000)), 0))
    if rng.random() < 0.2:
        vector = rng.choice((0, 3, 4, 5, 6, 13, 14, 0x80))
        words.append((IDT + 8 * vector + 4, rng.choice((0x6E00, 0x8E00, 0xEF00, 0xE500))))
    return tuple(words)


def cases() -> dict[str, Case]:
    """The same ones each time."""
    rng = random.Random(SEED)
    found = {}
    for number in range(COUNT):
        # No MSR that a guest might name by chance is known to one of the two alone.
        code = ["mov ecx, 0x174", *(rng.choice(_CODE) for _ in range(rng.randrange(1, 7))), "vmcall"]
        code = [line.replace("rdmsr", "mov ecx, 0x174\nrdmsr") for line in code]
        found[f"{number:04}"] = Case("\n".join(code), _fields(rng), _memory(rng))
    return found


def compared(told: dict[str, str]) -> dict[str, str]:
    """The lines of ``vmx.by_case`` less what is not compared here."""
    places = [index for index, name in enumerate(vmx.NAMES) if name not in _LEFT_OUT]
    return {
        name: " ".join(words[index] for index in places) if len(words) == len(vmx.NAMES) else line
        for name, line in told.items()
        for words in (line.split(),)
    }


def main() -> None:
    """Make the golden file anew."""
    with tempfile.TemporaryDirectory() as directory:
        told = compared(vmx.by_case(vmx.run(Path(directory), cases())))
    assert len(told) == COUNT
    RANDOM_GOLDEN.write_text("".join(f"{name} {line}\n" for name, line in told.items()), encoding="ascii")


if __name__ == "__main__":
    main()
