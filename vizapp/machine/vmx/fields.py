"""The fields of a VMCS: one table of names, encodings and what each is, for people.

    encoding    14:13 width         11:10 type               9:1 index   0 access
                0 16 bits           0 control                            1: high half of
                1 64 bits           1 exit information                      a 64-bit field
                2 32 bits           2 guest state
                3 natural width     3 host state

Natural width is 32 bits here. SDM Vol. 3, "Field Encoding in VMCS".
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

from vizapp.machine.inputs import EPT, UNRESTRICTED_GUEST, VPID
from vizapp.messages import N_

# Types of fields.
CONTROL, EXIT_INFORMATION, GUEST, HOST = range(4)
TYPES: Final = (N_("control"), N_("exit information"), N_("guest state"), N_("host state"))
_WIDTHS: Final = (2, 8, 4, 4)
HIGH: Final = 1

# What a field needs that not every processor with VMX has.
SECONDARY: Final = "secondary"


class Field(NamedTuple):
    """A field: the manual's name with underscores, its encoding, and what it is.

    ``needs``: a feature of the processor without which it does not exist: of ``machine.inputs``, or
    ``SECONDARY`` (secondary controls, which came with EPT); empty: it always does.
    """

    name: str
    encoding: int
    gloss: str
    needs: str = ""

    @property
    def type(self) -> int:
        """CONTROL, EXIT_INFORMATION, GUEST or HOST."""
        return self.encoding >> 10 & 3

    @property
    def width(self) -> int:
        """Bytes: 2, 4 or 8."""
        return _WIDTHS[self.encoding >> 13 & 3]

    @property
    def natural(self) -> bool:
        """Whether it would have 64 bits on a processor with Intel 64."""
        return self.encoding >> 13 & 3 == 3


class _Table:
    """The rows in the order of their definition; each definition is its encoding."""

    def __init__(self) -> None:
        self.rows: list[Field] = []

    def add(self, encoding: int, name: str, gloss: str, needs: str = "") -> int:
        self.rows.append(Field(name, encoding, gloss, needs))
        return encoding


_table = _Table()
_field = _table.add

# Controls.
VPID_FIELD: Final = _field(0x0000, "vpid", N_("virtual-processor identifier: tags translations"), VPID)
IO_BITMAP_A: Final = _field(0x2000, "io_bitmap_a", N_("address of the bitmap for ports 0 to 7fff"))
IO_BITMAP_B: Final = _field(0x2002, "io_bitmap_b", N_("address of the bitmap for ports 8000 to ffff"))
MSR_BITMAP: Final = _field(0x2004, "msr_bitmap", N_("address of the bitmaps for RDMSR and WRMSR"))
EXIT_MSR_STORE: Final = _field(0x2006, "exit_msr_store_address", N_("where a VM exit stores MSRs"))
EXIT_MSR_LOAD: Final = _field(0x2008, "exit_msr_load_address", N_("from where a VM exit loads MSRs"))
ENTRY_MSR_LOAD: Final = _field(0x200A, "entry_msr_load_address", N_("from where a VM entry loads MSRs"))
EXECUTIVE_VMCS: Final = _field(0x200C, "executive_vmcs_pointer", N_("for system management mode"))
TSC_OFFSET: Final = _field(0x2010, "tsc_offset", N_("added to the time stamp that the guest reads"))
VIRTUAL_APIC: Final = _field(0x2012, "virtual_apic_address", N_("address of the virtual-APIC page"))
EPT_POINTER: Final = _field(0x201A, "ept_pointer", N_("root of the extended page tables"), EPT)
PIN_CONTROLS: Final = _field(0x4000, "pin_based_controls", N_("which interrupts exit"))
PRIMARY_CONTROLS: Final = _field(0x4002, "primary_controls", N_("which instructions exit"))
EXCEPTION_BITMAP: Final = _field(0x4004, "exception_bitmap", N_("which exceptions exit, a bit a vector"))
PF_MASK: Final = _field(0x4006, "page_fault_error_mask", N_("which bits of a #PF's error code are compared"))
PF_MATCH: Final = _field(0x4008, "page_fault_error_match", N_("with what they are compared"))
CR3_TARGET_COUNT: Final = _field(0x400A, "cr3_target_count", N_("how many CR3 values do not exit"))
EXIT_CONTROLS: Final = _field(0x400C, "exit_controls", N_("what a VM exit does"))
EXIT_MSR_STORE_COUNT: Final = _field(0x400E, "exit_msr_store_count", N_("MSRs stored by a VM exit"))
EXIT_MSR_LOAD_COUNT: Final = _field(0x4010, "exit_msr_load_count", N_("MSRs loaded by a VM exit"))
ENTRY_CONTROLS: Final = _field(0x4012, "entry_controls", N_("what a VM entry does"))
ENTRY_MSR_LOAD_COUNT: Final = _field(0x4014, "entry_msr_load_count", N_("MSRs loaded by a VM entry"))
ENTRY_INFO: Final = _field(0x4016, "entry_interruption_info", N_("the event that a VM entry injects"))
ENTRY_ERROR: Final = _field(0x4018, "entry_exception_error", N_("the error code of the injected event"))
ENTRY_LENGTH: Final = _field(0x401A, "entry_instruction_length", N_("length of the injected instruction"))
TPR_THRESHOLD: Final = _field(0x401C, "tpr_threshold", N_("below it the virtual TPR exits"))
SECONDARY_CONTROLS: Final = _field(
    0x401E, "secondary_controls", N_("further wishes, from EPT to unrestricted guests"), SECONDARY
)
CR0_MASK: Final = _field(0x6000, "cr0_guest_host_mask", N_("the bits of CR0 that the monitor owns"))
CR4_MASK: Final = _field(0x6002, "cr4_guest_host_mask", N_("the bits of CR4 that the monitor owns"))
CR0_SHADOW: Final = _field(0x6004, "cr0_read_shadow", N_("what the guest reads in the owned bits of CR0"))
CR4_SHADOW: Final = _field(0x6006, "cr4_read_shadow", N_("what the guest reads in the owned bits of CR4"))
CR3_TARGETS: Final = tuple(
    _field(0x6008 + 2 * index, f"cr3_target_{index}", N_("a value of CR3 that does not exit"))
    for index in range(4)
)

# Exit information.
GUEST_PHYSICAL: Final = _field(0x2400, "guest_physical_address", N_("the address that EPT refused"), EPT)
INSTRUCTION_ERROR: Final = _field(0x4400, "vm_instruction_error", N_("why the last VMX instruction failed"))
EXIT_REASON: Final = _field(0x4402, "exit_reason", N_("why the guest was left"))
EXIT_INFO: Final = _field(0x4404, "exit_interruption_info", N_("the event that exited"))
EXIT_ERROR: Final = _field(0x4406, "exit_interruption_error", N_("its error code"))
VECTORING_INFO: Final = _field(0x4408, "idt_vectoring_info", N_("the event that was being delivered"))
VECTORING_ERROR: Final = _field(0x440A, "idt_vectoring_error", N_("its error code"))
EXIT_LENGTH: Final = _field(0x440C, "exit_instruction_length", N_("bytes of the instruction that exited"))
INSTRUCTION_INFO: Final = _field(0x440E, "exit_instruction_info", N_("its operands"))
QUALIFICATION: Final = _field(0x6400, "exit_qualification", N_("more about the reason"))
IO_RCX: Final = _field(0x6402, "io_rcx", N_("for system management mode"))
IO_RSI: Final = _field(0x6404, "io_rsi", N_("for system management mode"))
IO_RDI: Final = _field(0x6406, "io_rdi", N_("for system management mode"))
IO_RIP: Final = _field(0x6408, "io_rip", N_("for system management mode"))
GUEST_LINEAR: Final = _field(0x640A, "guest_linear_address", N_("the linear address that was accessed"))

# Guest and host state; the segments in the manual's order.
SEGMENTS: Final = ("es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr")
GUEST_SELECTORS: Final = tuple(
    _field(0x0800 + 2 * index, f"guest_{name}_selector", N_("selector of a segment register"))
    for index, name in enumerate(SEGMENTS)
)
LINK_POINTER: Final = _field(0x2800, "vmcs_link_pointer", N_("all ones: no further VMCS"))
GUEST_DEBUGCTL: Final = _field(0x2802, "guest_ia32_debugctl", N_("debug control MSR"))
GUEST_PDPTES: Final = tuple(
    _field(0x280A + 2 * index, f"guest_pdpte{index}", N_("a PDPTE of a guest with PAE below EPT"), EPT)
    for index in range(4)
)
_TABLES: Final = ("gdtr", "idtr")
GUEST_LIMITS: Final = tuple(
    _field(0x4800 + 2 * index, f"guest_{name}_limit", N_("last valid offset"))
    for index, name in enumerate((*SEGMENTS, *_TABLES))
)
GDTR_LIMIT, IDTR_LIMIT = GUEST_LIMITS[8:]
GUEST_RIGHTS: Final = tuple(
    _field(0x4814 + 2 * index, f"guest_{name}_access_rights", N_("access rights; bit 16: unusable"))
    for index, name in enumerate(SEGMENTS)
)
INTERRUPTIBILITY: Final = _field(0x4824, "guest_interruptibility", N_("what blocks interrupts and NMIs"))
ACTIVITY: Final = _field(0x4826, "guest_activity", N_("whether it runs or waits in HLT"))
GUEST_SMBASE: Final = _field(0x4828, "guest_smbase", N_("for system management mode"))
GUEST_SYSENTER_CS: Final = _field(0x482A, "guest_sysenter_cs", N_("IA32_SYSENTER_CS"))
GUEST_CR0: Final = _field(0x6800, "guest_cr0", N_("control register CR0"))
GUEST_CR3: Final = _field(0x6802, "guest_cr3", N_("control register CR3"))
GUEST_CR4: Final = _field(0x6804, "guest_cr4", N_("control register CR4"))
GUEST_BASES: Final = tuple(
    _field(0x6806 + 2 * index, f"guest_{name}_base", N_("linear address of its first byte"))
    for index, name in enumerate((*SEGMENTS, *_TABLES))
)
GDTR_BASE, IDTR_BASE = GUEST_BASES[8:]
GUEST_DR7: Final = _field(0x681A, "guest_dr7", N_("debug register DR7"))
GUEST_RSP: Final = _field(0x681C, "guest_rsp", N_("stack pointer"))
GUEST_RIP: Final = _field(0x681E, "guest_rip", N_("instruction pointer"))
GUEST_RFLAGS: Final = _field(0x6820, "guest_rflags", N_("flags"))
PENDING_DEBUG: Final = _field(0x6822, "guest_pending_debug_exceptions", N_("bits of DR6 that are due"))
GUEST_SYSENTER_ESP: Final = _field(0x6824, "guest_sysenter_esp", N_("IA32_SYSENTER_ESP"))
GUEST_SYSENTER_EIP: Final = _field(0x6826, "guest_sysenter_eip", N_("IA32_SYSENTER_EIP"))

_HOST_SELECTED: Final = ("es", "cs", "ss", "ds", "fs", "gs", "tr")
HOST_SELECTORS: Final = tuple(
    _field(0x0C00 + 2 * index, f"host_{name}_selector", N_("selector of a segment register"))
    for index, name in enumerate(_HOST_SELECTED)
)
HOST_SYSENTER_CS: Final = _field(0x4C00, "host_sysenter_cs", N_("IA32_SYSENTER_CS"))
HOST_CR0: Final = _field(0x6C00, "host_cr0", N_("control register CR0"))
HOST_CR3: Final = _field(0x6C02, "host_cr3", N_("control register CR3"))
HOST_CR4: Final = _field(0x6C04, "host_cr4", N_("control register CR4"))
HOST_FS_BASE: Final = _field(0x6C06, "host_fs_base", N_("linear address of its first byte"))
HOST_GS_BASE: Final = _field(0x6C08, "host_gs_base", N_("linear address of its first byte"))
HOST_TR_BASE: Final = _field(0x6C0A, "host_tr_base", N_("linear address of its first byte"))
HOST_GDTR_BASE: Final = _field(0x6C0C, "host_gdtr_base", N_("linear address of its first byte"))
HOST_IDTR_BASE: Final = _field(0x6C0E, "host_idtr_base", N_("linear address of its first byte"))
HOST_SYSENTER_ESP: Final = _field(0x6C10, "host_sysenter_esp", N_("IA32_SYSENTER_ESP"))
HOST_SYSENTER_EIP: Final = _field(0x6C12, "host_sysenter_eip", N_("IA32_SYSENTER_EIP"))
HOST_RSP: Final = _field(0x6C14, "host_rsp", N_("stack pointer"))
HOST_RIP: Final = _field(0x6C16, "host_rip", N_("where a VM exit leads"))

FIELDS: Final[tuple[Field, ...]] = tuple(sorted(_table.rows, key=lambda row: row.encoding))
"""Every field, by encoding."""

BY_ENCODING: Final[dict[int, Field]] = {field.encoding: field for field in FIELDS}
BY_NAME: Final[dict[str, Field]] = {field.name: field for field in FIELDS}


def exists(field: Field, features: frozenset[str]) -> bool:
    """Whether a processor with these features of ``machine.inputs`` has the field."""
    if field.needs == SECONDARY:
        return not features.isdisjoint((EPT, VPID, UNRESTRICTED_GUEST))
    return not field.needs or field.needs in features


@cache
def readable(features: frozenset[str]) -> frozenset[int]:
    """The encodings of the fields of a processor with these features: what VMREAD takes."""
    return frozenset(field.encoding for field in FIELDS if exists(field, features))


@cache
def writable(features: frozenset[str]) -> frozenset[int]:
    """Those among them that VMWRITE takes."""
    return readable(features) - {field.encoding for field in FIELDS if field.type == EXIT_INFORMATION}
