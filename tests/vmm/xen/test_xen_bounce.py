"""Entries into the guest kernel and returns: frames byte for byte, the direct gate, IRET by hypercall."""

from __future__ import annotations

import pytest
from xen_support import Run, kernel, started

from vizapp.isa.registers import EFLAGS_DF, EFLAGS_FIXED, EFLAGS_IF, EFLAGS_RF, EFLAGS_TF, EFLAGS_ZF
from vizapp.machine import events
from vizapp.vmm.xen import abi

CS1, SS1, CS3, SS3 = abi.FLAT_RING1_CS, abi.FLAT_RING1_DS, abi.FLAT_RING3_CS, abi.FLAT_RING3_DS
FLAGS = EFLAGS_FIXED | EFLAGS_IF


def frame(run: Run, count: int) -> tuple[int, ...]:
    """What the handler found on its stack."""
    return run.words(run.word("stopped_at"), count)


@pytest.mark.parametrize("masked", [0, 1])
def test_a_fault_in_ring_1_stays_on_its_stack(masked):
    run = Run(kernel(f"mov byte [shared_info + 1], {masked}\nmov esp, stack_top - 64\nstd\nfault: ud2")).run()
    assert run.word("vector") == 6
    assert run.word("stopped_at") == run.at("stack_top") - 64 - 12
    flags = EFLAGS_FIXED | EFLAGS_RF | EFLAGS_DF | EFLAGS_ZF | 4 | (0 if masked else EFLAGS_IF)
    assert frame(run, 3) == (run.at("fault"), CS1 | masked << 16, flags)


def test_a_fault_in_ring_3_changes_to_the_kernel_stack():
    run = Run(kernel("", application="nop\nfault: ud2")).run()
    assert run.word("stopped_at") == run.at("stack_top") - 20
    expected = (run.at("fault"), CS3, FLAGS | EFLAGS_RF, run.at("application") + 4096, SS3)
    assert frame(run, 5) == expected


def test_an_error_code_lies_below_and_the_handler_masks_events():
    run = Run(kernel("", application="fault: mov ax, 0xE021\nmov ds, ax")).run()
    assert run.word("vector") == 13
    assert frame(run, 6) == (
        0xE020, run.at("fault") + 4, CS3, FLAGS | EFLAGS_RF, run.at("application") + 4096, SS3,
    )  # fmt: skip
    assert run.xen.shared.masked


@pytest.mark.parametrize(("instruction", "error"), [("mov eax, [0x123]", 4), ("mov [0x123], al", 6)])
def test_a_page_fault_tells_its_address_in_the_shared_page(instruction, error):
    run = Run(kernel("", application=instruction)).run()
    assert run.word("vector") == 14
    assert frame(run, 1) == (error,)
    assert run.word(run.at("shared_info") + abi.VCPU_CR2) == 0x123
    (reflected,) = run.kinds(events.FAULT_REFLECTED)
    assert (reflected.cause, reflected.payload["cr2"]) == ("#PF", 0x123)


def test_the_kernel_may_not_write_a_page_table_and_gets_a_page_fault():
    run = Run(kernel("mov eax, [start_info]\nmov eax, [eax + 60]\nmov ecx, [eax]\nmov dword [eax], 0")).run()
    assert run.word("vector") == 14
    assert frame(run, 1) == (3,)
    assert run.word(run.at("shared_info") + abi.VCPU_CR2) == run.word(run.word("start_info") + 60)


def test_a_system_call_goes_straight_to_the_kernel():
    run = Run(kernel("", application="int 0x80\nafter:")).run()
    assert run.word("vector") == 0x80
    assert frame(run, 5) == (run.at("after"), CS3, FLAGS, run.at("application") + 4096, SS3)
    (entered,) = [event for event in run.kinds(events.SOFTWARE_INTERRUPT_DELIVERED) if event.source.ring == 3]
    assert entered.target.ring == 1


def test_a_system_call_whose_handler_masks_events_bounces():
    run = Run(kernel("", before="%define GATE_FLAGS 7", application="int 0x80\nafter:")).run()
    assert run.word("vector") == 0x80
    # RF: on its way it was a fault, of INT through a gate of DPL 0.
    expected = (run.at("after"), CS3, FLAGS | EFLAGS_RF, run.at("application") + 4096, SS3)
    assert frame(run, 5) == expected
    assert run.xen.shared.masked
    (bounced,) = run.kinds(events.SYSTEM_CALL_REFLECTED)
    assert (bounced.source.ring, bounced.target.ring) == (3, 1)


def test_another_vector_bounces_without_an_error_code():
    run = Run(kernel("", application="int 0x81\nafter:")).run()
    assert run.word("vector") == 0x81
    assert frame(run, 2) == (run.at("after"), CS3)


@pytest.mark.parametrize(
    ("vector", "code"), [(6, 0x32), (14, 0x72), (0x82, 0x412), (0x99, 0x4CA), (0xF0, 0x782)]
)
def test_a_vector_that_ring_3_may_not_raise_is_a_protection_fault(vector, code):
    run = Run(kernel("", application=f"fault: int {vector}")).run()
    assert run.word("vector") == 13
    assert frame(run, 3) == (code, run.at("fault"), CS3)


def test_breakpoints_arrive_behind_the_instruction():
    run = Run(kernel("", application="int3\nafter:")).run()
    assert run.word("vector") == 3
    assert frame(run, 2) == (run.at("after"), CS3)


RETURN = """
        push dword {flags:#x}
        push dword 0xE019
        push dword there
        mov eax, 0x1234
        jmp hypercall_page + 32 * 23
        ud2
there:  pushf
        pop dword [results]
        mov [results + 4], eax
        mov al, [shared_info + 1]
        mov [results + 8], al
        mov [results + 12], esp
        STOP
"""


@pytest.mark.parametrize("flags", [2, 0x202, 0x3EFFD7 & ~(EFLAGS_TF | 0x4000 | 1 << 17)])
def test_iret_returns_to_ring_1_with_eax_and_the_mask(flags):
    run = Run(kernel(RETURN.format(flags=flags))).run()
    assert run.reason == "halted"
    seen, eax, mask, esp = run.words("results", 4)
    # IOPL stays 0 and the real IF 1; what is reserved, or cannot be set from outside ring 0, is not set.
    assert seen == (flags & 0x3C0DD5 | EFLAGS_FIXED | EFLAGS_IF)
    assert (eax, mask & 0xFF, esp) == (0x1234, 0 if flags & EFLAGS_IF else 1, run.at("stack_top"))


def test_iret_to_ring_3_takes_stack_and_segment_from_the_frame():
    run = Run(kernel("", application="here: jmp here")).until("application")
    cpu = run.pc.cpu
    assert (cpu.cpl, cpu.eax, cpu.esp) == (3, 0x1234, run.at("application") + 4096)
    assert [segment.selector for segment in cpu.segments[1:3]] == [CS3, SS3]
    assert not run.xen.shared.masked


def test_single_steps_reach_the_guest_and_its_handler_runs_without():
    body = RETURN.format(flags=0x302).replace("there:  pushf", "there:  nop\n        nop")
    run = Run(kernel(body)).run()
    assert (run.reason, run.sentence[:3]) == ("crashed", "#DB")  # the kernel has no handler for it


# the few instructions that are emulated


@pytest.mark.parametrize("instruction", ["cli", "sti", "wbinvd", "invd", "clts"])
def test_harmless_privileged_instructions_are_done_or_ignored(instruction):
    run = Run(kernel(f"{instruction}\nSTOP")).run()
    assert run.reason == "halted"
    (done,) = run.kinds(events.INSTRUCTION_EMULATED)
    assert done.cause == instruction


def test_control_registers_are_the_domains():
    body = """
        mov eax, cr0
        mov [results], eax
        or eax, 8
        mov cr0, eax
        mov eax, 0x777
        mov cr2, eax
        mov eax, cr2
        mov [results + 4], eax
        mov eax, cr3
        mov [results + 8], eax
        mov cr3, eax
        mov eax, cr4
        mov cr4, eax
        mov eax, 0xC0000000
        mov dr1, eax
        mov eax, dr1
        mov [results + 12], eax
        STOP
    """
    run = Run(kernel(body)).run()
    assert run.reason == "halted"
    assert run.words("results", 4) == (
        0x8001_0011, 0x777, run.xen.domain.page_directory << 12, 0xC000_0000,
    )  # fmt: skip
    assert run.pc.cpu.cr0 & 8
    assert run.word(run.at("shared_info") + abi.VCPU_CR2) == 0x777


FORCED_CPUID = """
        mov eax, {leaf}
        cpuid
        mov esi, edx
        mov eax, {leaf}
        ud2
        db "xen"
        cpuid
"""


def test_a_forced_cpuid_answers_for_the_domain():
    run = Run(kernel(FORCED_CPUID.format(leaf=1) + "mov [results], edx\nmov [results + 4], esi\nSTOP")).run()
    forced, plain = run.words("results", 2)
    assert forced == plain & ~0x280E
    assert forced != plain
    (done,) = run.kinds(events.INSTRUCTION_EMULATED)
    assert (done.cause, done.source.ring) == ("cpuid", 1)


def test_an_application_may_force_cpuid_too():
    run = Run(kernel("", application=FORCED_CPUID.format(leaf=0) + "int 0x81")).run()
    assert run.word("vector") == 0x81
    assert [event.source.ring for event in run.kinds(events.INSTRUCTION_EMULATED)] == [3]


def test_the_time_stamp_can_be_read_as_an_msr():
    body = """
        mov ecx, 0x10
        rdmsr
        mov esi, eax
        rdtsc
        sub eax, esi
        mov [results], eax
        STOP
    """
    run = Run(kernel(body)).run()
    assert 0 < run.word("results") < 5000


@pytest.mark.parametrize(
    "instruction",
    ["hlt", "lgdt [results]", "lidt [results]", "invlpg [results]", "in al, 0x60", "out 0x80, al", "outsb",
     "mov eax, 0\nmov cr0, eax", "mov eax, 0x80\nmov cr4, eax", "mov eax, 0x5000\nmov cr3, eax",
     "mov eax, 0xFF000000\nmov dr0, eax", "mov ax, 8\nltr ax", "mov ax, 8\nlldt ax", "lmsw ax",
     "mov ecx, 0x12345\nrdmsr"],
)  # fmt: skip
def test_what_is_not_the_guests_is_its_protection_fault(instruction):
    run = Run(kernel(f"xor edx, edx\n{instruction}")).run()
    assert run.word("vector") == 13
    assert frame(run, 1) == (0,)
    assert not run.kinds(events.INSTRUCTION_EMULATED)


def test_ring_3_gets_its_protection_fault_for_what_ring_1_may():
    run = Run(kernel("", application="cli")).run()
    assert run.word("vector") == 13
    assert not run.kinds(events.INSTRUCTION_EMULATED)


def test_loading_cr3_switches_or_refuses():
    run = started("mov eax, ebx\nmov cr3, eax\nSTOP")
    directory, frame_number = run.xen.domain.page_directory, run.frame_of("scratch")
    run.put("scratch", run.pc.memory.dump(directory << 12, 4096))
    assert run.call("update_va_mapping", run.at("scratch"), frame_number << 12 | 1, 0, 2) == 0
    run.pc.cpu.ebx = frame_number << 12
    run.run()
    assert run.reason == "halted"
    assert run.xen.domain.page_directory == frame_number


@pytest.mark.parametrize(
    ("code", "instruction", "reason"),
    [("hlt", "HLT", "the processor is not the guest's to stop; a ported kernel uses sched_op block"),
     ("mov ax, 0x10\nhere: mov ds, ax", "MOV", "selector 0010 is none of a guest's"),
     ("out 0x80, al", "OUT", "ports belong to the hypervisor or to domain 0"),
     ("int 0x99", "INT", "vector 0x99 is not in the trap table with the right for the kernel to raise it"),
     ("rdpmc", "RDPMC", "the hypervisor gives a guest no such thing")],
)  # fmt: skip
def test_without_a_handler_the_last_sentence_names_instruction_and_reason(code, instruction, reason):
    run = Run(kernel(f"XEN 0, 0\n{code}")).run()
    assert run.reason == "crashed"
    assert run.sentence.startswith(f"{instruction} at 0xc00000")
    assert f"Xen cannot honour it, for {reason}" in run.sentence


def test_other_exceptions_without_a_handler_are_named_with_their_bytes():
    run = Run(kernel("XEN 0, 0\nhere: mov eax, [0x123]")).run()
    address = run.at("here")
    assert run.sentence == (
        f"#PF at {address:#010x} (a1 23 01 00 00 bb 02 00), and the guest has registered no handler for it"
    )


def test_what_an_application_may_not_do_is_no_matter_of_porting():
    run = Run(kernel("XEN 0, 0", application="cli")).run()
    assert run.sentence.startswith("#GP at 0xc000")
