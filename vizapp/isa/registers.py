"""Registers and their bits, by the names of the Intel SDM Vol. 3, "System Architecture Overview".

EFLAGS
     21 20  19  18 17 16 | 14 13 12 11 10  9  8 | 7  6  4  2  0
     ID VIP VIF AC VM RF | NT IOPL  OF DF IF TF | SF ZF AF PF CF       bit 1 is always 1
"""

from __future__ import annotations

EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)
ES, CS, SS, DS, FS, GS = range(6)

GENERAL = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi")
WORDS = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
BYTES = ("al", "cl", "dl", "bl", "ah", "ch", "dh", "bh")
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs")

EFLAGS_CF = 1 << 0
EFLAGS_FIXED = 1 << 1
EFLAGS_PF = 1 << 2
EFLAGS_AF = 1 << 4
EFLAGS_ZF = 1 << 6
EFLAGS_SF = 1 << 7
EFLAGS_TF = 1 << 8
EFLAGS_IF = 1 << 9
EFLAGS_DF = 1 << 10
EFLAGS_OF = 1 << 11
EFLAGS_IOPL = 3 << 12
EFLAGS_NT = 1 << 14
EFLAGS_RF = 1 << 16
EFLAGS_VM = 1 << 17
EFLAGS_AC = 1 << 18
EFLAGS_VIF = 1 << 19
EFLAGS_VIP = 1 << 20
EFLAGS_ID = 1 << 21
IOPL_SHIFT = 12
EFLAGS_ARITHMETIC = EFLAGS_CF | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_OF

CR0_PE = 1 << 0
CR0_MP = 1 << 1
CR0_EM = 1 << 2
CR0_TS = 1 << 3
CR0_ET = 1 << 4
CR0_NE = 1 << 5
CR0_WP = 1 << 16
CR0_AM = 1 << 18
CR0_NW = 1 << 29
CR0_CD = 1 << 30
CR0_PG = 1 << 31

CR4_VME = 1 << 0
CR4_PVI = 1 << 1
CR4_TSD = 1 << 2
CR4_DE = 1 << 3
CR4_PSE = 1 << 4
CR4_PAE = 1 << 5
CR4_MCE = 1 << 6
CR4_PGE = 1 << 7
CR4_PCE = 1 << 8
CR4_OSFXSR = 1 << 9
CR4_VMXE = 1 << 13
# The processor option "virtualizable": with it set, every sensitive unprivileged instruction raises
# #GP(0) at CPL 1-3 before any effect. No real x86 has it; the bit lies in what Intel reserves.
CR4_VIRTUALIZABLE = 1 << 31
