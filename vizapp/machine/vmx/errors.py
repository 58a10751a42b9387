"""VM-instruction errors by number (SDM Vol. 3, "VM Instruction Error Numbers"), and VMX-abort indicators."""

from __future__ import annotations

from typing import Final

from vizapp.messages import N_, Message

VMCALL_IN_ROOT: Final = 1
VMCLEAR_ADDRESS: Final = 2
VMCLEAR_VMXON_POINTER: Final = 3
VMLAUNCH_NOT_CLEAR: Final = 4
VMRESUME_NOT_LAUNCHED: Final = 5
INVALID_CONTROLS: Final = 7
INVALID_HOST_STATE: Final = 8
VMPTRLD_ADDRESS: Final = 9
VMPTRLD_VMXON_POINTER: Final = 10
VMPTRLD_REVISION: Final = 11
UNSUPPORTED_COMPONENT: Final = 12
READ_ONLY_COMPONENT: Final = 13
VMXON_IN_ROOT: Final = 15
BLOCKED_BY_MOV_SS: Final = 26
INVALID_OPERAND: Final = 28

ERRORS: Final[dict[int, str]] = {
    1: N_("VMCALL executed in VMX root operation"),
    2: N_("VMCLEAR with invalid physical address"),
    3: N_("VMCLEAR with VMXON pointer"),
    4: N_("VMLAUNCH with non-clear VMCS"),
    5: N_("VMRESUME with non-launched VMCS"),
    6: N_("VMRESUME after VMXOFF"),
    7: N_("VM entry with invalid control field(s)"),
    8: N_("VM entry with invalid host-state field(s)"),
    9: N_("VMPTRLD with invalid physical address"),
    10: N_("VMPTRLD with VMXON pointer"),
    11: N_("VMPTRLD with incorrect VMCS revision identifier"),
    12: N_("VMREAD/VMWRITE from/to unsupported VMCS component"),
    13: N_("VMWRITE to read-only VMCS component"),
    15: N_("VMXON executed in VMX root operation"),
    16: N_("VM entry with invalid executive-VMCS pointer"),
    17: N_("VM entry with non-launched executive VMCS"),
    18: N_("VM entry with executive-VMCS pointer not VMXON pointer"),
    19: N_("VMCALL with non-clear VMCS"),
    20: N_("VMCALL with invalid VM-exit control fields"),
    22: N_("VMCALL with incorrect MSEG revision identifier"),
    23: N_("VMXOFF under dual-monitor treatment of SMIs and SMM"),
    24: N_("VMCALL with invalid SMM-monitor features"),
    25: N_("VM entry with invalid VM-execution control fields in executive VMCS"),
    26: N_("VM entry with events blocked by MOV SS"),
    28: N_("Invalid operand to INVEPT/INVVPID"),
}
"""The manual's own words; numbers 14, 21 and 27 are not used."""

# VMX-abort indicators.
ABORT_SAVING_MSRS: Final = 1
ABORT_HOST_PDPTES: Final = 2
ABORT_LOADING_MSRS: Final = 4

ABORTS: Final[dict[int, str]] = {
    ABORT_SAVING_MSRS: N_("a guest MSR could not be saved"),
    ABORT_HOST_PDPTES: N_("the host's PDPTEs have a reserved bit set"),
    ABORT_LOADING_MSRS: N_("a host MSR could not be loaded"),
}


def message(number: int) -> Message:
    """A VM-instruction error as a sentence."""
    return Message(ERRORS[number])
