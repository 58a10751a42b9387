"""The exit loop's phases by name; what each does stands in the module that it comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from vizapp.machine.meter import Purpose
from vizapp.vmm.hardware_assisted import delivery, emulation, exits, idle, memory

if TYPE_CHECKING:
    from vizapp.vmm.hardware_assisted.vm import Vm

PHASES: Final[dict[str, Callable[[Vm], str | None]]] = {
    "set_up": exits.set_up,
    "read_exit": exits.read_exit,
    "hand_back": exits.hand_back,
    "undefined": exits.undefined,
    "shut_down": exits.shut_down,
    "entry_failed": exits.entry_failed,
    "refused": exits.refused,
    "walk": memory.walk,
    "fill_shadow": memory.fill_shadow,
    "trace": memory.trace,
    "flush_translations": memory.flush_translations,
    "nested_fault": memory.nested_fault,
    "map_nested": memory.map_nested,
    "decode": emulation.decode,
    "emulate": emulation.emulate,
    "deliver_event": delivery.deliver_event,
    "task_switch": delivery.task_switch,
    "inject_fault": delivery.inject_fault,
    "let_interrupt_in": delivery.let_interrupt_in,
    "inject_interrupt": delivery.inject_interrupt,
    "reset": delivery.reset,
    "halt": idle.halt,
    "wait": idle.wait,
    "schedule": idle.schedule,
    "own_interrupt": idle.own_interrupt,
    "look_around": exits.look_around,
    "enter": exits.enter,
}
PURPOSES: Final = {
    "walk": Purpose.MEMORY,
    "fill_shadow": Purpose.MEMORY,
    "trace": Purpose.MEMORY,
    "flush_translations": Purpose.MEMORY,
    "nested_fault": Purpose.MEMORY,
    "map_nested": Purpose.MEMORY,
}
"""Of the phases whose work is not the monitor's own deciding and emulating."""
