"""What programs of tests in assembly have in common."""

from __future__ import annotations

from typing import Final

START_CONTROLLER: Final = """
        mov al, 0x11
        out 0x20, al
        mov al, 0x20
        out 0x21, al
        mov al, 4
        out 0x21, al
        mov al, 1
        out 0x21, al
"""
"""The first 8259: its interrupts from vector 20h on, the second one on line 2. Its mask is to be set next."""
