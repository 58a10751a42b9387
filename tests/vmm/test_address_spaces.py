"""Shadows of several address spaces: kept over loads of CR3, and true all the same."""

from __future__ import annotations

import pytest
from vmm_support import Run, library_image, small_image

from vizapp.machine import events
from vizapp.vmm.binary_translation.technique import BinaryTranslation
from vizapp.vmm.binary_translation.vm import TranslatedVm
from vizapp.vmm.native import Native

# A second directory at 134000, whose table at 135000 maps the first 4 MB too, but 126000 to frame 127.
SECOND = """
    PAGING; mov esi, 0x131000; mov edi, 0x135000; mov ecx, 1024; rep movsd; mov dword [0x134000], 0x135007;
    mov dword [0x135000 + 0x126 * 4], 0x127007; mov dword [0x126000], 6; mov dword [0x127000], 7;
"""
TO_FIRST, TO_SECOND = ("mov eax, 0x130000; mov cr3, eax;", "mov eax, 0x134000; mov cr3, eax;")
BODIES = {
    "there and back": SECOND
    + 3 * (TO_SECOND + "add ebx, [0x126000]; inc dword [0x126000];" + TO_FIRST + "add ecx, [0x126000];"),
    "a table changed while another is used": SECOND
    + "mov ebx, [0x126000];" + TO_SECOND + "mov ecx, [0x126000]; mov dword [0x131000 + 0x126 * 4], 0x128007;"
    "mov dword [0x128000], 8;" + TO_FIRST + "mov edx, [0x126000];",
    "a table shared by two": SECOND
    + "mov dword [0x134000], 0x131007;" + TO_SECOND + "mov ebx, [0x126000]; mov dword [0x131000 + 0x126 * 4],"
    "0x127007;" + TO_FIRST + "mov ecx, [0x126000];",
    "accessed and dirty bits cleared": SECOND
    + "mov ebx, [0x126000]; mov dword [0x126000], 9; mov dword [0x131000 + 0x126 * 4], 0x126007;" + TO_SECOND
    + TO_FIRST + "mov ecx, [0x126000]; mov edx, [0x131000 + 0x126 * 4]; mov dword [0x126000], 3;"
    "mov esi, [0x131000 + 0x126 * 4];",
    "a table that becomes data": SECOND
    + TO_SECOND + "mov ebx, [0x126000];" + TO_FIRST + "mov dword [0x134000], 0; mov edi, 0x135000;"
    "mov ecx, 1024; xor eax, eax; rep stosd; mov edx, [0x135000];",
    "write protection ignored": SECOND
    + "mov dword [0x131000 + 0x126 * 4], 0x126005; invlpg [0x126000]; mov eax, cr0;"
    "and eax, 0xFFFEFFFF; mov cr0, eax; mov dword [0x126000], 11; mov ebx, [0x126000];"
    "mov ecx, [0x131000 + 0x126 * 4]; mov eax, cr0; or eax, 0x10000; mov cr0, eax; mov dword [0x126000], 12;",
    "more address spaces than are kept": SECOND
    + "mov edi, 0x138000; a: mov eax, [0x130000]; mov [edi], eax; mov cr3, edi; add ebx, [0x126000];"
    "add edi, 0x1000; cmp edi, 0x144000; jb a; sub edi, 0xC000; mov cr3, edi; add ebx, [0x127000];",
}  # fmt: skip


def run(body: str, *, eager: bool, roots: int | None = None) -> Run:
    technique = BinaryTranslation()
    if roots is not None:
        technique.kinds = technique.kinds._replace(roots=roots)
    found = Run(small_image(body), technique)
    for vm in found.monitor.vms:
        assert isinstance(vm, TranslatedVm)
        vm.eager = eager
    return found.run(600_000)


@pytest.mark.parametrize(("eager", "roots"), [(True, None), (True, 1), (False, None)])
@pytest.mark.parametrize("name", BODIES)
def test_ends_as_on_the_bare_machine(name: str, eager: bool, roots: int | None) -> None:
    native = Run(small_image(BODIES[name]), Native()).run(600_000)
    assert run(BODIES[name], eager=eager, roots=roots).ending() == native.ending()


def test_an_address_space_is_not_filled_twice() -> None:
    body = BODIES["there and back"]
    kept, flushed = run(body, eager=True), run(body, eager=False)
    assert [event.cause for event in kept.kinds(events.SHADOW_SWITCHED)][2:] == ["known"] * 4
    assert len(kept.kinds(events.PAGE_SHADOWED)) < len(flushed.kinds(events.PAGE_SHADOWED))


def test_goes_on_from_a_checkpoint() -> None:
    whole = Run(library_image("minikernel"), BinaryTranslation()).run(60_000)
    parts = Run(library_image("minikernel"), BinaryTranslation()).run(30_000)
    saved = parts.pc.save()
    parts.run(4000).pc.load(saved)
    parts.run(30_000)
    assert parts.ending() == whole.ending()
    assert parts.pc.meter.rows() == whole.pc.meter.rows()
