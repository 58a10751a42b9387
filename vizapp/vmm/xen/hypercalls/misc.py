"""Console, version, several calls in one, the task-switched flag and the debug registers.

Source: Xen's public headers xen.h and version.h; Xen 3.1, common/multicall.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa.addresses import M32, PAGE_SIZE
from vizapp.vmm.xen import abi, console, emulate
from vizapp.vmm.xen.continuation import BATCH, Continuation

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.vmm.xen.hypercalls import Handler
    from vizapp.vmm.xen.hypervisor import Hypervisor

    Call = Callable[[Hypervisor, int, tuple[int, ...]], int | Continuation]

_CONSOLE_PART: Final = 128  # bytes
_EXTRAVERSION: Final = b".0\0".ljust(16, b"\0")
_CAPABILITIES_BYTES: Final = 1024
_MULTICALL: Final = 13
_COMPILED: Final = ((b"vizapp", 64), (b"vizapp", 16), (b"vizapp", 32), (b"", 32))  # compiler, by, where, when


def console_io(xen: Hypervisor, a: tuple[int, ...]) -> int | Continuation:
    """Write ``count`` bytes to the hypervisor's console, or read what was typed there."""
    command, count, buffer = a[0], a[1], a[2]
    if command == abi.CONSOLEIO_WRITE:
        part = min(count, _CONSOLE_PART)
        console.write(xen, xen.space.copy_from(buffer, part))
        rest = (abi.CONSOLEIO_WRITE, count - part, buffer + part & M32)
        return Continuation(rest) if count > part else 0
    if command == abi.CONSOLEIO_READ:
        data = console.read(xen, min(count, _CONSOLE_PART))
        xen.space.copy_to(buffer, data)
        return len(data)
    return -abi.ENOSYS


def xen_version(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """What hypervisor this is."""
    command, argument = a[0], a[1]
    if command == abi.XENVER_VERSION:
        return abi.VERSION_3_1
    if command == abi.XENVER_EXTRAVERSION:
        xen.space.copy_to(argument, _EXTRAVERSION)
    elif command == abi.XENVER_CAPABILITIES:
        name = abi.PLATFORM if xen.format.levels == 2 else abi.PAE_PLATFORM
        xen.space.copy_to(argument, (name + b" ").ljust(_CAPABILITIES_BYTES, b"\0"))
    elif command == abi.XENVER_PLATFORM_PARAMETERS:
        xen.space.copy_to(argument, xen.format.hole.to_bytes(4, "little"))
    elif command == abi.XENVER_GET_FEATURES:
        if any(xen.space.copy_from(argument, 4)):
            return -abi.EINVAL
        xen.space.copy_to(argument + 4, bytes(4))
    elif command == abi.XENVER_PAGESIZE:
        return -abi.EINVAL if argument else PAGE_SIZE
    elif command == abi.XENVER_COMPILE_INFO:
        xen.space.copy_to(argument, b"".join(text.ljust(size, b"\0") for text, size in _COMPILED))
    elif command == abi.XENVER_CHANGESET:
        xen.space.copy_to(argument, b"unavailable".ljust(64, b"\0"))
    elif command == abi.XENVER_GUEST_HANDLE:
        xen.space.copy_to(argument, xen.domain.handle)
    else:
        return -abi.ENOSYS
    return 0


def multicall(xen: Hypervisor, a: tuple[int, ...], call: Call) -> int | Continuation:
    """Several hypercalls for one passage: entries of op, result, six arguments."""
    entries, count = a[0], a[1]
    done = 0
    while done < min(count, BATCH) and xen.domain.shutdown is None:
        where = entries + done * abi.MULTICALL_ENTRY_SIZE & M32
        raw = xen.space.copy_from(where, abi.MULTICALL_ENTRY_SIZE)
        words = tuple(int.from_bytes(raw[i : i + 4], "little") for i in range(0, len(raw), 4))
        # A multicall within a multicall is refused: there is one stack of them.
        result = -abi.EINVAL if words[0] == _MULTICALL else call(xen, words[0], words[2:8])
        if isinstance(result, Continuation):
            rest = b"".join((word & M32).to_bytes(4, "little") for word in result.arguments)
            xen.space.copy_to(where + 8, rest)
            return Continuation((where, count - done))
        xen.space.copy_to(where + 4, (result & M32).to_bytes(4, "little"))
        done += 1
    left = count - done
    return Continuation((entries + done * abi.MULTICALL_ENTRY_SIZE, left)) if left and done else 0


def fpu_taskswitch(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Set or clear CR0.TS, so that the next floating-point instruction traps or does not."""
    emulate.set_task_switched(xen, bool(a[0]))
    return 0


def set_debugreg(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """Set a debug register: number, value."""
    return emulate.set_debug_register(xen, a[0], a[1])


def get_debugreg(xen: Hypervisor, a: tuple[int, ...]) -> int:
    """The value of a debug register."""
    return xen.pc.cpu.debug[a[0]] if a[0] < 8 else -abi.EINVAL


HYPERCALLS: Final[dict[str, Handler]] = {
    "console_io": console_io,
    "xen_version": xen_version,
    "fpu_taskswitch": fpu_taskswitch,
    "set_debugreg": set_debugreg,
    "get_debugreg": get_debugreg,
}
