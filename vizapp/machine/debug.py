"""Debug registers: breakpoints on instructions, data and ports, single steps, and what DR6 says of them.

    DR7   31..16: LEN R/W of each breakpoint   13 GD   9 GE 8 LE   7..0: G3 L3 G2 L2 G1 L1 G0 L0
    DR6   15 BT   14 BS   13 BD   3..0: which breakpoint's conditions were met

SDM Vol. 3, "Debug Registers" and "Debug Exceptions".
"""

from __future__ import annotations

from typing import Final

DR6_BD: Final = 1 << 13
DR6_BS: Final = 1 << 14
DR6_BT: Final = 1 << 15
DR7_GD: Final = 1 << 13
