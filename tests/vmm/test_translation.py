"""Binary translation: kernels run from the translation cache end as on the bare machine."""

from __future__ import annotations

import random

import pytest

from tests.vmm.vmm_support import ORIGIN, Run, library_image, small_image
from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine import events, hot_blocks
from vizapp.machine.image import Image
from vizapp.machine.places import TRANSLATION_CACHE
from vizapp.vmm.binary_translation.layout import DEFAULT_CACHE_BYTES
from vizapp.vmm.binary_translation.spots import CONTINUATION
from vizapp.vmm.binary_translation.technique import BinaryTranslation
from vizapp.vmm.binary_translation.translator import KINDS
from vizapp.vmm.binary_translation.vm import TranslatedVm
from vizapp.vmm.native import Native

_TEXT = """
copies:
    mov eax, 5; add eax, 7; imul ebx, eax, 9; lea ecx, [ebx + eax * 4]; xchg eax, ecx; cdq; div ecx
flags through CLI and STI:
    xor eax, eax; cli; setz al; pushf; pop ebx; stc; sti; sbb ecx, ecx; nop
PUSHF and POPF:
    push dword 0x246; popf; pushf; pop eax; push dword 0xC97; popf; pushf; pop ebx; cli; pushf; pop ecx
POPF of IOPL:
    push dword 0x3202; popf; pushf; pop eax; cli; pushf; pop ebx; push dword 2; popf; pushf; pop ecx
POPF of NT and AC:
    push dword 0x44002; popf; pushf; pop eax; push dword 2; popf
16-bit flags:
    pushfw; pop ax; push word 0x246; popfw; pushf; pop ebx
calls:
    call f; call f; mov edx, f; call edx; push g; ret; f: inc eax; ret; g: mov ebx, esp
RET with release:
    push dword 1; push dword 2; call f; jmp g; f: mov eax, [esp + 8]; ret 8; g: mov ebx, esp
call through memory:
    mov dword [0x125000], f; mov ecx, 0x125000; call [ecx]; jmp g; f: inc eax; ret; g: nop
call by the stack:
    push f; call [esp]; pop ebx; jmp g; f: inc eax; mov edx, [esp + 4]; ret; g: nop
loops:
    mov ecx, 9; a: inc eax; loop a; mov ecx, 5; b: dec ecx; jecxz c; jmp b; c: mov edx, 3; d: dec edx;
    jnz d
LOOPE:
    mov ecx, 9; a: inc eax; cmp eax, 4; loopne a; mov ebx, ecx
control registers:
    mov eax, cr0; mov ebx, cr0; or ebx, 2; mov cr0, ebx; mov ecx, cr0; mov edx, cr3; mov esi, cr4
segment registers:
    push ds; pop eax; push cs; pop ebx; mov ecx, ss; mov edx, gs; mov gs, dx; mov ax, 0x30; mov gs, ax
GS of the guest's:
    mov ax, 0x30; mov gs, ax; mov dword [gs:0x10], 0x1234; mov ebx, [gs:0x10]; mov ecx, [0x200010]
CS override:
    mov eax, [cs:gdtr]; mov ebx, [gdtr]; sub eax, ebx
far transfers:
    jmp 8:a; a: push cs; call dword b; jmp c; b: retf; c: call 8:d; jmp e; d: retf; e: mov eax, esp
tables read:
    sgdt [0x125000]; sidt [0x125010]; str eax; sldt ebx; smsw ecx; lar edx, eax; mov esi, [0x125002]
segment registers read:
    mov eax, cs; mov bx, ss; mov ecx, ds; push es; pop edx; push cs; pop esi; pushw fs; pop di; mov ecx,
    gs; mov [0x125000], ds; mov ax, 0x23; mov es, ax; mov ebp, es; mov ax, 0; mov fs, ax; mov ecx, fs
CPUID:
    stc; xor eax, eax; cpuid; push ebx; push edx; push ecx; push eax; sbb edi, edi; mov eax, 1; cpuid;
    push ebx; push edx; push ecx; push eax; mov eax, 2; cpuid; push edx; mov eax, 7; cpuid; push ecx;
    mov eax, 8; cpuid; push eax; mov eax, 0x80000002; cpuid; mov eax, 0x100; cpuid; mov esi, eax;
    mov eax, 0x80000000; cpuid
ports:
    stc; in al, 0x80; sbb ebx, ebx; in al, 0x21; mov ch, al; mov al, 0x5A; out 0x21, al; mov al, 0; in al,
    0x21; mov cl, al; in al, 0xA1; mov dl, al; mov al, 0x0C; out 0x20, al; in al, 0x21; mov dh, al; in al,
    0x21; bswap edx; in al, 0xFE; mov dl, al; in ax, 0x80; mov si, ax; in eax, 0x80; in al, 0x20
true fault:
    mov dword [0x125000], 7; xor ecx, ecx; mov eax, 5; xor edx, edx; div ecx
INT of the kernel's:
    int 0x80
UD2:
    mov eax, 3; ud2
paging:
    PAGING; mov eax, [0x125000]; mov dword [0x125000], 5; mov dword [PTE(0x126000)], 0; invlpg
    [0x126000]; mov ebx, [0x126000]
fault in a sequence:
    PAGING; mov dword [PTE(0x126000)], 0; invlpg [0x126000]; mov ecx, 0x11; mov edx, 0x22; mov esp,
    0x127000; pushf
RET from no stack:
    PAGING; mov dword [PTE(0x126000)], 0; invlpg [0x126000]; mov ecx, 0x11; mov esp, 0x126800; ret
REP:
    mov edi, 0x125000; mov ecx, 300; mov eax, 0x77; rep stosd; mov esi, 0x125000; mov edi, 0x127000; mov
    ecx, 300; rep movsd
an application:
    USER; mov eax, 7; push dword 5; pop ebx; int 0x80
single step:
    push dword 0x102; popf; nop; nop
code patched by itself:
    mov ebx, 3; a: mov eax, 1; add [a + 1], eax; add edx, eax; dec ebx; jnz a; mov byte [b], 0x42; jmp
    b; b: nop; inc edx; mov byte [c], 0x42; c: nop; nop
another page under the code:
    PAGING; mov esi, f; mov edi, 0x126000; mov ecx, 16; rep movsb; mov esi, g; mov edi, 0x127000; mov
    ecx, 16; rep movsb; mov ebp, 0x126000; call ebp; mov dword [PTE(0x126000)], 0x127007; mov eax, cr3;
    mov cr3, eax; call ebp; jmp h; f: mov ebx, 1; ret; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop;
    g: mov ecx, 2; ret; nop; nop; nop; nop; nop; nop; nop; nop; nop; nop; h: nop
"""


def _bodies() -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in _TEXT.strip().splitlines():
        if line.startswith(" "):
            found[name] += line
        else:
            name = line.removesuffix(":")
            found[name] = ""
    return found


BODIES = _bodies()


def translated(image: Image, cache_bytes: int = DEFAULT_CACHE_BYTES, **options: object) -> Run:
    return Run(image, BinaryTranslation(cache_bytes), **options)  # type: ignore[arg-type]


def machine(run: Run, vm: int = 0) -> TranslatedVm:
    found = run.monitor.vms[vm]
    assert isinstance(found, TranslatedVm)
    return found


@pytest.mark.parametrize("size", [DEFAULT_CACHE_BYTES, 1024])
@pytest.mark.parametrize("name", BODIES)
def test_ends_as_on_the_bare_machine(name: str, size: int) -> None:
    image = small_image(BODIES[name])
    run = translated(image, size).run()
    assert run.ending() == Run(image, Native()).run().ending()


def test_counts_each_guest_instruction_once_wherever_it_ran():
    run = translated(library_image("compute")).run()
    guest = machine(run)
    assert guest.instructions == Run(library_image("compute"), Native()).run().pc.instructions
    assert 0 < guest.cached < guest.instructions - guest.emulated
    assert set(guest.translated) == set(KINDS)
    assert sum(guest.translated.values()) > 100


def test_stepping_and_running_are_the_same(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hot_blocks, "ARRIVALS", 2)
    image = library_image("syscall")
    stepped, ran = translated(image), translated(image)
    while stepped.pc.stopped is None and stepped.pc.position < 6000:
        stepped.pc.step()
    ran.run(6000)
    assert stepped.events == ran.events
    assert stepped.pc.meter.rows() == ran.pc.meter.rows()
    assert stepped.ending() == ran.ending()


def test_goes_on_from_any_checkpoint():
    image = library_image("minikernel")
    whole = translated(image).run(40_000)
    parts = translated(image)
    choice = random.Random(5)
    saved = parts.pc.save()
    while parts.pc.position < 40_000:
        parts.pc.run(max_steps=choice.randrange(1, 3000))
        parts.pc.load(saved)
        parts.pc.run(max_steps=min(choice.randrange(1, 3000), 40_000 - parts.pc.position))
        saved = parts.pc.save()
    assert parts.ending() == whole.ending()
    assert parts.pc.meter.rows() == whole.pc.meter.rows()


def test_the_guest_sees_its_own_state_at_every_step():
    """EIP, registers and IF of both truths, against the bare machine's after as many instructions."""
    image = small_image(BODIES["PUSHF and POPF"] + ";" + BODIES["calls"] + "; sti; nop; cli")
    run, bare = translated(image), Run(image, Native())
    while run.pc.stopped is None:
        view = run.monitor.guest_view()
        if bare.pc.instructions < run.pc.instructions:
            bare.pc.run(until_instruction=run.pc.instructions)
        # Between two guest instructions it is what it was behind the first.
        expected = bare.monitor.guest_view()
        assert (view.general, view.eip, view.cpl) == (expected.general, expected.eip, expected.cpl)
        assert view.eflags & EFLAGS_IF == expected.eflags & EFLAGS_IF
        run.pc.step()


def test_several_machines_have_caches_of_their_own():
    first, second = library_image("compute"), library_image("minikernel")
    run = translated(first, others=(second,), slice_cycles=3000).run(4_000_000)
    for vm, image in enumerate((first, second)):
        alone = Run(image, Native()).run()
        serial = bytes(run.monitor.vms[vm].hardware.uart.output).decode()
        assert serial.splitlines()[-1] == alone.serial.splitlines()[-1]
        assert machine(run, vm).cached


def test_isprime_is_translated_as_adams_and_agesen_show_it():
    """FIGURES.md 1.5: its units, the jumps that are not there, the closed loop, the block never met."""
    run = translated(library_image("isprime")).run()
    cache = machine(run).cache
    units = {unit.key.eip: unit for unit in cache.units.values()}
    code = library_image("isprime").segments[0][1]
    entry = ORIGIN + code.index(bytes.fromhex("89f9be0200000039ce7d"))
    first = units[entry]
    assert [kind for _, kind, _, _ in first.lines] == ["ident"] * 3 + ["chained"]
    raw = cache.bytes_at(first.start, first.end - first.start)
    assert raw[:11] == bytes.fromhex("89f9be0200000039ce0f8d")  # three copies, and JGE to a continuation
    assert cache.spots[first.end + int.from_bytes(raw[11:15], "little")].kind == CONTINUATION
    loop, end = units[entry + 0x0B], units[entry + 0x14]
    assert (loop.start, loop.elided) == (first.end, True)
    assert (end.start, end.elided) == (loop.end, True)
    closed = cache.bytes_at(end.start, 9)
    assert closed[:5] == bytes.fromhex("4639ce0f8c")  # inc esi; cmp esi, ecx; jl
    assert end.start + 9 + int.from_bytes(closed[5:], "little", signed=True) == loop.start
    assert entry + 0x19 not in units  # prime: mov eax, 1
    returned = units[entry + 0x1F]
    assert [kind for _, kind, _, _ in returned.lines] == ["ident", "lookup"]


def test_code_that_changes_is_translated_again():
    image = library_image("selfmodify")
    run = translated(image).run()
    assert run.serial == Run(image, Native()).run().serial
    assert run.kinds(events.UNITS_DROPPED)


def test_a_tiny_cache_is_flushed_and_changes_no_result():
    image = library_image("minikernel")
    run = translated(image, 1024).run(4_000_000)
    assert run.kinds(events.CACHE_FLUSHED)
    assert run.serial.splitlines()[-1] == Run(image, Native()).run(4_000_000).serial.splitlines()[-1]


def test_ring_1_cannot_reach_the_monitor():
    """Neither the cache nor the segment, by a pointer, an override, or a segment of the guest's choice."""
    tried = "".join(
        f"mov esi, {address:#x}; mov eax, [{segment}:esi]; mov [{segment}:esi], ebx;"
        for address in (0xFFC4_0000, 0xFFD0_0000, 0xFFC1_0000)
        for segment in ("ds", "es", "fs", "ss", "gs")
    )
    run = translated(small_image("mov ebx, 0x12345678;" + tried)).run()
    # Beyond its memory a guest reads ones, and what it writes there vanishes.
    assert run.ending() == Run(small_image("mov ebx, 0x12345678;" + tried), Native()).run().ending()
    cache = machine(run).cache
    assert bytes.fromhex("78563412") * 2 not in cache.bytes_at(0, cache.size)


def test_translated_code_runs_at_ring_1_and_applications_at_ring_3():
    run = translated(library_image("syscall")).run()
    places = {row.place for row in run.pc.meter.rows()}
    assert {(place.ring, place.component) for place in places} == {
        (0, "vmm"), (1, TRANSLATION_CACHE), (3, "application"),
    }  # fmt: skip
