"""Faults handed to the guest: the frame on its stack, byte for byte what the bare machine pushes."""

import pytest
from vmm_support import Run, image_of, like_native, small_image

from vizapp.isa import vectors
from vizapp.machine import events
from vizapp.vmm.native import Native

FAULTS = {
    "#DE": ("xor ecx, ecx; div ecx", vectors.DE),
    "#UD": ("ud2", vectors.UD),
    "#UD of a LOCK": ("db 0xF0, 0x90", vectors.UD),
    "#BR": ("mov dword [0x120000], 1; mov dword [0x120004], 2; bound esp, [0x120000]", vectors.BR),
    "#GP of a selector": ("mov ax, 0x300; mov ds, ax", vectors.GP),
    "#GP of a null segment": ("xor eax, eax; mov ds, ax; mov eax, [0]", vectors.GP),
    "#GP beyond a limit": ("mov ax, 0x30; mov ds, ax; mov [0xFFFD], eax", vectors.GP),
    "#SS beyond a limit": ("mov ax, 0x30; mov ss, ax; mov esp, 0x20000; push eax", vectors.DF),
    "#NP": ("mov byte [gdt + 0x35], 0x12; mov ax, 0x30; mov ds, ax", vectors.NP),
    "#PF not present": ("PAGING; mov dword [PTE(0x200000)], 0; mov eax, [0x200123]", vectors.PF),
    "#PF write": ("PAGING; and byte [PTE(0x200000)], 0xFD; mov [0x200123], eax", vectors.PF),
    "#GP of an instruction of 16 bytes": ("times 15 db 0x66; nop", vectors.GP),
}  # fmt: skip


@pytest.mark.parametrize(("body", "vector"), FAULTS.values(), ids=FAULTS)
def test_from_the_kernel(body, vector):
    run = like_native(body)
    reflected = run.kinds(events.FAULT_REFLECTED)
    assert reflected or vector == vectors.DF


@pytest.mark.parametrize(
    "body",
    ["xor ecx, ecx; div ecx", "ud2", "mov eax, [0xFFC00000]", "mov eax, [0xFFFFFFFF]", "hlt"],
)
def test_from_an_application_with_a_switch_to_the_kernel_s_stack(body):
    run = like_native(f"PAGING; USER; {body}")
    (event,) = run.kinds(events.FAULT_REFLECTED)
    assert event.target.ring == 1


def test_the_error_code_tells_of_the_guest_s_tables_not_of_the_shadow():
    # Never mapped in the shadow, but write-protected in the guest's tables: P is set.
    run = like_native("PAGING; and byte [PTE(0x200000)], 0xFD; USER; mov [0x200004], eax")
    (event,) = run.kinds(events.FAULT_REFLECTED)
    assert event.payload["error"] == 7
    assert event.payload["linear"] == 0x20_0004


def test_a_fault_on_the_way_to_the_handler_becomes_a_double_fault():
    like_native("mov dword [idt + 0xD * 8 + 4], 0; hlt; mov ax, 0x300; mov ds, ax")
    like_native("mov dword [idt + 0xD * 8 + 4], 0; mov ax, 0x300; mov ds, ax")


def test_three_faults_shut_the_virtual_processor_down():
    body = "mov word [idtr], 0; lidt [idtr]; ud2"
    run = Run(small_image(body)).run()
    reason, message = run.pc.stopped
    assert reason == "shutdown" == Run(small_image(body), Native()).run().reason
    assert "0f 0b" in message.in_english()
    assert "#UD" in message.in_english()
    assert [event.payload["reason"] for event in run.kinds(events.VM_STOPPED)] == ["shutdown"]


def test_a_guest_without_tables_dies_of_its_first_fault():
    run = Run(image_of(bytes.fromhex("0f0b"))).run()
    assert run.reason == "shutdown"


def test_a_jump_into_nothing_ends_as_on_the_bare_machine():
    body = "jmp 8:0xE0000000"
    assert Run(small_image(body)).run().ending()[0] == Run(small_image(body), Native()).run().ending()[0]


def test_an_instruction_that_the_product_has_not_stops_with_its_bytes():
    run = Run(image_of(bytes.fromhex("0fefc0 f4"))).run()
    assert run.reason == "crashed"
    assert "0f ef c0" in run.pc.stopped[1].in_english()
