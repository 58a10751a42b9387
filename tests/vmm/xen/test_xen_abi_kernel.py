"""A kernel that was written by the text of Xen's public headers, started from an ELF file with notes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from xen_support import Run

from vizapp.guest.assembler import assemble
from vizapp.guest.loader import load_guest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "guest"))
from xen_elf_support import (  # noqa: E402
    ENTRY,
    FEATURES,
    GUEST_OS,
    HYPERCALL_PAGE,
    LOADER,
    PAE_MODE,
    VIRT_BASE,
    XEN_VERSION,
    elf,
    note,
)

SOURCE = HERE / "abi_kernel.asm"
GOLDEN = HERE.parents[1] / "goldens" / "nasm" / "abi-kernel.bin"
BASE, LINKED, LOADED = 0xC000_0000, 0xC010_0000, 0x10_0000
EPERM, ENOENT, ESRCH, EACCES, EFAULT, EEXIST, EINVAL, ENOSYS, ETIME = 1, 2, 3, 13, 14, 17, 22, 38, 62
VERSION = 3 << 16 | 1
GNTST_okay, GNTST_bad_domain, GNTST_bad_handle = 0, -2, -4

# Each row: what the kernel prints, the answer, and where that comes from: a file of Xen 3.1's public headers
# (xen/include/public), or, of what these leave open, the function of Xen 3.1 that decides it. None of them
# was taken from our own hypervisor.
ANSWERS = """
update_va_mapping shared_info | 0 | xen.h, __HYPERVISOR_update_va_mapping: a good one answers 0
set_trap_table | 0 | traps.c, do_set_trap_table
set_trap_table wild | -EFAULT | do_set_trap_table: copy_from_guest fails
trap | 3 | xen.h, trap_info: INT3 may be raised from ring 3 down
trap | 129 | xen.h, trap_info: so may a vector of the guest's own
stack_switch | 0 | x86_32/mm.c, do_stack_switch: it cannot fail
set_callbacks | 0 | x86_32/traps.c, do_set_callbacks: it cannot fail
set_gdt none | 0 | mm.c, do_set_gdt
set_gdt too long | -EINVAL | do_set_gdt: more than FIRST_RESERVED_GDT_ENTRY, 7168
set_gdt wild | -EFAULT | do_set_gdt: copy_from_guest fails
set_gdt foreign | -EINVAL | mm.c, set_gdt: not a page of the caller
update_descriptor foreign | -EINVAL | mm.c, do_update_descriptor: get_page fails
update_descriptor odd | -EINVAL | do_update_descriptor: not a multiple of 8
fpu_taskswitch set | 0 | traps.c, do_fpu_taskswitch: it cannot fail
cr0.ts | 8 | do_fpu_taskswitch: stts
cr0.ts cleared | 0 | traps.c, emulate_privileged_op: CLTS
set_debugreg | 0 | traps.c, set_debugreg
set_debugreg in Xen | -EPERM | set_debugreg: access_ok fails
set_debugreg none | -EINVAL | set_debugreg: there are 0 to 3, 6 and 7
set_debugreg port | -EPERM | set_debugreg: R/Wn must not be 10b
set_debugreg detect | -EPERM | set_debugreg: GD must be 0
get_debugreg none | -EINVAL | traps.c, do_get_debugreg: beyond 7
set_debugreg off | 0 | set_debugreg
update_va_mapping mask | -EFAULT | mm.c, do_update_va_mapping: the mask of VCPUs cannot be read
update_va_mapping read | 0 | do_update_va_mapping
page read there | 4711 | the frame is the guest's own page
update_va_mapping foreign | -EINVAL | do_update_va_mapping: mod_l1_entry refuses
update_va_mapping in Xen | -EINVAL | do_update_va_mapping: __addr_ok fails
update_va_mapping nowhere | -EINVAL | do_update_va_mapping: no page table there
update_va_mapping table | -EINVAL | arch-x86/xen.h: page tables are read-only to guests; mod_l1_entry refuses
update_va_otherdomain nobody | -ESRCH | mm.c, do_update_va_mapping_otherdomain: set_foreigndom fails
update_va_otherdomain itself | -ESRCH | mm.c, set_foreigndom: nobody is foreign to itself
mmu_update none | 0 | mm.c, do_mmu_update: nothing to do
mmu_update foreign | -EINVAL | do_mmu_update: get_page_from_pagenr fails
mmu_update done | 0 | xen.h, mmu_update: how many were done goes to pdone
mmu_update nobody | -ESRCH | do_mmu_update: set_foreigndom fails
mmu_update wild | -EFAULT | do_mmu_update: __copy_from_guest fails
mmu_update in Xen | -EFAULT | do_mmu_update: guest_handle_okay fails
mmu_update itself | -ESRCH | set_foreigndom
mmu_update unknown | -ENOSYS | do_mmu_update: no such command in the low bits of ptr
mmuext_op flush | 0 | xen.h, MMUEXT_TLB_FLUSH_LOCAL
mmuext_op pin foreign | -EINVAL | mm.c, do_mmuext_op: get_page_and_type_from_pagenr fails
mmuext_op set_ldt odd | -EINVAL | do_mmuext_op: not at the start of a page
mmuext_op unknown | -ENOSYS | do_mmuext_op: default
mmuext_op pin no level | 0 | do_mmuext_op: a level that is not there is ignored
mmuext_op flush wild | -EINVAL | do_mmuext_op: the mask of VCPUs cannot be read
mmuext_op nobody | -ESRCH | do_mmuext_op: set_foreigndom fails
mmuext_op wild | -EFAULT | do_mmuext_op: __copy_from_guest fails
memory_op current | 4096 | memory.h, XENMEM_current_reservation: pages; the domain has 16 MB
memory_op current nobody | -ESRCH | memory.c, do_memory_op
memory_op current wild | -EFAULT | do_memory_op: copy_from_guest fails
memory_op decrease foreign | 0 | memory.h, XENMEM_decrease_reservation: how many extents were done
memory_op decrease wild | 0 | do_memory_op: none was done
memory_op memory_map | -ENOSYS | mm.c, arch_memory_op: nobody has set one
memory_op machine map short | -EINVAL | arch_memory_op: the buffer has room for too few
memory_op add_to_physmap | -EINVAL | arch_memory_op: the domain is not paging_mode_translate
memory_op add_to_physmap nobody | -ESRCH | arch_memory_op: rcu_lock_domain_by_id fails
memory_op add_to_physmap wild | -EFAULT | arch_memory_op: copy_from_guest fails
memory_op unknown | -ENOSYS | x86_32/mm.c, subarch_memory_op: default
multicall | 0 | multicall.c, do_multicall
multicall version | VERSION | xen.h, multicall_entry: the result of each is in its entry
multicall unknown | -ENOSYS | entry.S: do_ni_hypercall
multicall in multicall | -EINVAL | do_multicall: reentry is not allowed
multicall wild | -EFAULT | do_multicall: fault
xen_version | VERSION | version.h, XENVER_version: major:minor, of 3.1
xen_version platform | 0 | version.h: all answer 0 but version and pagesize
hole | HOLE | version.h, XENVER_platform_parameters: where Xen's part begins
xen_version wild | -EFAULT | kernel.c, xen_version: copy_to_guest fails
xen_version pagesize | 4096 | version.h, XENVER_pagesize
xen_version pagesize where | -EINVAL | version.h, XENVER_pagesize: arg is NULL
xen_version features | 0 | version.h, XENVER_get_features
xen_version features 5 | -EINVAL | xen_version: there is submap 0
xen_version unknown | -ENOSYS | xen_version: default
console_io wild | -EFAULT | console.c, guest_console_write: copy_from_guest fails
console_io unknown | -ENOSYS | console.c, do_console_io: default
console_io read nothing | 0 | do_console_io: how many bytes there were
physdev_op set_iopl | 0 | physdev.h, PHYSDEVOP_set_iopl
physdev_op set_iopl 4 | -EINVAL | physdev.c, do_physdev_op: there are 0 to 3
physdev_op unknown | -ENOSYS | do_physdev_op: default
physdev_op wild | -EFAULT | do_physdev_op: copy_from_guest fails
physdev_op eoi not ours | -EINVAL | irq.c, pirq_guest_eoi
physdev_op bitmap too long | -EINVAL | do_physdev_op: there are 65536 ports
vm_assist on | 0 | domain.c, vm_assist
vm_assist off | 0 | vm_assist
vm_assist unknown | -EINVAL | vm_assist: beyond MAX_VMASST_TYPE
vm_assist how | -ENOSYS | vm_assist: neither enable nor disable
grant_table_op setup | 0 | grant_table.c, gnttab_setup_table
grant setup status | GNTST_okay | grant_table.h, GNTTABOP_setup_table
grant_table_op map nobody | 0 | grant_table.c, gnttab_map_grant_ref: each request has its own status
grant map status | GNTST_bad_domain | grant_table.h: unrecognised domain id
grant_table_op unmap | 0 | grant_table.c, gnttab_unmap_grant_ref
grant unmap status | GNTST_bad_handle | grant_table.h: unrecognised or inappropriate handle
grant_table_op unknown | -ENOSYS | grant_table.c, do_grant_table_op: default
grant_table_op wild | -EFAULT | gnttab_map_grant_ref: __copy_from_guest_offset fails
grant_table_op too many | -EINVAL | do_grant_table_op: more than 512
grant_table_op setup two | -EINVAL | gnttab_setup_table: one at a time
grant_table_op query | 0 | grant_table.c, gnttab_query_size
grant frames | 1 | grant_table.h, GNTTABOP_query_size: as many as were set up
grant query status | GNTST_okay | grant_table.h, GNTTABOP_query_size
bind_virq timer | 0 | event_channel.h, EVTCHNOP_bind_virq
port | 1 | event_channel.c, get_free_port: the lowest; 0 is reserved
bind_virq again | -EEXIST | event_channel.c, evtchn_bind_virq
bind_virq unknown | -EINVAL | evtchn_bind_virq: there are NR_VIRQS, 24
bind_virq other vcpu | -ENOENT | evtchn_bind_virq: no such VCPU
bind_ipi | 0 | event_channel.h, EVTCHNOP_bind_ipi
port | 2 | get_free_port
send ipi | 0 | event_channel.c, evtchn_send
close ipi | 0 | event_channel.h, EVTCHNOP_close
close again | -EINVAL | event_channel.c, __evtchn_close: ECS_FREE
alloc_unbound | 0 | event_channel.h, EVTCHNOP_alloc_unbound
port | 2 | get_free_port: a closed one is free again
bind_interdomain | 0 | event_channel.h, EVTCHNOP_bind_interdomain: a loopback
port | 3 | get_free_port
bind_interdomain again | -EINVAL | event_channel.c, evtchn_bind_interdomain: it is not unbound any more
status | 0 | event_channel.h, EVTCHNOP_status
interdomain | 2 | event_channel.h, EVTCHNSTAT_interdomain
status nobody | -ESRCH | event_channel.c, evtchn_status
status beyond | -EINVAL | evtchn_status: port_is_valid fails
bind_pirq not ours | -EPERM | event_channel.c, evtchn_bind_pirq: irq_access_permitted fails
unmask nothing | -EINVAL | event_channel.c, evtchn_unmask: port_is_valid fails
unmask free | 0 | evtchn_unmask: a port of the first 128 is valid, free or not
send free | -EINVAL | evtchn_send: default
send wild | -EFAULT | event_channel.c, do_event_channel_op: copy_from_guest fails
bind_vcpu | 0 | event_channel.h, EVTCHNOP_bind_vcpu
event_channel_op unknown | -ENOSYS | do_event_channel_op: default
set_timer_op | 0 | schedule.c, do_set_timer_op: it cannot fail
sched_op block | 0 | sched.h, SCHEDOP_block
upcalls | 1 | sched.h, SCHEDOP_block: it returns when an event has been delivered
sched_op yield | 0 | sched.h, SCHEDOP_yield
sched_op compat yield | 0 | schedule.c, do_sched_op_compat
sched_op poll | 0 | sched.h, SCHEDOP_poll: the time is over
sched_op poll too many | -EINVAL | schedule.c, do_poll: more than 128
sched_op poll no port | -EINVAL | do_poll: beyond MAX_EVTCHNS
sched_op poll wild | -EFAULT | schedule.c, do_sched_op: copy_from_guest fails
sched_op shutdown wild | -EFAULT | do_sched_op: copy_from_guest fails
sched_op remote nobody | -ESRCH | do_sched_op: rcu_lock_domain_by_id fails
sched_op remote wild | -EFAULT | do_sched_op: copy_from_guest fails
sched_op compat poll | -ENOSYS | do_sched_op_compat: default
sched_op unknown | -ENOSYS | do_sched_op: default
vcpu_op is_up | 1 | vcpu.h, VCPUOP_is_up
vcpu_op other | -ENOENT | domain.c, do_vcpu_op: no such VCPU
vcpu_op beyond | -EINVAL | do_vcpu_op: there can be MAX_VIRT_CPUS, 32
vcpu_op initialise | -EEXIST | do_vcpu_op: it is initialised
vcpu_op initialise wild | -EFAULT | do_vcpu_op: copy_from_guest fails
vcpu_op runstate | 0 | vcpu.h, VCPUOP_get_runstate_info
vcpu_op runstate in Xen | -EFAULT | x86/domain.c, arch_do_vcpu_op: guest_handle_okay fails
vcpu_op short period | -EINVAL | do_vcpu_op: less than a millisecond
vcpu_op stop | 0 | vcpu.h, VCPUOP_stop_periodic_timer
vcpu_op past | -ETIME | vcpu.h, VCPU_SSHOTTMR_future
vcpu_op unknown | -ENOSYS | arch_do_vcpu_op: default
callback_op event | 0 | callback.h, CALLBACKTYPE_event
callback_op kind | -ENOSYS | x86_32/traps.c, register_guest_callback: default
callback_op unknown | -ENOSYS | x86_32/traps.c, do_callback_op: default
callback_op register wild | -EFAULT | do_callback_op: copy_from_guest fails
callback_op unregister kind | -ENOSYS | x86_32/traps.c, unregister_guest_callback: default
callback_op unregister event | -EINVAL | callback.h: not all callbacks can be unregistered
domctl info | 0 | domctl.h, XEN_DOMCTL_getdomaininfo
domctl version | -EACCES | domctl.c, do_domctl: not XEN_DOMCTL_INTERFACE_VERSION
domctl pause self | -EINVAL | do_domctl: a domain cannot pause itself
domctl scheduler put | 0 | domctl.h, XEN_DOMCTL_SCHEDOP_putinfo
domctl scheduler get | 0 | domctl.h, XEN_DOMCTL_SCHEDOP_getinfo
weight | 300 | sched_credit.c, csched_dom_cntl
cap | 50 | csched_dom_cntl
domctl scheduler no cap | 0 | csched_dom_cntl: a weight of 0 leaves it
domctl scheduler other | -EINVAL | schedule.c, sched_adjust: another scheduler's number
domctl pause nobody | -ESRCH | do_domctl
domctl unknown | -ENOSYS | x86/domctl.c, arch_do_domctl: default
domctl wild | -EFAULT | do_domctl: copy_from_guest fails
set_segment_base | -ENOSYS | x86_32/entry.S: do_ni_hypercall
hypercall 11 | -ENOSYS | x86_32/entry.S: do_ni_hypercall
hypercall 1000 | -ENOSYS | x86_32/entry.S: beyond NR_hypercalls
cpuid | 0 | traps.c, emulate_forced_invalid_op: it goes on behind the CPUID
out | 16 | traps.c, emulate_privileged_op: a port that is not the domain's is not written
"""


def answers(hole: int) -> list[tuple[str, int]]:
    """What each call in turn must answer."""
    names = {**globals(), "HOLE": hole}
    found = []
    for row in ANSWERS.strip().splitlines():
        case, answer, source = row.split(" | ")
        assert source
        sign, name = (-1, answer[1:]) if answer.startswith("-") else (1, answer)
        found.append((case, sign * (int(name) if name.isdigit() else names[name])))
    return found


@pytest.fixture(scope="module")
def symbols():
    return assemble(SOURCE.read_text(), SOURCE.name, bits=32).symbols


def test_nasm_makes_the_same_of_it():
    assert assemble(SOURCE.read_text(), SOURCE.name, bits=32).data == GOLDEN.read_bytes()


def printed(tmp_path, symbols, pae: str) -> tuple[list[str], Run]:
    notes = (
        note(GUEST_OS, "abi") + note(XEN_VERSION, "xen-3.0") + note(VIRT_BASE, BASE) + note(LOADER, "generic")
        + note(ENTRY, symbols["_start"]) + note(HYPERCALL_PAGE, symbols["hypercall_page"])
        + note(PAE_MODE, pae) + note(FEATURES, "writable_page_tables|auto_translated_physmap")
    )  # fmt: skip
    path = tmp_path / "abi-kernel"
    path.write_bytes(elf(GOLDEN.read_bytes(), LOADED, LINKED, symbols["_start"], notes=notes))
    run = Run(load_guest(str(path), "xen"), memory=16 << 20).run()
    return run.serial.split("\n"), run


@pytest.mark.parametrize("pae", ["no", "yes"])
def test_every_hypercall_answers_as_documented(tmp_path, symbols, pae):
    lines, run = printed(tmp_path, symbols, pae)
    assert (run.reason, run.sentence) == ("halted", "the guest shut its domain down"), lines[-5:]
    hole = (0xF580_0000 if pae == "yes" else 0xFC00_0000) - (1 << 32)
    assert lines[:-1] == [f"{name} {answer}" for name, answer in answers(hole)]
