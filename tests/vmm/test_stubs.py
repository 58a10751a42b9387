"""The monitor's machine code, read back by capstone."""

import capstone

from vizapp.isa import vectors
from vizapp.isa.addresses import Linear
from vizapp.vmm import stubs
from vizapp.vmm.trap_frame import FRAME_BYTES, HARDWARE_TOP

BASE = 0xFFC0_0000


def listing(offset: int, count: int) -> list[str]:
    disassembler = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    code = stubs.code_pages()[offset : offset + 15 * count]
    return [f"{item.mnemonic} {item.op_str}".strip() for item in disassembler.disasm(code, offset)][:count]


def test_a_slot_completes_the_frame_with_its_vector():
    assert listing(stubs.entry(Linear(0), vectors.UD), 2) == ["push 0x60000", f"jmp {stubs.SAVE:#x}"]
    assert listing(stubs.entry(Linear(0), 0xF0), 2) == ["push 0xf00000", f"jmp {stubs.SAVE:#x}"]


def test_where_the_processor_pushes_an_error_code_only_the_vector_is_added():
    for vector in vectors.WITH_ERROR_CODE:
        number = f"{vector:#x}" if vector > 9 else str(vector)  # as capstone prints it
        expected = [f"mov word ptr [esp + 2], {number}", f"jmp {stubs.SAVE:#x}"]
        assert listing(stubs.entry(Linear(0), vector), 2) == expected


def test_registers_are_saved_in_xen_s_order():
    assert listing(stubs.SAVE, 17) == [
        "cld", "push eax", "push ebp", "push edi", "push esi", "push edx", "push ecx", "push ebx",
        "test byte ptr [esp + 0x24], 3", f"je {stubs.NESTED_DOOR:#x}",
        "mov word ptr [esp + 0x34], es", "mov word ptr [esp + 0x38], ds",
        "mov word ptr [esp + 0x3c], fs", "mov word ptr [esp + 0x40], gs",
        "mov ecx, ss", "mov ds, ecx", "mov es, ecx",
    ]  # fmt: skip
    assert listing(stubs.GUEST_DOOR, 1) == ["ud2"]
    assert listing(stubs.NESTED_DOOR, 1) == ["ud2"]


def test_the_exits_restore_what_the_entry_saved():
    pops = [f"pop {name}" for name in ("ebx", "ecx", "edx", "esi", "edi", "ebp", "eax")]
    pops += ["add esp, 4", "iretd"]
    data = ["mov ds, word ptr [esp + 0x38]", "mov es, word ptr [esp + 0x34]"]
    other = ["mov fs, word ptr [esp + 0x3c]", "mov gs, word ptr [esp + 0x40]"]
    assert listing(stubs.EXIT_ALL, 13) == [*other, *data, *pops]
    assert listing(stubs.EXIT, 11) == [*data, *pops]
    assert listing(stubs.NESTED_EXIT, 9) == pops
    assert listing(stubs.EXIT_16, 14) == [*other, *data, "lss esp, ptr [esp - 8]", *pops]
    assert listing(stubs.IDLE, 4) == ["sti", "hlt", "cli", "ud2"]


def test_the_frame_is_as_long_as_what_is_pushed():
    hardware, completed, general, segments = 5 * 4, 4, 7 * 4, 4 * 4
    assert hardware + completed + general + segments == FRAME_BYTES
    assert FRAME_BYTES - segments == HARDWARE_TOP


def test_no_part_overlaps_another():
    code = stubs.code_pages()
    assert len(code) == stubs.CODE_PAGES * 4096
    assert stubs.EXIT + 19 <= stubs.NESTED_EXIT
    assert stubs.IDLE_DOOR + 2 <= stubs.EXIT_16
    assert code[stubs.IDLE_DOOR : stubs.IDLE_DOOR + 2] == bytes.fromhex("0f0b")
