"""The phases of the VMkernel, which a monitor runs in between those of its own; each names the next.

the adapter's interrupt ─▶ serve_adapter ─▶ fetch_frame ─┐
a guest's OUT, the time ─▶ take_frame ───────────────────┴▶ switch_frame ─▶ deliver_frame, once a port ─┐
a guest's ring has room ─▶ deliver_waiting ──────────────────────────────────────────────────────────────┤
a guest's command ───────▶ start_request ────────────────────────────────────────────────────────────────┤
the disk's interrupt ────▶ serve_disk ───────────────────────────────────────────────────────────────────┘
                                                               what else there is to do, or the guest ◀──┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from vizapp.vmm.vmkernel.kernel import Vmkernel


class Carried(Protocol):
    """A virtual machine whose monitor has a VMkernel: the one that has the processor, or had it last."""

    @property
    def ready(self) -> bool:
        """Whether it has something to run."""
        ...


def serve_adapter(kernel: Vmkernel, vm: Carried) -> str:
    """The machine's adapter has interrupted."""
    kernel.serve_adapter()
    return _on(kernel, vm)


def fetch_frame(kernel: Vmkernel, vm: Carried) -> str:
    """Look for a frame in the receive ring of the machine's adapter."""
    return "switch_frame" if kernel.fetch_frame() else _on(kernel, vm)


def take_frame(kernel: Vmkernel, vm: Carried) -> str:
    """Look for a frame in the transmit ring of a virtual adapter."""
    return "switch_frame" if kernel.take_frame() else _on(kernel, vm)


def switch_frame(kernel: Vmkernel, vm: Carried) -> str:
    """Decide to whom the frame in hand goes."""
    kernel.switch_frame()
    return "deliver_frame" if kernel.going else _on(kernel, vm)


def deliver_frame(kernel: Vmkernel, vm: Carried) -> str:
    """Put it into the ring of one of them."""
    kernel.deliver()
    return "deliver_frame" if kernel.going else _on(kernel, vm)


def deliver_waiting(kernel: Vmkernel, vm: Carried) -> str:
    """Put a frame that waited into a virtual adapter's ring."""
    kernel.deliver_waiting()
    return _on(kernel, vm)


def start_request(kernel: Vmkernel, vm: Carried) -> str:
    """Make of a virtual drive's request a command to the machine's own."""
    kernel.start_request()
    return _on(kernel, vm)


def serve_disk(kernel: Vmkernel, vm: Carried) -> str:
    """The machine's disk has interrupted."""
    kernel.serve_disk()
    return _on(kernel, vm)


def _on(kernel: Vmkernel, vm: Carried) -> str:
    return kernel.due() or (kernel.go_on if vm.ready else "wait")


PHASES: Final[dict[str, Callable[[Vmkernel, Carried], str]]] = {
    "serve_adapter": serve_adapter,
    "fetch_frame": fetch_frame,
    "take_frame": take_frame,
    "switch_frame": switch_frame,
    "deliver_frame": deliver_frame,
    "deliver_waiting": deliver_waiting,
    "start_request": start_request,
    "serve_disk": serve_disk,
}
