"""Virtual interrupts: a due timer waits for a door, for IF and for the instruction behind STI."""

from vmm_support import HERTZ, Run, small_image

from tests.controllers import START_CONTROLLER
from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine import events
from vizapp.machine.devices.pit import PIT_HERTZ
from vizapp.machine.places import GUEST_KERNEL
from vizapp.vmm.physical_timer import TIMER_VECTOR

# IRQ 0 at vector 20h every COUNT pulses, to a handler that counts ticks.
COUNT = 40
TIMER = (
    """
        mov word [idt + 0x20 * 8], tick - $$
"""
    + START_CONTROLLER
    + f"""
        mov al, 0xFE
        out 0x21, al
        mov al, 0x34
        out 0x43, al
        mov al, {COUNT}
        out 0x40, al
        mov al, 0
        out 0x40, al
        jmp ready
tick:   push eax
        mov al, 0x20
        out 0x20, al
        inc dword [0x120000]
        pop eax
        iret
ready:
"""
)


def ticking(body: str, *, virtualizable: bool = True) -> Run:
    return Run(small_image(TIMER + body), virtualizable=virtualizable)


def injected(run: Run) -> list[events.Event]:
    return run.kinds(events.INTERRUPT_INJECTED)


def test_a_due_tick_enters_the_guest_through_its_own_handler():
    run = ticking("sti; more: cmp dword [0x120000], 3; jb more; cli").run()
    assert run.memory(0x12_0000) >= 3
    assert {event.payload["vector"] for event in injected(run)} == {0x20}
    assert {event.target.component for event in injected(run)} == {GUEST_KERNEL}


def test_it_comes_by_a_physical_interrupt_to_the_monitor():
    run = ticking("sti; more: cmp dword [0x120000], 3; jb more; cli").run()
    physical = run.kinds(events.INTERRUPT_DELIVERED)
    assert len(physical) >= 3
    assert {event.payload["vector"] for event in physical} == {TIMER_VECTOR}


def test_nobody_is_woken_for_the_timer_s_falling_edge():
    run = ticking("sti; more: cmp dword [0x120000], 10; jb more; cli").run()
    assert len(run.kinds(events.INTERRUPT_DELIVERED)) <= len(injected(run)) + 1


def test_ticks_come_in_their_own_time():
    run = ticking("sti; more: cmp dword [0x120000], 20; jb more; cli").run()
    cycles = [event.cycle for event in injected(run)]
    period = COUNT * HERTZ / PIT_HERTZ
    assert abs((cycles[-1] - cycles[0]) / (len(cycles) - 1) - period) < period * 0.2


def test_while_the_virtual_flag_is_off_it_waits():
    run = ticking("mov ecx, 20000; spin: loop spin; mov ebx, [0x120000]; sti; nop; nop; cli").run()
    assert run.monitor.guest_view().general[3] == 0
    assert len(injected(run)) == 1


def test_behind_sti_one_instruction_runs_first():
    run = ticking("mov ecx, 20000; spin: loop spin; enable: sti; first: inc ebx; second: nop; cli").run()
    (event,) = injected(run)
    assert run.monitor.guest_view().general[3] == 1
    assert event.payload["address"] == address_of(run, b"\xfb\x43\x90") + 2


def address_of(run: Run, code: bytes) -> int:
    host = run.monitor.guest_physical(0x10_0000)
    return 0x10_0000 + run.pc.memory.dump(host, 0x8000).index(code)


def test_sti_and_hlt_do_not_lose_the_tick():
    run = ticking("mov ecx, 20000; spin: loop spin; sti; hlt; cli; mov ebx, [0x120000]").run()
    assert run.monitor.guest_view().general[3] == 1


def test_a_halted_virtual_cpu_waits_in_the_monitor_s_own_hlt():
    run = ticking("sti; idle: hlt; cmp dword [0x120000], 3; jb idle; cli").run()
    assert len(run.kinds(events.VIRTUAL_CPU_HALTED)) == 3
    idle = [row for row in run.pc.meter.rows() if row.input == "idle_cycle"]
    assert [row.place.ring for row in idle] == [0]
    assert idle[0].times > 2 * COUNT * HERTZ // PIT_HERTZ


def test_a_guest_that_waits_for_nothing_has_ended():
    assert Run(small_image("sti; hlt")).run().reason == "halted"


def test_a_guest_whose_timer_is_masked_has_ended():
    assert ticking("mov al, 0xFF; out 0x21, al; sti; hlt").run(100_000).reason == "halted"


def test_a_halt_with_interrupts_off_ends_the_run():
    run = ticking("hlt").run()
    assert run.reason == "halted"
    assert run.kinds(events.VM_STOPPED)[-1].payload["reason"] == "halted"


def test_interrupting_ring_3_switches_to_the_kernel_s_stack():
    run = ticking("USER; user: cmp dword [0x120000], 2; jb user; cli").run()
    assert run.memory(0x12_0000) >= 2
    assert run.monitor.guest_view().selectors[1] == 8


def test_on_stock_x86_a_return_to_ring_3_is_never_interrupted_again():
    run = ticking("USER; user: inc ecx; cmp ecx, 3000; jb user; cli", virtualizable=False).run()
    assert run.memory(0x12_0000) == 0
    assert not injected(run)


def test_the_guest_s_flag_never_reaches_the_processor():
    run = ticking("cli; mov ecx, 500; spin: loop spin")
    while not run.pc.stopped:
        run.pc.step()
        if run.pc.cpu.cpl:
            assert run.pc.cpu.eflags & EFLAGS_IF


def test_a_repeated_instruction_is_interrupted_between_iterations():
    run = ticking("sti; mov edi, 0x121000; mov ecx, 20000; rep stosb; cli").run()
    assert any(0 < event.payload["ecx"] < 20000 for event in injected(run))
    assert run.monitor.guest_view().general[1] == 0


def test_times_that_the_guest_reads_go_through_the_hook():
    run = ticking("in al, 0x40; rdtsc; mov ebx, eax; mov al, 0; out 0x43, al; in al, 0x40")
    asked = []

    def read_time(source: str, value: int) -> int:
        asked.append(source)
        return 0x55

    run.pc.read_time = read_time
    run.run()
    assert asked == ["pit0", "tsc", "pit0"]
    assert run.monitor.guest_view().general[3] == 0x55
