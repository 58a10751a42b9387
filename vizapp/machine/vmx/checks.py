"""What VM entry checks before it touches the processor: controls (error 7) and host state (error 8).

SDM Vol. 3, "Checks on VMX Controls and Host-State Area". Each check that fails gives the sentence that says
which; the instruction that meets it fails and the next one of the host runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from vizapp.isa import descriptors as d
from vizapp.isa import vectors
from vizapp.isa.addresses import M32, PAGE_MASK
from vizapp.isa.registers import CR0_PE, CR0_PG
from vizapp.machine.ept import is_valid_pointer
from vizapp.machine.guest_mode import HARDWARE_EXCEPTION, NMI, SOFTWARE_INTERRUPT
from vizapp.machine.vmx import controls as c
from vizapp.machine.vmx import fields as f
from vizapp.machine.vmx.capabilities import CR3_TARGETS, Capabilities
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.machine.memory import PhysicalMemory

Values = Mapping[int, int]

# An event in the layout that the entry, exit and vectoring information fields share.
#    31 valid | 30:13 0 | 12 NMI unblocking | 11 error code | 10:8 type | 7:0 vector
INFO_VALID: Final = 1 << 31
INFO_ERROR: Final = 1 << 11
INFO_TYPE_SHIFT: Final = 8
_INFO_RESERVED: Final = 0x7FFF_F000
_RESERVED_TYPE, _OTHER_TYPE = 1, 7
_LONGEST: Final = 15
_ERROR_BITS: Final = 0xFFFF
_MSR_BYTES: Final = 16
_REMEMBERED: Final = 256
_VTPR: Final = 0x80
_FIELD_NAMES: Final = {field.encoding: field.name for field in f.FIELDS}


def secondary_of(values: Values) -> int:
    """The secondary controls that count."""
    return values[f.SECONDARY_CONTROLS] if values[f.PRIMARY_CONTROLS] & c.ACTIVATE_SECONDARY else 0


def _wrong(encoding: int) -> Message:
    return Message(N_("{field} does not hold what it must"), {"field": _FIELD_NAMES[encoding]})


def check_controls(capable: Capabilities, memory: PhysicalMemory, values: Values) -> Message | None:
    """What is wrong with the VM-execution, VM-exit and VM-entry control fields."""
    settings = _settings(values)
    if settings in capable.passed:
        return check_entry(memory, values)
    wrong = _check_settings(capable, values)
    if wrong is not None:
        return wrong
    if len(capable.passed) >= _REMEMBERED:
        capable.passed.clear()
    capable.passed.add(settings)
    return check_entry(memory, values)


def check_entry(memory: PhysicalMemory, values: Values) -> Message | None:
    """What is wrong with that of the controls which may be otherwise at each entry."""
    return _check_tpr(memory, values) or _check_event(values)


# What the judgement of the controls depends on; the event to be injected, another one each time, is apart.
_settings = itemgetter(
    *(
        field.encoding
        for field in f.FIELDS
        if field.type == f.CONTROL
        and field.encoding not in (f.ENTRY_INFO, f.ENTRY_ERROR, f.ENTRY_LENGTH, f.TSC_OFFSET)
    )
)


def _check_settings(capable: Capabilities, values: Values) -> Message | None:
    for encoding, allowed in capable.allowed.items():
        counts = encoding != f.SECONDARY_CONTROLS or values[f.PRIMARY_CONTROLS] & c.ACTIVATE_SECONDARY
        if counts and not allowed.accepts(values[encoding]):
            sentence = N_("{field} has {bits} where this processor allows between {least} and {most}")
            return Message(
                sentence,
                {
                    "field": _FIELD_NAMES[encoding],
                    "bits": f"{values[encoding]:#x}",
                    "least": f"{allowed.ones:#x}",
                    "most": f"{allowed.may:#x}",
                },
            )
    return _check_execution(values) or _check_secondary(values) or _check_msr_areas(values)


def _check_execution(values: Values) -> Message | None:
    pin, primary = values[f.PIN_CONTROLS], values[f.PRIMARY_CONTROLS]
    if values[f.CR3_TARGET_COUNT] > CR3_TARGETS:
        return Message(N_("there are no more than {most} CR3 targets"), {"most": CR3_TARGETS})
    pages = []
    if primary & c.USE_IO_BITMAPS:
        pages += [f.IO_BITMAP_A, f.IO_BITMAP_B]
    if primary & c.USE_MSR_BITMAPS:
        pages.append(f.MSR_BITMAP)
    if primary & c.USE_TPR_SHADOW:
        pages.append(f.VIRTUAL_APIC)
    for encoding in pages:
        if values[encoding] & PAGE_MASK or values[encoding] > M32:
            return Message(N_("{field} is not the address of a page"), {"field": _FIELD_NAMES[encoding]})
    if pin & c.VIRTUAL_NMIS and not pin & c.NMI_EXITING:
        return Message(N_("virtual NMIs need NMI exiting"))
    if primary & c.NMI_WINDOW and not pin & c.VIRTUAL_NMIS:
        return Message(N_("NMI-window exiting needs virtual NMIs"))
    return None


def _check_secondary(values: Values) -> Message | None:
    secondary = secondary_of(values)
    if secondary & c.ENABLE_VPID and not values[f.VPID_FIELD]:
        return Message(N_("VPID 0 is the host's own"))
    if secondary & c.ENABLE_EPT and not is_valid_pointer(values[f.EPT_POINTER]):
        return _wrong(f.EPT_POINTER)
    if secondary & c.UNRESTRICTED and not secondary & c.ENABLE_EPT:
        return Message(N_("an unrestricted guest needs EPT"))
    return None


def _check_tpr(memory: PhysicalMemory, values: Values) -> Message | None:
    if not values[f.PRIMARY_CONTROLS] & c.USE_TPR_SHADOW:
        return None
    threshold = values[f.TPR_THRESHOLD]
    if threshold >> 4 or threshold > memory.read(values[f.VIRTUAL_APIC] + _VTPR, 1) >> 4:
        return _wrong(f.TPR_THRESHOLD)
    return None


def _check_msr_areas(values: Values) -> Message | None:
    for count, at in (
        (f.EXIT_MSR_STORE_COUNT, f.EXIT_MSR_STORE),
        (f.EXIT_MSR_LOAD_COUNT, f.EXIT_MSR_LOAD),
        (f.ENTRY_MSR_LOAD_COUNT, f.ENTRY_MSR_LOAD),
    ):
        number, address = values[count], values[at]
        if number and (address & _MSR_BYTES - 1 or address + number * _MSR_BYTES - 1 > M32):
            return Message(N_("{field} is not where an MSR area can be"), {"field": _FIELD_NAMES[at]})
    return None


def _check_event(values: Values) -> Message | None:
    """The event to be injected; its error code and length, where it has them."""
    info = values[f.ENTRY_INFO]
    if not info & INFO_VALID:
        return None
    vector, kind = info & 0xFF, info >> INFO_TYPE_SHIFT & 7
    unrestricted = secondary_of(values) & c.UNRESTRICTED
    protected = not unrestricted or values[f.GUEST_CR0] & CR0_PE
    has_error = bool(kind == HARDWARE_EXCEPTION and vector in vectors.WITH_ERROR_CODE and protected)
    if (
        info & _INFO_RESERVED
        or kind in (_RESERVED_TYPE, _OTHER_TYPE)
        or (kind == NMI and vector != vectors.NMI)
        or (kind == HARDWARE_EXCEPTION and vector > 31)
        or bool(info & INFO_ERROR) != has_error
    ):
        return _wrong(f.ENTRY_INFO)
    if has_error and values[f.ENTRY_ERROR] & ~_ERROR_BITS:
        return _wrong(f.ENTRY_ERROR)
    if kind >= SOFTWARE_INTERRUPT and not 1 <= values[f.ENTRY_LENGTH] <= _LONGEST:
        return _wrong(f.ENTRY_LENGTH)
    return None


def check_host_state(capable: Capabilities, values: Values) -> Message | None:
    """What is wrong with the host-state area."""
    cr0, cr4 = values[f.HOST_CR0], values[f.HOST_CR4]
    if cr0 & capable.cr0_fixed != capable.cr0_fixed or (cr0 & CR0_PG and not cr0 & CR0_PE):
        return _wrong(f.HOST_CR0)
    if cr4 & capable.cr4_fixed != capable.cr4_fixed or cr4 & ~capable.cr4_bits:
        return _wrong(f.HOST_CR4)
    for encoding in f.HOST_SELECTORS:
        if values[encoding] & (d.SELECTOR_RPL | d.SELECTOR_LDT):
            return Message(N_("{field} has an RPL, or names the LDT"), {"field": _FIELD_NAMES[encoding]})
    _, cs, ss, _, _, _, tr = f.HOST_SELECTORS
    for encoding in (cs, ss, tr):
        if d.is_null(values[encoding]):
            return Message(N_("{field} is null"), {"field": _FIELD_NAMES[encoding]})
    return None
