"""HVM domains: unmodified code beside a ported kernel, whose device model answers its ports."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from domains_support import Tools
from hvm_support import IOREQ_GFN, MODEL, HvmRun, flat
from xen_support import Run, kernel

from tests.controllers import START_CONTROLLER
from vizapp.machine import events
from vizapp.machine.features import Features
from vizapp.session.state_hash import state_hash
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.hvm import abi as h

WAYS = [("vt-x", False), ("vt-x", True), ("amd-v", False), ("amd-v", True)]
VENDORS = [("vt-x", False), ("amd-v", True)]
PORTS = flat("""
        mov dx, 0x3F8
        mov al, 'A'
        out dx, al
        mov dx, 0x3FD
        in al, dx
        mov [got], eax
        mov eax, 0x12345678
        out 0x80, eax
        in ax, 0x90
        mov [got + 4], eax
        cli
        hlt
        align 4
got:    dd 0, 0
""")
HALTED = "the guest halted with interrupts disabled"


def test_a_domain_0_with_pae_is_refused_such_domains():
    image = replace(kernel("ready: mov eax, 1\njmp ready"), pae=True)
    run = Run(image, spare=8 << 20, hvm="vt-x")
    run.until("ready")
    assert Tools(run).domctl("createdomain", 0, bytes(20) + struct.pack("<I", 1)) == -abi.EINVAL
    assert len(run.xen.domains) == 1


def end_of(run: HvmRun) -> str:
    stopped = run.xen.domains[1].stopped
    return "" if stopped is None else stopped[1].in_english()


@pytest.mark.parametrize(("vendor", "nested"), WAYS)
def test_ports_reach_the_device_model(vendor, nested):
    run = HvmRun(PORTS, vendor, nested=nested).start()
    assert run.kept == [(0x3F8, ord("A")), (0x80, 0x12345678)]
    assert (run.guest_word("got"), run.guest_word("got", 1)) == (0x60, 0x1234_0090)
    assert end_of(run) == HALTED
    asked = [event.payload["address"] for event in run.kinds(events.IO_REQUESTED)]
    assert asked == [0x3F8, 0x3FD, 0x80, 0x90]


@pytest.mark.parametrize(("vendor", "nested"), VENDORS)
def test_memory_without_a_page_reaches_it_too_and_an_instruction_is_done_once(vendor, nested):
    guest = flat("""
        mov dword [0x00E00000], 0x11223344
        mov eax, [0x00E00010]
        mov [got], eax
        mov esi, 0x00E00020
        mov edi, got + 4
        mov ecx, 3
        cld
        rep movsd
        mov [got + 16], esi
        inc dword [0x00E00030]
        cli
        hlt
        align 4
got:    dd 0, 0, 0, 0, 0
""")
    run = HvmRun(guest, vendor, nested=nested).start()
    # The model answers a read with its own address.
    assert [run.guest_word("got", n) for n in range(5)] == [
        0xE00010, 0xE00020, 0xE00024, 0xE00028, 0xE0002C,
    ]  # fmt: skip
    assert run.kept == [(0xE00000, 0x11223344), (0xE00030, 0xE00031)]
    assert end_of(run) == HALTED


@pytest.mark.parametrize(("vendor", "nested"), VENDORS)
def test_strings_go_in_one_request_with_a_pointer(vendor, nested):
    guest = flat("""
        mov esi, text
        mov edi, 32 * 4096
        mov ecx, 4
        cld
        rep movsb
        mov esi, 32 * 4096
        mov ecx, 4
        mov dx, 0x3F8
        rep outsb
        mov edi, 33 * 4096 - 3
        mov ecx, 3
        mov dx, 0x60
        rep insb
        mov [got], edi
        mov [got + 4], ecx
        cli
        hlt
text:   db "text"
        align 4
got:    dd 0, 0
""")
    run = HvmRun(guest, vendor, nested=nested).start()
    assert run.kept == [(0x3F8, ord(c)) for c in "text"]
    assert run.machine.memory.dump(33 * 4096 - 3, 3) == bytes((3, 2, 1))
    assert [run.guest_word("got"), run.guest_word("got", 1)] == [33 * 4096, 0]
    requests = [event.payload for event in run.kinds(events.IO_REQUESTED)]
    assert [(p["count"], p["pointer"], p["data"]) for p in requests] == [
        (4, 1, 32 * 4096), (3, 1, 33 * 4096 - 3),
    ]  # fmt: skip


IDT = """
%macro SET_GATE 2
        mov eax, %2
        mov word [idt + 8 * %1], ax
        mov word [idt + 8 * %1 + 2], 8
        mov word [idt + 8 * %1 + 4], 0x8E00
        shr eax, 16
        mov word [idt + 8 * %1 + 6], ax
%endmacro
"""
TABLES = """
        align 8
gdt:    dq 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF
gdtr:   dw 23
        dd gdt
idtr:   dw 0x1FF
        dd idt
idt:    times 64 dq 0
        align 16
"""
CONTROLLERS = (
    """
        lgdt [gdtr]
        lidt [idtr]
        mov esp, 0x9000
"""
    + START_CONTROLLER
)


@pytest.mark.parametrize(("vendor", "nested"), VENDORS)
def test_the_device_models_line_interrupts_a_guest_that_waits(vendor, nested):
    guest = flat(f"""{IDT}
        {CONTROLLERS}
        mov al, 0xEF
        out 0x21, al
        SET_GATE 0x24, handler
        out 0x99, al
        sti
        hlt
        cli
        hlt
handler:
        inc dword [got]
        mov al, 0x20
        out 0x20, al
        iretd
        {TABLES}
got:    dd 0
""")
    run = HvmRun(guest, vendor, nested=nested).start()
    assert run.guest_word("got") == 1
    assert end_of(run) == HALTED
    # The interrupt controllers are Xen's own.
    assert [event.payload["address"] for event in run.kinds(events.IO_REQUESTED)] == [0x99]


CALLS = """
        mov eax, 0x40000000
        cpuid
        mov [got], ebx
        mov [got + 4], ecx
        mov [got + 8], edx
        mov eax, 0x40000002
        cpuid
        mov ecx, ebx
        mov eax, page
        xor edx, edx
        wrmsr
"""


@pytest.mark.parametrize(("vendor", "nested"), VENDORS)
def test_a_guest_that_knows_of_xen_makes_hypercalls_and_gets_events_by_an_interrupt(vendor, nested):
    guest = flat(f"""{IDT}
        {CONTROLLERS}
        {CALLS}
        mov ebx, 0                      ; xen_version
        call page + 17 * 32
        mov [got + 12], eax
        mov ebx, 7                      ; memory_op: add_to_physmap
        mov ecx, map
        call page + 12 * 32
        mov [got + 16], eax
        mov ebx, 0                      ; hvm_op: CALLBACK_IRQ is line 5
        mov ecx, param
        call page + 34 * 32
        mov [got + 20], eax
        mov al, 0xDF
        out 0x21, al
        SET_GATE 0x25, handler
        mov ebx, 7                      ; event_channel_op: bind_ipi, and send to it
        mov ecx, ipi
        call page + 32 * 32
        mov eax, [ipi + 4]
        mov [port], eax
        sti
        mov ebx, 4
        mov ecx, port
        call page + 32 * 32
        nop
        mov ebx, 0                      ; domctl is not for it
        call page + 36 * 32
        mov [got + 24], eax
        cli
        hlt
handler:
        inc dword [got + 28]
        mov byte [0x30000], 0
        mov dword [0x30004], 0
        mov dword [0x30000 + 2048], 0
        push eax
        mov al, 0x20
        out 0x20, al
        pop eax
        iretd
        {TABLES}
map:    dd 0x7FF0, 0, 0, 0x30
param:  dd 0x7FF0, 0
        dq 5
ipi:    dd 0, 0
port:   dd 0
got:    times 8 dd 0
        align 4096
page:   times 4096 db 0
""")
    run = HvmRun(guest, vendor, nested=nested).start()
    words = [run.guest_word("got", n) for n in range(8)]
    assert struct.pack("<3I", *words[:3]) == b"XenVMMXenVMM"
    assert words[3:] == [abi.VERSION_3_1, 0, 0, (1 << 32) - abi.ENOSYS, 1]
    assert end_of(run) == HALTED


@pytest.mark.parametrize(("vendor", "nested"), VENDORS)
def test_wild_hypercalls_are_refused(vendor, nested):
    guest = flat(
        """
        mov esp, 0x9000
        mov edi, 0
again:  mov eax, edi
        mov ebx, 0xFFFFFFF0
        mov ecx, 0xFFFFFFFF
        mov edx, 0xFFFFFFFF
        mov esi, 0xFFFFFFFF
        push edi
        mov ebp, 0xFFFFFFFF
        %s
        pop edi
        inc edi
        cmp edi, 64
        jb again
        mov eax, 29                     ; the last one is meant: shutdown
        mov ebx, 2
        mov ecx, reason
        %s
        cli
        hlt
        align 4
reason: dd 0
""".replace("%s", "db 0x0F, 0x01, " + ("0xD9" if vendor == "amd-v" else "0xC1"))
    )
    run = HvmRun(guest, vendor, nested=nested).start()
    assert end_of(run) == "the guest shut its domain down"
    made = run.kinds(events.HYPERCALL_MADE)
    own = [event for event in made if event.source.vm == 1]
    assert len(own) == 65
    assert {event.payload["result"] >> 31 for event in own[:-1]} <= {0, 1}
    assert run.xen.domains[0].stopped[0] == "halted"  # domain 0 has nothing to wait for any more


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("0xF0", "the device model has left its request in state 0, which is none"),
        ("0xFF", "the device model has left its request in state 15, which is none"),
    ],
)
def test_a_request_in_a_state_that_is_none_is_the_end_of_the_domain(state, sentence):
    model = MODEL.replace("and byte [esi + 32], 0xF0", "mov byte [esi + 32], 0").replace(
        "or byte [esi + 32], 3", f"mov byte [esi + 32], {state}"
    )
    run = HvmRun(PORTS, model=model).start()
    assert run.xen.domains[1].stopped[0] == "crashed"
    assert end_of(run) == sentence


def test_what_the_device_model_writes_over_its_request_changes_nothing_but_the_answer():
    model = MODEL.replace(
        "done:   and", "done:   mov dword [esi], -1\n mov dword [esi + 8], -1\n mov dword [esi + 12], -1\n"
        "mov dword [esi + 16], -1\n mov dword [esi + 28], -1\n mov byte [esi + 33], 99\n and"
    )  # fmt: skip
    run = HvmRun(PORTS, model=model).start()
    assert (run.guest_word("got"), run.guest_word("got", 1)) == (0x60, 0x1234_0090)
    assert end_of(run) == HALTED


def test_without_a_page_for_requests_the_domain_ends():
    run = HvmRun(PORTS)
    run.xen.domains[1].hvm = run.xen.domains[1].hvm._replace(params=(0,) * h.PARAMS)
    del run.machine.physmap.pages[0]
    run.start()
    assert run.xen.domains[1].stopped[0] == "crashed"


@pytest.mark.parametrize(("vendor", "nested"), WAYS)
def test_a_rewound_run_ends_in_the_same_state(vendor, nested):
    run = HvmRun(PORTS, vendor, nested=nested)
    before = run.pc.save()
    assert run.tools.domctl("unpausedomain", run.domain) == 0
    saved = None
    for _ in range(400):
        run.pc.run(max_steps=7)
        if run.machine.request is not None:
            saved = run.pc.save()
            break
    run.pc.run(max_steps=400_000)
    assert saved is not None
    end = state_hash(run.pc)
    run.xen.hvm.vms.clear()  # as in a process that has never seen them
    run.xen.hvm._taken.clear()
    run.pc.load(saved)
    run.pc.run(max_steps=400_000)
    assert state_hash(run.pc) == end
    run.pc.load(before)
    assert run.tools.domctl("unpausedomain", run.domain) == 0
    run.pc.run(max_steps=400_000)
    assert state_hash(run.pc) == end


@pytest.mark.parametrize(("vendor", "nested"), VENDORS)
def test_a_full_pcs_apics_are_the_hypervisors(vendor, nested):
    guest = flat("""
        mov dword [0xFEE00080], 0x50
        mov eax, [0xFEE00080]
        mov [got], eax
        mov eax, 1
        cpuid
        mov [got + 4], edx
        cli
        hlt
        align 4
got:    dd 0, 0
""")
    run = HvmRun(guest, vendor, nested=nested, board=Features(large_pages=False)).start()
    assert run.guest_word("got") == 0x50
    assert run.guest_word("got", 1) >> 9 & 1
    assert run.kinds(events.IO_REQUESTED) == []
    assert end_of(run) == HALTED


def test_parameters_and_lines_are_checked():
    run = HvmRun(PORTS)
    assert run.param(run.domain, h.PARAMS, 0) == -abi.EINVAL
    assert run.param(run.domain, h.PARAM_IOREQ_PFN, 0x10_0000) == -abi.EINVAL
    assert run.param(99, 1, 0) == -abi.ESRCH
    assert run.param(0, 1, 0) == -abi.EINVAL  # domain 0 is none
    assert run.param(run.domain, h.PARAM_STORE_PFN, 7) == 0
    run.put(run.tools.buffer, struct.pack("<HHIQ", run.domain, 0, h.PARAM_STORE_PFN, 0))
    assert run.call("hvm_op", h.HVMOP_GET_PARAM, run.tools.buffer) == 0
    assert run.xen.space.copy_from(run.tools.buffer + 8, 8) == struct.pack("<Q", 7)
    assert run.line(16, 1) == -abi.EINVAL
    assert run.call("hvm_op", 77, run.tools.buffer) == -abi.ENOSYS
    assert run.map("window", 0x5000, run.domain) == -abi.EINVAL  # no page is there
    assert run.map("window", IOREQ_GFN, run.domain) == 0


def test_a_destroyed_domain_leaves_nothing_behind():
    run = HvmRun(PORTS)
    before = run.xen.frames.save()
    again = run.make_bare()
    assert run.tools.domctl("destroydomain", again) == 0
    assert run.xen.frames.save() == before
    assert list(run.xen.hvm.vms) == [1]


def test_without_vt_x_or_amd_v_in_use_there_are_no_such_domains():
    run = Run(kernel("ready: hlt"), spare=4 << 20).until("ready")
    assert Tools(run).domctl("createdomain", 0, bytes(20) + struct.pack("<I", 1)) == -abi.EINVAL
