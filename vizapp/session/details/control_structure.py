"""The VMCS or VMCB of a virtual machine, field by field: what it holds, and who has changed it last."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizapp.session.details import Subject
    from vizapp.vmm.base import ControlStructure


def control_structure(subject: Subject) -> ControlStructure | None:
    """The structure of the virtual machine that is asked about; None where the technique has none."""
    return subject.monitor.control_structure(subject.vm)
