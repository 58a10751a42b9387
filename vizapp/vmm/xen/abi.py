"""The Xen x86-32 ABI (non-PAE): numbers, selectors and structure offsets of Xen's public headers.

A guest kernel calls the hypervisor with INT 0x82: number in EAX, arguments in EBX ECX EDX ESI EDI, result
in EAX. Source: xen/include/public/xen.h, arch-x86/xen-x86_32.h, sched.h, event_channel.h, callback.h.
"""

from __future__ import annotations

from vizapp.isa.addresses import Linear

HYPERCALL_VECTOR = 0x82
HYPERCALL_BYTES = 2  # of INT 0x82
SYSTEM_CALL_VECTOR = 0x80  # the one whose gate may lead straight into the guest kernel

HYPERCALLS = {
    0: "set_trap_table", 1: "mmu_update", 2: "set_gdt", 3: "stack_switch", 4: "set_callbacks",
    5: "fpu_taskswitch", 6: "sched_op_compat", 7: "platform_op", 8: "set_debugreg", 9: "get_debugreg",
    10: "update_descriptor", 12: "memory_op", 13: "multicall", 14: "update_va_mapping", 15: "set_timer_op",
    16: "event_channel_op_compat", 17: "xen_version", 18: "console_io", 19: "physdev_op_compat",
    20: "grant_table_op", 21: "vm_assist", 22: "update_va_mapping_otherdomain", 23: "iret", 24: "vcpu_op",
    25: "set_segment_base", 26: "mmuext_op", 27: "xsm_op", 28: "nmi_op", 29: "sched_op", 30: "callback_op",
    31: "xenoprof_op", 32: "event_channel_op", 33: "physdev_op", 34: "hvm_op", 35: "sysctl", 36: "domctl",
    37: "kexec_op",
}  # fmt: skip
IRET = 23

# Errors: negated errno of Linux, in EAX.
EPERM, ENOENT, ESRCH, ENOMEM, EACCES, EFAULT, EBUSY, EEXIST, EINVAL = 1, 2, 3, 12, 13, 14, 16, 17, 22
ENOSPC, ENOSYS, ENODATA, ETIME = 28, 38, 61, 62

# Selectors of the reserved part of the GDT, from page 14 (entry 7168) on.
FIRST_RESERVED_GDT_ENTRY = 7168
FLAT_RING1_CS, FLAT_RING1_DS = 0xE019, 0xE021
FLAT_RING3_CS, FLAT_RING3_DS = 0xE02B, 0xE033

# The hole at the top of every address space; no TLB flush is needed to enter the hypervisor.
HYPERVISOR_START = Linear(0xFC00_0000)
M2P_START = Linear(0xFC00_0000)  # machine to pseudo-physical, readable by guests
M2P_END = Linear(0xFC40_0000)
PAE_HYPERVISOR_START = Linear(0xF580_0000)
PAE_M2P_END = Linear(0xF680_0000)
GUEST_LIMIT = M2P_END - 1  # of every segment that a guest can load

PLATFORM, PAE_PLATFORM = b"xen-3.0-x86_32", b"xen-3.0-x86_32p"
SIF_PRIVILEGED, SIF_INITDOMAIN = 1, 2
START_INFO = {
    "magic": 0, "nr_pages": 32, "shared_info": 36, "flags": 40, "store_mfn": 44, "store_evtchn": 48,
    "console_mfn": 52, "console_evtchn": 56, "pt_base": 60, "nr_pt_frames": 64, "mfn_list": 68,
    "mod_start": 72, "mod_len": 76, "cmd_line": 80, "first_p2m_pfn": 1104, "nr_p2m_frames": 1108,
}  # fmt: skip

COMMAND_LINE_BYTES = 1024

# shared_info; vcpu_info of VCPU 0 starts at offset 0.
VCPU_UPCALL_PENDING = 0
VCPU_UPCALL_MASK = 1
VCPU_PENDING_SELECTOR = 4
VCPU_CR2 = 8
VCPU_TIME = 32  # u32 version, pad; u64 tsc_timestamp, u64 system_time (ns), u32 tsc_to_system_mul, s8 shift
SHARED_PENDING = 2048
SHARED_MASK = 2176
SHARED_WALLCLOCK = 2304
SHARED_MAX_PFN = 2316
EVENT_CHANNELS = 1024

TRAP_INFO_SIZE = 8
TI_DPL = 0b11  # highest ring allowed to raise the trap by INT n
TI_MASK_EVENTS = 0b100

SCHEDOP_YIELD, SCHEDOP_BLOCK, SCHEDOP_SHUTDOWN, SCHEDOP_POLL, SCHEDOP_REMOTE_SHUTDOWN = range(5)
SHUTDOWN_REASONS = {0: "poweroff", 1: "reboot", 2: "suspend", 3: "crash"}

EVTCHNOP_BIND_INTERDOMAIN, EVTCHNOP_BIND_VIRQ, EVTCHNOP_BIND_PIRQ, EVTCHNOP_CLOSE = range(4)
EVTCHNOP_SEND, EVTCHNOP_STATUS, EVTCHNOP_ALLOC_UNBOUND, EVTCHNOP_BIND_IPI = 4, 5, 6, 7
EVTCHNOP_BIND_VCPU, EVTCHNOP_UNMASK, EVTCHNOP_RESET = 8, 9, 10
EVTCHNSTAT = {"closed": 0, "unbound": 1, "interdomain": 2, "pirq": 3, "virq": 4, "ipi": 5}
VIRQ_TIMER, VIRQ_DEBUG, VIRQ_CONSOLE, VIRQ_DOM_EXC = range(4)
VIRQ_NAMES = {VIRQ_TIMER: "timer", VIRQ_DEBUG: "debug", VIRQ_CONSOLE: "console", VIRQ_DOM_EXC: "dom_exc"}
GLOBAL_VIRQS = (VIRQ_CONSOLE, VIRQ_DOM_EXC)  # of the machine, not of a virtual CPU: for the initial domain
VIRQS = 24
PIRQS = 16

PHYSDEVOP_IRQ_UNMASK_NOTIFY, PHYSDEVOP_IRQ_STATUS_QUERY, PHYSDEVOP_SET_IOPL, PHYSDEVOP_SET_IOBITMAP = (
    4,
    5,
    6,
    7,
)
PHYSDEVOP_EOI = 12
XENIRQSTAT_NEEDS_EOI = 1

GNTTABOP_MAP_GRANT_REF, GNTTABOP_UNMAP_GRANT_REF, GNTTABOP_SETUP_TABLE, GNTTABOP_DUMP_TABLE = range(4)
GNTTABOP_TRANSFER, GNTTABOP_COPY, GNTTABOP_QUERY_SIZE, GNTTABOP_UNMAP_AND_REPLACE = 4, 5, 6, 7
GTF_TYPE_MASK, GTF_PERMIT_ACCESS, GTF_ACCEPT_TRANSFER = 3, 1, 2
GTF_READONLY, GTF_READING, GTF_WRITING = 1 << 2, 1 << 3, 1 << 4
GTF_TRANSFER_COMMITTED, GTF_TRANSFER_COMPLETED = 1 << 2, 1 << 3
GNTMAP_DEVICE_MAP, GNTMAP_HOST_MAP, GNTMAP_READONLY, GNTMAP_APPLICATION_MAP, GNTMAP_CONTAINS_PTE = (
    1 << bit for bit in range(5)
)
GNTCOPY_SOURCE_GREF, GNTCOPY_DEST_GREF = 1, 2
GNTST_OKAY, GNTST_GENERAL_ERROR, GNTST_BAD_DOMAIN, GNTST_BAD_GNTREF, GNTST_BAD_HANDLE = range(0, -5, -1)
GNTST_BAD_VIRT_ADDR, GNTST_BAD_DEV_ADDR, GNTST_NO_DEVICE_SPACE, GNTST_PERMISSION_DENIED = range(-5, -9, -1)
GNTST_BAD_PAGE, GNTST_BAD_COPY_ARG = -9, -10

CALLBACKOP_REGISTER, CALLBACKOP_UNREGISTER = 0, 1
CALLBACKTYPE_EVENT, CALLBACKTYPE_FAILSAFE, CALLBACKTYPE_NMI = 0, 1, 4
CALLBACKF_MASK_EVENTS = 1

VCPUOP_INITIALISE, VCPUOP_UP, VCPUOP_DOWN, VCPUOP_IS_UP, VCPUOP_GET_RUNSTATE_INFO = range(5)
VCPUOP_REGISTER_RUNSTATE_MEMORY_AREA = 5
VCPUOP_SET_PERIODIC_TIMER, VCPUOP_STOP_PERIODIC_TIMER = 6, 7
VCPUOP_SET_SINGLESHOT_TIMER, VCPUOP_STOP_SINGLESHOT_TIMER = 8, 9
VCPU_SSHOTTMR_FUTURE = 1  # refuse a time that has passed

CONSOLEIO_WRITE, CONSOLEIO_READ = 0, 1

MMU_NORMAL_PT_UPDATE, MMU_MACHPHYS_UPDATE, MMU_PT_UPDATE_PRESERVE_AD = 0, 1, 2
MMU_UPDATE_SIZE = 16
MMU_UPDATE_PREEMPTED = 1 << 31  # in the count: an earlier part of the request is already done
MMUEXT_PIN_L1, MMUEXT_PIN_L2, MMUEXT_PIN_L3, MMUEXT_PIN_L4, MMUEXT_UNPIN, MMUEXT_NEW_BASEPTR = range(6)
MMUEXT_TLB_FLUSH_LOCAL, MMUEXT_INVLPG_LOCAL, MMUEXT_TLB_FLUSH_MULTI, MMUEXT_INVLPG_MULTI = 6, 7, 8, 9
MMUEXT_TLB_FLUSH_ALL, MMUEXT_INVLPG_ALL, MMUEXT_FLUSH_CACHE, MMUEXT_SET_LDT = 10, 11, 12, 13
MMUEXT_NEW_USER_BASEPTR, MMUEXT_CLEAR_PAGE, MMUEXT_COPY_PAGE = 15, 16, 17
MMUEXT_OP_SIZE = 12
MMUEXT_NAMES = {
    0: "pin_l1_table", 1: "pin_l2_table", 2: "pin_l3_table", 3: "pin_l4_table", 4: "unpin_table",
    5: "new_baseptr", 6: "tlb_flush_local",
    7: "invlpg_local", 8: "tlb_flush_multi", 9: "invlpg_multi", 10: "tlb_flush_all", 11: "invlpg_all",
    12: "flush_cache", 13: "set_ldt", 15: "new_user_baseptr", 16: "clear_page", 17: "copy_page",
}  # fmt: skip
UVMF_FLUSH_TYPE = 0b11
UVMF_TLB_FLUSH, UVMF_INVLPG = 1, 2
UVMF_LOCAL, UVMF_ALL = 0, 1 << 2  # else the flags hold the address of a bit mask of virtual CPUs
MULTICALL_ENTRY_SIZE = 32

VMASST_4GB_SEGMENTS, VMASST_4GB_NOTIFY, VMASST_WRITABLE_PAGETABLES, VMASST_PAE_EXTENDED_CR3 = range(4)

XENVER_VERSION, XENVER_EXTRAVERSION, XENVER_COMPILE_INFO, XENVER_CAPABILITIES, XENVER_CHANGESET = range(5)
XENVER_PLATFORM_PARAMETERS, XENVER_GET_FEATURES, XENVER_PAGESIZE, XENVER_GUEST_HANDLE = 5, 6, 7, 8
VERSION_3_1 = 3 << 16 | 1

DOMID_SELF, DOMID_IO, DOMID_XEN = 0x7FF0, 0x7FF1, 0x7FF2
FIRST_RESERVED_DOMID = 0x7FF0

NANOSECONDS = 1_000_000_000


def hypercall_page() -> bytes:
    """The 4096 bytes that the hypervisor writes where the guest asked for them: one stub of 32 bytes a call.

    stub i      B8 imm32   mov eax, i          stub 23 (iret)   50         push eax
                CD 82      int 0x82                             B8 imm32   mov eax, 23
                C3         ret                                  CD 82      int 0x82
    """
    page = bytearray(b"\x0f\x0b" * 2048)  # UD2 between the stubs
    for number in range(4096 // 32):  # one that there is not answers -ENOSYS
        call = b"\xb8" + number.to_bytes(4, "little") + bytes((0xCD, HYPERCALL_VECTOR))
        stub = b"\x50" + call if number == IRET else call + b"\xc3"
        page[number * 32 : number * 32 + len(stub)] = stub
    return bytes(page)
