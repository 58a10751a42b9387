"""Doors: a monitor is reached as the hardware reaches it, and left through bytes that the processor runs."""

from tests.machine.bench import CODE, HANDLERS, Bench
from vizapp.isa.addresses import HostPhysical
from vizapp.machine.doors import Door
from vizapp.machine.pc import Pc
from vizapp.machine.places import VMM, Place

TRAP = HANDLERS + 16 * 0x80
EXIT = 0x7000


class Phases:
    """Two phases; the second one sends the processor to the exit stub."""

    def __init__(self, pc: Pc, leave_at: int = EXIT) -> None:
        self.pc = pc
        self.seen: list[tuple[str, int]] = []
        self._leave_at = leave_at

    def run_phase(self, name: str) -> str | None:
        self.seen.append((name, self.pc.position))
        self.pc.meter.charge("mon_dispatch")
        if name == "entered":
            return "leaving"
        self.pc.cpu.eip = self._leave_at
        return None

    def save(self) -> list[tuple[str, int]]:
        return list(self.seen)

    def load(self, saved: list[tuple[str, int]]) -> None:
        self.seen = list(saved)


def monitored(ring=3, door_ring=0, leave_at=EXIT):
    bench = Bench("int 0x80\njmp 0x10000", ring)
    bench.assemble("o32 iret", EXIT)
    bench.assemble("o32 iret", TRAP)
    pc = bench.pc
    phases = Phases(pc, leave_at)
    pc.monitor = phases
    pc.doors[HostPhysical(TRAP)] = Door(door_ring, "entered")
    pc.place_of = lambda cpu: Place(ring=cpu.cpl, component=VMM if cpu.cpl == 0 else "application")
    return bench, phases


def test_a_door_opens_when_its_ring_arrives_and_each_phase_is_a_step():
    bench, phases = monitored()
    pc = bench.pc
    pc.step()
    assert (pc.position, pc.phase) == (1, None)
    pc.step()
    assert (pc.position, pc.phase, phases.seen) == (2, "leaving", [("entered", 1)])
    pc.step()
    assert (pc.position, pc.phase) == (3, None)
    assert pc.cpu.eip == EXIT
    pc.step()
    assert (pc.cpu.cpl, pc.cpu.eip) == (3, CODE + 2)
    assert pc.instructions == 1  # the monitor's IRET is not the guest's


def test_another_ring_finds_only_the_bytes():
    bench, phases = monitored(door_ring=1)
    bench.step(2)
    assert phases.seen == []
    assert bench.cpu.cpl == 3


def test_a_door_does_not_open_again_for_the_same_arrival():
    """Phases that leave EIP alone: the bytes behind the door are executed, and the next arrival opens it."""
    bench, phases = monitored(leave_at=TRAP)
    bench.step(4)
    assert bench.cpu.cpl == 3
    bench.step(3)
    assert [name for name, _ in phases.seen] == ["entered", "leaving", "entered"]


def test_every_arrival_opens_it():
    bench, phases = monitored()
    bench.pc.run(max_steps=50)
    assert len(phases.seen) == 20
    assert [position for _, position in phases.seen[:4]] == [1, 2, 6, 7]


def test_the_monitors_work_is_its_own_and_the_events_know_both_places():
    bench, _ = monitored()
    bench.pc.run(max_steps=50)
    rows = {(row.place.component, row.input): row.times for row in bench.pc.meter.rows()}
    assert rows[VMM, "mon_dispatch"] == 20
    assert rows[VMM, "iret_outer"] == 10
    assert rows["application", "software_interrupt"] == 10
    assert {(event.source.component, event.target.component) for event in bench.events} == {
        ("application", VMM),
        (VMM, "application"),
    }


def test_a_checkpoint_between_phases():
    bench, phases = monitored()
    bench.pc.run(max_steps=2)
    saved = bench.pc.save()
    bench.pc.run(max_steps=30)
    end = (list(phases.seen), bench.pc.position, bench.pc.meter.cycles)
    bench.pc.load(saved)
    assert bench.pc.phase == "leaving"
    bench.pc.run(max_steps=30)
    assert (phases.seen, bench.pc.position, bench.pc.meter.cycles) == end


def test_a_monitor_can_end_the_run():
    bench, phases = monitored()

    def stop(name):
        from vizapp.messages import Message

        bench.pc.stop("halted", Message("the guest ended"))

    phases.run_phase = stop
    bench.pc.run(max_steps=50)
    assert bench.pc.position == 2
    assert bench.events[-1].kind == "MachineStopped"


def test_emulated_instructions_count_and_pass_marks():
    bench, _ = monitored()
    bench.pc.marks = {CODE: "mark_start"}
    bench.pc.count_emulated(CODE)
    assert bench.pc.instructions == 1
    assert bench.events[-1].payload == {"label": "mark_start", "instructions": 1}
