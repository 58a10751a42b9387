"""The VMX instructions of the monitor's own code, as a phase executes and pays for them.

They go to the processor's VMX like those in bytes. One that fails is a defect of the monitor, for it names
only fields that there are and only VMCSs of its own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from vizapp.machine.vmx.errors import ERRORS
from vizapp.machine.vmx.fields import BY_ENCODING, EXIT_INFORMATION, FIELDS, exists
from vizapp.machine.vmx.region import Vmcs
from vizapp.machine.vmx.unit import VmxUnit

if TYPE_CHECKING:
    from vizapp.isa.addresses import HostPhysical
    from vizapp.machine.pc import Pc

WRITE, READ = True, False


def unit_of(pc: Pc) -> VmxUnit:
    """The processor's VMX."""
    unit = pc.cpu.unit
    assert isinstance(unit, VmxUnit)
    return unit


def vmread(pc: Pc, encoding: int) -> int:
    """VMREAD."""
    pc.meter.charge("vmread")
    return _current(pc, encoding, READ).read(encoding)


def vmwrite(pc: Pc, encoding: int, value: int) -> None:
    """VMWRITE."""
    pc.meter.charge("vmwrite")
    _current(pc, encoding, WRITE).write(encoding, value)


def vmptrld(pc: Pc, address: HostPhysical) -> None:
    """VMPTRLD."""
    pc.meter.charge("vmcs_switch")
    unit_of(pc).make_current(address)


def vmclear(pc: Pc, address: HostPhysical) -> None:
    """VMCLEAR."""
    pc.meter.charge("vmcs_switch")
    unit = unit_of(pc)
    Vmcs(pc.memory, address).launched = False
    if unit.current is not None and unit.current.address == address:
        unit.make_current(None)


def invept(pc: Pc) -> None:
    """INVEPT."""
    pc.meter.charge("invept")
    unit_of(pc).mmu.flush_nested()


def message(number: int) -> str:
    """A VM-instruction error in the manual's words."""
    return ERRORS.get(number, "?")


def _current(pc: Pc, encoding: int, write: bool) -> Vmcs:
    unit = unit_of(pc)
    if unit.current is None or encoding not in _fields(unit.capable.features, write):
        raise RuntimeError(f"VMREAD or VMWRITE of {BY_ENCODING[encoding].name} fails")
    return unit.current


@lru_cache
def _fields(features: frozenset[str], writable: bool) -> frozenset[int]:
    """The encodings of the fields of a processor, or of those among them that can be written."""
    return frozenset(
        field.encoding
        for field in FIELDS
        if exists(field, features) and not (writable and field.type == EXIT_INFORMATION)
    )


NO_LINK: Final = (1 << 64) - 1
