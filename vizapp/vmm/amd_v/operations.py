"""The SVM instructions of a monitor's own code, as a phase executes and pays for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import PAGE_SHIFT
from vizapp.machine.svm.instructions import load_rest, save_rest
from vizapp.machine.svm.unit import SvmUnit

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc


def unit_of(pc: Pc) -> SvmUnit:
    """The processor's SVM."""
    unit = pc.cpu.unit
    assert isinstance(unit, SvmUnit)
    return unit


def vmload(pc: Pc, frame: int) -> None:
    """VMLOAD from the VMCB in a frame."""
    pc.meter.charge("vmload_save")
    load_rest(unit_of(pc), pc.cpu, frame << PAGE_SHIFT)


def vmsave(pc: Pc, frame: int) -> None:
    """VMSAVE to it."""
    pc.meter.charge("vmload_save")
    save_rest(unit_of(pc), pc.cpu, frame << PAGE_SHIFT)
