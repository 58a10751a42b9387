"""Numbers and layouts of Xen's interface for HVM domains.

The page that hypervisor and device model share, for the one virtual CPU:

    + 0 addr   + 8 size   +16 count   +24 data      64 bits each
    +32  6 5 4  3 0        df, dir (1: read), data_is_ptr, state
    +33 type   +40 io_count (64 bits)   +48 the port of the event channel, in the HVM domain

Source: Xen 3.1's public headers hvm/ioreq.h, hvm/params.h, hvm/hvm_op.h, memory.h and domctl.h; its
arch/x86/hvm/hvm.c (hvm_hypervisor_cpuid_leaf's predecessor cpuid_hypervisor_leaves, in arch/x86/traps.c).
"""

from __future__ import annotations

from struct import Struct
from typing import Final

CDF_HVM_GUEST: Final = 1
DOMINF_HVM_GUEST: Final = 1 << 1

PARAM_CALLBACK_IRQ, PARAM_STORE_PFN, PARAM_STORE_EVTCHN = 0, 1, 2
PARAM_IOREQ_PFN, PARAM_BUFIOREQ_PFN = 5, 6
PARAMS: Final = 19
CALLBACK_SHIFT: Final = 56  # of CALLBACK_IRQ: above it how, below it which
CALLBACK_GSI, CALLBACK_INTX = 0, 1

HVMOP_SET_PARAM, HVMOP_GET_PARAM, HVMOP_SET_PCI_INTX_LEVEL, HVMOP_SET_ISA_IRQ_LEVEL = range(4)
HVMOP_SET_PCI_LINK_ROUTE: Final = 4
ISA_LINES: Final = 16
LINKS: Final = 4

IO_HEAD: Final = Struct("<4Q2B")
IO_COUNT: Final = 40
IO_PORT: Final = 48
IO_FLAGS: Final = 32
IO_DATA: Final = 24
STATE_NONE, STATE_READY, STATE_INPROCESS, STATE_RESPONSE = range(4)
STATE_MASK: Final = 0xF
IO_POINTER, IO_READ, IO_DOWN = 1 << 4, 1 << 5, 1 << 6
TYPE_PIO, TYPE_COPY = 0, 1
TYPE_NAMES: Final = {TYPE_PIO: "pio", TYPE_COPY: "mmio"}

MAPSPACE_SHARED_INFO, MAPSPACE_GRANT_TABLE = 0, 1

HVM_CALLS: Final = frozenset({
    "memory_op", "multicall", "xen_version", "console_io", "grant_table_op", "sched_op",
    "event_channel_op", "hvm_op",
})  # fmt: skip
"""The hypercalls that an HVM guest may make."""

CPUID_BASE: Final = 0x4000_0000
CPUID_LEAVES: Final = 3
SIGNATURE: Final = b"XenVMMXenVMM"
HYPERCALL_MSR: Final = 0x4000_0000
HYPERCALL_PAGES: Final = 1


def hypercall_page(numbers: tuple[int, ...], call: bytes, iret: int) -> bytes:
    """The page that a guest has asked for: ``call`` is VMCALL or VMMCALL.

    stub i      B8 imm32   mov eax, i     stub 23 (iret)   UD2: an HVM guest returns by itself
                0F 01 ..   vmcall
                C3         ret
    """
    page = bytearray(b"\x0f\x0b" * 2048)
    for number in numbers:
        if number != iret:
            stub = b"\xb8" + number.to_bytes(4, "little") + call + b"\xc3"
            page[number * 32 : number * 32 + len(stub)] = stub
    return bytes(page)
