"""The control bits of a VMCS, by field, with what each means (SDM Vol. 3, "VM-Execution Control Fields")."""

from __future__ import annotations

from typing import Final, NamedTuple

from vizapp.machine.vmx import fields as f
from vizapp.messages import N_


class Bit(NamedTuple):
    """One control: its place in its field, the manual's name in kebab-case, and what it does when it is 1."""

    position: int
    name: str
    gloss: str

    @property
    def mask(self) -> int:
        """The bit itself."""
        return 1 << self.position


# Pin-based VM-execution controls.
EXTERNAL_INTERRUPT_EXITING: Final = 1 << 0
NMI_EXITING: Final = 1 << 3
VIRTUAL_NMIS: Final = 1 << 5

# Primary processor-based VM-execution controls.
INTERRUPT_WINDOW: Final = 1 << 2
USE_TSC_OFFSETTING: Final = 1 << 3
HLT_EXITING: Final = 1 << 7
INVLPG_EXITING: Final = 1 << 9
MWAIT_EXITING: Final = 1 << 10
RDPMC_EXITING: Final = 1 << 11
RDTSC_EXITING: Final = 1 << 12
CR3_LOAD_EXITING: Final = 1 << 15
CR3_STORE_EXITING: Final = 1 << 16
CR8_LOAD_EXITING: Final = 1 << 19
CR8_STORE_EXITING: Final = 1 << 20
USE_TPR_SHADOW: Final = 1 << 21
NMI_WINDOW: Final = 1 << 22
MOV_DR_EXITING: Final = 1 << 23
UNCONDITIONAL_IO: Final = 1 << 24
USE_IO_BITMAPS: Final = 1 << 25
USE_MSR_BITMAPS: Final = 1 << 28
MONITOR_EXITING: Final = 1 << 29
PAUSE_EXITING: Final = 1 << 30
ACTIVATE_SECONDARY: Final = 1 << 31

# Secondary processor-based VM-execution controls.
ENABLE_EPT: Final = 1 << 1
DESCRIPTOR_TABLE_EXITING: Final = 1 << 2
ENABLE_VPID: Final = 1 << 5
WBINVD_EXITING: Final = 1 << 6
UNRESTRICTED: Final = 1 << 7

# VM-exit and VM-entry controls.
SAVE_DEBUG: Final = 1 << 2
HOST_64_BITS: Final = 1 << 9
ACKNOWLEDGE_INTERRUPT: Final = 1 << 15
LOAD_DEBUG: Final = 1 << 2
IA32E_GUEST: Final = 1 << 9

BITS: Final[dict[int, tuple[Bit, ...]]] = {
    f.PIN_CONTROLS: (
        Bit(0, "external-interrupt-exiting", N_("external interrupts exit")),
        Bit(3, "nmi-exiting", N_("NMIs exit")),
        Bit(5, "virtual-nmis", N_("the blocking of NMIs is the guest's own")),
    ),
    f.PRIMARY_CONTROLS: (
        Bit(2, "interrupt-window-exiting", N_("exit as soon as the guest would take an interrupt")),
        Bit(3, "use-tsc-offsetting", N_("the guest reads the time stamp plus the offset")),
        Bit(7, "hlt-exiting", N_("HLT exits")),
        Bit(9, "invlpg-exiting", N_("INVLPG exits")),
        Bit(10, "mwait-exiting", N_("MWAIT exits; this processor has none")),
        Bit(11, "rdpmc-exiting", N_("RDPMC exits")),
        Bit(12, "rdtsc-exiting", N_("RDTSC exits")),
        Bit(15, "cr3-load-exiting", N_("MOV to CR3 exits, but for the CR3 targets")),
        Bit(16, "cr3-store-exiting", N_("MOV from CR3 exits")),
        Bit(19, "cr8-load-exiting", N_("MOV to CR8 exits; 32-bit code has no such register")),
        Bit(20, "cr8-store-exiting", N_("MOV from CR8 exits; 32-bit code has no such register")),
        Bit(21, "use-tpr-shadow", N_("the virtual-APIC page holds the task priority")),
        Bit(22, "nmi-window-exiting", N_("exit as soon as the guest would take an NMI")),
        Bit(23, "mov-dr-exiting", N_("moves to and from debug registers exit")),
        Bit(24, "unconditional-io-exiting", N_("every access to a port exits")),
        Bit(25, "use-io-bitmaps", N_("the I/O bitmaps say which ports exit")),
        Bit(28, "use-msr-bitmaps", N_("the MSR bitmaps say which RDMSR and WRMSR exit; otherwise all do")),
        Bit(29, "monitor-exiting", N_("MONITOR exits; this processor has none")),
        Bit(30, "pause-exiting", N_("PAUSE exits")),
        Bit(31, "activate-secondary-controls", N_("the secondary controls count")),
    ),
    f.SECONDARY_CONTROLS: (
        Bit(1, "enable-ept", N_("guest-physical addresses go through the extended page tables")),
        Bit(2, "descriptor-table-exiting", N_("LGDT, LIDT, LLDT, LTR, SGDT, SIDT, SLDT and STR exit")),
        Bit(5, "enable-vpid", N_("translations are tagged, and outlive entries and exits")),
        Bit(6, "wbinvd-exiting", N_("WBINVD exits")),
        Bit(7, "unrestricted-guest", N_("the guest may run in real mode and without paging")),
    ),
    f.EXIT_CONTROLS: (
        Bit(2, "save-debug-controls", N_("an exit saves DR7")),
        Bit(9, "host-address-space-size", N_("the host runs in 64-bit mode; this processor has none")),
        Bit(15, "acknowledge-interrupt-on-exit", N_("an exit for an interrupt fetches its vector")),
    ),
    f.ENTRY_CONTROLS: (
        Bit(2, "load-debug-controls", N_("an entry loads DR7")),
        Bit(9, "ia-32e-mode-guest", N_("the guest runs in IA-32e mode; this processor has none")),
    ),
}
"""The controls that have a meaning here, by the encoding of their field."""
