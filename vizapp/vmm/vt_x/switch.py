"""The machine code of the VT-x monitor: into a guest by VMLAUNCH or VMRESUME, and out of it where exits lead.

HOST_RSP points behind the general registers of the virtual CPU, so that PUSHA at HOST_RIP puts them where
POPA finds them on the way back:

    exit ──▶ EXIT: pusha ──▶ door ``read_exit`` ──▶ ... ──▶ RESUME: popa; vmresume ──▶ guest
                                                         LAUNCH: popa; vmlaunch ──▶ guest     the first time

Behind both stands a door for an entry that the processor refuses. ``TAKE`` lets an interrupt in that has made
the guest exit and still waits. ``BEGIN`` turns VMX on: VMXON with the first page, VMPTRLD of the first VMCS;
``ON`` does so while there is no VMCS yet.
"""

from __future__ import annotations

from typing import Final

_DOOR: Final = bytes.fromhex("0f0b")  # ud2

EXIT: Final = 0x00
RESUME: Final = 0x10
LAUNCH: Final = 0x20
TAKE: Final = 0x30
BEGIN: Final = 0x40
ON: Final = 0x60

_STUBS: Final = {
    EXIT: ("60", "read_exit"),  # pusha
    RESUME: ("61 0f01c3", "refused"),  # popa; vmresume
    LAUNCH: ("61 0f01c2", "refused"),  # popa; vmlaunch
    TAKE: ("fb 90 fa", "look_around"),  # sti; nop; cli
    BEGIN: (
        "f30fc7 3424"  # vmxon [esp]: there and behind lie two addresses of 8 bytes each
        "660fc7 742408"  # vmclear [esp + 8]
        "0fc7 742408",  # vmptrld [esp + 8]
        "set_up",
    ),
    ON: ("f30fc7 3424", "set_up"),  # vmxon [esp]
}

DOORS: Final[dict[int, str]] = {
    offset + len(bytes.fromhex(code)): phase for offset, (code, phase) in _STUBS.items()
}


def page() -> bytes:
    """The code page."""
    code = bytearray(b"\xcc" * 0x80)
    for offset, (text, _) in _STUBS.items():
        stub = bytes.fromhex(text) + _DOOR
        code[offset : offset + len(stub)] = stub
    return bytes(code)


def popped(offset: int) -> bool:
    """Whether the processor, at this offset of the page, has the guest's registers and not the monitor's."""
    return offset == EXIT or offset in (RESUME + 1, LAUNCH + 1)
