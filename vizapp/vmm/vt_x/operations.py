"""The VMX instructions of the monitor's own code, as a phase executes and pays for them.

They go to the processor's VMX like those in bytes. One that fails is a defect of the monitor, for it names
only fields that there are and only VMCSs of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.machine.vmx.errors import ERRORS
from vizapp.machine.vmx.fields import BY_ENCODING, EXIT_INFORMATION, exists
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
    field = BY_ENCODING[encoding]
    if unit.current is None or not exists(field, unit.capable.features):
        raise RuntimeError(f"VMREAD or VMWRITE of {field.name} fails")
    if write and field.type == EXIT_INFORMATION:
        raise RuntimeError(f"VMWRITE of {field.name} fails")
    return unit.current


NO_LINK: Final = (1 << 64) - 1
