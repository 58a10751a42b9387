"""The machine code of the AMD-V monitor: into a guest by VMRUN, and on behind it when the guest is left.

VMRUN takes the address of the VMCB in EAX, so POPA finds it in the place of the guest's own EAX, which is
in the VMCB. The host's state that VMRUN saves comes back with the next instruction, and PUSHA leaves all as
it was:

    ENTER: clgi; sti; popa; vmload; vmrun ──▶ guest ──#VMEXIT──▶ vmsave; cli; pusha; stgi ──▶ door
    ``read_exit``

VMLOAD and VMSAVE move what VMRUN does not: FS, GS, LDTR, TR, SYSENTER's registers. The monitor uses none of
them, so it never loads its own. IF is 1 when VMRUN is executed: a physical interrupt then leads out of the
guest, whatever the guest's own IF (V_INTR_MASKING). Between #VMEXIT and STGI none comes.

``TAKE`` lets an interrupt in that has made the guest exit and still waits. ``BEGIN`` turns SVM on in EFER and
says where VMRUN is to save the host.
"""

from __future__ import annotations

from typing import Final

_DOOR: Final = bytes.fromhex("0f0b")  # ud2

ENTER: Final = 0x00
TAKE: Final = 0x30
BEGIN: Final = 0x40

_POPA: Final = 4  # offset of POPA in ENTER
_PUSHA: Final = 15
_STUBS: Final = {
    ENTER: (
        "0f01dd fb 61"  # clgi; sti; popa
        "0f01da 0f01d8 0f01db"  # vmload; vmrun; vmsave
        "fa 60 0f01dc",  # cli; pusha; stgi
        "read_exit",
    ),
    TAKE: ("fb 90 fa", "look_around"),  # sti; nop; cli
    BEGIN: (
        "b9 800000c0 0f32 0d 00100000 0f30"  # mov ecx, EFER; rdmsr; or eax, SVME; wrmsr
        "b9 170101c0 8b0424 31d2 0f30",  # mov ecx, VM_HSAVE_PA; mov eax, [esp]; xor edx, edx; wrmsr
        "set_up",
    ),
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
    """Whether the processor, at this offset of the page, has the guest's registers, EAX aside."""
    return ENTER + _POPA < offset <= ENTER + _PUSHA
