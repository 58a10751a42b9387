"""The stock x86: what is sensitive and does not trap goes wrong silently, as it did on the real thing."""

import pytest
from vmm_support import Run, library_image, small_image

from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine import events
from vizapp.vmm.host_tables import GDT, IDT, LDT_SELECTOR, TSS_SELECTOR
from vizapp.vmm.native import Native

EAX, EBX, ECX = 0, 3, 1


def stock(body: str) -> Run:
    return Run(small_image(body)).run()


def emulated(run: Run) -> list[str]:
    return [event.cause for event in run.kinds(events.INSTRUCTION_EMULATED)]


def general(run: Run) -> tuple[int, ...]:
    return run.monitor.guest_view().general


def test_popf_does_not_trap_and_keeps_the_interrupt_flag():
    run = stock("sti; push dword 2; popf; pushf; pop eax")
    assert "popf" not in emulated(run)
    assert general(run)[EAX] & EFLAGS_IF
    assert run.monitor.guest_view().eflags & EFLAGS_IF  # nor does the monitor learn of it


def test_pushf_shows_the_processor_s_interrupt_flag():
    assert general(stock("cli; pushf; pop eax"))[EAX] & EFLAGS_IF
    assert not general(Run(small_image("cli; pushf; pop eax"), virtualizable=True).run())[EAX] & EFLAGS_IF


def test_iret_to_ring_3_runs_directly_and_the_virtual_interrupt_flag_stays():
    run = Run(small_image("USER; there: jmp there")).run(2000)
    assert "iret" not in emulated(run)
    view = run.monitor.guest_view()
    assert (view.cpl, view.eflags & EFLAGS_IF) == (3, 0)


def test_push_cs_shows_ring_1():
    assert general(stock("push cs; pop eax; mov ebx, ss"))[EAX] == 9
    assert general(stock("push cs; pop eax; mov ebx, ss"))[EBX] == 0x11


def test_sgdt_and_sidt_show_the_monitor_s_tables():
    run = stock("sgdt [0x120000]; sidt [0x120008]")
    base = run.monitor.vm.tables.base
    assert (run.memory(0x12_0002), run.memory(0x12_000A)) == (base + GDT, base + IDT)


def test_sldt_str_and_smsw_show_the_monitor_s():
    values = general(stock("sldt eax; str ebx; smsw ecx"))
    assert (values[EAX], values[EBX]) == (LDT_SELECTOR, TSS_SELECTOR)
    assert values[ECX] >> 31  # paging, which this guest has not turned on


def test_lar_shows_dpl_1_and_lsl_the_truncated_limit():
    values = general(stock("mov edx, 0x10; lar eax, edx; lsl ebx, edx"))
    assert values[EAX] >> 13 & 3 == 1
    assert values[EBX] == 0xFFBF_FFFF


def test_verr_finds_what_the_ring_can_reach():
    # A data segment of DPL 0, seen with RPL 1: forbidden on the bare machine, allowed by the shadow.
    body = "mov eax, 0x11; verr ax; setz bl"
    assert general(stock(body))[EBX] & 1 == 1
    assert general(Run(small_image(body), Native()).run())[EBX] & 1 == 0


def test_privileged_instructions_trap_all_the_same():
    run = stock("cli; mov eax, cr0; invlpg [0]; in al, 0x21")
    assert emulated(run)[-5:] == ["cli", "mov", "invlpg", "in", "hlt"]


def test_a_stack_segment_of_ring_0_traps_because_ring_1_cannot_load_it():
    assert "mov" in emulated(stock("mov ax, 0x10; mov ss, ax"))


def test_a_return_within_the_kernel_traps_because_its_selector_says_ring_0():
    assert "iret" in emulated(stock("pushf; push dword 8; push dword back; iret; back:"))


def test_the_accessed_bit_that_the_processor_set_in_the_shadow_reaches_the_guest_s_table():
    body = "mov byte [gdt + 0x35], 0x92; lgdt [gdtr]; mov ax, 0x30; mov ds, ax; cli"
    assert stock(body).ending()[3] == Run(small_image(body), Native()).run().ending()[3]


def test_a_segment_loaded_after_its_descriptor_changed_is_the_new_one():
    # Base 20xxxx becomes 30xxxx in the table; the segment is loaded behind the next door.
    body = "mov dword [0x300010], 0x1234; mov byte [gdt + 0x34], 0x30; cli; mov ax, 0x30; mov fs, ax;"
    body += " mov ebx, [fs:0x10]"
    assert general(stock(body))[EBX] == 0x1234


def test_a_loaded_segment_survives_a_change_of_its_descriptor():
    # FS keeps base 200000 though the table says otherwise now: the monitor holds it in a slot of its own.
    body = (
        "mov dword [0x200010], 0x1234; mov ax, 0x30; mov fs, ax; mov byte [gdt + 0x34], 0x30; cli; cli;"
        " mov ebx, [fs:0x10]"
    )
    run = stock(body)
    assert general(run)[EBX] == general(Run(small_image(body), Native()).run())[EBX] == 0x1234


def test_the_guest_popf_finds_out():
    wrong = Run(library_image("popf")).run()
    right = Run(library_image("popf"), virtualizable=True).run()
    native = Run(library_image("popf"), Native()).run()
    assert "the interrupt flag does not obey" in wrong.serial
    assert "the interrupt flag obeys" in native.serial
    assert right.serial == native.serial


@pytest.mark.parametrize("guest", ["hello", "rings", "sensitive", "minikernel", "compute"])
def test_on_the_virtualizable_processor_the_library_s_results_are_native(guest):
    image = library_image(guest)
    run, native = Run(image, virtualizable=True).run(), Run(image, Native()).run()
    assert run.serial.splitlines()[-1] == native.serial.splitlines()[-1]
    assert run.reason == native.reason == "halted"


def test_rings_runs_on_stock_x86_too():
    run, native = Run(library_image("rings")).run(), Run(library_image("rings"), Native()).run()
    assert run.serial == native.serial
    assert run.pc.instructions == native.pc.instructions
