"""Exceptions, interrupts, NMIs and task switches of a guest, and events that an entry injects."""

from __future__ import annotations

import pytest

from tests.machine.bench import HANDLERS
from tests.machine.vmx.guest_bench import GUEST_CODE, GUEST_STACK, GuestBench
from vizapp.isa import descriptors as d
from vizapp.isa import vectors

EXTERNAL_EXITING, NMI_EXITING, VIRTUAL_NMIS = 1, 1 << 3, 1 << 5
INTERRUPT_WINDOW, HLT_EXITING, NMI_WINDOW = 1 << 2, 1 << 7, 1 << 22
ACKNOWLEDGE = 1 << 15
VALID = 1 << 31
DEBUG = {"entry_controls__or": 1 << 2, "exit_controls__or": 1 << 2}


def exit_of(source: str, generation: int = 2011, **fields: int) -> GuestBench:
    bench = GuestBench(source + "\nvmcall", generation, **fields)
    bench.run_to_exit()
    return bench


@pytest.mark.parametrize(
    ("source", "vector", "event", "error"),
    [
        ("xor ecx, ecx\ndiv ecx", vectors.DE, 0x8000_0300, 0),
        ("ud2", vectors.UD, 0x8000_0306, 0),
        ("int 0x81", vectors.GP, 0x8000_0B0D, 0x81 * 8 + 2),
        ("mov ax, 0x1000\nmov ds, ax", vectors.GP, 0x8000_0B0D, 0x1000),
        ("int3", vectors.BP, 0x8000_0603, 0),
        ("mov al, 127\nadd al, 1\ninto", vectors.OF, 0x8000_0604, 0),
        ("db 0xf1", vectors.DB, 0x8000_0501, 0),
    ],
)
def test_an_exception_exits_where_its_bit_is_set(source: str, vector: int, event: int, error: int) -> None:
    bench = GuestBench(source, exception_bitmap=1 << vector, guest_idtr_limit=0x3FF)
    bench.gate(0x80, d.Gate(8, HANDLERS, d.INTERRUPT_GATE_32, 3, True))
    assert bench.run_to_exit() == "exception-nmi"
    assert bench.field("exit_interruption_info") == event
    assert bench.field("exit_interruption_error") == error
    software = event >> 8 & 7 in (5, 6)
    assert bench.field("exit_instruction_length") == (1 if software else 2 if "int 0x" in source else 0)


def test_an_exception_without_its_bit_is_the_guest_s_own() -> None:
    bench = GuestBench("ud2")
    bench.assemble("vmcall", HANDLERS + 16 * vectors.UD)
    assert bench.run_to_exit() == "vmcall"
    assert bench.field("guest_rip") == HANDLERS + 16 * vectors.UD


def test_a_software_interrupt_that_faults_tells_of_it() -> None:
    bench = exit_of("int 0x81", guest_idtr_limit=0x3FF, exception_bitmap=1 << vectors.GP)
    assert bench.field("idt_vectoring_info") == 0x8000_0481
    assert bench.field("exit_instruction_length") == 2
    assert bench.field("guest_rip") == GUEST_CODE


@pytest.mark.parametrize(
    ("bitmap", "mask", "match", "exits"),
    [(1, 0, 0, True), (0, 0, 0, False), (1, 2, 2, False), (1, 2, 0, True), (0, 2, 2, True), (0, 0, 1, True)],
)
def test_page_faults_by_error_code(bitmap: int, mask: int, match: int, exits: bool) -> None:
    bench = GuestBench(
        "mov eax, [0x30000]",
        exception_bitmap=bitmap << vectors.PF,
        page_fault_error_mask=mask,
        page_fault_error_match=match,
    )
    bench.page(0x30000, 0)
    bench.assemble("vmcall", HANDLERS + 16 * vectors.PF)
    assert bench.run_to_exit() == ("exception-nmi" if exits else "vmcall")
    if exits:
        assert bench.exit()["qualification"] == 0x30000
        assert bench.field("exit_interruption_info") == 0x8000_0B0E
        assert bench.cpu.cr2 == 0
        assert bench.field("guest_rflags") & 1 << 16  # RF
    else:
        assert bench.cpu.cr2 == 0x30000


def test_a_second_fault_is_itself_and_tells_of_the_first() -> None:
    # #UD whose gate is not present: #NP.
    bench = GuestBench("ud2", exception_bitmap=1 << vectors.NP)
    bench.gate(vectors.UD, d.Gate(8, HANDLERS, d.INTERRUPT_GATE_32, 0, False))
    bench.run_to_exit()
    assert bench.field("exit_interruption_info") == 0x8000_0B0B
    assert bench.field("exit_interruption_error") == vectors.UD * 8 + 3
    assert bench.field("idt_vectoring_info") == 0x8000_0306


def test_a_double_fault_tells_of_nothing_before_it() -> None:
    bench = GuestBench("xor ecx, ecx\ndiv ecx", exception_bitmap=1 << vectors.DF)
    bench.gate(vectors.DE, d.Gate(8, HANDLERS, d.INTERRUPT_GATE_32, 0, False))
    bench.run_to_exit()
    assert bench.field("exit_interruption_info") == 0x8000_0B08
    assert bench.field("idt_vectoring_info") == 0


def test_a_triple_fault_exits() -> None:
    assert exit_of("ud2", guest_idtr_limit=0).events[-1].cause == "triple-fault"


def test_single_stepping_exits_with_its_reason() -> None:
    bench = exit_of("nop", exception_bitmap=1 << vectors.DB, guest_rflags=0x102)
    assert bench.field("exit_interruption_info") == 0x8000_0301
    assert bench.exit()["qualification"] == 1 << 14
    assert bench.field("guest_rip") == GUEST_CODE + 1
    assert not bench.cpu.debug[6] & 1 << 14


def test_a_breakpoint_exits_with_its_number() -> None:
    bench = GuestBench("nop\nnop", exception_bitmap=1 << vectors.DB, guest_dr7=0x402, **DEBUG)
    bench.cpu.debug[0] = GUEST_CODE + 1
    bench.run_to_exit()
    assert bench.exit()["qualification"] == 1
    assert bench.field("guest_rip") == GUEST_CODE + 1
    assert bench.field("guest_dr7") & 2
    assert bench.cpu.debug[7] == 0x400


def with_interrupt(bench: GuestBench) -> GuestBench:
    """A line of the PIC is up, all unmasked at vector 0x20."""
    for port, value in ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0)):
        bench.pc.board.write(port, 1, value)
    bench.pc.board.pic.raise_irq(4)
    return bench


def test_an_external_interrupt_exits_whatever_if_says() -> None:
    bench = with_interrupt(GuestBench("nop", pin_based_controls__or=EXTERNAL_EXITING))
    assert bench.run_to_exit() == "external-interrupt"
    assert bench.field("exit_interruption_info") == 0
    assert bench.pc.board.interrupts.intr


def test_an_exit_may_acknowledge_its_interrupt() -> None:
    bench = with_interrupt(
        GuestBench("nop", pin_based_controls__or=EXTERNAL_EXITING, exit_controls__or=ACKNOWLEDGE)
    )
    assert bench.run_to_exit() == "external-interrupt"
    assert bench.field("exit_interruption_info") == VALID | 0x24
    assert not bench.pc.board.interrupts.intr


def test_without_the_control_the_guest_takes_it() -> None:
    bench = with_interrupt(GuestBench("nop", guest_rflags=0x202))
    bench.assemble("vmcall", HANDLERS + 16 * 0x24)
    assert bench.run_to_exit() == "vmcall"
    assert bench.field("guest_rip") == HANDLERS + 16 * 0x24


def test_a_waiting_guest_is_left_for_an_interrupt() -> None:
    bench = GuestBench("hlt", pin_based_controls__or=EXTERNAL_EXITING)
    bench.enter_guest()
    bench.step()
    assert bench.cpu.halted
    with_interrupt(bench)
    assert bench.run_to_exit() == "external-interrupt"
    assert bench.field("guest_activity") == 1
    assert not bench.cpu.halted
    assert bench.run_to_exit() == "external-interrupt"  # it enters a guest that waits still


def test_interrupt_window() -> None:
    bench = exit_of("nop\nsti\nnop\nnop", primary_controls__or=INTERRUPT_WINDOW)
    assert bench.events[-1].cause == "interrupt-window"
    assert bench.field("guest_rip") == GUEST_CODE + 3  # one instruction behind STI
    bench = exit_of("nop", primary_controls__or=INTERRUPT_WINDOW, guest_rflags=0x202)
    assert bench.field("guest_rip") == GUEST_CODE


def test_an_exit_in_a_shadow_keeps_it() -> None:
    bench = exit_of("sti\nhlt", primary_controls__or=HLT_EXITING)
    assert bench.events[-1].cause == "hlt"
    assert bench.field("guest_interruptibility") == 1
    bench = exit_of("mov ax, ss\nmov ss, ax\ncpuid")
    assert bench.events[-1].cause == "cpuid"
    assert bench.field("guest_interruptibility") == 2
    bench = exit_of("mov ax, ss\nmov ss, ax\ncpuid", guest_rflags=0x202)
    assert bench.field("guest_interruptibility") == 2


def test_nmi() -> None:
    bench = GuestBench("nop\nnop", pin_based_controls__or=NMI_EXITING)
    bench.enter_guest()
    bench.cpu.nmi_pending = True
    assert bench.run_to_exit() == "exception-nmi"
    assert bench.field("exit_interruption_info") == VALID | 2 << 8 | 2
    assert bench.cpu.nmi_blocked
    assert not bench.cpu.nmi_pending


def test_an_nmi_of_the_guest_s_own() -> None:
    bench = GuestBench("nop\nnop")
    bench.assemble("vmcall", HANDLERS + 16 * vectors.NMI)
    bench.enter_guest()
    bench.cpu.nmi_pending = True
    assert bench.run_to_exit() == "vmcall"
    assert bench.field("guest_interruptibility") == 8


def test_virtual_nmis_and_their_window() -> None:
    controls = {"pin_based_controls__or": NMI_EXITING | VIRTUAL_NMIS, "primary_controls__or": NMI_WINDOW}
    bench = exit_of("nop", **controls)
    assert bench.events[-1].cause == "nmi-window"
    bench = GuestBench(
        "nop\npushfd\npush 8\npush after\niret\nafter: nop\nnop", guest_interruptibility=8, **controls
    )
    assert bench.run_to_exit() == "nmi-window"
    assert bench.field("guest_rip") > GUEST_CODE + 6
    assert bench.field("guest_interruptibility") == 0


@pytest.mark.parametrize(
    ("info", "error", "length", "pushed"),
    [
        (VALID | 0x30, 0, 0, 0),
        (VALID | 2 << 8 | 2, 0, 0, 0),
        (VALID | 3 << 8 | vectors.UD, 0, 0, 0),
        (VALID | 4 << 8 | 0x80, 0, 2, 2),
        (VALID | 6 << 8 | 3, 0, 1, 1),
        (VALID | 5 << 8 | 1, 0, 1, 1),
    ],
)
def test_injection(info: int, error: int, length: int, pushed: int) -> None:
    vector = info & 0xFF
    bench = GuestBench(
        "nop",
        guest_rflags=0x202,
        entry_interruption_info=info,
        entry_exception_error=error,
        entry_instruction_length=length,
    )
    bench.assemble("vmcall", HANDLERS + 16 * vector)
    assert bench.run_to_exit() == "vmcall"
    assert bench.field("guest_rip") == HANDLERS + 16 * vector
    esp = bench.field("guest_rsp")
    assert GUEST_STACK - esp == 12
    assert bench.memory.read(esp, 4) == GUEST_CODE + pushed
    assert bench.field("entry_interruption_info") == info & ~VALID
    assert bench.field("guest_interruptibility") == (8 if vector == 2 else 0)
    assert dict(bench.events[0].payload)["event"] == info


def test_injection_with_an_error_code_is_not_intercepted() -> None:
    info = VALID | 1 << 11 | 3 << 8 | vectors.GP
    bench = GuestBench(
        "nop", entry_interruption_info=info, entry_exception_error=0x58, exception_bitmap=1 << vectors.GP
    )
    bench.assemble("vmcall", HANDLERS + 16 * vectors.GP)
    assert bench.run_to_exit() == "vmcall"
    assert bench.memory.read(bench.field("guest_rsp"), 4) == 0x58


def test_an_injection_that_faults_exits_with_what_was_injected() -> None:
    bench = GuestBench(
        "nop",
        guest_rflags=0x202,
        entry_interruption_info=VALID | 0x30,
        exception_bitmap=1 << vectors.PF,
    )
    bench.page(GUEST_STACK - 4, 0)
    assert bench.run_to_exit() == "exception-nmi"
    assert bench.field("idt_vectoring_info") == VALID | 0x30
    assert bench.field("guest_rip") == GUEST_CODE
    assert bench.field("guest_rsp") == GUEST_STACK
    assert [event.kind for event in bench.events][-2:] == ["VmEntered", "VmExited"]
    assert bench.events[-1].position == bench.events[-2].position


def test_injection_wakes_a_waiting_guest() -> None:
    bench = GuestBench("nop", guest_rflags=0x202, guest_activity=1, entry_interruption_info=VALID | 0x30)
    bench.assemble("vmcall", HANDLERS + 16 * 0x30)
    assert bench.run_to_exit() == "vmcall"


@pytest.mark.parametrize(
    ("source", "kind", "length"), [("jmp 0x60:0", 2, 7), ("call 0x60:0", 0, 7), ("int 0x50", 3, 2)]
)
def test_task_switches_exit(source: str, kind: int, length: int) -> None:
    bench = GuestBench(source)
    bench.descriptor(12, d.system_segment(0x20000, 0x67, d.TSS_32))
    bench.gate(0x50, d.Gate(0x60, 0, d.TASK_GATE, 3, True))
    assert bench.run_to_exit() == "task-switch"
    assert bench.exit()["qualification"] == kind << 30 | 0x60
    assert bench.field("exit_instruction_length") == length
    assert bench.field("idt_vectoring_info") == (0x8000_0450 if kind == 3 else 0)
