"""The rows of the opcode table: encoding, mnemonic and operands of every integer instruction, 8086 to P6.

Encodings are written as the SDM's instruction pages print them (Vol. 2, "Instruction Format"):

    /r     a ModRM byte with a register and an r/m operand        +r   a register in the opcode's low bits
    /0-/7  a ModRM byte whose reg field extends the opcode        cb   a one-byte branch displacement
    ib iw  an immediate of one or two bytes                       cz   one of the operand size
    iz     an immediate of the operand size                       cp   a far pointer, selector:offset
    mo     a memory offset of the address size
    F3 66  before the opcode: a prefix that makes it another instruction      NP   no such prefix may stand
    E3     a last byte that is a whole ModRM byte: instructions without operands, of the x87 and after 0F 01
    (none) SETcc and the multi-byte NOPs have a ModRM byte whose reg field means nothing

Operands have the codes of the SDM's opcode map (Vol. 2, "Key to Abbreviations") and seven more of our own:

    Ibs    an immediate byte, sign-extended to the operand size   Zb Zv  the register in the opcode's low bits
    Mw     a word in memory                                  Mdq    16 bytes in memory
    Ed     a register of the operand size, or a word in memory    BBb    the XLAT table at DS:EBX
    AL AX eAX CL DX ES ... 1   implied operands; eAX is of the operand size

A mnemonic whose 16- and 32-bit forms differ in the operand or address size alone has its first name for
both: ``cbw`` (also CWDE), ``cwd`` (CDQ), ``jcxz`` (JECXZ), ``pushf``, ``popf``, ``pusha``, ``popa``,
``iret``; a string instruction (``movs``) has its operands' size. Of two encodings of one instruction and one
length the assembler takes the row that comes first, which is NASM's choice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

CONDITIONS = ("o", "no", "b", "ae", "z", "nz", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g")
"""Canonical condition names in the order of their codes (SDM Vol. 1, "EFLAGS Condition Codes")."""

ARITHMETIC = ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp")
SHIFTS = ((0, "rol"), (1, "ror"), (2, "rcl"), (3, "rcr"), (4, "shl"), (5, "shr"), (7, "sar"), (6, "shl"))
BIT_TESTS = ("bt", "bts", "btr", "btc")


class Row(NamedTuple):
    """One line of the table, still text."""

    encoding: str
    mnemonic: str
    operands: tuple[str, ...]


_ONE_BYTE = """
06        | push      | ES
07        | pop       | ES
0E        | push      | CS
16        | push      | SS
17        | pop       | SS
1E        | push      | DS
1F        | pop       | DS
27        | daa       |
2F        | das       |
37        | aaa       |
3F        | aas       |
40 +r     | inc       | Zv
48 +r     | dec       | Zv
50 +r     | push      | Zv
58 +r     | pop       | Zv
60        | pusha     |
61        | popa      |
62 /r     | bound     | Gv Ma
63 /r     | arpl      | Ew Gw
6A ib     | push      | Ibs
68 iz     | push      | Iz
6B /r ib  | imul      | Gv Ev Ibs
69 /r iz  | imul      | Gv Ev Iz
6C        | ins       | Yb DX
6D        | ins       | Yv DX
6E        | outs      | DX Xb
6F        | outs      | DX Xv
A8 ib     | test      | AL Ib
A9 iz     | test      | eAX Iz
84 /r     | test      | Eb Gb
85 /r     | test      | Ev Gv
90        | nop       |
F3 90     | pause     |
90 +r     | xchg      | Zv eAX
86 /r     | xchg      | Eb Gb
87 /r     | xchg      | Ev Gv
A0 mo     | mov       | AL Ob
A1 mo     | mov       | eAX Ov
A2 mo     | mov       | Ob AL
A3 mo     | mov       | Ov eAX
88 /r     | mov       | Eb Gb
89 /r     | mov       | Ev Gv
8A /r     | mov       | Gb Eb
8B /r     | mov       | Gv Ev
8C /r     | mov       | Ed Sw
8D /r     | lea       | Gv M
8E /r     | mov       | Sw Ew
8F /0     | pop       | Ev
98        | cbw       |
99        | cwd       |
9A cp     | call far  | Ap
9C        | pushf     |
9D        | popf      |
9B        | fwait     |
9E        | sahf      |
9F        | lahf      |
A4        | movs      | Yb Xb
A5        | movs      | Yv Xv
A6        | cmps      | Xb Yb
A7        | cmps      | Xv Yv
AA        | stos      | Yb AL
AB        | stos      | Yv eAX
AC        | lods      | AL Xb
AD        | lods      | eAX Xv
AE        | scas      | AL Yb
AF        | scas      | eAX Yv
B0 +r ib  | mov       | Zb Ib
B8 +r iz  | mov       | Zv Iz
C2 iw     | ret       | Iw
C3        | ret       |
C4 /r     | les       | Gv Mp
C5 /r     | lds       | Gv Mp
C6 /0 ib  | mov       | Eb Ib
C7 /0 iz  | mov       | Ev Iz
C8 iw ib  | enter     | Iw Ib
C9        | leave     |
CA iw     | retf      | Iw
CB        | retf      |
CC        | int3      |
CD ib     | int       | Ib
CE        | into      |
CF        | iret      |
D4 ib     | aam       | Ib
D5 ib     | aad       | Ib
D6        | salc      |
D7        | xlat      | BBb
D9 /5     | fldcw     | Mw
D9 /7     | fnstcw    | Mw
DB E2     | fnclex    |
DB E3     | fninit    |
DD /7     | fnstsw    | Mw
DF E0     | fnstsw    | AX
E0 cb     | loopne    | Jb
E1 cb     | loope     | Jb
E2 cb     | loop      | Jb
E3 cb     | jcxz      | Jb
E4 ib     | in        | AL Ib
E5 ib     | in        | eAX Ib
E6 ib     | out       | Ib AL
E7 ib     | out       | Ib eAX
E8 cz     | call      | Jz
EB cb     | jmp       | Jb
E9 cz     | jmp       | Jz
EA cp     | jmp far   | Ap
EC        | in        | AL DX
ED        | in        | eAX DX
EE        | out       | DX AL
EF        | out       | DX eAX
F1        | int1      |
F4        | hlt       |
F5        | cmc       |
F6 /0 ib  | test      | Eb Ib
F6 /1 ib  | test      | Eb Ib
F7 /0 iz  | test      | Ev Iz
F7 /1 iz  | test      | Ev Iz
F6 /2     | not       | Eb
F7 /2     | not       | Ev
F6 /3     | neg       | Eb
F7 /3     | neg       | Ev
F6 /4     | mul       | Eb
F7 /4     | mul       | Ev
F6 /5     | imul      | Eb
F7 /5     | imul      | Ev
F6 /6     | div       | Eb
F7 /6     | div       | Ev
F6 /7     | idiv      | Eb
F7 /7     | idiv      | Ev
F8        | clc       |
F9        | stc       |
FA        | cli       |
FB        | sti       |
FC        | cld       |
FD        | std       |
FE /0     | inc       | Eb
FE /1     | dec       | Eb
FF /0     | inc       | Ev
FF /1     | dec       | Ev
FF /2     | call      | Ev
FF /3     | call far  | Mp
FF /4     | jmp       | Ev
FF /5     | jmp far   | Mp
FF /6     | push      | Ev
"""

_TWO_BYTE = """
0F 00 /0     | sldt      | Ed
0F 00 /1     | str       | Ed
0F 00 /2     | lldt      | Ew
0F 00 /3     | ltr       | Ew
0F 00 /4     | verr      | Ew
0F 00 /5     | verw      | Ew
0F 01 /0     | sgdt      | Ms
0F 01 /1     | sidt      | Ms
0F 01 /2     | lgdt      | Ms
0F 01 /3     | lidt      | Ms
0F 01 /4     | smsw      | Ed
0F 01 /6     | lmsw      | Ew
0F 01 /7     | invlpg    | M
NP 0F 01 C1  | vmcall    |
NP 0F 01 C2  | vmlaunch  |
NP 0F 01 C3  | vmresume  |
NP 0F 01 C4  | vmxoff    |
0F 01 D8     | vmrun     |
0F 01 D9     | vmmcall   |
0F 01 DA     | vmload    |
0F 01 DB     | vmsave    |
0F 01 DC     | stgi      |
0F 01 DD     | clgi      |
0F 01 DF     | invlpga   |
0F 02 /r     | lar       | Gv Ew
0F 03 /r     | lsl       | Gv Ew
0F 06        | clts      |
0F 08        | invd      |
0F 09        | wbinvd    |
0F 0B        | ud2       |
0F 1F        | nop       | Ev
0F 20 /r     | mov       | Rd Cd
0F 21 /r     | mov       | Rd Dd
0F 22 /r     | mov       | Cd Rd
0F 23 /r     | mov       | Dd Rd
0F 30        | wrmsr     |
0F 31        | rdtsc     |
0F 32        | rdmsr     |
0F 33        | rdpmc     |
0F 34        | sysenter  |
0F 35        | sysexit   |
NP 0F 78 /r  | vmread    | Ey Gy
NP 0F 79 /r  | vmwrite   | Gy Ey
0F A0        | push      | FS
0F A1        | pop       | FS
0F A2        | cpuid     |
0F A4 /r ib  | shld      | Ev Gv Ib
0F A5 /r     | shld      | Ev Gv CL
0F A8        | push      | GS
0F A9        | pop       | GS
0F AA        | rsm       |
0F AE /0     | fxsave    | M
0F AE /1     | fxrstor   | M
0F AC /r ib  | shrd      | Ev Gv Ib
0F AD /r     | shrd      | Ev Gv CL
0F AF /r     | imul      | Gv Ev
0F B0 /r     | cmpxchg   | Eb Gb
0F B1 /r     | cmpxchg   | Ev Gv
0F B2 /r     | lss       | Gv Mp
0F B4 /r     | lfs       | Gv Mp
0F B5 /r     | lgs       | Gv Mp
0F B6 /r     | movzx     | Gv Eb
0F B7 /r     | movzx     | Gv Ew
0F BC /r     | bsf       | Gv Ev
0F BD /r     | bsr       | Gv Ev
0F BE /r     | movsx     | Gv Eb
0F BF /r     | movsx     | Gv Ew
0F C0 /r     | xadd      | Eb Gb
0F C1 /r     | xadd      | Ev Gv
0F C7 /1     | cmpxchg8b | Mq
NP 0F C7 /6  | vmptrld   | Mq
66 0F C7 /6  | vmclear   | Mq
F3 0F C7 /6  | vmxon     | Mq
NP 0F C7 /7  | vmptrst   | Mq
66 0F 38 80 /r | invept  | Gy Mdq
66 0F 38 81 /r | invvpid | Gy Mdq
0F C8 +r     | bswap     | Zv
"""


def _families() -> Iterator[str]:
    """The rows that differ in a number alone, as lines of text."""
    for n, name in enumerate(ARITHMETIC):
        yield f"{8 * n + 4:02X} ib | {name} | AL Ib"
        yield f"83 /{n} ib | {name} | Ev Ibs"
        yield f"{8 * n + 5:02X} iz | {name} | eAX Iz"
        yield f"{8 * n:02X} /r | {name} | Eb Gb"
        yield f"{8 * n + 1:02X} /r | {name} | Ev Gv"
        yield f"{8 * n + 2:02X} /r | {name} | Gb Eb"
        yield f"{8 * n + 3:02X} /r | {name} | Gv Ev"
        yield f"80 /{n} ib | {name} | Eb Ib"
        yield f"81 /{n} iz | {name} | Ev Iz"
        yield f"82 /{n} ib | {name} | Eb Ib"
    for n, name in SHIFTS:
        yield f"D0 /{n} | {name} | Eb 1"
        yield f"D2 /{n} | {name} | Eb CL"
        yield f"C0 /{n} ib | {name} | Eb Ib"
        yield f"D1 /{n} | {name} | Ev 1"
        yield f"D3 /{n} | {name} | Ev CL"
        yield f"C1 /{n} ib | {name} | Ev Ib"
    for n, condition in enumerate(CONDITIONS):
        yield f"{0x70 + n:02X} cb | j{condition} | Jb"
        yield f"0F {0x80 + n:02X} cz | j{condition} | Jz"
        yield f"0F {0x90 + n:02X} | set{condition} | Eb"
        yield f"0F {0x40 + n:02X} /r | cmov{condition} | Gv Ev"
    for n, name in enumerate(BIT_TESTS):
        yield f"0F {0xA3 + 8 * n:02X} /r | {name} | Ev Gv"
        yield f"0F BA /{n + 4} ib | {name} | Ev Ib"


# What a P6 and its successors execute as NOP: prefetch hints, ENDBR32 (SDM Vol. 2, "Two-byte Opcode Map")
_HINTS = tuple(f"0F {code:02X} | nop | Ev" for code in range(0x18, 0x1F))


def rows() -> Iterator[Row]:
    """Every row of the table."""
    for line in (*_families(), *_ONE_BYTE.strip().splitlines(), *_TWO_BYTE.strip().splitlines(), *_HINTS):
        encoding, mnemonic, operands = (part.strip() for part in line.split("|"))
        yield Row(encoding, mnemonic, tuple(operands.split()))


UNIMPLEMENTED = {
    "x87": tuple(range(0xD8, 0xE0)),
    "MMX or SSE": (
        *range(0x0F10, 0x0F18), *range(0x0F28, 0x0F30), *range(0x0F50, 0x0F80), 0x0FC2, 0x0FC3,
        0x0FC4, 0x0FC5, 0x0FC6, *range(0x0FD0, 0x0FFF),
    ),
    "3DNow!": (0x0F0D, 0x0F0E, 0x0F0F),
    "SSSE3 or SSE4": (0x0F38, 0x0F3A),
    "AMD SYSCALL": (0x0F05, 0x0F07),
}  # fmt: skip
"""Opcodes that real processors have and this one does not execute, by the name of their set."""
