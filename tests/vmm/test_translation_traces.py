"""Traces on the guest's IDT: the monitor delivers through a copy, and no write to the table escapes it."""

from __future__ import annotations

import pytest

from tests.vmm.test_translation import machine, translated
from tests.vmm.vmm_support import Run, small_image
from vizapp.machine import events
from vizapp.vmm.binary_translation.layout import DEFAULT_CACHE_BYTES
from vizapp.vmm.native import Native

GATE = "idt + 0x40 * 8"
TURNS = 40
TWO = "jmp over; f: add ebx, ebp; inc ecx; iret; g: imul eax, ebp, 3; add edx, eax; iret; over: nop;"
POINT = "mov [{at}], ax; shr eax, 16; mov [{at} + 6], ax;"
BODIES = {
    "read again and again": f"{TWO} mov eax, f; {POINT.format(at=GATE)} mov ebp, {TURNS}; "
    "a: int 0x40; dec ebp; jnz a",
    "written again and again": f"{TWO} mov ebp, {TURNS}; a: mov eax, f; test ebp, 1; jz b; mov eax, g; "
    f"b: {POINT.format(at=GATE)} int 0x40; dec ebp; jnz a",
    "not present any more": f"{TWO} mov eax, f; {POINT.format(at=GATE)} int 0x40; "
    f"and byte [{GATE} + 5], 0x7F; int 0x40",
    "written by a string": f"{TWO} mov eax, f; {POINT.format(at=GATE)} int 0x40; mov esi, {GATE}; "
    "mov edi, idt + 0x41 * 8; mov ecx, 8; rep movsd; int 0x44; int 0x45",
    "another table": f"{TWO} mov eax, f; {POINT.format(at=GATE)} int 0x40; mov esi, idt; mov edi, 0x125FF8; "
    "mov ecx, 512; rep movsd; mov dword [idtr + 2], 0x125FF8; lidt [idtr]; mov eax, g; "
    f"{POINT.format(at=GATE)} int 0x40; mov eax, g; {POINT.format(at='0x125FF8 + 0x40 * 8')} int 0x40",
    "a short table": f"{TWO} mov eax, f; {POINT.format(at=GATE)} int 0x40; mov word [idtr], 0x40 * 8 - 1; "
    "lidt [idtr]; int 0x40",
    "another page under the table": f"{TWO} PAGING; mov eax, f; {POINT.format(at=GATE)} int 0x40; "
    "mov esi, idt; and esi, ~4095; mov edi, 0x126000; mov ecx, 2048; rep movsd; mov eax, g; "
    f"{POINT.format(at='0x126000 - (idt - $$) / 4096 * 4096 - 0x100000 + ' + GATE)} int 0x40; mov eax, idt; "
    "shr eax, 12; mov ecx, [0x131000 + eax * 4]; mov dword [0x131000 + eax * 4], 0x126007; mov ebp, eax; "
    "mov eax, cr3; mov cr3, eax; mov esi, 7; int 0x40; mov [0x131000 + ebp * 4], ecx; mov eax, cr3; "
    "mov cr3, eax; int 0x40",
    "accessed bits": f"{TWO} PAGING; mov eax, f; {POINT.format(at=GATE)} int 0x40; mov ebp, idt; "
    "shr ebp, 12; and byte [0x131000 + ebp * 4], 0xDF; mov eax, cr3; mov cr3, eax; int 0x40; "
    "mov esi, [0x131000 + ebp * 4]",
}


@pytest.mark.parametrize("size", [DEFAULT_CACHE_BYTES, 1024])
@pytest.mark.parametrize("name", BODIES)
def test_ends_as_on_the_bare_machine(name: str, size: int) -> None:
    image = small_image(BODIES[name])
    assert translated(image, size).run().ending() == Run(image, Native()).run().ending()


def test_gates_are_read_from_the_copy_and_copied_when_they_change() -> None:
    read = machine(translated(small_image(BODIES["read again and again"])).run())
    run = translated(small_image(BODIES["written again and again"])).run()
    written = machine(run)
    assert read.virtual.gates.gates == 256
    assert read.virtual.gates.used >= TURNS - 1
    hits = [event for event in run.events if event.kind == events.SHADOW_FLUSHED]
    assert written.tables_hit == sum(event.cause == "descriptors" for event in hits)
    # Two stores a turn but for the first, of which the second changes nothing.
    assert written.tables_hit - read.tables_hit == 2 * (TURNS - 1)
    assert written.virtual.gates.copied - read.virtual.gates.copied == TURNS - 1


def test_it_goes_on_from_any_checkpoint() -> None:
    image = small_image(BODIES["written again and again"])
    whole, run = translated(image).run(), translated(image)
    for _ in range(12):
        run.pc.run(max_steps=150)
        run.pc.load(run.pc.save())
    assert run.run().ending() == whole.ending()
