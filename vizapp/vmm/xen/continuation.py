"""How a long hypercall is done in parts: after each the hypervisor looks for interrupts, and may take them.

A part that leaves something over returns a ``Continuation``: the arguments of the same call for the rest.
They go into the guest's registers, and if the processor has to leave for an interrupt, the guest's EIP is put
back on its INT 0x82, which then makes the rest of the call.

Source: Xen 3.1, arch/x86/domain.c, hypercall_create_continuation.
"""

from __future__ import annotations

from typing import Final, NamedTuple

BATCH: Final = 64
"""Requests that are served between two looks for interrupts."""


class Continuation(NamedTuple):
    """The arguments with which the call goes on."""

    arguments: tuple[int, ...]
