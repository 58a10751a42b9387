"""Runs `vmx.asm`, a monitor with small guests under VMX, on Bochs; `make goldens` keeps what it tells.

What the manual leaves undefined is not compared: see ``normal``. Left out, as faults of Bochs 2.7:

- RF in the flags that are saved, and in real mode the type of CS;
- setting A and D in the guest's tables is no write to EPT, and an exception in real mode has an error code;
- NMIs stay blocked by one that was injected until an IRET, whatever a later entry says: so that case is last;
- an entry passes that injects an NMI while virtual NMIs are blocked, that injects #UD into a guest in HLT, or
  whose pending debug exceptions do not fit TF and an interrupt shadow.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tests.oracle import bochs
from tests.oracle.sources import HERE, nasm
from vizapp.guest.assembler import assemble
from vizapp.machine.vmx import fields as f
from vizapp.machine.vmx.reasons import name_of

SOURCE = HERE / "vmx.asm"
GOLDEN = SOURCE.parent.parent / "goldens" / "vmx.txt"
ORIGIN, CODE, CODE_BYTES = 0x10_0000, 0x8000, 64
MODEL = "corei7_sandy_bridge_2600k"
GUEST_TABLE, EPT, EPT_TABLE, IDT, GDT = 0x21_3000, 0x20_6000, 0x20_9000, 0x21_5000, 0x21_4000
IO_A, IO_B, MSRS = 0x20_2000, 0x20_3000, 0x20_4000
GUEST_STACK = 0x9000
OR = 1 << 31
VALID = 1 << 31
# The fields that ``shown`` and ``state`` in the program name, in this order, then CR2 and DR6.
NAMES = (
    "reason", "qualification", "info", "error", "vectoring", "vectoring_error", "length", "instruction",
    "linear", "physical", "rip", "rsp", "rflags", "interruptibility", "activity", "pending", "entry",
    "cr0", "cr3", "cr4", "cs", "cs_rights", "cs_base", "cs_limit", "ss", "ss_rights", "ds", "ds_rights",
    "ds_base", "tr_rights", "ldtr_rights", "sysenter", "cr2", "dr6",
)  # fmt: skip


class Case(NamedTuple):
    """A guest: its code in assembly, fields by name (``__or``: bits to be set besides), words of memory."""

    code: str
    fields: Mapping[str, int] = MappingProxyType({})
    memory: tuple[tuple[int, int], ...] = ()
    bits: int = 32


def by_case(text: str) -> dict[str, str]:
    """The lines by the four letters that they begin with, less what is undefined."""
    found = re.finditer(r"^(.{4})((?: [0-9A-F]{8})+)$", text, re.M)
    return {match[1]: normal(match[2].split()) for match in found}


_STRING_IO, _BY_MEMORY = 1 << 4, 1 << 6
_WITH_OPERANDS = {
    "vmclear",
    "vmptrld",
    "vmptrst",
    "vmread",
    "vmwrite",
    "vmxon",
    "gdtr-idtr",
    "ldtr-tr",
    "invept",
    "invvpid",
}
_TOLD = _WITH_OPERANDS | {
    "cpuid",
    "hlt",
    "invd",
    "invlpg",
    "rdpmc",
    "rdtsc",
    "vmcall",
    "vmlaunch",
    "vmresume",
    "vmxoff",
    "cr-access",
    "dr-access",
    "io-instruction",
    "rdmsr",
    "wrmsr",
    "pause",
    "wbinvd",
}


def normal(words: list[str]) -> str:
    """A line without what the manual does not define for its exit reason."""
    if len(words) < len(NAMES):
        return " ".join(words[:2])
    told = dict(zip(NAMES, (int(word, 16) for word in words), strict=True))
    name = name_of(told["reason"])
    software = [
        told[field] for field in ("info", "vectoring") if told[field] >> 31 and told[field] >> 8 & 7 >= 4
    ]
    by_instruction = name in _TOLD or software or (name == "task-switch" and not told["vectoring"])
    string = name == "io-instruction" and told["qualification"] & _STRING_IO
    from_memory = (
        name == "cr-access" and told["qualification"] >> 4 & 3 == 3 and told["qualification"] & _BY_MEMORY
    )
    told["length"] *= bool(by_instruction)
    told["instruction"] *= name in _WITH_OPERANDS or bool(string)
    told["instruction"] &= ~(7 << 15) if string and told["qualification"] & 8 else ~0
    told["instruction"] &= ~(1 << 11) if name == "gdtr-idtr" else ~0
    told["linear"] *= name == "ept-violation" or bool(string or from_memory)
    told["physical"] *= name.startswith("ept")
    told["error"] *= told["info"] >> 11 & 1
    told["vectoring_error"] *= told["vectoring"] >> 11 & 1
    told["rflags"] &= ~(1 << 16)
    told["cs_rights"] &= ~8 if told["cs_base"] else ~0
    told["cr2"] *= name != "triple-fault"
    return " ".join(f"{value:X}" for value in told.values())


def defaults() -> list[tuple[int, int]]:
    """Every field that a guest in flat protected mode with paging needs."""
    values = {
        "vmcs_link_pointer": (1 << 64) - 1, "io_bitmap_a": IO_A, "io_bitmap_b": IO_B, "msr_bitmap": MSRS,
        "ept_pointer": 0, "vpid": 0, "secondary_controls": 0, "guest_cr0": 0x8000_0031,
        "guest_cr3": 0x21_2000, "guest_cr4": 0x2000, "cr4_guest_host_mask": 0x2000,
        "guest_gdtr_base": GDT, "guest_gdtr_limit": 0x3F, "guest_idtr_base": IDT, "guest_idtr_limit": 0x7FF,
        "guest_rsp": GUEST_STACK, "guest_rip": CODE, "guest_rflags": 2, "guest_dr7": 0x400,
        "host_cr0": 0x8000_0031, "host_cr3": 0x21_0000, "host_cr4": 0x2000, "host_tr_base": 0x21_6000,
        "host_gdtr_base": GDT, "host_idtr_base": IDT, "host_rsp": 0x22_0000,
    }  # fmt: skip
    for name in ("es", "cs", "ss", "ds", "fs", "gs"):
        values[f"guest_{name}_selector"] = values[f"host_{name}_selector"] = 8 if name == "cs" else 0x10
        values[f"guest_{name}_limit"] = 0xFFFF_FFFF
        values[f"guest_{name}_access_rights"] = 0xC09B if name == "cs" else 0xC093
    values |= {"guest_ldtr_access_rights": 0x1_0000, "guest_tr_selector": 0x28, "host_tr_selector": 0x28}
    values |= {"guest_tr_base": 0x21_6000, "guest_tr_limit": 0x67, "guest_tr_access_rights": 0x8B}
    values |= {
        field.name: 0 for field in f.FIELDS if field.name not in values and field.name not in _SET_LATER
    }
    return [pair for name, value in values.items() for pair in _words(name, value)]


_SET_LATER = frozenset(
    field.name
    for field in f.FIELDS
    if field.type == f.EXIT_INFORMATION or (field.natural and field.name == "host_rip")
) | {"pin_based_controls", "primary_controls", "exit_controls", "entry_controls", "executive_vmcs_pointer"}


def _words(name: str, value: int) -> Iterator[tuple[int, int]]:
    """What VMWRITE takes for a field, one or two double words."""
    field = f.BY_NAME[name.removesuffix("__or")]
    extra = OR if name.endswith("__or") else 0
    yield field.encoding | extra, value & 0xFFFF_FFFF
    if field.width == 8 and not extra:
        yield field.encoding | 1, value >> 32


def program(cases: dict[str, Case]) -> str:
    """The assembly source with the cases: NASM's and ours."""
    lines = [SOURCE.read_text(encoding="ascii"), "defaults:"]
    pairs = defaults()
    lines.append(f"dd {len(pairs) + 1}, {f.HOST_RIP:#x}, left")
    lines += [f"dd {first:#x}, {second:#x}" for first, second in pairs]
    lines.append("cases:")
    for name, case in cases.items():
        code = assemble(f"bits {case.bits}\norg {CODE:#x}\n{case.code}\n").data.ljust(CODE_BYTES, b"\x90")
        assert len(name) == 4
        assert len(code) == CODE_BYTES, name
        lines += [f"db '{name}'", "db " + ", ".join(str(byte) for byte in code)]
        written = [pair for field, value in case.fields.items() for pair in _words(field, value)]
        for list_ in (written, list(case.memory)):
            lines.append(f"dd {len(list_)}")
            lines += [f"dd {first:#x}, {second:#x}" for first, second in list_]
    lines.append("dd 0\n")
    return "\n".join(lines)


def run(directory: Path, cases: dict[str, Case]) -> str:
    """What the program tells on Bochs."""
    source = directory / "program.asm"
    source.write_text(program(cases), encoding="ascii")
    code = nasm(source, directory / "program.bin")
    assert len(code) <= 0x10000
    image = code.ljust(0x10000, b"\0") + nasm(HERE / "vmx_boot.asm", directory / "boot.bin")
    return bochs.run(image, directory, model=MODEL)


def main() -> None:
    """Make the golden file anew."""
    from tests.oracle.vmx_refused import CASES

    with tempfile.TemporaryDirectory() as directory:
        told = by_case(run(Path(directory), CASES))
    GOLDEN.write_text("".join(f"{name} {line}\n" for name, line in told.items()), encoding="ascii")


if __name__ == "__main__":
    main()
