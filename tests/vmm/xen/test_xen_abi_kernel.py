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

BAD_DOMAIN, BAD_HANDLE = -2, -4  # statuses of grant_table.h


def answers(hole: int) -> list[tuple[str, int]]:
    """What the headers, and the sources that they document, say of each call in turn."""
    return [
        ("update_va_mapping shared_info", 0),
        ("set_trap_table", 0),
        ("set_trap_table wild", -EFAULT),
        ("trap", 3),
        ("trap", 129),
        ("stack_switch", 0),
        ("set_callbacks", 0),
        ("set_gdt none", 0),
        ("set_gdt too long", -EINVAL),
        ("set_gdt wild", -EFAULT),
        ("set_gdt foreign", -EINVAL),
        ("update_descriptor foreign", -EINVAL),
        ("fpu_taskswitch set", 0),
        ("cr0.ts", 8),
        ("cr0.ts cleared", 0),
        ("set_debugreg", 0),
        ("set_debugreg in Xen", -EPERM),
        ("set_debugreg none", -EINVAL),
        ("get_debugreg none", -EINVAL),
        ("set_debugreg off", 0),
        ("update_va_mapping read", 0),
        ("page read there", 4711),
        ("update_va_mapping foreign", -EINVAL),
        ("update_va_mapping in Xen", -EINVAL),
        ("update_va_mapping nowhere", -EINVAL),
        ("update_va_mapping table", -EINVAL),
        ("update_va_otherdomain nobody", -ESRCH),
        ("mmu_update none", 0),
        ("mmu_update foreign", -EINVAL),
        ("mmu_update done", 0),
        ("mmu_update nobody", -ESRCH),
        ("mmu_update wild", -EFAULT),
        ("mmuext_op flush", 0),
        ("mmuext_op pin foreign", -EINVAL),
        ("mmuext_op set_ldt odd", -EINVAL),
        ("mmuext_op unknown", -ENOSYS),
        ("memory_op current", 4096),
        ("memory_op current nobody", -ESRCH),
        ("memory_op current wild", -EFAULT),
        ("memory_op decrease foreign", 0),
        ("memory_op unknown", -ENOSYS),
        ("multicall", 0),
        ("multicall version", 196609),
        ("multicall unknown", -ENOSYS),
        ("multicall in multicall", -EINVAL),
        ("multicall wild", -EFAULT),
        ("xen_version", 196609),
        ("xen_version platform", 0),
        ("hole", hole),
        ("xen_version wild", -EFAULT),
        ("xen_version pagesize", 4096),
        ("xen_version unknown", -ENOSYS),
        ("console_io wild", -EFAULT),
        ("console_io unknown", -ENOSYS),
        ("physdev_op set_iopl", 0),
        ("physdev_op set_iopl 4", -EINVAL),
        ("physdev_op unknown", -ENOSYS),
        ("vm_assist on", 0),
        ("vm_assist off", 0),
        ("vm_assist unknown", -EINVAL),
        ("vm_assist how", -ENOSYS),
        ("grant_table_op setup", 0),
        ("grant setup status", 0),
        ("grant_table_op map nobody", 0),
        ("grant map status", BAD_DOMAIN),
        ("grant_table_op unmap", 0),
        ("grant unmap status", BAD_HANDLE),
        ("grant_table_op unknown", -ENOSYS),
        ("grant_table_op wild", -EFAULT),
        ("bind_virq timer", 0),
        ("port", 1),
        ("bind_virq again", -EEXIST),
        ("bind_virq unknown", -EINVAL),
        ("bind_virq other vcpu", -ENOENT),
        ("bind_ipi", 0),
        ("port", 2),
        ("send ipi", 0),
        ("close ipi", 0),
        ("close again", -EINVAL),
        ("alloc_unbound", 0),
        ("port", 2),
        ("bind_interdomain", 0),
        ("port", 3),
        ("bind_interdomain again", -EINVAL),
        ("status", 0),
        ("interdomain", 2),
        ("status nobody", -ESRCH),
        ("bind_pirq not ours", -EPERM),
        ("unmask nothing", -EINVAL),
        ("bind_vcpu", 0),
        ("event_channel_op unknown", -ENOSYS),
        ("set_timer_op", 0),
        ("sched_op block", 0),
        ("upcalls", 1),
        ("sched_op yield", 0),
        ("sched_op compat yield", 0),
        ("sched_op poll", 0),
        ("sched_op unknown", -ENOSYS),
        ("vcpu_op is_up", 1),
        ("vcpu_op other", -ENOENT),
        ("vcpu_op short period", -EINVAL),
        ("vcpu_op stop", 0),
        ("vcpu_op past", -ETIME),
        ("vcpu_op unknown", -ENOSYS),
        ("callback_op event", 0),
        ("callback_op kind", -ENOSYS),
        ("callback_op unknown", -ENOSYS),
        ("domctl info", 0),
        ("domctl version", -EACCES),
        ("domctl pause self", -EINVAL),
        ("domctl pause nobody", -ESRCH),
        ("domctl unknown", -ENOSYS),
        ("domctl wild", -EFAULT),
        ("set_segment_base", -ENOSYS),
        ("hypercall 1000", -ENOSYS),
        ("cpuid", 0),
        ("out", 16),
    ]


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
