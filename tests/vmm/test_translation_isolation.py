"""Binary translation keeps its own: the cache is code alone, and no guest reaches it or its segment."""

from __future__ import annotations

import random
from collections import Counter

import capstone
import pytest

from tests.vmm.test_trap_isolation import Watch
from tests.vmm.vmm_support import MEMORY, Run, library_image, small_image
from vizapp.isa.addresses import Linear
from vizapp.isa.decode import DecodeError, decode
from vizapp.isa.instruction import Memory
from vizapp.isa.registers import CS, GS
from vizapp.machine import events
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session
from vizapp.vmm.base import cache_owner, segment_owner
from vizapp.vmm.binary_translation.layout import CACHE, DEFAULT_CACHE_BYTES, SEGMENT, SEGMENT_BYTES
from vizapp.vmm.binary_translation.spots import CALLOUT, CONTINUATION, LOOKUP
from vizapp.vmm.binary_translation.technique import BinaryTranslation
from vizapp.vmm.binary_translation.translator import IDENT, KINDS, kind_of
from vizapp.vmm.binary_translation.vm import TranslatedVm
from vizapp.vmm.native import Native

BASE = 0xFFC0_0000
SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss")
AREAS = ((0, 0x3_0000), (SEGMENT, SEGMENT_BYTES), (CACHE, DEFAULT_CACHE_BYTES))
# At ring 3: an instruction that leaves what it found out in EAX, or in ZF and so in EBX.
LOOKS = {
    "sgdt": "sgdt [0x125010]; mov eax, [0x125012]",
    "sidt": "sidt [0x125010]; mov eax, [0x125012]",
    "sldt": "sldt eax",
    "str": "str eax",
    "smsw": "smsw eax",
    "lar": "mov ecx, 0x3B; lar eax, ecx; setz bl",
    "lsl": "mov ecx, 0x23; lsl eax, ecx; setz bl",
    "verr": "mov ecx, 0xE083; verr cx; setz bl",
    "verw": "mov ecx, 0xE083; verw cx; setz bl",
    "pushf": "pushf; pop eax",
    "popf": "push 0xFFFFFFFF & ~0x40100; popf; pushf; pop eax",
    "mov from cs": "mov eax, cs",
    "mov from ss": "mov eax, ss",
    "push": "push cs; pop eax; push ds; pop ebx",
    "pop": "push 0x23; pop es; mov eax, es",
    "mov to segment": "mov ecx, 0x23; mov es, ecx; mov eax, es",
    "les": "push 0x23; push 5; les eax, [esp]; mov ebx, es",
    "far call": "call 0x1B:a; a: pop eax; pop ebx",
    "far return": "push 0x1B; push a; retf; a: mov eax, cs",
    "iret": "pushf; push 0x1B; push a; iret; a: pushf; pop eax",
    "int": "mov eax, 5; int 0x80",
    "cpuid": "mov eax, 1; cpuid; xor eax, edx; mov ebx, ecx",
}
LEAKS = {"sgdt", "sidt", "sldt", "str", "smsw", "lar", "lsl", "verr", "verw"}
# The kernel uses a data segment of ring 3 at 40 whose descriptor it then takes away, so that the monitor has
# to keep it in a slot of its own, at E080; at 38 is a task state segment of ring 3.
SLOT = """
    mov dword [gdt + 0x40], 0xFFFF; mov dword [gdt + 0x44], 0x00CFF200; mov ax, 0x43; mov es, ax;
    mov dword [gdt + 0x40], 0; mov dword [gdt + 0x44], 0; mov byte [es:0x125000], 0; mov ax, 0x23; mov es, ax;
    mov dword [gdt + 0x38], 0x67; mov dword [gdt + 0x3C], 0x0000E900; xor eax, eax; xor ebx, ebx;
"""


def machine(run: Run, vm: int = 0) -> TranslatedVm:
    found = run.monitor.vms[vm]
    assert isinstance(found, TranslatedVm)
    return found


@pytest.mark.parametrize("name", LOOKS)
def test_exactly_what_direct_execution_leaks_differs(name: str) -> None:
    body = f"{SLOT.strip()} USER; {LOOKS[name]}; mov [0x126000], eax; mov [0x126004], ebx; int 3"
    guest = small_image(body.replace("\n", " "))
    run, bare = Run(guest, BinaryTranslation()).run(), Run(guest, Native()).run()
    assert run.reason == bare.reason == "halted"
    found, expected = ([one.memory(0x126000 + at) for at in (0, 4)] for one in (run, bare))
    assert (found != expected) == (name in LEAKS)


def _wild(generator: random.Random) -> int:
    start, size = generator.choice(AREAS)
    return BASE + start + generator.randrange(-8, size) & 0xFFFF_FFFF


def _accesses(generator: random.Random, count: int) -> str:
    """Wild reads and writes, each done often enough to be translated anew if that were thought worth it."""
    forms = (
        "mov dword [{s}:{a:#x}], 0x41414141", "mov eax, [{s}:{a:#x}]", "mov [{s}:esi], ebx",
        "add [{s}:esi], bl",
        "push dword [{s}:esi]", "pop dword [{s}:esi]", "xchg [{s}:esi + 4], eax", "not dword [{s}:esi - 3]",
        "mov edi, esi; stosd", "mov edi, 0x125000; movsd", "cmp [{s}:esi + ebp * 4], eax",
    )  # fmt: skip
    done = []
    for _ in range(count):
        address = _wild(generator)
        form = generator.choice(forms).format(s=generator.choice(SEGMENTS), a=address)
        if form.startswith("mov dword [cs") or "[cs:" in form:
            form = "mov eax, [cs:esi]"  # a code segment takes no writes
        done.append(f"mov esi, {address:#x}; {form}; xor edx, eax; mov esp, 0x11F000")
    return "; ".join(done)


@pytest.mark.parametrize("prologue", ["", "PAGING;"])
@pytest.mark.parametrize("seed", range(3))
def test_wild_pointers_and_overrides_of_the_kernel_reach_nothing(prologue: str, seed: int) -> None:
    generator = random.Random(f"{prologue}{seed}")
    # Beyond its memory a guest reads ones and what it writes there vanishes; with paging there is nothing.
    accesses = _accesses(generator, 12)
    guest = small_image(f"{prologue} mov ebp, 9; again: {accesses}; dec ebp; jnz near again")
    run = Run(guest, BinaryTranslation())
    watch = Watch(run)
    run.run()
    assert run.ending() == Run(guest, Native()).run().ending()
    own = {"vm0", cache_owner(0), segment_owner(0)}
    assert {owner for owner, _ in watch.frames} <= own
    assert (cache_owner(0), True) not in watch.frames
    assert not watch.ports
    assert_copies_are_the_guests(run)


@pytest.mark.parametrize("seed", range(6))
def test_segments_of_any_base_and_limit_reach_nothing(seed: int) -> None:
    generator = random.Random(seed)
    base = generator.choice([0, 0x1000, BASE - 0x1000, BASE, 0xFFFF_0000, generator.randrange(1 << 32)])
    kind = generator.choice([0x92, 0x96])
    high = base & 0xFF00_0000 | 0x00C0_0000 | generator.randrange(16) << 16 | kind << 8 | base >> 16 & 0xFF
    low = (base & 0xFFFF) << 16 | generator.randrange(1 << 16)
    offsets = [_wild(generator) - base & 0xFFFF_FFFF for _ in range(8)]
    accesses = "".join(f"mov dword [{offset:#x}], 0x41414141; add eax, [{offset:#x}];" for offset in offsets)
    body = f"mov dword [gdt + 0x30], {low:#x}; mov dword [gdt + 0x34], {high:#x}; mov ax, 0x30; mov ds, ax;"
    guest = small_image(f"{body} mov ebp, 9; again: {accesses} dec ebp; jnz near again")
    run = Run(guest, BinaryTranslation())
    watch = Watch(run)
    run.run()
    assert run.ending() == Run(guest, Native()).run().ending()
    assert (cache_owner(0), True) not in watch.frames
    assert_copies_are_the_guests(run)


@pytest.mark.parametrize("seed", range(3))
def test_applications_reach_nothing(seed: int) -> None:
    generator = random.Random(seed)
    for _ in range(4):
        access = generator.choice(["mov [esi], ebx", "mov eax, [esi]", "inc byte [esi]", "jmp esi"])
        guest = small_image(f"PAGING; USER; mov esi, {_wild(generator):#x}; {access}; int 3")
        run = Run(guest, BinaryTranslation())
        watch = Watch(run)
        run.run()
        assert run.ending() == Run(guest, Native()).run().ending()
        own = {"vm0", cache_owner(0), segment_owner(0)}
        assert {owner for owner, _ in watch.frames} <= own


@pytest.mark.parametrize("prologue", ["", "PAGING;", "PAGING; USER;"])
def test_the_auditor_finds_that_nothing_was_let_through(prologue: str) -> None:
    """The session's, whose map of what is whose the monitor does not make."""
    generator = random.Random(f"audited {prologue}")
    if "USER" in prologue:
        body = f"{prologue} mov esi, {_wild(generator):#x}; mov [esi], ebx; int 3"
    else:
        body = f"{prologue} mov ebp, 6; again: {_accesses(generator, 8)}; dec ebp; jnz near again"
    session = Session(Scenario(small_image(body), "binary-translation"), lockstep=True)
    session.advance()
    card = session.scorecard()
    assert card.holds is True, card.first_difference
    assert card.let_through == 0


def assert_copies_are_the_guests(run: Run) -> None:
    """Nobody has written to the cache but the translator: its copies are what the guest has there."""
    vm = machine(run)
    for unit in vm.cache.units.values():
        raw = b"".join(vm.memory.dump(at, count) for at, count in unit.code)
        at = unit.key.eip
        for eip, kind, begin, end in unit.lines:
            copy = vm.cache.bytes_at(begin, end - begin)
            if kind == IDENT and unit.key.bits == 32:
                assert raw[eip - at : eip - at + len(copy)] == copy


@pytest.mark.parametrize(
    ("name", "size"),
    [("minikernel", DEFAULT_CACHE_BYTES), ("pte-modify", DEFAULT_CACHE_BYTES), ("syscall", 4096)],
)
def test_every_byte_of_the_cache_is_an_instruction(name: str, size: int) -> None:
    """From one spot to the next, by a disassembler that is not ours; what is free is INT3."""
    run = Run(library_image(name), BinaryTranslation(size)).run(400_000)
    cache = machine(run).cache
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    # What was dropped or replaced is not run any more.
    live = sorted((unit.start, unit.end) for unit in cache.units.values())
    for start, end in live:
        offsets = [offset for offset in range(start, end) if offset in cache.spots]
        decoded = list(engine.disasm(cache.bytes_at(start, end - start), cache.base + start))
        found = [instruction.address - cache.base for instruction in decoded]
        assert sum(instruction.size for instruction in decoded) == end - start
        assert set(offsets) <= set(found)
        # Behind a unit's last jump may be padding.
        padding = [at for at in found if at not in set(offsets)]
        assert all(cache.bytes_at(at, 1) == b"\x90" for at in padding)
    for offset, spot in cache.spots.items():
        if offset >= cache.bottom:
            assert spot.kind in (CONTINUATION, CALLOUT, LOOKUP)
            (door,) = engine.disasm(cache.bytes_at(offset, 2), 0)
            assert door.mnemonic == "int"
    free = cache.bytes_at(cache.top, cache.bottom - cache.top)
    assert free == b"\xcc" * len(free)


@pytest.mark.parametrize("prefix", [0x65, 0x2E])
def test_nothing_that_uses_gs_or_reads_through_cs_is_copied(prefix: int) -> None:
    """Of every opcode with an operand in memory; a prefix of a jump is a hint."""
    seen = 0
    for opcode in (*range(0x100), *range(0x0F00, 0x1000)):
        raw = bytes((prefix,)) + opcode.to_bytes(2 if opcode > 0xFF else 1, "big")
        for reg in range(8):
            try:
                instruction = decode(raw + bytes((reg << 3 | 3,)) + bytes(12), Linear(0))
            except DecodeError:
                continue
            through = {operand.segment for operand in instruction.operands if isinstance(operand, Memory)}
            if through & {CS, GS}:
                seen += 1
                if instruction.mnemonic != "lea":
                    assert kind_of(instruction) != IDENT, instruction.raw.hex()
    for raw in (b"\x8e\xe8", b"\x0f\xa9", b"\x0f\xb5\x03", b"\x8c\xe8"):  # loads and stores of GS
        assert kind_of(decode(raw + bytes(12), Linear(0))) != IDENT
    assert seen > 200


def test_the_classes_add_up():
    run = Run(library_image("minikernel"), BinaryTranslation()).run(400_000)
    told: Counter[str] = Counter()
    for event in run.kinds(events.UNIT_TRANSLATED):
        kinds = {kind: int(event.payload[kind.replace("-", "_")]) for kind in KINDS}
        assert sum(kinds.values()) == event.payload["instructions"]
        told.update(kinds)
    assert dict(machine(run).translated) == {kind: told[kind] for kind in KINDS}
    assert set(run.monitor.vms[0].translated) == set(KINDS)


def test_a_guest_that_crashes_takes_nobody_with_it():
    image = library_image("crash")
    run = Run(
        image,
        BinaryTranslation(),
        others=(library_image("isprime"), library_image("rings")),
        slice_cycles=3000,
    ).run(4_000_000)
    assert [vm.stopped[0] for vm in run.monitor.vms] == ["shutdown", "halted", "halted"]
    for vm, name in ((1, "isprime"), (2, "rings")):
        alone = Run(library_image(name), Native()).run(4_000_000)
        serial = bytes(run.monitor.vms[vm].hardware.uart.output).decode()
        assert serial.splitlines()[-1] == alone.serial.splitlines()[-1]


def test_the_windows_show_the_guests_own_frames_alone():
    run = Run(library_image("pte-modify"), BinaryTranslation()).run(200_000)
    vm = machine(run)
    assert vm.windows.all
    for window in vm.windows.all:
        assert vm.memory.host_frame(window.frame) == window.host
        assert window.host in vm.memory.p2m
        assert Linear(window.page << 12) < BASE
        assert window.frame << 12 < MEMORY
