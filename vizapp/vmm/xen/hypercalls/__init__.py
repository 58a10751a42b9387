"""The hypercalls, by subject; ``TABLE`` is the hypervisor's entry table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from vizapp.vmm.xen.hypercalls import events, misc, mmu, scheduling, traps

if TYPE_CHECKING:
    from vizapp.vmm.xen.hypervisor import Hypervisor


class Handler(Protocol):
    """A hypercall: the five arguments in, the guest's EAX out (a negative error as its 32-bit image)."""

    def __call__(self, xen: Hypervisor, a: tuple[int, ...]) -> int:
        """Do it; may raise ``RefusedError`` or ``GuestMemoryError``, which become -EINVAL and -EFAULT."""
        ...


TABLE: dict[str, Handler] = {
    **traps.HYPERCALLS,
    **mmu.HYPERCALLS,
    **scheduling.HYPERCALLS,
    **events.HYPERCALLS,
    **misc.HYPERCALLS,
}
