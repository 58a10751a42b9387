"""The controls that the monitor asks for, fitted to what the processor's capability MSRs allow.

A name in ``INTERCEPTS`` can be asked for otherwise, to see what becomes of the exits: unless the processor
fixes it, or the guest would escape its monitor by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.errors import ScenarioError
from vizapp.isa import registers as r
from vizapp.isa import vectors
from vizapp.isa.addresses import M32
from vizapp.machine.vmx import controls as c
from vizapp.machine.vmx import fields as f
from vizapp.messages import N_, Message
from vizapp.vmm.host_tables import CODE_SELECTOR, DATA_SELECTOR, GDT, IDT, TSS, TSS_SELECTOR
from vizapp.vmm.vt_x import switch
from vizapp.vmm.vt_x.operations import NO_LINK

if TYPE_CHECKING:
    from vizapp.machine.vmx.capabilities import Allowed, Capabilities
    from vizapp.vmm.hardware_assisted.control_structure import Controls
    from vizapp.vmm.vt_x.structure import VmcsStructure

ALL_EXCEPTIONS: Final = M32
_CR3: Final = c.CR3_LOAD_EXITING | c.CR3_STORE_EXITING

INTERCEPTS: Final[dict[str, int]] = {
    "hlt": c.HLT_EXITING,
    "invlpg": c.INVLPG_EXITING,
    "rdtsc": c.RDTSC_EXITING,
    "rdpmc": c.RDPMC_EXITING,
    "cr3": _CR3,
    "dr": c.MOV_DR_EXITING,
    "pause": c.PAUSE_EXITING,
}
"""Optional exits by name: bits of the primary controls. ``page-fault`` is one of the exception bitmap."""
PAGE_FAULT: Final = "page-fault"


class Chosen(NamedTuple):
    """The control fields, and the exceptions that exit while the guest runs by itself."""

    pin: int
    primary: int
    secondary: int
    exit: int
    entry: int
    exceptions: int


def chosen_controls(capable: Capabilities, controls: Controls) -> Chosen:
    """What the monitor wants, within what may be.

    Raises:
        ScenarioError: an intercept cannot be what it was asked to be.
    """
    nested = controls.nested is not None
    primary = c.HLT_EXITING | c.UNCONDITIONAL_IO | c.USE_TSC_OFFSETTING
    primary |= c.ACTIVATE_SECONDARY if nested else c.INVLPG_EXITING | _CR3
    secondary = 0
    if nested:
        wanted = c.ENABLE_EPT | c.ENABLE_VPID | c.UNRESTRICTED
        secondary = wanted & capable.allowed[f.SECONDARY_CONTROLS].may
    exceptions = 0 if nested else 1 << vectors.PF
    for name, wanted_on in controls.intercepts.items():
        if name == PAGE_FAULT:
            if not wanted_on and not nested:
                raise _needed(name)
            exceptions = 1 << vectors.PF if wanted_on else 0
            continue
        if name not in INTERCEPTS:
            raise ScenarioError(
                Message(
                    N_("there is no intercept {name}; there are {names}"),
                    {"name": name, "names": ", ".join((*INTERCEPTS, PAGE_FAULT))},
                )
            )
        if not wanted_on and name in ("invlpg", "cr3") and not nested:
            raise _needed(name)
        bits = INTERCEPTS[name]
        primary = primary | bits if wanted_on else primary & ~bits
    _check(capable, primary, controls)
    return Chosen(
        _fit(capable, f.PIN_CONTROLS, c.EXTERNAL_INTERRUPT_EXITING | c.NMI_EXITING | c.VIRTUAL_NMIS),
        _fit(capable, f.PRIMARY_CONTROLS, primary),
        secondary,
        _fit(capable, f.EXIT_CONTROLS, c.SAVE_DEBUG),
        _fit(capable, f.ENTRY_CONTROLS, c.LOAD_DEBUG),
        exceptions,
    )


def set_up(structure: VmcsStructure, controls: Controls, chosen: Chosen) -> None:
    """VMWRITE the controls and the host state: where exits lead."""
    keep, tables = structure.keep, controls.host_tables
    keep("pin_based_controls", chosen.pin)
    keep("primary_controls", chosen.primary)
    keep("exit_controls", chosen.exit)
    keep("entry_controls", chosen.entry)
    keep("exception_bitmap", chosen.exceptions)
    keep("vmcs_link_pointer", NO_LINK)
    if chosen.secondary:
        assert controls.nested is not None
        keep("secondary_controls", chosen.secondary)
        keep("ept_pointer", controls.nested.pointer)
        if chosen.secondary & c.ENABLE_VPID:
            keep("vpid", controls.tag)
    for name, value in (
        ("cr0", r.CR0_PE | r.CR0_PG | r.CR0_NE | r.CR0_WP | r.CR0_ET),
        ("cr3", controls.host_cr3),
        ("cr4", r.CR4_VMXE),
        ("cs_selector", CODE_SELECTOR),
        *((f"{segment}_selector", DATA_SELECTOR) for segment in ("es", "ss", "ds")),
        ("tr_selector", TSS_SELECTOR),
        ("tr_base", tables.base + TSS),
        ("gdtr_base", tables.base + GDT),
        ("idtr_base", tables.base + IDT),
        ("rsp", controls.host_esp),
        ("rip", controls.switch_code + switch.EXIT),
    ):
        keep(f"host_{name}", value)


def _fit(capable: Capabilities, encoding: int, wanted: int) -> int:
    allowed: Allowed = capable.allowed[encoding]
    return (wanted | allowed.ones) & allowed.may


def _check(capable: Capabilities, primary: int, controls: Controls) -> None:
    allowed = capable.allowed[f.PRIMARY_CONTROLS]
    for name, bits in INTERCEPTS.items():
        if name in controls.intercepts and (
            (not primary & bits and allowed.ones & bits) or (primary & bits and bits & ~allowed.may)
        ):
            sentence = N_("the processor fixes the intercept {name}: it cannot be changed")
            raise ScenarioError(Message(sentence, {"name": name}))


def _needed(name: str) -> ScenarioError:
    sentence = N_("shadow paging needs the intercept {name}: without it the guest would escape its monitor")
    return ScenarioError(Message(sentence, {"name": name}))
