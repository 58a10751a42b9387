"""Hostile domains beside one that only counts: its result stays, and nothing is let through."""

from __future__ import annotations

import pytest
from domains_support import SPARE, build
from xen_support import NUMBER, Run, kernel

from vizapp.machine import events
from vizapp.session.auditor import Auditor
from vizapp.vmm.xen import abi

COUNT = """
        mov ecx, 3000
        xor edx, edx
again:  imul edx, 1103515245
        add edx, 12345
        loop again
        mov [results], edx
        mov ecx, 8
        mov edi, text
digit:  rol edx, 4
        mov al, dl
        and al, 15
        add al, 'A'
        stosb
        loop digit
        XEN 18, 0, 9, text
        STOP
text:   db "........", 10
"""
ATTACKS = {
    # A page table mapped for writing, by both ways to change an entry.
    "map a page table": """
        mov esi, [start_info]
        mov ebx, [esi + 60]
        mov ecx, [ebx + 0xC00]
        and ecx, 0xFFFFF000
        or ecx, 0x63
        XEN 14, scratch, ecx, 0, 2
        mov [scratch], eax
        STOP
""",
    "store into a page table": """
        mov esi, [start_info]
        mov ebx, [esi + 60]
        mov dword [ebx + 4096], 0x1063
        STOP
""",
    "store with the assist": """
        mov esi, [start_info]
        mov ebx, [esi + 60]
        XEN 21, 0, 2
        mov dword [ebx + 4096 + 64], 0x1063
        STOP
""",
    # Frames of others: of the hypervisor, of domain 0, beyond memory.
    "map every frame": """
        mov edx, 1
        next: mov [results], edx
        mov ecx, edx
        shl ecx, 12
        or ecx, 0x63
        XEN 14, scratch, ecx, 0, 2
        test eax, eax
        jnz skip
        mov dword [scratch], 0xBAD
        skip: mov edx, [results]
        add edx, 37
        cmp edx, 0x3000
        jb next
        STOP
""",
    "read the machine": """
        mov edi, 0xFC400000
        mov eax, [edi]
        STOP
""",
    "write the machine-to-physical table": """
        mov dword [0xFC000000], 1
        STOP
""",
    # Selectors and frames.
    "load wild selectors": """
        mov ecx, 0
        more: mov [results], ecx
        mov ds, cx
        mov ecx, [cs:results]
        add ecx, 8
        jmp more
""",
    "jump into ring 0": """
        jmp 0xE008:0xFF000000
""",
    "return to ring 0": """
        push dword 0x202
        push dword 0xE008
        push dword 0xFF000000
        mov eax, 1
        jmp hypercall_page + 736
""",
    "return with no stack": """
        mov esp, 0x10
        mov eax, 23
        int 0x82
""",
    "take every port": """
        in al, 0x60
        mov al, 0xFE
        out 0x64, al
        cli
        hlt
""",
    # Hypercalls that are not its own to make, and bad ones without end.
    "destroy domain 0": """
        mov dword [scratch], 2
        mov dword [scratch + 4], 5
        XEN 36, scratch
        XEN 29, 4, zero
        STOP
        zero: dd 0, 3
""",
    "call everything": """
        mov dword [results], 0
        call_next: mov eax, [results]
        mov ebx, eax
        mov ecx, scratch
        mov edx, 0xFC400000
        mov esi, 7
        int 0x82
        inc dword [results]
        cmp dword [results], 23
        jne not_iret
        inc dword [results]
        not_iret: cmp dword [results], 29
        jne not_down
        inc dword [results]
        not_down: cmp dword [results], 60
        jb call_next
        STOP
""",
    "send events for ever": """
        mov dword [bind], 0
        XEN 32, 7, bind
        mov eax, [bind + 4]
        mov [bind], eax
        mov byte [shared_info + 1], 1
        storm: XEN 32, 4, bind
        jmp storm
""",
    "flush for ever": """
        mov dword [scratch], 10
        flush: XEN 26, scratch, 1, 0, 0x7FF0
        jmp flush
""",
    "ask for all memory": """
        mov dword [scratch], results
        mov dword [scratch + 4], 0x100000
        mov dword [scratch + 8], 0
        mov dword [scratch + 12], 0
        mov dword [scratch + 16], 0x7FF0
        XEN 12, 0, scratch
        XEN 12, 6, scratch
        STOP
""",
}
APPLICATIONS = {
    "a hypercall from ring 3": "mov eax, 29\nmov ebx, 2\nint 0x82",
    "a wild address from ring 3": "mov dword [0xFF005000], 1",
    "the kernel's memory from ring 3": "mov dword [0xC0000000], 1",
}
WAIT = "wait: XEN 29, 0\njmp wait"
SLICE = 100_000  # cycles


def contest(hostile) -> tuple:
    """(what was printed, the run): domain 0 waits, one domain counts, another attacks."""
    run = Run(kernel(f"ready:\n{WAIT}"), spare=SPARE, slice_cycles=SLICE).until("ready")
    before = dict(run.xen.types.visitors)
    if hostile is not None:
        build(run, hostile, 1024)
    build(run, kernel(COUNT), 1024)
    auditor = Auditor(run.monitor.ownership, run.pc.memory.frames)
    run.pc.on_access = lambda place, linear, frame, write: auditor.access(
        run.pc.position, place, frame, write
    )
    run.pc.on_port = lambda place, port, *_: auditor.port(run.pc.position, place, port, False)

    def listen(event) -> None:
        run.events.append(event)
        auditor.event(event)

    run.pc.listener = listen
    for turn in range(80):
        run.pc.run(max_steps=1000)
        ended = {event.payload["vm"] for event in run.kinds(events.VM_STOPPED)}
        if len(ended) == len(run.xen.domains) - 1 or (run.serial.endswith("\n") and turn > 12):
            break
    assert run.pc.stopped is None, run.sentence
    assert auditor.leaks == []
    assert run.xen.types.visitors == before
    return run.serial, run


@pytest.fixture(scope="module")
def alone():
    serial, _ = contest(None)
    assert len(serial) == 9
    return serial


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_kernel_changes_nothing_of_others(attack, alone):
    serial, run = contest(kernel(ATTACKS[attack]))
    assert serial == alone
    _, hostile, counting = run.monitor.vms
    assert counting.stopped is not None
    assert counting.stopped[0] == "halted"
    if hostile.stopped is not None:
        assert hostile.stopped[0] in ("halted", "crashed")
    for event in run.events:
        for place in (event.source, event.target):
            assert (place.ring == 0) == (place.component == "vmm")


@pytest.mark.parametrize("attack", APPLICATIONS)
def test_a_hostile_application_does_not_either(attack, alone):
    serial, run = contest(kernel("", application=APPLICATIONS[attack]))
    assert serial == alone
    assert run.monitor.vms[1].stopped is not None


def test_a_killed_domain_is_told_of_with_its_reason():
    _, run = contest(kernel(ATTACKS["return to ring 0"]))
    reason, sentence = run.monitor.vms[1].stopped
    assert reason == "crashed"
    assert sentence.in_english() == "the iret hypercall was given a frame that names ring 0"
    assert NUMBER["iret"] == abi.IRET
