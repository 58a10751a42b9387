"""Changing which machine frame is behind a guest frame of an HVM domain.

Source: Xen 3.1, arch/x86/mm/p2m.c (guest_physmap_add_page, guest_physmap_remove_page).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vizapp.vmm.xen.hvm.vm import HvmVm
    from vizapp.vmm.xen.hypervisor import Hypervisor


def put(xen: Hypervisor, vm: HvmVm, guest_frame: int, frame: int) -> None:
    """Let a guest frame be a machine frame; what was there before is nowhere any more."""
    remove(vm, guest_frame)
    vm.physmap.pages[guest_frame] = frame
    xen.pay_references(1)


def remove(vm: HvmVm, guest_frame: int) -> int | None:
    """Let nothing be there, and have the processor forget it: the machine frame that was there."""
    frame = vm.physmap.pages.pop(guest_frame, None)
    if frame is None:
        return None
    if vm.shadow is not None:
        if vm.shadow.drop_frame(frame):
            vm.structure.forget_translations()
    elif vm.nested is not None and vm.nested.unmap(guest_frame):
        vm.structure.forget_translations()
    return frame
