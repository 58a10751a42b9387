"""What a hypercall's registers mean: the names of its arguments, and which of its operations is asked for.

Source: Xen's public headers xen.h, sched.h, event_channel.h, grant_table.h, memory.h, physdev.h, vcpu.h,
version.h, callback.h and domctl.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.vmm.xen import abi
from vizapp.vmm.xen import control_abi as c

if TYPE_CHECKING:
    from collections.abc import Callable

ARGUMENTS: Final[dict[str, tuple[str, ...]]] = {
    "set_trap_table": ("traps",),
    "mmu_update": ("requests", "count", "done", "domain"),
    "set_gdt": ("frames", "entries"),
    "stack_switch": ("ss", "esp"),
    "set_callbacks": ("event_cs", "event_eip", "failsafe_cs", "failsafe_eip"),
    "fpu_taskswitch": ("set",),
    "sched_op_compat": ("command", "argument"),
    "set_debugreg": ("register", "value"),
    "get_debugreg": ("register",),
    "update_descriptor": ("address", "address_high", "descriptor", "descriptor_high"),
    "memory_op": ("command", "argument"),
    "multicall": ("calls", "count"),
    "update_va_mapping": ("address", "entry", "entry_high", "flags"),
    "set_timer_op": ("timeout", "timeout_high"),
    "event_channel_op_compat": ("operation",),
    "xen_version": ("command", "argument"),
    "console_io": ("command", "count", "buffer"),
    "physdev_op_compat": ("operation",),
    "grant_table_op": ("command", "requests", "count"),
    "vm_assist": ("command", "type"),
    "update_va_mapping_otherdomain": ("address", "entry", "entry_high", "flags", "domain"),
    "iret": (),
    "vcpu_op": ("command", "vcpu", "argument"),
    "mmuext_op": ("requests", "count", "done", "domain"),
    "sched_op": ("command", "argument"),
    "callback_op": ("command", "argument"),
    "event_channel_op": ("command", "argument"),
    "physdev_op": ("command", "argument"),
    "domctl": ("request",),
}

_OPERATIONS: Final[dict[str, dict[int, str]]] = {
    "memory_op": c.XENMEM_NAMES,
    "grant_table_op": {
        0: "map_grant_ref", 1: "unmap_grant_ref", 2: "setup_table", 3: "dump_table", 4: "transfer", 5: "copy",
        6: "query_size", 7: "unmap_and_replace",
    },
    "event_channel_op": {
        0: "bind_interdomain", 1: "bind_virq", 2: "bind_pirq", 3: "close", 4: "send", 5: "status",
        6: "alloc_unbound", 7: "bind_ipi", 8: "bind_vcpu", 9: "unmask", 10: "reset",
    },
    "sched_op": {0: "yield", 1: "block", 2: "shutdown", 3: "poll", 4: "remote_shutdown"},
    "sched_op_compat": {0: "yield", 1: "block", 2: "shutdown"},
    "physdev_op": {
        4: "irq_unmask_notify", 5: "irq_status_query", 6: "set_iopl", 7: "set_iobitmap", 12: "eoi",
    },
    "vcpu_op": {
        0: "initialise", 1: "up", 2: "down", 3: "is_up", 4: "get_runstate_info",
        5: "register_runstate_memory_area", 6: "set_periodic_timer", 7: "stop_periodic_timer",
        8: "set_singleshot_timer", 9: "stop_singleshot_timer",
    },
    "xen_version": {
        0: "version", 1: "extraversion", 2: "compile_info", 3: "capabilities", 4: "changeset",
        5: "platform_parameters", 6: "get_features", 7: "pagesize", 8: "guest_handle",
    },
    "console_io": {0: "write", 1: "read"},
    "callback_op": {0: "register", 1: "unregister"},
    "vm_assist": {0: "enable", 1: "disable"},
}  # fmt: skip
_IN_MEMORY: Final = {"domctl": c.DOMCTL_NAMES, "mmuext_op": abi.MMUEXT_NAMES}
"""Calls whose operation is the first word of what the first argument points to."""


def operation(name: str, arguments: tuple[int, ...], word: Callable[[int], int | None]) -> str:
    """The operation of a call by name; "" for one that has none, or an unknown one.

    ``word`` reads a double word of the caller's memory, None where it has none.
    """
    if name in _IN_MEMORY:
        command = word(arguments[0])
        return "" if command is None else _IN_MEMORY[name].get(command, "")
    command = arguments[0]
    if name == "memory_op":
        command &= (1 << c.COMMAND_BITS) - 1
    return _OPERATIONS.get(name, {}).get(command, "")
