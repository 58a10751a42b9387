"""Physical interrupts that come to the monitor itself, while it idles or lets one in, through its own IDT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa import vectors
from vizapp.messages import N_, Message
from vizapp.vmm import ring0, stubs
from vizapp.vmm.physical_timer import MASTER_VECTOR, SLAVE_VECTOR, TIMER_VECTOR, VECTORS

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.machine.pc import Pc
    from vizapp.vmm.host_tables import HostTables
    from vizapp.vmm.physical_timer import PhysicalTimer
    from vizapp.vmm.trap_frame import TrapFrame


def take(
    pc: Pc, tables: HostTables, timer: PhysicalTimer, hand_over: Callable[[int], None], frame: TrapFrame
) -> None:
    """End the interrupt that ``frame`` tells of and go back; an exception there is the end of the run.

    ``hand_over`` is given the number of a line, and takes from its device what it interrupted for.
    """
    if frame.entry_vector not in VECTORS:
        message = Message(
            N_("the monitor itself raised {fault} at {address}"),
            {"fault": vectors.name(frame.entry_vector), "address": f"{frame.eip:#010x}"},
        )
        pc.stop("crashed", message)
        return
    acknowledge(timer, hand_over, frame.entry_vector)
    ring0.jump(pc, tables, stubs.NESTED_EXIT)


def acknowledge(timer: PhysicalTimer, hand_over: Callable[[int], None], vector: int) -> None:
    """End an interrupt at the controller, and take from the device what it was for."""
    if vector == TIMER_VECTOR:
        timer.acknowledge()
        return
    if vector >= SLAVE_VECTOR:
        timer.end_slave_interrupt()
    else:
        timer.end_interrupt()
    hand_over(vector - MASTER_VECTOR)
