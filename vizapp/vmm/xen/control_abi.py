"""Numbers and layouts of the hypercalls that change memory and control domains.

Structures of domctl begin with the command, the version of the interface and a domain; what belongs to the
command follows at offset 16. 64-bit fields are 8-byte aligned there, and handles are 64 bits wide.

Source: Xen's public headers memory.h, domctl.h and arch-x86/xen.h.
"""

from __future__ import annotations

from typing import Final

XENMEM_INCREASE_RESERVATION, XENMEM_DECREASE_RESERVATION, XENMEM_MAXIMUM_RAM_PAGE = 0, 1, 2
XENMEM_CURRENT_RESERVATION, XENMEM_MAXIMUM_RESERVATION, XENMEM_MACHPHYS_MFN_LIST = 3, 4, 5
XENMEM_POPULATE_PHYSMAP, XENMEM_ADD_TO_PHYSMAP, XENMEM_TRANSLATE_GPFN_LIST = 6, 7, 8
XENMEM_MEMORY_MAP, XENMEM_MACHINE_MEMORY_MAP, XENMEM_EXCHANGE = 9, 10, 11
XENMEM_MACHPHYS_MAPPING, XENMEM_SET_MEMORY_MAP, XENMEM_MAXIMUM_GPFN = 12, 13, 14
XENMEM_NAMES: Final = {
    0: "increase_reservation", 1: "decrease_reservation", 2: "maximum_ram_page", 3: "current_reservation",
    4: "maximum_reservation", 5: "machphys_mfn_list", 6: "populate_physmap", 7: "add_to_physmap",
    8: "translate_gpfn_list", 9: "memory_map", 10: "machine_memory_map", 11: "exchange",
    12: "machphys_mapping", 13: "set_memory_map", 14: "maximum_gpfn",
}  # fmt: skip
COMMAND_BITS: Final = 6
"""Of memory_op's command; the bits above count the extents that an earlier part of the call has done."""

RESERVATION_BYTES: Final = 20
EXTENT_START, NR_EXTENTS, EXTENT_ORDER, ADDRESS_BITS, RESERVATION_DOMID = (
    (0, 4), (4, 4), (8, 4), (12, 4), (16, 2),
)  # fmt: skip
NR_EXCHANGED: Final = 2 * RESERVATION_BYTES

DOMCTL_INTERFACE_VERSION: Final = 5
DOMCTL_BYTES: Final = 16 + 128
DOMCTL_COMMAND, DOMCTL_VERSION, DOMCTL_DOMAIN = (0, 4), (4, 4), (8, 2)
DOMCTL_NAMES: Final = {
    1: "createdomain", 2: "destroydomain", 3: "pausedomain", 4: "unpausedomain", 5: "getdomaininfo",
    6: "getmemlist", 7: "getpageframeinfo", 8: "getpageframeinfo2", 11: "max_mem", 12: "setvcpucontext",
    13: "getvcpucontext", 14: "getvcpuinfo", 15: "max_vcpus", 16: "scheduler_op", 17: "setdomainhandle",
    19: "irq_permission", 20: "iomem_permission", 21: "ioport_permission", 22: "hypercall_init",
    23: "arch_setup", 24: "settimeoffset",
}  # fmt: skip

DOMINF_DYING, DOMINF_SHUTDOWN, DOMINF_PAUSED, DOMINF_BLOCKED, DOMINF_RUNNING = 1, 4, 8, 16, 32
DOMINF_SHUTDOWN_SHIFT: Final = 16

SCHEDULER_CREDIT: Final = 5
SCHEDOP_PUT_INFO, SCHEDOP_GET_INFO = 0, 1

PFINFO_TYPES: Final = {"page-table": 1 << 28, "page-directory": 2 << 28, "page-directory-pointers": 3 << 28}
PFINFO_PINNED: Final = 1 << 31
PFINFO_INVALID: Final = 0xF << 28

# struct vcpu_guest_context: offsets of double words, arrays by their first.
CONTEXT_BYTES: Final = 2800
CTX_FLAGS: Final = 512
CTX_USER_REGS: Final = 516  # cpu_user_regs, as the trap frame has them
CTX_TRAPS: Final = 584  # 256 of trap_info
CTX_LDT_BASE, CTX_LDT_ENTRIES = 2632, 2636
CTX_GDT_FRAMES, CTX_GDT_ENTRIES = 2640, 2704
CTX_KERNEL_SS, CTX_KERNEL_SP = 2708, 2712
CTX_CONTROL: Final = 2716  # CR0 to CR7
CTX_DEBUG: Final = 2748  # DR0 to DR7
CTX_EVENT_CALLBACK, CTX_FAILSAFE_CALLBACK = 2780, 2788  # CS, EIP
CTX_VM_ASSIST: Final = 2796
VGCF_I387_VALID, VGCF_IN_KERNEL, VGCF_ONLINE = 1, 4, 32


def cr3_of(frame: int) -> int:
    """CR3 in a context: the frame number rotated, so that PAE frames above 4 GB fit (xen_pfn_to_cr3)."""
    return (frame << 12 | frame >> 20) & 0xFFFF_FFFF


def frame_of(cr3: int) -> int:
    """The frame in a context's CR3 (xen_cr3_to_pfn)."""
    return cr3 >> 12 | cr3 << 20 & 0xFFF0_0000
