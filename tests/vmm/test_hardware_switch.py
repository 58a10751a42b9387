"""The stubs of the switch, the exit loop's tables, and what an exit's description is put together to."""

import pytest

from vizapp.isa.addresses import Linear
from vizapp.isa.decode import decode
from vizapp.machine.vmx.reasons import NUMBERS
from vizapp.session.describe_phases import _PHASES as SENTENCES
from vizapp.vmm.amd_v import exits as amd_exits
from vizapp.vmm.amd_v import switch as amd_switch
from vizapp.vmm.hardware_assisted.exits import PHASES as PHASE_OF
from vizapp.vmm.hardware_assisted.phases import PHASES
from vizapp.vmm.vt_x import exits as vt_x_exits
from vizapp.vmm.vt_x import switch as vt_x_switch
from vizapp.vmm.vt_x.encodings import encoding


def listing(page: bytes, offset: int) -> str:
    """Mnemonics from ``offset`` to the door, which is a UD2."""
    names = []
    while True:
        instruction = decode(page[offset : offset + 15], Linear(offset), 32)
        if instruction.mnemonic == "ud2":
            return " ".join(names)
        names.append(instruction.mnemonic)
        offset += instruction.length


@pytest.mark.parametrize(
    ("page", "offset", "expected"),
    [
        (vt_x_switch.page(), vt_x_switch.EXIT, "pusha"),
        (vt_x_switch.page(), vt_x_switch.RESUME, "popa vmresume"),
        (vt_x_switch.page(), vt_x_switch.LAUNCH, "popa vmlaunch"),
        (vt_x_switch.page(), vt_x_switch.TAKE, "sti nop cli"),
        (vt_x_switch.page(), vt_x_switch.BEGIN, "vmxon vmclear vmptrld"),
        (amd_switch.page(), amd_switch.ENTER, "clgi sti popa vmload vmrun vmsave cli pusha stgi"),
        (amd_switch.page(), amd_switch.TAKE, "sti nop cli"),
        (amd_switch.page(), amd_switch.BEGIN, "mov rdmsr or wrmsr mov mov xor wrmsr"),
    ],
)
def test_stubs(page: bytes, offset: int, expected: str) -> None:
    assert listing(page, offset) == expected


@pytest.mark.parametrize("doors", [vt_x_switch.DOORS, amd_switch.DOORS])
def test_every_door_and_every_kind_of_exit_has_its_phase(doors: dict[int, str]) -> None:
    assert set(doors.values()) <= set(PHASES)
    assert set(PHASE_OF.values()) <= set(PHASES)
    assert set(vt_x_exits.KINDS.values()) <= set(PHASE_OF)
    assert set(amd_exits.KINDS.values()) <= set(PHASE_OF)
    assert set(vt_x_exits.KINDS) <= set(NUMBERS)


def test_every_phase_is_told_in_a_sentence() -> None:
    assert set(PHASES) <= set(SENTENCES)


@pytest.mark.parametrize(
    ("reason", "qualification", "expected"),
    [
        ("cpuid", 0, "cpuid"),
        ("cr-access", 0x003, "mov cr3, eax"),
        ("cr-access", 0x310, "mov ebx, cr0"),
        ("cr-access", 0x020, "clts"),
        ("io-instruction", 0x03F8_0000, "out dx, al"),
        ("io-instruction", 0x0060_0048, "in al, 0x60"),
        ("io-instruction", 0x01F0_0009, "in ax, dx"),
        ("io-instruction", 0x01F0_000B, "in eax, dx"),
        ("dr-access", 0x117, "mov ecx, dr7"),
    ],
)
def test_a_qualification_says_which_instruction_it_was(
    reason: str, qualification: int, expected: str
) -> None:
    from capstone import CS_ARCH_X86, CS_MODE_32, Cs

    (found,) = Cs(CS_ARCH_X86, CS_MODE_32).disasm(encoding(reason, qualification), 0)
    assert f"{found.mnemonic} {found.op_str}".strip() == expected


@pytest.mark.parametrize("qualification", [0x01F0_0032, 0x030])
def test_where_it_does_not_say_enough_nothing_comes_of_it(qualification: int) -> None:
    assert encoding("io-instruction" if qualification >> 16 else "cr-access", qualification) == b""
