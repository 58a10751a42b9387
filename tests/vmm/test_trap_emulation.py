"""Every privileged and every sensitive instruction on the virtual CPU, judged by the bare machine."""

import pytest
from vmm_support import Run, like_native, small_image

from vizapp.machine import events

PRIVILEGED = {
    "hlt with interrupts off": "hlt",
    "cli": "cli",
    "sti": "sti; nop; cli",
    "lgdt": "sub dword [gdtr], 8; lgdt [gdtr]",
    "lidt": "lidt [idtr]",
    "lldt": "xor eax, eax; lldt ax",
    "ltr of a busy TSS": "mov eax, 0x28; ltr ax",
    "lmsw": "mov eax, 0xB; lmsw ax; smsw ebx",
    "clts": "mov eax, cr0; or eax, 8; mov cr0, eax; clts; mov ebx, cr0",
    "mov to and from cr0": "mov eax, cr0; or eax, 0x10000; mov cr0, eax; mov ebx, cr0",
    "mov to and from cr2": "mov eax, 0x1234; mov cr2, eax; mov ebx, cr2",
    "mov to and from cr3": "mov eax, 0x130000; mov cr3, eax; mov ebx, cr3",
    "mov to and from cr4": "mov eax, 0x8C; mov cr4, eax; mov ebx, cr4",
    "a bit of cr4 that does not exist": "mov eax, 0x80000000; mov cr4, eax",
    "mov to and from dr": "mov eax, 0x1234; mov dr0, eax; mov ebx, dr0; mov ecx, dr7",
    "invd, wbinvd": "invd; wbinvd",
    "invlpg": "invlpg [0x1000]",
    "wrmsr, rdmsr": "mov ecx, 0x175; mov eax, 0x1234; wrmsr; xor eax, eax; rdmsr",
    "rdmsr of none": "mov ecx, 0x7777; rdmsr",
    "in, out": "mov dx, 0x3FF; mov al, 0x5A; out dx, al; xor eax, eax; in al, dx; in al, 0x21",
    "wide in, out": "mov dx, 0x3FE; in ax, dx; in eax, dx; out 0x20, eax",
    "ins, outs": "mov edx, 0x3F8; mov esi, text; mov ecx, 4; rep outsb;"
    " mov edx, 0x3FD; mov edi, 0x120000; insb; jmp over; text: db 'text'; over:",
}  # fmt: skip
SENSITIVE = {
    "sgdt, sidt": "sgdt [0x120000]; sidt [0x120008]",
    "sldt, str, smsw": "sldt eax; str ebx; smsw ecx; smsw [0x120000]",
    "pushf, popf": "push dword 0x3202; popf; pushf; pop eax; push dword 2; popf; pushf",
    "pushfw, popfw": "push word 0x3246; popfw; pushfw; pop ax; cli",
    "push and pop of segments": "push cs; push ss; push ds; pop es; push fs; pop gs; pop ss; add esp, 4",
    "mov from segments": "mov eax, cs; mov ebx, ss; mov [0x120000], ds",
    "mov to segments": "mov eax, 0x23; mov ds, eax; mov es, ax; mov ax, 0x10; mov ss, ax",
    "a segment of 64 KB": "mov ax, 0x30; mov ds, ax; mov eax, [0x10]; mov eax, [0x10000]",
    "lds, les, lfs, lgs, lss": "mov dword [0x120000], 0x118000; mov dword [0x120004], 0x10;"
    " les edi, [0x120000]; lfs esi, [0x120000]; lgs ebp, [0x120000]; lss esp, [0x120000];"
    " lds ebx, [0x120000]",
    "lar, lsl": "mov eax, 0x10; lar ebx, eax; lsl ecx, eax; mov eax, 0x28; lar edx, eax; lsl esi, eax",
    "verr, verw": "mov eax, 8; verr ax; setz bl; verw ax; setz cl",
    "far jump and call": "jmp 8:there; there: call 8:below; jmp over; below: retf; over:",
    "far return to ring 3": "push dword 0x23; push dword 0x118000; push dword 0x1B; push dword user;"
    " retf; user: cli",
    "int to a handler": "int 0x40",
    "int3": "int3",
    "into": "mov al, 0x7F; inc al; into",
    "iret within the ring": "pushf; push cs; push dword back; iret; back:",
    "iret to ring 3": "USER; cli",
    "iret with interrupts on": "push dword 0x202; push cs; push dword back; iret; back: pushf; cli",
    "arpl": "mov eax, 0x10; mov ecx, 3; arpl ax, cx",
}  # fmt: skip


@pytest.mark.parametrize("body", [*PRIVILEGED.values(), *SENSITIVE.values()], ids=[*PRIVILEGED, *SENSITIVE])
def test_as_on_the_bare_machine(body):
    like_native(body)


IN_RING_3 = {
    **{name: f"USER; {body}" for name, body in PRIVILEGED.items() if "over" not in body},
    "a system call": "USER; int 0x80",
    "int to a gate of the kernel's": "USER; int 0x40",
    "a kernel segment": "USER; mov eax, 0x10; mov ds, ax",
    "a far jump into the kernel": "USER; jmp 8:main",
    "pushf, popf": "USER; push dword 0x3002; popf; pushf; pop eax; int 0x80",
    "io with privilege": "push dword 0x23; push dword 0x118000; push dword 0x3202; push dword 0x1B;"
    " push dword user; iret; user: in al, 0x21; cli; sti; int 0x80",
}  # fmt: skip


@pytest.mark.parametrize("body", IN_RING_3.values(), ids=IN_RING_3)
def test_from_ring_3_as_on_the_bare_machine(body):
    like_native(body)


def test_an_emulated_instruction_is_counted_and_told():
    run = Run(small_image("cli; mov eax, 0x130000; mov cr3, eax; in al, 0x21")).run()
    last = [event for event in run.events if event.kind == events.INSTRUCTION_EMULATED][-4:]
    assert [event.cause for event in last] == ["cli", "mov cr3", "in", "hlt"]
    assert last[1].payload["value"] == 0x13_0000
    assert last[2].payload["port"] == 0x21
    assert last[0].payload["bytes"] == "fa"


def test_a_system_call_is_told_as_one():
    run = Run(small_image("USER; int 0x80")).run()
    (call,) = run.kinds(events.SYSTEM_CALL_REFLECTED)
    assert (call.payload["vector"], call.payload["ring"]) == (0x80, 3)
    assert (call.source.ring, call.target.ring) == (0, 1)


def test_a_repeated_instruction_counts_once():
    body = "mov edx, 0x3F8; mov esi, 0x100000; mov ecx, 50; rep outsb"
    run = like_native(body)
    assert run.monitor.devices.uart.output == run.pc.memory.dump(run.monitor.guest_physical(0x10_0000), 50)


def test_single_stepping_traps_behind_emulated_instructions_too():
    like_native("push dword 0x102; popf; cli")
    like_native("push dword 0x102; popf; nop")
    like_native("push dword 0x102; popf; int 0x40")


def test_a_16_bit_stack_keeps_the_upper_half_of_esp():
    # IRET leaves it as it was in ring 0, which the guest must not see.
    like_native(
        "mov byte [gdt + 0x36], 0; mov ax, 0x30; mov ss, ax; mov esp, 0x12348000; nop; mov eax, esp;"
        " mov ecx, cr0; mov ebx, esp; push eax; mov edx, esp"
    )


def test_time_stamps_are_refused_to_ring_3_when_the_guest_says_so():
    run = like_native("mov eax, 4; mov cr4, eax; USER; rdtsc")
    assert run.monitor.guest_view().cpl == 0
