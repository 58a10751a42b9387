"""Makes NASM's bytes of every form of the opcode table and every feature of the language; `make goldens`.

``nasm/forms.txt`` has a line ``bits bytes text`` for each form; what NASM refuses is named and left out.
``nasm/language/NAME.bin`` is NASM's image of ``nasm/language/NAME.asm``.
"""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vizapp.isa.names import NAMES, STRING_OPERANDS
from vizapp.isa.opcodes import OPCODES, Opcode
from vizapp.isa.table import ARITHMETIC

FOLDER = Path(__file__).with_name("nasm")
FORMS = FOLDER / "forms.txt"
LANGUAGE = FOLDER / "language"
REGISTERS = {
    1: ("al", "cl", "bh"),
    2: ("ax", "cx", "di"),
    4: ("eax", "ecx", "edi"),
}
SIZE_WORDS = {1: "byte", 2: "word", 4: "dword", 8: "qword"}
ADDRESSES32 = (
    "[eax]", "[ebp]", "[esp]", "[ebx+127]", "[ebx+128]", "[ebx-128]", "[ebx-129]", "[ebp+4]", "[esp+4]",
    "[esp-4096]", "[0x12345678]", "[eax+ecx]", "[ebp+ecx]", "[ecx+ebp]", "[esp+ebp]", "[ebp+esp]", "[eax*2]",
    "[eax*2+ebx]", "[ebx+eax*4+8]", "[eax*8+0x12345678]", "[ebp*4]", "[eax*3]", "[eax*5+4]", "[edi*9-1]",
    "[eax+eax]", "[eax*1+ebx]", "[nosplit eax*2]", "[esi*4+ebp]", "[dword ebp+4]", "[byte eax]",
    "[es:ebx]", "[ss:ebx]", "[ds:ebp+4]", "[cs:0x1234]", "[fs:esi+edi*2]", "[gs:0]", "[eax+0xffffffff]",
)  # fmt: skip
ADDRESSES16 = (
    "[bx]", "[bp]", "[si]", "[di]", "[bx+si]", "[di+bx]", "[bp+si+4]", "[bp+di-128]", "[bx+127]", "[bx+128]",
    "[word 0x1234]", "[si-1]", "[bp+0x1000]", "[es:bx]", "[ds:bp]", "[word bx+4]",
)  # fmt: skip
PLAIN = {16: "[bx+si+4]", 32: "[ebx+esi*4+4]"}


def operand_texts(opcode: Opcode, code: str, size: int, bits: int) -> tuple[str, ...]:
    """How an operand of this code can be written, a few of each kind."""
    memory = PLAIN[bits]
    is_signed = opcode.mnemonic in (*ARITHMETIC, "mov", "test")
    fixed = {
        "Eb": (*REGISTERS[1], f"byte {memory}"), "Gb": ("ch", "dl"), "Zb": REGISTERS[1],
        "Ew": ("bx", f"word {memory}"), "Gw": ("cx",), "Rd": ("eax", "esi"), "Cd": ("cr0", "cr3", "cr4"),
        "Dd": ("dr0", "dr7"), "Sw": ("es", "ss", "fs", "gs"), "AL": ("al",), "CL": ("cl",), "DX": ("dx",),
        "M": (memory,), "Ma": (memory,), "Ms": (memory,), "Mq": (memory,), "Mdq": (memory,),
        "Ey": (*REGISTERS[4], memory), "Gy": ("ecx", "edi"), "Ob": ("[0x1234]", "[fs:0x1234]"),
        "Ib": ("5", "0x80", "-1", "byte 7") if is_signed else ("5", "0x80"),
        "Iw": ("0x1234",), "1": ("1",), "Jb": ("$", "$+20", "$-100"),
    }  # fmt: skip
    if code in fixed:
        return fixed[code]
    match code:
        case "Ev":
            return (*REGISTERS[size], f"{SIZE_WORDS[size]} {memory}")
        case "Ed":
            return (REGISTERS[size][1], memory)
        case "Gv" | "Zv":
            return REGISTERS[size]
        case "eAX":
            return (REGISTERS[size][0],)
        case "Ov":
            return ("[0x1234]", "[es:0x1234]")
        case "Mp":
            return (memory, f"{SIZE_WORDS[size]} {memory}") if opcode.mnemonic.endswith("far") else (memory,)
        case "Ibs" | "Iz":
            word = SIZE_WORDS[size]
            small = ("5", "-128", "127", "128", "-1", f"{word} 5", f"strict {word} 5", "0x1234")
            if code == "Ibs":
                return (*small, "byte -5")
            return (*small, "0x12345678") if size == 4 and opcode.mnemonic != "push" else small
        case "Jz":
            return ("$+0x1000", "$-200", "near $+2")
        case "Ap":
            return (f"{SIZE_WORDS[size]} 0x1234:0x5678",)
    return (code.lower(),)  # a segment register


def spellings(opcode: Opcode, size: int, bits: int) -> list[str]:
    """The names under which NASM knows a form of this operand size."""
    if opcode.mnemonic in STRING_OPERANDS:
        element = 1 if any(code.endswith("b") for code in opcode.operands) else size
        return [opcode.mnemonic + {1: "b", 2: "w", 4: "d"}[element]]
    if opcode.mnemonic.endswith(" far"):
        return [opcode.mnemonic if opcode.operands[0] == "Mp" else opcode.mnemonic.split()[0]]
    names = [
        spelling
        for spelling, name in NAMES.items()
        if name.mnemonic == opcode.mnemonic and name.operand_size in (None, size)
    ]
    if opcode.mnemonic[:1] in "jcs" and opcode.digit is None and len(names) > 3:
        names = names[:3]
    return names


def form_texts(bits: int) -> Iterator[str]:
    """Every form of the table for one mode."""
    for opcode in OPCODES:
        for size in (2, 4):
            if size == 2 and (opcode.mnemonic == "bswap" or opcode.encoding in ("0F B7 /r", "0F BF /r")):
                continue  # NASM has no names for what these do to a word
            for name in spellings(opcode, size, bits):
                if opcode.repeatable or opcode.mnemonic == "xlat" or not opcode.operands:
                    yield name
                    continue
                if opcode.operands == ("Ev",) and opcode.mnemonic in ("jmp", "call") and size != bits >> 3:
                    yield f"{name} {REGISTERS[size][1]}"
                choices = [operand_texts(opcode, code, size, bits) for code in opcode.operands]
                for operands in itertools.product(*choices):
                    yield f"{name} {', '.join(operands)}"
    yield from special_texts(bits)


def special_texts(bits: int) -> Iterator[str]:
    """Every address form, prefixes, and what NASM reads in its own way."""
    for address in ADDRESSES32 + ADDRESSES16:
        yield f"mov edx, {address}"
        yield f"mov {address}, al"
        yield f"add word {address}, 0x1234"
        yield f"lea ecx, {address}"
        yield f"cmp byte {address}, 1"
        yield f"mov eax, {address}"
    for prefix in ("rep", "repe", "repne"):
        for name in ("movsb", "movsd", "cmpsw", "scasb", "stosd", "lodsb", "insb", "outsd"):
            yield f"{prefix} {name}"
    for line in (
        "lock add dword [{m}], 5", "lock cmpxchg8b [{m}]", "lock inc byte [{m}]", "lock xchg eax, [{m}]",
        "es movsb", "fs lodsd", "es rep movsw", "rep es movsb", "a16 movsb", "a32 stosd", "a16 rep movsb",
        "o16 ret", "o32 ret", "o16 retf", "o32 retf 8", "o16 iret", "o32 iret", "o16 push es", "o32 push cs",
        "es xlatb", "a16 xlatb", "loop $, cx", "loop $, ecx", "loopne $-9, cx", "jcxz $", "jecxz $+5",
        "imul eax, 5", "imul ecx, 500", "imul bx, -3", "xchg eax, ecx", "xchg ecx, eax", "xchg ebx, ecx",
        "xchg ax, ax", "xchg ebx, [{m}]", "xchg [{m}], bl", "test ebx, [{m}]", "test [{m}], ebx",
        "mov ds, eax", "mov eax, ds", "mov ax, ds", "mov [{m}], ds", "mov ds, [{m}]", "mov word [{m}], cs",
        "call [{m}]", "jmp [{m}]", "call far [{m}]", "jmp far [{m}]", "call word [{m}]", "jmp dword [{m}]",
        "jmp 0x1234:0x5678", "call 8:5", "jmp short $+5", "jmp near $+5", "jz near $+5", "jnz short $",
        "call $", "call near $", "int 3", "aam", "aad", "setz [{m}]", "sldt [{m}]", "lldt [{m}]",
        "mov [{m}], byte 5", "mov [{m}], dword 5", "push byte [{m}]", "shl eax, byte 1", "shl dword [{m}], 1",
        "and eax, ~0x80", "and al, ~0x80", "sub esp, 128", "sub esp, -128", "add eax, 0xffffffff",
        "add ax, 0xffff", "add ax, -1", "push 0xffffffff", "push dword 'ab'", "mov al, 'a'", "nop [{m}]",
        "lar eax, ebx", "lsl ax, bx", "movzx eax, byte [{m}]", "movsx cx, dl", "in ax, 0x60", "out dx, eax",
        "push strict dword 5", "push strict word 5", "add eax, strict dword 5", "mov eax, -1", "bt [{m}], 3",
        "rep nop", "bswap esi", "enter 16, 2", "leave", "lgdt [{m}]", "invlpg [{m}]", "ud2", "salc",
    ):  # fmt: skip
        yield line.format(m=PLAIN[bits][1:-1])


def nasm_bytes(bits: int, texts: list[str]) -> dict[str, bytes]:
    """What NASM makes of each text; those with an error are left out and named."""
    with tempfile.TemporaryDirectory() as folder:
        source, binary, symbols = (Path(folder) / name for name in ("a.asm", "a.bin", "a.map"))
        refused: set[int] = set()
        while True:
            lines = [f"bits {bits}", f"[map symbols {symbols}]"]
            for number, text in enumerate(texts):
                lines.append(f"L{number}: " + ("" if number in refused else text))
            source.write_text("\n".join([*lines, f"L{len(texts)}:", ""]))
            command = [
                "nasm",
                "-f",
                "bin",
                "-w-all",
                "-w+number-overflow",
                "-w+error=number-overflow",
                "-o",
                str(binary),
                str(source),
            ]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            errors = {int(found) - 3 for found in re.findall(r":(\d+): error", run.stderr)}
            if not errors:
                break
            refused |= errors
        for number in sorted(refused):
            print(f"NASM refuses, {bits} bits: {texts[number]}", file=sys.stderr)
        code = binary.read_bytes()
        places = {
            int(n): int(at, 16)
            for at, n in re.findall(r"^\s*([0-9A-F]+)\s+[0-9A-F]+\s+L(\d+)$", symbols.read_text(), re.M)
        }
    return {text: code[places[n] : places[n + 1]] for n, text in enumerate(texts) if n not in refused}


def main() -> None:
    """Write the golden files."""
    rows = []
    for bits in (16, 32):
        texts = list(dict.fromkeys(form_texts(bits)))
        rows += [f"{bits} {code.hex()} {text}" for text, code in nasm_bytes(bits, texts).items()]
    FORMS.write_text("\n".join(rows) + "\n", encoding="utf-8")
    for source in sorted(LANGUAGE.glob("*.asm")):
        command = ["nasm", "-f", "bin", "-w-zeroing", "-o", str(source.with_suffix(".bin")), str(source)]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
