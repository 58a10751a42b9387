"""Console, version, several calls in one, and the task-switched flag.

Source: Xen's public headers xen.h and version.h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.vmm.xen import abi

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor

_LONGEST_WRITE = 1 << 16
_EXTRAVERSION = b".0\0".ljust(16, b"\0")
_CAPABILITIES = b"xen-3.0-x86_32 \0".ljust(1024, b"\0")


def console_io(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Write ``count`` bytes to the hypervisor's console, or read what was typed there."""
    command, count, buffer = a[0], a[1], a[2]
    if count > _LONGEST_WRITE:
        return -abi.EINVAL
    if command == abi.CONSOLEIO_WRITE:
        xen.console_write(xen.copy_from_guest(buffer, count))
        return 0
    if command == abi.CONSOLEIO_READ:
        data = xen.console_read(count)
        xen.copy_to_guest(buffer, data)
        return len(data)
    return -abi.ENOSYS


def xen_version(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """What hypervisor this is."""
    command, argument = a[0], a[1]
    if command == abi.XENVER_VERSION:
        return abi.VERSION_3_1
    if command == abi.XENVER_EXTRAVERSION:
        xen.copy_to_guest(argument, _EXTRAVERSION)
    elif command == abi.XENVER_CAPABILITIES:
        xen.copy_to_guest(argument, _CAPABILITIES)
    elif command == abi.XENVER_PLATFORM_PARAMETERS:
        xen.copy_to_guest(argument, abi.HYPERVISOR_START.to_bytes(4, "little"))
    elif command == abi.XENVER_GET_FEATURES:
        submap = int.from_bytes(xen.copy_from_guest(argument, 4), "little")
        if submap:
            return -abi.EINVAL
        xen.copy_to_guest(argument + 4, bytes(4))
    elif command == abi.XENVER_PAGESIZE:
        return 4096
    else:
        return -abi.ENOSYS
    return 0


def multicall(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Several hypercalls for one passage: entries of op, result, six arguments."""
    entries, count = a[0], a[1]
    for index in range(count):
        where = entries + index * abi.MULTICALL_ENTRY_SIZE
        raw = xen.copy_from_guest(where, abi.MULTICALL_ENTRY_SIZE)
        words = tuple(int.from_bytes(raw[i : i + 4], "little") for i in range(0, len(raw), 4))
        result = xen.call(words[0], words[2:8])
        xen.copy_to_guest(where + 4, (result & 0xFFFF_FFFF).to_bytes(4, "little"))
        if xen.domain_ended:
            break
    return 0


def fpu_taskswitch(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Set or clear CR0.TS, so that the next floating-point instruction traps or does not."""
    xen.set_task_switched(bool(a[0]))
    return 0


HYPERCALLS = {
    "console_io": console_io,
    "xen_version": xen_version,
    "multicall": multicall,
    "fpu_taskswitch": fpu_taskswitch,
}
