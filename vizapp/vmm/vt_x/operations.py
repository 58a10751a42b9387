"""The VMX instructions of the monitor's own code, as a phase executes and pays for them.

They go to the processor's VMX like those in bytes. One that fails is a defect of the monitor, for it names
only fields that there are and only VMCSs of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.machine.vmx.errors import ERRORS
from vizapp.machine.vmx.fields import BY_ENCODING
from vizapp.machine.vmx.region import Vmcs
from vizapp.machine.vmx.unit import VmxUnit

if TYPE_CHECKING:
    from vizapp.isa.addresses import HostPhysical
    from vizapp.machine.pc import Pc


def unit_of(pc: Pc) -> VmxUnit:
    """The processor's VMX."""
    unit = pc.cpu.unit
    assert isinstance(unit, VmxUnit)
    return unit


def vmread(pc: Pc, encoding: int) -> int:
    """VMREAD."""
    pc.meter.charge("vmread")
    unit = unit_of(pc)
    if unit.current is None or encoding not in unit.readable:
        raise _failure([encoding])
    return unit.current.read(encoding)


def vmread_all(pc: Pc, encodings: list[int]) -> list[int]:
    """VMREAD of each of some fields."""
    pc.meter.charge("vmread", len(encodings))
    unit = unit_of(pc)
    if unit.current is None or not unit.readable.issuperset(encodings):
        raise _failure(encodings)
    values = unit.current.read_all()
    return [values[encoding] for encoding in encodings]


def vmwrite(pc: Pc, encoding: int, value: int) -> None:
    """VMWRITE."""
    pc.meter.charge("vmwrite")
    unit = unit_of(pc)
    if unit.current is None or encoding not in unit.writable:
        raise _failure([encoding])
    unit.current.write(encoding, value)


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


def _failure(encodings: list[int]) -> RuntimeError:
    names = ", ".join(BY_ENCODING[encoding].name for encoding in encodings)
    return RuntimeError(f"VMREAD or VMWRITE of {names} fails")


NO_LINK: Final = (1 << 64) - 1
