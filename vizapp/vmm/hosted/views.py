"""What the processor holds for the guest while the host's world has it: what the VMM's way out has kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.descriptors import SELECTOR_RPL
from vizapp.isa.registers import CS, EFLAGS_RF
from vizapp.messages import N_, Message
from vizapp.vmm.base import CpuView
from vizapp.vmm.hosted.layout import CONTEXT_CR2

if TYPE_CHECKING:
    from vizapp.isa.addresses import HostPhysical
    from vizapp.vmm.hosted.vm import HostedVm

AWAY: Final = Message(N_("in the VMM's world, which the processor is not in"))


def kept_view(vm: HostedVm, context: HostPhysical) -> CpuView:
    """The trap frame, and the control registers and tables in the state of the VMM's world at ``context``."""
    memory, frame = vm.pc.memory, vm.tables.frame.read()

    def slot(offset: int, size: int = 4) -> int:
        return memory.read(context + offset, size)

    return CpuView(
        general=frame.general,
        eip=frame.eip,
        eflags=frame.eflags & ~EFLAGS_RF,
        selectors=frame.selectors,
        cpl=frame.selectors[CS] & SELECTOR_RPL,
        control=(slot(0), 0, slot(CONTEXT_CR2), slot(4), slot(8)),
        gdtr=(slot(14), slot(12, 2)),
        idtr=(slot(22), slot(20, 2)),
        ldtr=slot(28, 2),
        tr=slot(30, 2),
        limits=(0xFFFF_FFFF,) * len(frame.selectors),
        where=AWAY,
    )
