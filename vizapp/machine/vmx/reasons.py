"""Basic exit reasons by number, with their names in kebab-case (SDM Vol. 3, "VMX Basic Exit Reasons")."""

from __future__ import annotations

from typing import Final, NamedTuple

from vizapp.messages import N_

ENTRY_FAILURE: Final = 1 << 31


class Reason(NamedTuple):
    """A basic exit reason; ``gloss`` says what happened, for people."""

    number: int
    name: str
    gloss: str


REASONS: Final[tuple[Reason, ...]] = (
    Reason(0, "exception-nmi", N_("an exception or an NMI")),
    Reason(1, "external-interrupt", N_("an external interrupt")),
    Reason(2, "triple-fault", N_("a triple fault")),
    Reason(3, "init-signal", N_("an INIT signal")),
    Reason(4, "startup-ipi", N_("a start-up interprocessor interrupt")),
    Reason(5, "io-smi", N_("a system management interrupt after a port access")),
    Reason(6, "other-smi", N_("a system management interrupt")),
    Reason(7, "interrupt-window", N_("the guest would take an interrupt now")),
    Reason(8, "nmi-window", N_("the guest would take an NMI now")),
    Reason(9, "task-switch", N_("a hardware task switch")),
    Reason(10, "cpuid", N_("CPUID")),
    Reason(11, "getsec", N_("GETSEC")),
    Reason(12, "hlt", N_("HLT")),
    Reason(13, "invd", N_("INVD")),
    Reason(14, "invlpg", N_("INVLPG")),
    Reason(15, "rdpmc", N_("RDPMC")),
    Reason(16, "rdtsc", N_("RDTSC")),
    Reason(17, "rsm", N_("RSM")),
    Reason(18, "vmcall", N_("VMCALL")),
    Reason(19, "vmclear", N_("VMCLEAR")),
    Reason(20, "vmlaunch", N_("VMLAUNCH")),
    Reason(21, "vmptrld", N_("VMPTRLD")),
    Reason(22, "vmptrst", N_("VMPTRST")),
    Reason(23, "vmread", N_("VMREAD")),
    Reason(24, "vmresume", N_("VMRESUME")),
    Reason(25, "vmwrite", N_("VMWRITE")),
    Reason(26, "vmxoff", N_("VMXOFF")),
    Reason(27, "vmxon", N_("VMXON")),
    Reason(28, "cr-access", N_("an access to a control register")),
    Reason(29, "dr-access", N_("an access to a debug register")),
    Reason(30, "io-instruction", N_("an access to a port")),
    Reason(31, "rdmsr", N_("RDMSR")),
    Reason(32, "wrmsr", N_("WRMSR")),
    Reason(33, "invalid-guest-state", N_("VM entry with invalid guest state")),
    Reason(34, "msr-loading", N_("VM entry could not load an MSR")),
    Reason(36, "mwait", N_("MWAIT")),
    Reason(37, "monitor-trap-flag", N_("the monitor trap flag")),
    Reason(39, "monitor", N_("MONITOR")),
    Reason(40, "pause", N_("PAUSE")),
    Reason(41, "machine-check", N_("VM entry met a machine check")),
    Reason(43, "tpr-below-threshold", N_("the virtual task priority fell below the threshold")),
    Reason(44, "apic-access", N_("an access to the APIC page")),
    Reason(45, "virtualized-eoi", N_("a virtual end of interrupt")),
    Reason(46, "gdtr-idtr", N_("an access to GDTR or IDTR")),
    Reason(47, "ldtr-tr", N_("an access to LDTR or TR")),
    Reason(48, "ept-violation", N_("the extended page tables do not allow an access")),
    Reason(49, "ept-misconfiguration", N_("an entry of the extended page tables is malformed")),
    Reason(50, "invept", N_("INVEPT")),
    Reason(51, "rdtscp", N_("RDTSCP")),
    Reason(52, "preemption-timer", N_("the VMX-preemption timer")),
    Reason(53, "invvpid", N_("INVVPID")),
    Reason(54, "wbinvd", N_("WBINVD")),
    Reason(55, "xsetbv", N_("XSETBV")),
    Reason(56, "apic-write", N_("a write to the virtual APIC")),
    Reason(58, "invpcid", N_("INVPCID")),
    Reason(59, "vmfunc", N_("VMFUNC")),
    Reason(62, "page-modification-log-full", N_("the page-modification log is full")),
    Reason(63, "xsaves", N_("XSAVES")),
    Reason(64, "xrstors", N_("XRSTORS")),
)

BY_NUMBER: Final[dict[int, Reason]] = {reason.number: reason for reason in REASONS}
NUMBERS: Final[dict[str, int]] = {reason.name: reason.number for reason in REASONS}


def name_of(reason: int) -> str:
    """The kebab-case name of an exit-reason field's value."""
    return BY_NUMBER[reason & 0xFFFF].name
