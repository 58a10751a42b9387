"""The instruction that a VM exit describes, put together from its qualification alone.

SDM Vol. 3, "Exit Qualification". Where it does not say enough (INS, OUTS, LMSW) nothing comes of it, and the
monitor fetches and decodes.
"""

from __future__ import annotations

from typing import Final

_FIXED: Final = {
    "cpuid": "0fa2",
    "hlt": "f4",
    "invd": "0f08",
    "rdtsc": "0f31",
    "rdpmc": "0f33",
    "rdmsr": "0f32",
    "wrmsr": "0f30",
    "wbinvd": "0f09",
    "invlpg": "0f0138",  # its address is the qualification
}
_TO_CONTROL, _FROM_CONTROL, _CLTS = 0, 1, 2
_STRING: Final = 1 << 4
_IMMEDIATE: Final = 1 << 6
_IN: Final = 1 << 3
_REGISTERS: Final = 0xC0  # the form of ModRM for two registers


def encoding(reason: str, qualification: int) -> bytes:
    """Bytes that do the same, of other length perhaps; none where the qualification leaves something open."""
    if reason in _FIXED:
        return bytes.fromhex(_FIXED[reason])
    if reason == "cr-access":
        return _control(qualification)
    if reason == "dr-access":
        opcode = 0x21 if qualification >> 4 & 1 else 0x23
        return bytes((0x0F, opcode, _REGISTERS | (qualification & 7) << 3 | qualification >> 8 & 7))
    if reason == "io-instruction":
        return _port(qualification)
    return b""


def _control(qualification: int) -> bytes:
    kind = qualification >> 4 & 3
    if kind == _CLTS:
        return b"\x0f\x06"
    if kind not in (_TO_CONTROL, _FROM_CONTROL):
        return b""
    opcode = 0x22 if kind == _TO_CONTROL else 0x20
    return bytes((0x0F, opcode, _REGISTERS | (qualification & 7) << 3 | qualification >> 8 & 7))


def _port(qualification: int) -> bytes:
    if qualification & _STRING:
        return b""
    size = (qualification & 7) + 1
    opcode = 0xE4 | (0 if qualification & _IN else 2) | (0 if size == 1 else 1)
    prefix = b"\x66" if size == 2 else b""
    if qualification & _IMMEDIATE:
        return prefix + bytes((opcode, qualification >> 16 & 0xFF))
    return prefix + bytes((opcode | 8,))
