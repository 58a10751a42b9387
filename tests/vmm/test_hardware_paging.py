"""4 MB pages and PAE of a guest, its hardware tasks, and memory that is not there, as on the bare machine."""

import pytest
from hardware_support import SETTINGS, HardwareRun
from vmm_support import small_image

from vizapp.machine.features import Features

# The page at 1000000h is made the one at 0, used, and taken away again.
PSE = """
        mov edi, 0x200000
        mov eax, 0x83
        xor ecx, ecx
more:   mov [edi + ecx * 4], eax
        add eax, 0x400000
        inc ecx
        cmp ecx, 1024
        jb more
        mov dword [0x200010], 0x83
        mov eax, cr4
        or eax, 0x10
        mov cr4, eax
        mov eax, 0x200000
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80010000
        mov cr0, eax
        mov dword [0x1120000], 0x1234
        mov ebx, [0x120000]
        mov dword [0x200010], 0
        invlpg [0x1120000]
        mov eax, [0x1120004]
"""
# The same with tables of 8 bytes an entry, the second gigabyte being the first once more.
PAE = """
        mov edi, 0x201000
        mov eax, 0x83
        xor ecx, ecx
more:   mov [edi + ecx * 8], eax
        mov dword [edi + ecx * 8 + 4], 0
        add eax, 0x200000
        inc ecx
        cmp ecx, 512
        jb more
        mov dword [0x200000], 0x201001
        mov dword [0x200004], 0
        mov dword [0x200008], 0x201001
        mov dword [0x20000C], 0
        mov dword [0x200010], 0
        mov dword [0x200014], 0
        mov dword [0x200018], 0
        mov dword [0x20001C], 0
        mov dword [0x201040], 0x203003
        mov dword [0x203900], 0x120003
        mov dword [0x203904], 0
        mov eax, cr4
        or eax, 0x20
        mov cr4, eax
        mov eax, 0x200000
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80010000
        mov cr0, eax
        mov dword [0x1120000], 0x1234
        mov ebx, [0x120000]
        mov edx, [0x40120000]
        mov dword [0x203900], 0
        invlpg [0x1120000]
        mov eax, [0x1120004]
"""
# 4 MB pages in a directory at 131000, one of them 4 GB higher, where there is nothing.
PSE36 = """
        mov eax, cr4
        or eax, 0x10
        mov cr4, eax
        mov dword [0x131000], 0x00000083
        mov dword [0x131004], 0x00002083
        mov dword [0x131008], 0x0001E083
        mov dword [0x13100C], 0x00020083
        mov eax, 0x131000
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80010000
        mov cr0, eax
        mov dword [0x120000], 0x1234
        mov ebx, [0x120000]
        mov edx, [0x520000]
        mov dword [0x520000], 5
        mov esi, [0x520000]
        mov edi, [0x920000]
        mov ecx, [0x120000]
        mov eax, [0xD20004]
"""
# A task gate for #DE and a TSS behind it: the fault switches tasks, the other task ends the guest.
TASK = """
        mov dword [idt + 0], 0x00380000
        mov dword [idt + 4], 0x00008500
        mov dword [gdt + 0x38], 0x00000067
        mov dword [gdt + 0x3C], 0x00008912
        mov dword [0x120020], other
        mov dword [0x120024], 2
        mov dword [0x120038], 0x124000
        mov dword [0x12004C], 8
        mov dword [0x120048], 0x10
        mov dword [0x120050], 0x10
        mov dword [0x120054], 0x10
        mov dword [0x120066], 0x680000
        xor ecx, ecx
        div ecx
other:  mov ebx, 0x5678
"""
NOWHERE = (
    "mov eax, [0xA0000000]; mov dword [0xA0000000], 5; mov ebx, [0xA0000000]; mov esp, 0xB0000100; "
    "push 7; pop edx"
)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("body", [PSE, PAE], ids=["pse", "pae"])
def test_large_pages(body: str, setting: str) -> None:
    image, features = small_image(body), Features(apic=False)
    run = HardwareRun(image, setting, features=features).run()
    native = HardwareRun(image, setting, features=features, native=True).run()
    assert run.ending() == native.ending()
    assert run.monitor.guest_view().control[2] == 0x112_0004  # the fault that ended it


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_large_page_beyond_4_gb_has_nothing_behind_it(setting: str) -> None:
    image, features = small_image(PSE36), Features(apic=False)
    run = HardwareRun(image, setting, features=features).run()
    native = HardwareRun(image, setting, features=features, native=True).run()
    assert run.ending() == native.ending()
    _, ecx, edx, ebx, _, _, esi, edi = run.monitor.guest_view().general
    assert (ebx, ecx, edx, esi, edi) == (0x1234, 0x1234, *3 * (0xFFFF_FFFF,))
    assert run.monitor.guest_view().control[2] == 0xD2_0004  # a reserved bit


@pytest.mark.parametrize("setting", SETTINGS)
def test_where_there_is_no_memory(setting: str) -> None:
    image = small_image(NOWHERE)
    run, native = HardwareRun(image, setting).run(), HardwareRun(image, setting, native=True).run()
    assert run.ending() == native.ending()


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_fault_switches_tasks(setting: str) -> None:
    image = small_image(TASK)
    run, native = HardwareRun(image, setting).run(), HardwareRun(image, setting, native=True).run()
    assert native.monitor.guest_view().general[3] == 0x5678
    assert run.ending() == native.ending()
