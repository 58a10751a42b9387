"""Several virtual machines below one monitor: none changes what another computes, and one may die alone."""

import copy

import pytest
from vmm_support import Run, library_image, small_image

from tests.controllers import START_CONTROLLER
from vizapp.machine import events
from vizapp.machine.image import Image
from vizapp.vmm.frame_allocator import FrameAllocator
from vizapp.vmm.native import Native

TICKING = (
    """
        mov word [idt + 0x20 * 8], tick - $$
"""
    + START_CONTROLLER
    + """
        mov al, 0xFE
        out 0x21, al
        mov al, 0x34
        out 0x43, al
        mov al, 40
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
        sti
more:   hlt
        cmp dword [0x120000], 8
        jb more
        cli
        mov dword [0x120000], 0
"""
)
BODIES = {
    "loop": "mov ecx, 30000; spin: add eax, ecx; loop spin; mov [0x120000], eax",
    "paging": "PAGING; mov ecx, 9000; spin: inc dword [0x120000]; mov edx, [0x200000]; loop spin; USER; "
    "int 0x80",
    # Segments that are reloaded by no instruction: they must be the machine's own after every switch.
    "segments": "mov ax, 0x30; mov fs, ax; mov gs, ax; mov ecx, 9000; spin: inc dword [fs:8]; "
    "mov eax, [gs:8]; add [0x120000], eax; loop spin",
    "pushes": "mov eax, 0x30; mov gs, ax; mov ecx, 6000; spin: push gs; pop gs; loop spin",
}
# No IDT and then an exception: a triple fault.
CRASH = "mov ecx, 2000; spin: loop spin; lidt [0x121000]; ud2"


def image(name: str) -> Image:
    return small_image(TICKING if name == "ticking" else BODIES[name])


def alone(name: str) -> tuple[object, ...]:
    return Run(image(name), Native()).run().ending()


def together(*names: str, **choices: object) -> Run:
    first, *others = (image(name) for name in names)
    return Run(
        first,
        virtualizable=True,
        others=tuple(others),
        **{"slice_cycles": 3000, **choices},  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "names",
    [
        ("loop", "paging"),
        ("segments", "pushes"),
        ("loop", "loop"),
        ("paging", "segments", "pushes", "loop"),
    ],
)
def test_each_guest_ends_as_on_a_machine_of_its_own(names):
    run = together(*names).run(20_000_000)
    assert run.reason == "halted"
    for vm, name in enumerate(names):
        assert run.ending(vm) == alone(name)
    switches = run.kinds(events.VM_SCHEDULED)
    assert len(switches) > 2 * len(names)
    assert {event.payload["vm"] for event in switches} == set(range(len(names)))


def test_one_that_waits_leaves_the_processor_to_the_other_and_gets_it_back():
    run = together("ticking", "loop", slice_cycles=1 << 40).run()
    assert run.reason == "halted"
    assert run.ending(1) == alone("loop")
    assert run.memory(0x12_0000, vm=0) == 0
    assert (
        run.monitor.guest_view(0).general[0]
        == Run(image("ticking"), virtualizable=True).run().monitor.guest_view().general[0]
    )
    switches = run.kinds(events.VM_SCHEDULED)
    assert [event.payload["vm"] for event in switches[:2]] == [1, 0]


def test_all_waiting_the_processor_idles():
    run = together("ticking", "ticking").run()
    assert run.reason == "halted"
    for vm in (0, 1):
        assert run.ending(vm)[0] == "halted"
        injected = [e for e in run.kinds(events.INTERRUPT_INJECTED) if e.target.vm == vm]
        assert len(injected) >= 8
    assert run.pc.meter.by_purpose()["idle"] > 0


def test_a_guest_that_crashes_takes_nobody_with_it():
    first = small_image(CRASH)
    run = Run(first, virtualizable=True, others=(image("loop"), image("paging")), slice_cycles=3000).run()
    assert run.ending(1) == alone("loop")
    assert run.ending(2) == alone("paging")
    assert [vm.stopped[0] for vm in run.monitor.vms] == ["shutdown", "halted", "halted"]
    assert run.reason == "shutdown"
    assert "triple fault" in str(run.pc.stopped[1].in_english())
    stops = run.kinds(events.VM_STOPPED)
    assert stops[0].payload["vm"] == 0
    assert len(stops) == 3


def test_what_each_has_retired_adds_up():
    run = together("loop", "paging", "segments").run(60_000)
    assert sum(vm.instructions for vm in run.monitor.vms) == run.pc.instructions
    assert sum(vm.emulated for vm in run.monitor.vms) == run.pc.emulated
    assert all(vm.instructions for vm in run.monitor.vms)


def test_shares_go_by_weight():
    long = small_image("mov ecx, 2000000; spin: loop spin")
    run = Run(long, virtualizable=True, others=(long,), weights=(300, 100), slice_cycles=5000).run(400_000)
    first, second = (vm.instructions for vm in run.monitor.vms)
    assert first / second == pytest.approx(3, rel=0.1)


def test_stepped_and_run_are_the_same_and_so_is_a_state_taken_up():
    whole = together("segments", "paging").run()
    run, other = together("segments", "paging"), together("segments", "paging")
    while not run.pc.stopped:
        run.pc.run(max_steps=4001)
        saved = run.pc.save()
        frozen = copy.deepcopy(saved["monitor"])
        other.pc.run(max_steps=11)
        other.pc.load(saved)
        assert saved["monitor"] == frozen
        for _ in range(40):
            run.pc.step()
            other.pc.step()
        for vm in (0, 1):
            assert other.monitor.guest_view(vm) == run.monitor.guest_view(vm)
            assert other.monitor.processor_view(vm) == run.monitor.processor_view(vm)
    assert [run.ending(vm) for vm in (0, 1)] == [whole.ending(vm) for vm in (0, 1)]
    assert run.events == whole.events
    assert run.pc.meter.cycles == whole.pc.meter.cycles


def test_no_frame_belongs_to_two():
    run = together("loop", "paging", "segments")
    allocator: FrameAllocator = run.monitor.host.frames
    for vm in run.monitor.vms:
        assert {allocator.owner(frame) for frame in vm.memory.p2m} == {f"vm{vm.index}"}
    owners = {part.owner for part in run.monitor.ownership().frames}
    assert owners == {"vmm", "vm0", "vm1", "vm2"}


def test_the_stage_has_them_side_by_side():
    run = together("loop", "paging")
    (world,) = run.monitor.stage()
    assert [(part.ring, part.vm) for part in world.components] == [(0, -1), (1, 0), (1, 1), (3, 0), (3, 1)]


def test_places_say_whose_code_runs():
    run = together("loop", "paging").run(20_000)
    places = {row.place.vm for row in run.pc.meter.rows() if row.place.is_guest}
    assert places >= {0, 1}


def result(output: bytearray) -> bytes:
    """The line that does not depend on time."""
    (line,) = [line for line in bytes(output).splitlines() if line.startswith(b"result:")]
    return line


@pytest.mark.parametrize("name", ["compute", "syscall"])
def test_library_guests_side_by_side_say_the_same(name):
    guest = library_image(name)
    run = Run(guest, virtualizable=True, others=(guest,), slice_cycles=5000).run(3_000_000)
    said = [result(vm.devices.uart.output) for vm in run.monitor.vms]
    assert said[0] == said[1] == result(Run(guest, Native()).run(3_000_000).pc.uart.output)
