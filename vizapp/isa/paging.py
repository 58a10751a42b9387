"""Two-level paging: entry bits and #PF error code (SDM Vol. 3, "32-Bit Paging").

linear address   31        22 21        12 11         0
                 | directory |   table    |   offset   |
entry            31            12 11  9 8 7 6 5  4   3  2   1   0
                 |    frame      | avl |G|S|D|A|PCD|PWT|U/S|R/W|P|
"""

from __future__ import annotations

PTE_P = 1 << 0
PTE_W = 1 << 1
PTE_U = 1 << 2
PTE_PWT = 1 << 3
PTE_PCD = 1 << 4
PTE_A = 1 << 5
PTE_D = 1 << 6
PTE_PS = 1 << 7
PTE_G = 1 << 8
PTE_FRAME = 0xFFFF_F000

PF_P = 1 << 0  # the page was present: a protection violation
PF_W = 1 << 1  # the access was a write
PF_U = 1 << 2  # the access came from CPL 3
PF_RSVD = 1 << 3
