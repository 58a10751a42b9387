"""Guests that want out: each is refused, gets its own fault, or dies with a sentence; Xen stands."""

from __future__ import annotations

import pytest
from xen_support import Run, kernel, started

from vizapp.machine import events
from vizapp.vmm.xen import abi

IRET = """
{mask}
        push dword {ss:#x}
        push dword {esp}
        push dword {flags:#x}
        push dword {cs:#x}
        push dword {eip}
        mov eax, 0x55
        mov ecx, 0x66
        mov esi, 0x77
        jmp hypercall_page + 32 * 23
"""


def iret(cs: int, ss: int = 0xE033, eip: str = "shutdown", esp: str = "stack_top", flags: int = 0x202) -> str:
    return IRET.format(cs=cs, ss=ss, eip=eip, esp=esp, flags=flags, mask="")


@pytest.mark.parametrize("cs", [0xE008, 0, 0xE018, 4])
def test_a_frame_of_ring_0_kills_the_domain(cs):
    run = Run(kernel(iret(cs))).run()
    assert (run.reason, run.sentence) == ("crashed", "the iret hypercall was given a frame that names ring 0")


def test_a_frame_of_virtual_8086_mode_kills_the_domain():
    run = Run(kernel(iret(0x1000, flags=1 << 17))).run()
    assert run.reason == "crashed"
    assert "virtual-8086" in run.sentence


@pytest.mark.parametrize("esp", [0x1000, 0xFC40_0000, 0xFF00_5000, 0xFFFF_FFFC])
def test_a_return_without_a_frame_kills_the_domain(esp):
    run = Run(kernel(f"mov esp, {esp:#x}\nmov eax, 23\nint 0x82")).run()
    assert run.reason == "crashed"
    assert run.sentence == f"the iret hypercall found no frame on the guest's stack at {esp:#010x}"


# Selectors that IRET in ring 0 refuses: of Xen, of data, null but for the RPL, beyond the table, local.
WILD = [0xE009, 0xE00B, 0xE021, 0xE033, 0x0001, 0x0003, 0xFFF9, 0xFFFB, 0x000D, 0xE041, 0xE02A]


@pytest.mark.parametrize("cs", WILD)
def test_wild_code_selectors_enter_the_failsafe_callback(cs):
    run = Run(kernel(iret(cs, eip="shutdown"))).run()
    assert run.reason == "halted"
    assert run.word("vector") == 0x101
    stack = run.word("stopped_at")
    ds, es, fs, gs, eip, selector, flags = run.words(stack, 7)
    assert (ds, es, fs, gs) == (0xE021, 0xE021, 0, 0)
    assert (eip, selector, flags & 0x200) == (run.at("shutdown"), cs, 0x200)
    if cs & 2:
        assert run.words(stack + 28, 2) == (run.at("stack_top"), 0xE033)
        assert stack == run.at("stack_top") - 36


@pytest.mark.parametrize("ss", [0, 0xE008, 0xE010, 0xE021, 0xE02B, 0x3, 0xFFFB])
def test_wild_stack_selectors_enter_the_failsafe_callback(ss):
    run = Run(kernel(iret(0xE02B, ss))).run()
    assert run.word("vector") == 0x101
    assert run.word(run.word("stopped_at") + 32) == ss


def test_the_failsafe_callback_finds_the_registers_that_the_guest_wanted():
    run = Run(kernel(iret(0xE00B))).until("failsafe")
    cpu = run.pc.cpu
    assert (cpu.cpl, cpu.eax, cpu.ecx, cpu.esi) == (1, 0x55, 0x66, 0x77)
    assert [segment.selector for segment in cpu.segments] == [0, 0xE019, 0xE021, 0, 0, 0]


def test_beyond_the_limit_of_the_code_segment_is_the_failsafe_too():
    run = Run(kernel(iret(0xE02B, eip="0xFF000000"))).run()
    assert run.word("vector") == 0x101


def test_without_a_failsafe_callback_a_wild_return_kills_the_domain():
    run = Run(kernel("XEN 4, 0, 0, 0, 0\n" + iret(0xE00B))).run()
    assert run.reason == "crashed"
    assert run.sentence == (
        "the guest cannot continue with the selectors 0xe00b and 0xe033, and has no failsafe callback"
    )


def test_a_failsafe_callback_that_cannot_be_entered_kills_the_domain():
    run = Run(kernel("XEN 4, 0xE019, upcall, 0xE008, 0x1000\n" + iret(0xE00B))).run(100_000)
    assert run.reason == "crashed"
    assert run.sentence == "the guest's failsafe callback itself cannot be entered at 0xe009"


@pytest.mark.parametrize("selector", [0xE008, 0xE033, 0xE019, 0, 0xFFF9])
def test_a_kernel_stack_that_is_none_kills_the_domain_at_the_first_entry(selector):
    run = Run(kernel(f"XEN 3, {selector:#x}, stack_top", application="ud2")).run()
    assert run.reason == "crashed"
    assert "cannot take a trap frame" in run.sentence or "callback itself cannot be entered" in run.sentence


@pytest.mark.parametrize("application", ["ud2", "int 0x80", "int 0x81"])
@pytest.mark.parametrize("top", [0x1000, 0xFC40_0010, 0xFF00_6000, 8])
def test_a_kernel_stack_in_nothing_or_in_xen_kills_the_domain(application, top):
    run = Run(kernel(f"XEN 3, 0xE021, {top:#x}", application=application)).run()
    assert run.reason == "crashed"


def test_a_handler_in_ring_0_code_is_never_entered():
    body = "mov word [traps + 10], 0xE008\nXEN 0, traps\nmov word [traps + 34], 0xE008\nXEN 0, traps"
    for application in ("ud2", "int 0x80"):
        run = Run(kernel(body, application=application)).run()
        assert run.reason in ("crashed", "halted")
        assert all(event.target.component == "vmm" for event in run.events if event.target.ring == 0)


def test_a_hypercall_from_ring_3_is_a_protection_fault():
    run = Run(kernel("", application="mov eax, 29\nmov ebx, 2\nint 0x82")).run()
    assert run.word("vector") == 13
    assert run.word(run.word("stopped_at")) == 0x82 << 3 | 2
    assert [event.cause for event in run.kinds(events.HYPERCALL_MADE)][-2:] == ["iret", "sched_op"]


def test_nested_multicalls_do_not_nest():
    run = started()
    where = run.at("scratch")
    run.put(
        where, (13).to_bytes(4, "little") + bytes(4) + where.to_bytes(4, "little") + (1).to_bytes(4, "little")
    )
    assert run.call("multicall", where, 1) == 0
    assert run.word(where + 4) == 2**32 - abi.EINVAL


def test_a_hypercall_of_endless_length_does_not_hold_the_machine():
    # Four thousand million bytes for the console: the timer still comes through, and its event too.
    body = """
        mov dword [bind], 0
        XEN 32, 1, bind
        XEN 15, 2000000, 0
        mov byte [shared_info + 1], 0
        mov eax, 18
        mov ebx, 0
        mov ecx, 0xF0000000
        mov edx, scratch
again:  int 0x82
    """
    run = Run(kernel(body)).run(20_000)
    assert run.word("vector") == 0x100
    assert run.word(run.word("stopped_at")) == run.at("again")
    assert run.xen.frame.eip != run.at("again")


def test_endless_events_starve_only_the_guest():
    body = """
        mov dword [bind], 0
        XEN 32, 7, bind
        mov dword [bind], 1
upcall: mov byte [shared_info], 0
        mov dword [shared_info + 4], 0
        mov dword [shared_info + 2048], 0
        mov byte [shared_info + 1], 0
        XEN 32, 4, bind
        jmp upcall
    """
    run = Run(kernel(body, before="%define UPCALL")).run(40_000)
    # Each upcall leaves a frame, until they have grown into the page tables, which are read-only.
    assert run.pc.stopped is None or run.reason == "crashed"
    assert len(run.kinds(events.UPCALL_DELIVERED)) > 100


def test_the_shared_page_cannot_become_a_page_table():
    run = started()
    frame = run.xen.domain.shared_frame
    assert run.call("update_va_mapping", run.at("shared_info"), 0, 0, 2) == 0
    for command in (abi.MMUEXT_PIN_L1, abi.MMUEXT_PIN_L2):
        request = b"".join(word.to_bytes(4, "little") for word in (command, frame, 0))
        assert run.call("mmuext_op", run.put("results", request), 1, 0, abi.DOMID_SELF) == -abi.EINVAL
