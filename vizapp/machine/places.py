"""Where the processor is: the place is what the stage draws, the lanes show and the ledger counts by."""

from __future__ import annotations

from typing import NamedTuple

# Worlds. Under ring deprivileging the guest and its monitor share the one world of the bare machine.
BARE = "bare"
HOST = "host"
VMM_WORLD = "vmm"  # under a hosted monitor, which has the machine in turns with its host
VMX_ROOT = "vmx-root"
VMX_NON_ROOT = "vmx-non-root"
SVM_HOST = "svm-host"
SVM_GUEST = "svm-guest"

# Components.
GUEST_KERNEL = "guest-kernel"
APPLICATION = "application"
VMM = "vmm"
VMKERNEL = "vmkernel"  # of a monitor on bare metal: its drivers, its switch
TRANSLATION_CACHE = "translation-cache"
HOST_KERNEL = "host-kernel"
HOST_PROCESS = "host-process"
VM_DRIVER = "vmdriver"
VM_APP = "vmapp"
DEVICE = "device"
GUEST_COMPONENTS = frozenset({GUEST_KERNEL, APPLICATION, TRANSLATION_CACHE})


class Place(NamedTuple):
    """Which PC, world and ring, for which virtual machine (-1: none), in which component."""

    pc: int = 0
    world: str = BARE
    ring: int = 0
    vm: int = -1
    component: str = GUEST_KERNEL

    @property
    def is_guest(self) -> bool:
        """Whether the code that runs here is the guest's own, or does its work as a translation of it."""
        return self.component in GUEST_COMPONENTS
