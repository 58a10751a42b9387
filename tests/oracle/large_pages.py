"""4 MB pages below and above 4 GB (PSE-36), as cases for ``probe``."""

from __future__ import annotations

from tests.oracle.probe import CODE, DATA, PLAIN_CR0, Case, Tables, code
from vizapp.isa.paging import PTE_P, PTE_PS, PTE_U, PTE_W
from vizapp.isa.registers import CR0_PG, CR0_WP, CR4_PSE

PAGED = PLAIN_CR0 | CR0_PG | CR0_WP
ALL = PTE_P | PTE_W | PTE_U
AT = CODE + 4  # an INT 20h lies at CODE
STACK = 0x8800
# Bits 17-20 are reserved where addresses have 36 bits, as here; on Bochs, where they have 40, they are not.
ENTRIES = (0, *(1 << bit for bit in (12, 13, 14, 15, 16, 21)), 0xF << 13, 5 << 13 | 1 << 12)


def cases(tables: Tables) -> list[Case]:
    """Reads, writes and both at DATA through an entry each, and the frame at 0 looked at afterwards."""
    found = []
    for number, bits in enumerate(ENTRIES, 1):
        tables.directory[number] = bits | ALL | PTE_PS
        address = number << 22 | DATA + 0x100
        for text in ("mov eax, [ebx]", "mov [ebx], ecx", "inc dword [ebx]", "mov ax, [ebx - 1]"):
            for cr4 in (0, CR4_PSE):
                if not cr4 and bits >= 1 << 16:  # tables that the RAM there would make
                    continue
                found.append(
                    Case(
                        f"{text} with {bits:#x} and CR4 {cr4:#x}",
                        code(text),
                        eip=AT,
                        registers={"ebx": address, "ecx": 0x1234_5678, "eax": 0x5555_5555, "esp": STACK},
                        cr0=PAGED,
                        cr4=cr4,
                        watch=DATA + 0x100,
                    )
                )
    return found
