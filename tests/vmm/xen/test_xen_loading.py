"""What a kernel finds at its start: ramdisk, command line, and page tables of either format."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from domains_support import Tools
from xen_support import BASE, Run, kernel, recount_machine

from vizapp.isa.paging import PTE_P
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.frame_info import PageType
from vizapp.vmm.xen.paging_format import PAE

HELLO = """
        XEN 18, 0, 6, text
        XEN 17, 3, scratch
        STOP
text:   db "hello", 10
"""


@pytest.mark.parametrize("pae", [False, True])
def test_ramdisk_and_command_line_are_found(pae):
    image = replace(kernel(HELLO), ramdisk=b"RAMDISK!" * 700, command_line="root=/dev/ram", pae=pae)
    run = Run(image)
    info = run.xen.frame.esi
    start, length = run.words(info + abi.START_INFO["mod_start"], 2)
    assert (run.monitor.guest_read(start, length, 0), start % 4096) == (b"RAMDISK!" * 700, 0)
    assert run.monitor.guest_read(info + 80, 14, 0) == b"root=/dev/ram\0"
    magic = run.monitor.guest_read(info, 17, 0)
    assert magic == (b"xen-3.0-x86_32p\0\0" if pae else b"xen-3.0-x86_32\0\0\0")
    run.run()
    assert (run.reason, run.serial) == ("halted", "hello\r\n" if "\r" in run.serial else "hello\n")
    name = bytes(run.monitor.guest_read(run.at("scratch"), 16, 0)).split(b" ")[0]
    assert name == magic.split(b"\0")[0]


@pytest.fixture
def wide():
    """A kernel on page tables of 64-bit entries."""
    return Run(replace(kernel("ready: hlt"), pae=True)).until("ready")


def test_the_tables_of_pae_are_typed_and_counted(wide):
    types, root = wide.xen.types, wide.xen.domain.page_directory
    assert types.info(root)[:2] == (PageType.L3, 2)
    pointers = struct.unpack("<4Q", wide.pc.memory.dump(root << 12, 32))
    assert [bool(entry & PTE_P) for entry in pointers] == [False, False, False, True]
    directory = pointers[3] >> 12
    assert types.info(directory)[:2] == (PageType.XEN_L2, 1)
    entries = struct.unpack("<512Q", wide.pc.memory.dump(directory << 12, 4096))
    assert entries[PAE.first_xen_slot] & PTE_P
    assert all(types.info(entry >> 12).type is PageType.L1 for entry in entries[:20] if entry & PTE_P)
    assert wide.pc.cpu.pointers == pointers
    assert wide.monitor.guest_translate(BASE + 0x1234) == 0x1234


def test_pae_keeps_the_same_rules(wide):
    tools, form, memory = Tools(wide), wide.xen.format, wide.pc.memory
    root = wide.xen.domain.page_directory
    entry = form.last_entry(memory, root, wide.at("stack"))
    table = entry >> 12
    page = wide.frame_of("scratch")
    assert tools.update(entry, page << 12 | 0x63) == 0
    assert wide.frame_of("stack") == page
    assert tools.update(entry, table << 12 | 0x63) == -abi.EINVAL
    assert tools.update(entry, table << 12 | 0x61) == 0
    assert tools.update(entry, 1 << 63 | page << 12 | 0x63) == -abi.EINVAL  # execute-disable is not there
    assert tools.update(entry, 0x1 << 12 | 0x63) == -abi.EINVAL
    assert tools.update(entry + 4, page << 12 | 0x63) == -abi.EINVAL  # in the middle of an entry
    pointer = (root << 12) + 3 * 8
    assert tools.update(pointer, 0) == -abi.EINVAL  # the hypervisor is behind it
    directory = memory.read(pointer, 8) >> 12
    assert tools.update(root << 12, directory << 12 | 1) == -abi.EINVAL  # and only there
    assert tools.update(pointer, directory << 12 | 0x67) == -abi.EINVAL
    slot = (directory << 12) + PAE.first_xen_slot * 8
    assert tools.update(slot, page << 12 | 0x63) == -abi.EINVAL
    assert tools.update(root << 12, page << 12 | 1) == -abi.EINVAL  # mapped writable
    where = wide.at("scratch") + 2 * 4096
    empty = wide.frame_of(where)
    memory.load(empty << 12, bytes(4096))
    assert wide.call("update_va_mapping", where, empty << 12 | 0x61, 0, 2) == 0
    assert tools.ext(abi.MMUEXT_PIN_L3, empty) == -abi.EINVAL
    assert tools.ext(abi.MMUEXT_PIN_L4, empty) == 0  # a level that is not there is ignored
    assert tools.update(root << 12, empty << 12 | 1) == 0  # an empty directory for the first gigabyte
    assert wide.pc.cpu.pointers[0] == empty << 12 | 1
    assert wide.xen.types.info(empty).type is PageType.L2
    assert wide.call("update_va_mapping", where, empty << 12 | 0x63, 0, 2) == -abi.EINVAL


def test_another_top_level_table_is_loaded(wide):
    tools, memory = Tools(wide), wide.pc.memory
    where = wide.at("scratch") + 2 * 4096
    new, old = wide.frame_of(where), wide.xen.domain.page_directory
    memory.load(new << 12, memory.dump(old << 12, 4096))
    assert wide.call("update_va_mapping", where, new << 12 | 0x61, 0, 2) == 0
    assert tools.ext(abi.MMUEXT_PIN_L3, new) == 0
    assert tools.ext(abi.MMUEXT_NEW_BASEPTR, new) == 0
    assert wide.pc.cpu.cr3 >> 12 == new
    assert tools.ext(abi.MMUEXT_UNPIN, old) == 0
    assert wide.xen.types.info(old).uses == 0
    assert not wide.run(50).pc.stopped or wide.reason


def test_both_formats_run_the_same_kernel_to_the_same_end():
    ends = []
    for pae in (False, True):
        run = Run(replace(kernel("XEN 29, 0\nint3"), pae=pae)).run()
        ends.append((run.reason, run.word("vector"), run.serial))
        assert run.xen.types.info(run.xen.domain.page_directory).uses == 2
    assert ends[0] == ends[1] == ("halted", 3, "")


def test_with_a_ramdisk_every_count_is_right():
    run = Run(replace(kernel(HELLO), ramdisk=b"x")).run()
    recount_machine(run)
