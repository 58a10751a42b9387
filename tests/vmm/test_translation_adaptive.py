"""Adaptive retranslation: what keeps faulting on traces gets other forms; nothing else does."""

from __future__ import annotations

import random

import pytest

from tests.vmm.vmm_support import Run, library_image, small_image
from vizapp.machine import events
from vizapp.machine.features import Features
from vizapp.machine.image import Image
from vizapp.vmm.binary_translation import adaptation
from vizapp.vmm.binary_translation.adaptation import BY_PRIORITY, BY_WINDOW, COPY
from vizapp.vmm.binary_translation.layout import DEFAULT_CACHE_BYTES
from vizapp.vmm.binary_translation.technique import BinaryTranslation
from vizapp.vmm.native import Native

LOOP = "mov ebp, 40; again: {body}; dec ebp; jnz again"
DATA = """
    ; jmp over; align 64; x: times 256 dd 3
    wild: times 5 dd 0x126000, 0x10127000, 0x20000000 + x, 0xFFFFFFF0, 0xFFC40040, 0xFFD00000, 0x127FFE
    times 5 dd x + 0x10000
    over: nop
"""
# Name, the forms that its instructions get, and the loop's body.
_PLAIN = """
data beside code [window]:
    inc dword [x]; add [x + 4], ebp; mov [x + 8], cl; not byte [x + 9]
registers of the sequence [window]:
    lea ecx, [x + ebp * 4]; mov [ecx], ecx; mov edx, ecx; xchg [edx + 4], edx; mov [ecx + 8], ch;
    sub [edx + x], dx; adc ecx, [x]
both registers of the sequence [callout]:
    mov ecx, ebp; mov edx, x; xadd [edx], ecx; add eax, ecx
flags before and behind [window]:
    stc; mov [x], ebp; adc eax, 0; cmp ebp, 20; mov dword [x + 4], 5; sbb ebx, ebp; pushf; pop edx;
    and edx, 0x8D5; xor esi, edx
pop to memory [window]:
    push ebp; pop dword [x]; mov ebx, x; push 7; pop dword [ebx + 4]
stack beside code [callout]:
    mov edx, esp; mov esp, x + 64; push ebp; pusha; popa; pop eax; mov esp, edx
by the stack segment [window]:
    mov edi, ebp; mov ebp, x; mov [ebp + 4], edi; mov ebp, edi
wild pointers [window]:
    cmp ebp, 20; mov ecx, x; ja b; mov ecx, [wild + ebp * 4]; b: mov [ecx], ebp; inc byte [ecx + 3]
the end of the page [window]:
    mov ecx, x; or ecx, 0xFFF; sub ecx, ebp; cmp ebp, 12; ja b; sub ecx, 16; b: mov [ecx], ebp
code by the same instruction [window]:
    mov ecx, x; cmp ebp, 9; ja b; lea ecx, [c + 1]; b: mov [ecx], ebp; c: mov eax, 1; add ebx, eax
another data segment [window]:
    mov ax, 0x10; cmp ebp, 20; ja b; mov ax, 0x30; b: mov ds, ax; mov ecx, x; and ecx, 0xFFFF; test
    al, 0x20; jnz c; mov ecx, x; c: mov [ecx], ebp; mov ax, 0x10; mov ds, ax
a descriptor that changes [window]:
    cmp ebp, 20; jne b; mov byte [gdt + 0x14], 0x12; b: mov ax, 0x10; mov ds, ax; mov [x], ebp; mov
    ecx, [x]
descriptors written again and again [window]:
    mov ecx, ebp; shl ecx, 4; mov [gdt + 0x38 + 2], cx; mov dword [gdt + 0x38 + 4], 0x00409212;
    mov word [gdt + 0x38], 0xFFF; mov ax, 0x38; mov es, ax; mov [es:ecx], ebp; lsl edx, eax; add ebx, edx;
    test byte [gdt + 0x3D], 1; setnz dl; add ebx, edx
a local table [window]:
    mov dword [gdt + 0x40], 0x5000000F; mov dword [gdt + 0x44], 0x00008212; mov ax, 0x40; lldt ax;
    mov ecx, ebp; shl ecx, 20; or ecx, 0xFFFF; mov [0x125008], ecx; mov dword [0x12500C], 0x00C09200;
    mov ax, 0xC; mov fs, ax; mov [fs:0x126000], ebp; mov edx, [0x12500C]; add ebx, edx
a table that moves [window]:
    test ebp, 7; jnz b; lea edi, [ebp * 8 + 0x126000]; mov esi, gdt; mov ecx, 30; rep movsd; sub edi, 120;
    mov [x + 6], edi; mov word [x + 4], 119; lgdt [x + 4]; b: mov dword [x], 5; mov ax, 0x10; mov ds, ax;
    mov ax, 0x28; and byte [edi + 0x2D], 0xFD; ltr ax
repeated [callout]:
    mov edi, x; mov ecx, 3; mov eax, ebp; rep stosd; movsb
"""
_PAGED = """
page-table entries [window]:
    mov ecx, 0x128007; test ebp, 1; jz b; mov ecx, 0x127007; b: mov [PTE(0x126000)], ecx; invlpg
    [0x126000]; mov [0x126000], ebp; mov eax, [0x126000]; add ebx, eax
page-table entries without INVLPG [window]:
    lea ecx, [ebp * 8 + 7]; shl ecx, 9; and ecx, 0x7000; add ecx, 0x128007; mov [PTE(0x126000)],
    ecx; test ebp, 7; jnz b; mov eax, cr3; mov cr3, eax; mov [0x126000], ebp; b: nop
present and not [window]:
    xor dword [PTE(0x126000)], 1; invlpg [0x126000]; test byte [PTE(0x126000)], 1; jz b; inc dword
    [0x126000]; b: nop
another page under the window [window]:
    cmp ebp, 20; jne b; mov dword [PTE(0x131000)], 0x127007; invlpg [0x131000]; b: mov [0x131C00],
    ebp; mov eax, [0x131C00]; add ebx, eax
a page that becomes read-only [window]:
    mov [0x131C00], ebp; cmp ebp, 10; jne b; and dword [PTE(0x131000)], ~2; invlpg [0x131000]; b:
    nop
a dirty bit cleared [window]:
    mov [0x131C00], ebp; test ebp, 7; jnz b; mov eax, [PTE(0x131000)]; add ebx, eax; and dword
    [PTE(0x131000)], ~0x60; invlpg [0x131000]; b: nop
descriptors in another page [window]:
    mov esi, 0x100000; mov edi, 0x127000; mov ecx, 1024; cmp ebp, 20; jne b; rep movsd;
    mov byte [gdt + 0x27000 + 0x16], 0xC0; mov dword [PTE(0x100000)], 0x127007; invlpg [0x100000];
    b: mov ax, 0x10; mov es, ax; mov [0x131C00], ebp; lsl edx, eax; add ebx, edx
tables in turn [window]:
    mov ecx, 0x131C00; test ebp, 4; jz b; mov ecx, x; b: mov [ecx], ebp
a directory entry [window]:
    mov dword [0x130004], 0x131007; mov dword [0x130008], 0; mov eax, cr3; mov cr3, eax; mov eax,
    [0x526000]; add ebx, eax; mov [0x526000], ebp
"""


def _cases(text: str) -> dict[str, tuple[set[str], str]]:
    found: dict[str, tuple[set[str], str]] = {}
    name = ""
    for line in text.strip().splitlines():
        if line.startswith(" "):
            forms, body = found[name]
            found[name] = forms, f"{body} {line.strip()}"
        else:
            name, _, forms_text = line.removesuffix("]:").partition(" [")
            found[name] = set(forms_text.split(", ")), ""
    return found


CASES, PAGED = _cases(_PLAIN), _cases(_PAGED)


def image(body: str, *, paged: bool = False, times: int = 40) -> Image:
    before = "PAGING;" if paged else ""
    loop = LOOP.replace("40", str(times)).format(body=body)
    return small_image(f"{before} xor ebx, ebx; xor esi, esi; {loop} {DATA}")


def forms(run: Run) -> list[object]:
    return [event.payload["to"] for event in run.kinds(events.INSTRUCTION_RETRANSLATED)]


def judge(body: str, size: int, *, paged: bool) -> Run:
    guest = image(body, paged=paged)
    run = Run(guest, BinaryTranslation(size)).run()
    assert run.ending() == Run(guest, Native()).run().ending()
    return run


@pytest.mark.parametrize("size", [DEFAULT_CACHE_BYTES, 1024])
@pytest.mark.parametrize("name", CASES)
def test_ends_as_on_the_bare_machine(name: str, size: int) -> None:
    expected, body = CASES[name]
    run = judge(body, size, paged=False)
    if size == DEFAULT_CACHE_BYTES:
        assert expected <= set(forms(run))


@pytest.mark.parametrize("size", [DEFAULT_CACHE_BYTES, 1024])
@pytest.mark.parametrize("name", PAGED)
def test_page_tables_end_as_on_the_bare_machine(name: str, size: int) -> None:
    expected, body = PAGED[name]
    run = judge(body, size, paged=True)
    if size == DEFAULT_CACHE_BYTES:
        assert expected <= set(forms(run))


def test_faults_end_once_an_instruction_has_its_window():
    run = judge(CASES["data beside code"][1], DEFAULT_CACHE_BYTES, paged=False)
    faults = [event for event in run.kinds(events.EXCEPTION_DELIVERED) if event.cause == "#PF"]
    told = run.kinds(events.INSTRUCTION_RETRANSLATED)
    assert [event.payload["faults"] for event in told] == [adaptation.FAULTS] * 4
    assert {event.payload["from"] for event in told} == {COPY}
    # Shadow fills apart, no instruction has faulted more often.
    assert len(faults) - len(run.kinds(events.PAGE_SHADOWED)) == 4 * adaptation.FAULTS


def test_goes_back_when_it_stops_hitting_traces():
    body = "mov ecx, x; cmp ebp, 60; ja b; mov ecx, 0x126000; b: mov [ecx], ebp"
    guest = image(body, times=120)
    run = Run(guest, BinaryTranslation()).run()
    assert run.ending() == Run(guest, Native()).run().ending()
    assert forms(run) == [BY_WINDOW, COPY]
    back = run.kinds(events.INSTRUCTION_RETRANSLATED)[1]
    emulated = [event for event in run.events if event.kind == events.INSTRUCTION_EMULATED]
    behind = [event for event in emulated if event.position > back.position and event.cause == "mov"]
    assert not behind


def test_the_task_priority_is_a_slot_of_the_monitors():
    features = Features(apic=True)
    guest = library_image("tpr-write")
    run = Run(guest, BinaryTranslation(), features=features).run(4_000_000)
    assert (
        run.serial.splitlines()[-1]
        == Run(guest, Native(), features=features).run(4_000_000).serial.splitlines()[-1]
    )
    assert set(forms(run)) == {BY_PRIORITY}
    assert len(run.kinds(events.INSTRUCTION_EMULATED)) < 400


def test_an_interrupt_waits_for_the_task_priority():
    """The APIC's timer is requested while a sequence keeps the priority up, and arrives once it is down."""
    body = """
    mov dword [0xFEE000F0], 0x1FF; mov dword [0xFEE00320], 0x41; mov dword [0xFEE003E0], 0xB;
    mov ecx, 0xFEE00080; mov ebp, 40; up: mov dword [ecx], 0xF0; mov eax, [ecx]; add ebx, eax;
    mov dword [ecx], 0; dec ebp; jnz up; mov dword [ecx], 0xF0; mov dword [0xFEE00380], 50; sti;
    mov ebp, 3000; still: dec ebp; jnz still;
    mov dword [ecx], 0x50; mov dword [ecx], 0x10; mov esi, 1; nop; nop; mov esi, 2
    """
    features = Features(apic=True)
    guest = small_image(body.replace("\n", " "))
    run = Run(guest, BinaryTranslation(), features=features).run()
    bare = Run(guest, Native(), features=features).run()
    assert BY_PRIORITY in forms(run)
    assert run.monitor.guest_view().general == bare.monitor.guest_view().general
    assert run.monitor.guest_view().general[6] == 0  # ESI: it came at once


@pytest.mark.parametrize(("name", "features"), [("pte-modify", None), ("tpr-write", Features(apic=True))])
def test_goes_on_from_any_checkpoint(name: str, features: Features | None) -> None:
    guest, end = library_image(name), 22_000
    whole = Run(guest, BinaryTranslation(), features=features).run(end)
    parts = Run(guest, BinaryTranslation(), features=features)
    choice = random.Random(5)
    saved = parts.pc.save()
    while parts.pc.position < end and not parts.pc.stopped:
        parts.pc.run(max_steps=choice.randrange(1, 3000))
        parts.pc.load(saved)
        parts.pc.run(max_steps=min(choice.randrange(1, 3000), end - parts.pc.position))
        saved = parts.pc.save()
    assert forms(whole)
    assert parts.ending() == whole.ending()
    assert parts.pc.meter.rows() == whole.pc.meter.rows()
