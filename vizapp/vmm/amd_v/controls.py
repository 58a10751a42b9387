"""What the monitor intercepts, and the rest of a new VMCB.

A name in ``INTERCEPTS`` can be asked for otherwise, to see what becomes of the exits: unless the guest would
escape its monitor by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.errors import ScenarioError
from vizapp.machine.svm.checks import EFER_SVME, NP_ENABLE
from vizapp.machine.svm.codes import INTERCEPTS as BITS
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from vizapp.vmm.amd_v.structure import VmcbStructure
    from vizapp.vmm.hardware_assisted.control_structure import Controls

_ALWAYS: Final = (
    "intr", "nmi", "cpuid", "hlt", "ioio", "msr", "shutdown", "invd", "wbinvd",
    "vmrun", "vmmcall", "vmload", "vmsave", "stgi", "clgi", "skinit", "invlpga", "exception-gp",
)  # fmt: skip
_SHADOW: Final = (
    "exception-pf", "invlpg", "task-switch", "cr0-sel-write",
    "cr3-read", "cr3-write", "cr4-write",
)  # fmt: skip
INTERCEPTS: Final[dict[str, tuple[str, ...]]] = {
    "invlpg": ("invlpg",),
    "rdtsc": ("rdtsc",),
    "rdpmc": ("rdpmc",),
    "cr3": ("cr3-read", "cr3-write"),
    "page-fault": ("exception-pf",),
    "general-protection": ("exception-gp",),
    "pushf": ("pushf",),
    "popf": ("popf",),
    "iret": ("iret",),
    "swint": ("swint",),
    "pause": ("pause",),
    "task-switch": ("task-switch",),
}
"""Optional intercepts by name. HLT is none: a VMCB does not say that its guest waits."""
_V_INTR_MASKING: Final = 1 << 24


class Chosen(NamedTuple):
    """The words of the VMCB that intercept."""

    control_registers: int
    debug_registers: int
    exceptions: int
    first: int
    second: int


def chosen_intercepts(controls: Controls, cr4_bits: int) -> Chosen:
    """What the monitor wants to see; ``cr4_bits`` are those that the processor has.

    Raises:
        ScenarioError: an intercept cannot be what it was asked to be.
    """
    nested = controls.nested is not None
    names = set(_ALWAYS if nested else (*_ALWAYS, *_SHADOW))
    if cr4_bits != controls.cr4_bits:
        names.add("cr4-write")  # bits that the guest's processor has not are #GP
    for name, wanted in controls.intercepts.items():
        if name not in INTERCEPTS:
            sentence = N_("there is no intercept {name}; there are {names}")
            raise ScenarioError(Message(sentence, {"name": name, "names": ", ".join(INTERCEPTS)}))
        if wanted:
            names.update(INTERCEPTS[name])
        elif not nested and not names.isdisjoint(INTERCEPTS[name]) and set(INTERCEPTS[name]) & set(_SHADOW):
            sentence = N_(
                "shadow paging needs the intercept {name}: without it the guest would escape its monitor"
            )
            raise ScenarioError(Message(sentence, {"name": name}))
        else:
            names.difference_update(INTERCEPTS[name])
    words: dict[str, int] = {}
    for name in names:
        found = BITS[name]
        words[found.field] = words.get(found.field, 0) | 1 << found.bit
    return Chosen(
        words.get("intercept_cr", 0),
        words.get("intercept_dr", 0),
        words.get("intercept_exceptions", 0),
        words.get("intercept_misc1", 0),
        words.get("intercept_misc2", 0),
    )


def set_up(structure: VmcbStructure, controls: Controls, chosen: Chosen) -> None:
    """Write the control area, and the one register of the guest that the guest has no say in."""
    keep = structure.keep
    keep("intercept_cr", chosen.control_registers)
    keep("intercept_dr", chosen.debug_registers)
    keep("intercept_exceptions", chosen.exceptions)
    keep("intercept_misc1", chosen.first)
    keep("intercept_misc2", chosen.second)
    ports, registers = structure.maps
    keep("iopm_base_pa", ports)
    keep("msrpm_base_pa", registers)
    keep("guest_asid", controls.tag)
    keep("v_intr", _V_INTR_MASKING)
    keep("efer", EFER_SVME)
    if controls.nested is not None:
        keep("np_enable", NP_ENABLE)
        keep("n_cr3", controls.nested.pointer)
