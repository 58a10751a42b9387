"""A deprivileging monitor's machine code: how the processor comes in through a gate, and how it leaves again.

The 256 gates of the physical IDT point at 16-byte slots of the first page; every slot completes the hardware
frame (see ``trap_frame``) and jumps to the common code of the second page, which saves the registers and
arrives at a **door**: the address where the monitor's own routine takes over. The routine leaves by setting
EIP to one of the exits, whose instructions the processor executes like any others.

    gate ──▶ slot v: push / mov vector ──▶ save ──▶ GUEST_DOOR     out of a guest ring
                                              └──▶ NESTED_DOOR    out of ring 0: the monitor was idling
    EXIT_ALL, EXIT, EXIT_16 ──▶ IRET to the guest      NESTED_EXIT ──▶ IRET into the idle loop
    IDLE: sti; hlt; cli ──▶ IDLE_DOOR         an interrupt ended the wait

Any monitor that runs in ring 0 below deprivileged guests can use these pages: load them with ``code_pages``
at a linear address of its choice, point its gates at ``entry`` and register doors at ``base + GUEST_DOOR``
and so on. A door's own bytes are UD2, so that code which reached one without its door being there would stop.

IRET to a stack segment of 16 bits restores SP alone and leaves the upper half of ESP as it was in ring 0. So
that it is the guest's own already, ``EXIT_16`` first changes to a stack pointer that the monitor left below
the frame: the same place, through a segment whose base makes up for the guest's upper half.
"""

from __future__ import annotations

from typing import Final

from vizapp.isa import vectors
from vizapp.isa.addresses import PAGE_SIZE, Linear

SLOT_BYTES: Final = 16
CODE_PAGES: Final = 2
_DOOR: Final = bytes.fromhex("0f0b")  # ud2

_POP_REGISTERS: Final = bytes.fromhex(
    "5b 59 5a 5e 5f 5d 58"  # pop ebx, ecx, edx, esi, edi, ebp, eax
    "83 c4 04"  # add esp, 4: error code and vector
    "cf"  # iretd
)
_SAVE: Final = bytes.fromhex(
    "fc"  # cld: the monitor's string instructions go up
    "50 55 57 56 52 51 53"  # push eax, ebp, edi, esi, edx, ecx, ebx
    "f6 44 24 24 03"  # test byte [esp + cs], 3
    "74 1a"  # jz nested: out of ring 0, nothing to save and no room for it
    "8c 44 24 34"  # mov [esp + es], es
    "8c 5c 24 38"  # mov [esp + ds], ds
    "8c 64 24 3c"  # mov [esp + fs], fs
    "8c 6c 24 40"  # mov [esp + gs], gs
    "8c d1"  # mov ecx, ss: the monitor's flat segment
    "8e d9"  # mov ds, ecx
    "8e c1"  # mov es, ecx
)
_SAVE_VIRTUAL_8086: Final = bytes.fromhex(
    "fc"  # cld
    "50 55 57 56 52 51 53"  # as above; the processor has pushed and emptied ES DS FS GS
    "8c d1 8e d9 8e c1"  # mov ecx, ss; mov ds, ecx; mov es, ecx
)
_EXIT_ALL: Final = bytes.fromhex(
    "8e 64 24 3c"  # mov fs, [esp + fs]
    "8e 6c 24 40"  # mov gs, [esp + gs]
)
_EXIT_DATA: Final = bytes.fromhex(
    "8e 5c 24 38"  # mov ds, [esp + ds]
    "8e 44 24 34"  # mov es, [esp + es]
)
_EXIT: Final = _EXIT_DATA + _POP_REGISTERS
_CHANGE_STACK: Final = bytes.fromhex("0f b2 64 24 f8")  # lss esp, [esp + STACK_POINTER]
_IDLE: Final = bytes.fromhex("fb f4 fa")  # sti; hlt; cli

# Offsets from the base of the code pages.
SAVE: Final = PAGE_SIZE
ECX_SAVED: Final = SAVE + 7  # before it ECX is the guest's, from it on the frame has it
GUEST_DOOR: Final = SAVE + len(_SAVE)
NESTED_DOOR: Final = GUEST_DOOR + 4
EXIT_ALL: Final = PAGE_SIZE + 0x80
EXIT: Final = EXIT_ALL + len(_EXIT_ALL)
EXIT_IRET: Final = EXIT + len(_EXIT) - 1
NESTED_EXIT: Final = PAGE_SIZE + 0xC0
IDLE: Final = PAGE_SIZE + 0xE0
IDLE_DOOR: Final = IDLE + len(_IDLE)
EXIT_16: Final = PAGE_SIZE + 0x100
VIRTUAL_8086_DOOR: Final = SAVE + len(_SAVE_VIRTUAL_8086)
STACK_POINTER: Final = -8  # where EXIT_16 finds its SS:ESP, from the base of the frame


def entry(base: Linear, vector: int) -> Linear:
    """Where the gate of ``vector`` must point."""
    return Linear(base + vector * SLOT_BYTES)


def code_pages() -> bytes:
    """Both pages; position-independent, for they only jump within themselves."""
    code = bytearray(b"\xcc" * (CODE_PAGES * PAGE_SIZE))
    for vector in range(256):
        _put(code, vector * SLOT_BYTES, _slot(vector))
    _put(code, SAVE, _SAVE)
    _put(code, GUEST_DOOR, _DOOR)
    _put(code, NESTED_DOOR, _DOOR)
    _put(code, EXIT_ALL, _EXIT_ALL + _EXIT)
    _put(code, NESTED_EXIT, _POP_REGISTERS)
    _put(code, IDLE, _IDLE + _DOOR)
    _put(code, EXIT_16, _EXIT_ALL + _EXIT_DATA + _CHANGE_STACK + _POP_REGISTERS)
    return bytes(code)


def virtual_8086_pages() -> bytes:
    """Both pages for gates that are used in virtual-8086 mode only; their door is ``VIRTUAL_8086_DOOR``."""
    code = bytearray(b"\xcc" * (CODE_PAGES * PAGE_SIZE))
    for vector in range(256):
        _put(code, vector * SLOT_BYTES, _slot(vector))
    _put(code, SAVE, _SAVE_VIRTUAL_8086)
    _put(code, VIRTUAL_8086_DOOR, _DOOR)
    return bytes(code)


def _slot(vector: int) -> bytes:
    if vector in vectors.WITH_ERROR_CODE:
        head = bytes.fromhex("66 c7 44 24 02") + vector.to_bytes(2, "little")  # mov word [esp + 2], vector
    else:
        head = b"\x68" + (vector << 16).to_bytes(4, "little")  # push vector << 16
    end = vector * SLOT_BYTES + len(head) + 5
    return head + b"\xe9" + (SAVE - end).to_bytes(4, "little")  # jmp save


def _put(code: bytearray, offset: int, data: bytes) -> None:
    code[offset : offset + len(data)] = data
