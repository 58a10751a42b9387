"""A digest of plain data: the same value gives the same digest, however it came about and in any process."""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import fields, is_dataclass
from enum import Enum
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from vizapp.machine.memory import MemorySnapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vizapp.machine.pc import Pc

DIGEST_BYTES = 16


def state_hash(pc: Pc) -> str:
    """32 hexadecimal digits over registers, TLB, memory, devices, meter and the monitor's tree."""
    total = blake2b(digest_size=DIGEST_BYTES)
    _feed(total, pc.save())
    total.update(pc.memory.digest())
    return total.hexdigest()


def _feed(total: blake2b, value: Any) -> None:
    """Add ``value``, its type and its extent, so that no two values run together."""
    if isinstance(value, MemorySnapshot):
        return  # by contents, through the memory's own digest
    if isinstance(value, Enum):
        _feed(total, value.value)
    elif value is None or isinstance(value, (bool, int, str, float)):
        total.update(f"{type(value).__name__}:{value!r};".encode())
    elif isinstance(value, (bytes, bytearray)):
        total.update(f"bytes:{len(value)};".encode())
        total.update(value)
    elif isinstance(value, range):
        total.update(f"range:{value!r};".encode())
    elif isinstance(value, array):
        _feed(total, value.tobytes())
    elif isinstance(value, dict):
        total.update(f"dict:{len(value)};".encode())
        _feed_unordered(total, value.items())
    elif isinstance(value, (set, frozenset)):
        total.update(f"set:{len(value)};".encode())
        _feed_unordered(total, value)
    elif isinstance(value, (tuple, list, deque)):
        total.update(f"list:{len(value)};".encode())
        for item in value:
            _feed(total, item)
    elif is_dataclass(value):
        _feed(total, [getattr(value, field.name) for field in fields(value)])
    else:
        raise TypeError(f"{type(value).__name__} in a saved state is not plain data")


def _feed_unordered(total: blake2b, items: Iterable[Any]) -> None:
    digests = []
    for item in items:
        part = blake2b(digest_size=DIGEST_BYTES)
        _feed(part, item)
        digests.append(part.digest())
    for digest in sorted(digests):
        total.update(digest)
