"""Exit codes and the bits that intercept: APM Vol. 2, appendix "SVM Intercept Exit Codes"."""

from __future__ import annotations

from typing import Final, NamedTuple

from vizapp.isa import vectors

INVALID: Final = -1
READ_CR, WRITE_CR, READ_DR, WRITE_DR, EXCEPTION = 0x000, 0x010, 0x020, 0x030, 0x040
(
    INTR, NMI, SMI, INIT, VINTR, CR0_SELECTIVE, STORE_IDTR, STORE_GDTR, STORE_LDTR, STORE_TR,
    LOAD_IDTR, LOAD_GDTR, LOAD_LDTR, LOAD_TR, RDTSC, RDPMC, PUSHF, POPF, CPUID, RSM, IRET, INTN, INVD,
    PAUSE, HLT, INVLPG, INVLPGA, IOIO, MSR, TASK_SWITCH, FERR_FREEZE, SHUTDOWN,
) = range(0x060, 0x080)  # fmt: skip
(
    VMRUN, VMMCALL, VMLOAD, VMSAVE, STGI, CLGI, SKINIT, RDTSCP, ICEBP, WBINVD, MONITOR, MWAIT,
) = range(0x080, 0x08C)  # fmt: skip
XSETBV: Final = 0x08D
NPF: Final = 0x400

_MISC1: Final = 0x060  # bit n of the first word intercepts exit code 060h + n, of the second 080h + n
_MISC2: Final = 0x080


class Intercept(NamedTuple):
    """A bit that intercepts: field of the VMCB, bit in it, and the exit code that it leads to."""

    field: str
    bit: int
    code: int


_MISC_NAMES: Final[dict[int, str]] = {
    INTR: "intr", NMI: "nmi", SMI: "smi", INIT: "init", VINTR: "vintr", CR0_SELECTIVE: "cr0-sel-write",
    STORE_IDTR: "idtr-read", STORE_GDTR: "gdtr-read", STORE_LDTR: "ldtr-read", STORE_TR: "tr-read",
    LOAD_IDTR: "idtr-write", LOAD_GDTR: "gdtr-write", LOAD_LDTR: "ldtr-write", LOAD_TR: "tr-write",
    RDTSC: "rdtsc", RDPMC: "rdpmc", PUSHF: "pushf", POPF: "popf", CPUID: "cpuid", RSM: "rsm", IRET: "iret",
    INTN: "swint", INVD: "invd", PAUSE: "pause", HLT: "hlt", INVLPG: "invlpg", INVLPGA: "invlpga",
    IOIO: "ioio", MSR: "msr", TASK_SWITCH: "task-switch", FERR_FREEZE: "ferr-freeze", SHUTDOWN: "shutdown",
    VMRUN: "vmrun", VMMCALL: "vmmcall", VMLOAD: "vmload", VMSAVE: "vmsave", STGI: "stgi", CLGI: "clgi",
    SKINIT: "skinit", RDTSCP: "rdtscp", ICEBP: "icebp", WBINVD: "wbinvd", MONITOR: "monitor",
    MWAIT: "mwait", XSETBV: "xsetbv",
}  # fmt: skip


def _names() -> dict[int, str]:
    names = {INVALID: "invalid"}
    for index in range(16):
        names[READ_CR + index] = f"cr{index}-read"
        names[WRITE_CR + index] = f"cr{index}-write"
        names[READ_DR + index] = f"dr{index}-read"
        names[WRITE_DR + index] = f"dr{index}-write"
    for vector in range(32):
        name = vectors.name(vector)
        names[EXCEPTION + vector] = "exception-" + (name[1:].lower() if name[0] == "#" else f"{vector}")
    return names | _MISC_NAMES | {NPF: "npf"}


NAMES: Final = _names()
"""Exit codes by the manual's names without VMEXIT_, in kebab-case."""


def _intercepts() -> dict[str, Intercept]:
    found = {}
    for index in range(16):
        found[f"cr{index}-read"] = Intercept("intercept_cr", index, READ_CR + index)
        found[f"cr{index}-write"] = Intercept("intercept_cr", 16 + index, WRITE_CR + index)
        found[f"dr{index}-read"] = Intercept("intercept_dr", index, READ_DR + index)
        found[f"dr{index}-write"] = Intercept("intercept_dr", 16 + index, WRITE_DR + index)
    for vector in range(32):
        code = EXCEPTION + vector
        found[NAMES[code]] = Intercept("intercept_exceptions", vector, code)
    for code, name in _MISC_NAMES.items():
        first = _MISC1 if code < _MISC2 else _MISC2
        found[name] = Intercept(
            "intercept_misc1" if first == _MISC1 else "intercept_misc2", code - first, code
        )
    return found


INTERCEPTS: Final = _intercepts()
"""The bits that intercept, by the name of their exit code."""


def name_of(code: int) -> str:
    """The name of an exit code, or its number in hexadecimal."""
    return NAMES.get(code, f"{code:#x}")
