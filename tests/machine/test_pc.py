"""Running a machine: steps, bounds, interrupts, events, checkpoints; stepped or run, it is the same."""

import pytest

from tests.machine.bench import CODE, DATA, HANDLERS, Bench
from vizapp.isa import descriptors as d
from vizapp.isa.addresses import Linear
from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine.cpu_state import save_cpu
from vizapp.machine.inputs import NAMES
from vizapp.machine.pc import Pc
from vizapp.machine.places import APPLICATION, GUEST_KERNEL

PIC_INIT = "\n".join(
    f"mov al, {value:#x}\nout {port:#x}, al"
    for port, value in ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xFE))
)
PIT_INIT = "mov al, 0x34\nout 0x43, al\nmov al, 20\nout 0x40, al\nmov al, 0\nout 0x40, al"
LOOP = f"{PIC_INIT}\n{PIT_INIT}\nsti\nagain: add dword [{DATA}], 3\nmov esi, 0x20000\nmov edi, 0x30000\n"
LOOP += "mov ecx, 5\nrep movsb\nloop again\npush eax\npop ebx\njmp again"
HANDLER = "inc dword [0x21000]\npush eax\nmov al, 0x20\nout 0x20, al\npop eax\no32 iret"


def ticking(paging=True):
    """A loop with REP, memory and a timer whose handler runs in between."""
    bench = Bench(LOOP)
    bench.gate(0x20, bench_gate())
    bench.assemble(HANDLER, 0x7000)
    if paging:
        bench.turn_on_paging()
    return bench


def bench_gate():
    return d.Gate(0x08, 0x7000, d.INTERRUPT_GATE_32, 0, True)


def state(pc: Pc):
    saved = pc.save()
    saved["memory"] = pc.memory.digest()
    return saved


def test_stepping_and_running_are_the_same():
    stepped, run, chunks = ticking(), ticking(), ticking()
    steps = 6000
    for _ in range(steps):
        stepped.pc.step()
    run.pc.run(max_steps=steps)
    while chunks.pc.position < steps:
        chunks.pc.run(max_steps=min(37, steps - chunks.pc.position))
    assert stepped.memory.read(0x21000, 4) > 3
    assert state(stepped.pc) == state(run.pc) == state(chunks.pc)
    assert stepped.events == run.events == chunks.events
    assert stepped.pc.position == steps


def test_a_checkpoint_continues_as_if_nothing_had_been():
    bench, again = ticking(), ticking()
    bench.pc.run(max_steps=1500)
    saved = bench.pc.save()
    bench.pc.run(max_steps=3000)
    end = state(bench.pc)
    events = list(bench.events)
    bench.pc.load(saved)
    assert bench.pc.position == 1500
    bench.events.clear()
    bench.pc.run(max_steps=3000)
    assert state(bench.pc) == end
    assert bench.events == [event for event in events if event.position >= 1500]
    again.pc.load(saved)
    again.pc.run(max_steps=3000)
    assert state(again.pc) == end


def test_restoring_takes_back_code_too():
    bench = Bench("mov eax, 1\njmp 0x10000")
    bench.step(2)
    saved = bench.pc.save()
    bench.memory.write(CODE + 1, 1, 2)
    bench.step(2)
    assert bench.cpu.eax == 2
    bench.pc.load(saved)
    bench.step(2)
    assert bench.cpu.eax == 1


def test_the_ledger_sums_to_the_cycle_counter():
    bench = ticking()
    bench.pc.run(max_steps=4000)
    meter = bench.pc.meter
    prices = dict(zip(NAMES, meter.prices, strict=True))
    assert sum(row.times * prices[row.input] for row in meter.rows()) == meter.cycles


@pytest.mark.parametrize("bound", ["steps", "cycle", "instruction"])
def test_bounds(bound):
    bench = ticking()
    pc = bench.pc
    if bound == "steps":
        pc.run(max_steps=100)
        assert pc.position == 100
    elif bound == "cycle":
        pc.run(until_cycle=300)
        assert 300 <= pc.meter.cycles < 320
    else:
        pc.run(until_instruction=123)
        assert pc.instructions == 123
        assert pc.position > 123


def test_a_pause_is_taken_after_the_step():
    bench = ticking()

    def pause(event):
        bench.pc.pause_requested = True

    bench.pc.listener = pause
    bench.pc.run(max_steps=100_000)
    assert bench.pc.position < 100_000
    assert bench.cpu.eip == 0x7000


def test_an_interrupt_is_a_step_and_an_event_with_both_places():
    bench = ticking()
    bench.pc.run(max_steps=2000)
    event = next(event for event in bench.events if event.kind == "InterruptDelivered")
    assert event.payload["vector"] == 0x20
    assert event.source == event.target
    assert ("interrupt", 1) in event.charges


def test_no_interrupt_comes_while_if_is_clear_or_shadowed():
    bench = Bench("nop\nsti\nnop\nnop")
    bench.gate(0x20, bench_gate())
    bench.pc.pic.write_port(0x20, 0x11)
    for value in (0x20, 4, 1, 0):
        bench.pc.pic.write_port(0x21, value)
    bench.pc.pic.raise_irq(0)
    bench.step(3)
    assert bench.cpu.eip == CODE + 3
    bench.step()
    assert bench.cpu.eip == 0x7000
    assert bench.stack(1) == [CODE + 3]


def test_hlt_waits_for_the_timer_and_charges_the_wait():
    bench = Bench(f"{PIC_INIT}\n{PIT_INIT}\nsti\nhlt\nnop")
    bench.gate(0x20, bench_gate())
    bench.pc.run(until_cycle=200)
    idle = sum(row.times for row in bench.pc.meter.rows() if row.input == "idle_cycle")
    # 20 pulses, the first of which loads the counter, less the three instructions
    assert 180 <= idle <= 220
    assert [event.kind for event in bench.events] == ["InterruptDelivered"]
    assert ("idle_cycle", idle) in bench.events[0].charges


def test_blocked_interrupts_come_only_by_injection():
    bench = ticking(paging=False)
    bench.pc.interrupts_blocked = True
    bench.pc.run(max_steps=3000)
    assert bench.events == []
    position = bench.pc.position
    assert bench.pc.inject(0x20)
    assert bench.pc.position == position + 1
    assert bench.cpu.eip == 0x7000
    assert not bench.pc.inject(0x21)  # masked


def test_a_halted_machine_with_blocked_interrupts_returns():
    bench = Bench("sti\nhlt")
    bench.pc.interrupts_blocked = True
    bench.pc.run(max_steps=1000)
    assert bench.cpu.halted
    assert bench.pc.stopped is None


def test_marks_pass_when_their_instruction_retires():
    bench = Bench("nop\nnop\nnop")
    bench.pc.marks = {Linear(CODE + 1): "mark_middle"}
    bench.step(3)
    (event,) = bench.events
    assert (event.kind, event.position) == ("MarkPassed", 1)
    assert event.payload == {"label": "mark_middle", "instructions": 2}


def test_retired_instructions_are_told_one_by_one():
    bench = Bench("mov ecx, 3\nmov edi, 0x20000\nrep stosb\nint 0x80")
    seen = []
    bench.pc.on_retired = lambda: seen.append((bench.pc.instructions, bench.pc.cpu.eip))
    bench.step(6)
    assert seen == [(1, CODE + 5), (2, CODE + 10), (3, CODE + 12), (4, HANDLERS + 16 * 0x80)]


def test_accesses_are_told_once_a_ring_and_right():
    bench = Bench(f"mov eax, [{DATA}]\nmov ebx, [{DATA}]\nmov [{DATA}], eax\nint 0x80", 3)
    bench.turn_on_paging()
    bench.assemble(f"mov eax, [{DATA}]", HANDLERS + 16 * 0x80)
    seen = []
    bench.pc.on_access = lambda place, linear, frame, write: seen.append((place.ring, linear, frame, write))
    bench.step(5)
    assert [access for access in seen if access[1] == DATA] == [
        (3, DATA, DATA >> 12, False),
        (3, DATA, DATA >> 12, True),
        (0, DATA, DATA >> 12, False),
    ]
    # The tables and the stack that the processor used for itself belong to no ring.
    assert {linear for ring, linear, _, _ in seen if ring == 3} == {CODE, DATA}


def test_ports_are_told():
    bench = Bench("mov dx, 0x3f8\nmov al, 65\nout dx, al\nin al, 0x21")
    seen = []
    bench.pc.on_port = lambda place, *rest: seen.append(rest)
    bench.step(4)
    assert seen == [(0x3F8, 1, True, 65), (0x21, 1, False, 0xFF)]


def test_time_is_read_through_the_hook():
    bench = Bench("rdtsc\nmov al, 0\nout 0x43, al\nin al, 0x40")
    seen = []

    def read_time(source, value):
        seen.append(source)
        return 0x1234

    bench.pc.read_time = read_time
    bench.step(1)
    assert (bench.cpu.eax, bench.cpu.edx) == (0x1234, 0)
    bench.step(3)
    assert seen == ["tsc", "pit0"]


def test_places_follow_the_ring():
    bench = Bench("int 0x80", 3)
    assert bench.pc.meter.place.component == APPLICATION
    bench.step()
    assert bench.pc.meter.place.component == GUEST_KERNEL


def test_a_stop_is_for_good_and_keeps_the_first_reason():
    bench = Bench("cli\nhlt")
    bench.pc.run()
    before = save_cpu(bench.cpu), bench.pc.position
    bench.pc.run(max_steps=5)
    assert (save_cpu(bench.cpu), bench.pc.position) == before
    assert not bench.cpu.eflags & EFLAGS_IF
    assert bench.events[-1].payload == {"reason": "halted"}
