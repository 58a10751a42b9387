"""The hypercalls, by subject; ``TABLE`` is the hypervisor's entry table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from vizapp.vmm.xen import abi
from vizapp.vmm.xen.frame_info import RefusedError
from vizapp.vmm.xen.guest_access import GuestMemoryError
from vizapp.vmm.xen.hvm.abi import HVM_CALLS
from vizapp.vmm.xen.hypercalls import (
    domctl,
    events,
    grant_table,
    hvm,
    memory,
    misc,
    mmu,
    physdev,
    scheduling,
    segments,
    traps,
)

if TYPE_CHECKING:
    from vizapp.vmm.xen.continuation import Continuation
    from vizapp.vmm.xen.hypervisor import Hypervisor


class Handler(Protocol):
    """A hypercall: six arguments in, the guest's EAX out (an error is negative), or what is left to do."""

    def __call__(self, xen: Hypervisor, a: tuple[int, ...]) -> int | Continuation:
        """Do it; may raise ``RefusedError`` or ``GuestMemoryError``, which become -EINVAL and -EFAULT."""
        ...


def call(xen: Hypervisor, number: int, arguments: tuple[int, ...]) -> int | Continuation:
    """Make one hypercall: -ENOSYS for an unknown one, -EINVAL for a refused, -EFAULT for a wild pointer."""
    name = abi.HYPERCALLS.get(number, "")
    handler = TABLE.get(name)
    if handler is None or (xen.domain.hvm is not None and name not in HVM_CALLS):
        return -abi.ENOSYS
    try:
        return handler(xen, arguments)
    except RefusedError as refusal:
        xen.refused(name, refusal)
        return -abi.EINVAL
    except GuestMemoryError:
        return -abi.EFAULT


TABLE: Final[dict[str, Handler]] = {
    **traps.HYPERCALLS,
    **mmu.HYPERCALLS,
    **scheduling.HYPERCALLS,
    **events.HYPERCALLS,
    **physdev.HYPERCALLS,
    **grant_table.HYPERCALLS,
    **memory.HYPERCALLS,
    **domctl.HYPERCALLS,
    **segments.HYPERCALLS,
    **hvm.HYPERCALLS,
    **misc.HYPERCALLS,
    "multicall": lambda xen, a: misc.multicall(xen, a, call),
}
