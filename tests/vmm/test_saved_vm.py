"""A virtual machine taken from one PC and put into another goes on as if nothing had happened."""

import pickle
from dataclasses import replace

import pytest
from vmm_support import MEMORY, Run, image_of, library_image, small_image

from tests.vmm.test_trap_several import TICKING, image, result
from vizapp.errors import ScenarioError
from vizapp.machine.features import Features
from vizapp.machine.image import Image
from vizapp.vmm.native import Native
from vizapp.vmm.saved_vm import SavedVm, restore_vm, save_vm

EMPTY = image_of(b"\xfa\xf4", "empty")  # cli; hlt: what stood there before is gone
NAME = "trap-and-emulate"


def taken(guest: Image, steps: int) -> tuple[Run, SavedVm]:
    run = Run(guest, virtualizable=True).run(steps)
    saved = save_vm(run.pc, run.monitor, NAME)
    return run, pickle.loads(pickle.dumps(saved))


def put(saved: SavedVm, **choices: object) -> Run:
    run = Run(EMPTY, virtualizable=True, **choices)  # type: ignore[arg-type]
    restore_vm(run.pc, run.monitor, NAME, saved)
    return run


@pytest.mark.parametrize("name", ["loop", "paging", "segments", "pushes"])
@pytest.mark.parametrize("steps", [60, 9_000])
def test_it_ends_as_on_the_bare_machine(name: str, steps: int) -> None:
    _, saved = taken(image(name), steps)
    assert put(saved).run().ending() == Run(image(name), Native()).run().ending()


@pytest.mark.parametrize("name", ["compute", "syscall", "minikernel"])
def test_a_library_guest_says_the_same_result(name: str) -> None:
    guest = library_image(name)
    expected = result(Run(guest, Native()).run(3_000_000).pc.uart.output)
    for steps in (1_000, 4_000):
        run, saved = taken(guest, steps)
        assert not run.pc.stopped
        after = put(saved).run(3_000_000)
        assert result(after.monitor.vm.devices.uart.output) == expected


def test_a_timer_goes_on_from_where_it_was() -> None:
    guest = small_image(TICKING)
    whole = Run(guest, virtualizable=True).run()
    for steps in (300, 900, 1500):
        _, saved = taken(guest, steps)
        after = put(saved).run()
        assert after.reason == "halted"
        assert after.memory(0x12_0000) == 0
        assert after.monitor.guest_view().eip == whole.monitor.guest_view().eip


def test_its_counter_does_not_go_back() -> None:
    guest = small_image(
        "rdtsc; mov [0x120000], eax; mov ecx, 20000; spin: loop spin; rdtsc; mov [0x120004], eax"
    )
    _, saved = taken(guest, 8_000)
    run = put(saved).run()
    assert run.memory(0x12_0004) - run.memory(0x12_0000) >= 20_000


def test_where_it_was_taken_it_can_go_on_too() -> None:
    run, _ = taken(image("paging"), 5_000)
    assert run.monitor.vm.state == "paused"
    run.monitor.machines.resume(run.monitor.vm)
    assert run.run().ending() == Run(image("paging"), Native()).run().ending()


def test_it_can_be_put_beside_another() -> None:
    _, saved = taken(image("segments"), 9_000)
    run = Run(image("loop"), virtualizable=True, others=(EMPTY,), slice_cycles=3000)
    restore_vm(run.pc, run.monitor, NAME, saved, 1)
    run.run()
    assert run.ending(0) == Run(image("loop"), Native()).run().ending()
    assert run.ending(1) == Run(image("segments"), Native()).run().ending()


def test_one_of_two_is_taken_and_the_other_goes_on() -> None:
    run = Run(image("loop"), virtualizable=True, others=(image("paging"),), slice_cycles=3000).run(20_000)
    saved = save_vm(run.pc, run.monitor, NAME, 1)
    run.run()
    assert run.ending(0) == Run(image("loop"), Native()).run().ending()
    assert put(saved).run().ending() == Run(image("paging"), Native()).run().ending()


def refusal(saved: SavedVm, technique: str = NAME, **choices: object) -> str:
    run = Run(EMPTY, virtualizable=True, **choices)  # type: ignore[arg-type]
    with pytest.raises(ScenarioError) as caught:
        restore_vm(run.pc, run.monitor, technique, saved)
    return caught.value.message.in_english()


def test_where_it_cannot_go_on_the_reason_is_said() -> None:
    _, saved = taken(image("loop"), 500)
    assert "AuthenticAMD" in refusal(replace(saved, vendor="AuthenticAMD"))
    assert "#UD" in refusal(replace(saved, vendor="AuthenticAMD"))
    assert "saved under trap-and-emulate, and this is vt-x" in refusal(saved, "vt-x")
    assert "features" in refusal(replace(saved, features=1 << 31))
    assert "Hz" in refusal(replace(saved, hertz=1))
    assert "4 MB of memory, and 8 MB" in refusal(saved, memory=2 * MEMORY)
    assert "other devices" in refusal(saved, features=Features())


def test_one_that_has_stopped_is_not_saved() -> None:
    run = Run(EMPTY, virtualizable=True).run()
    with pytest.raises(ScenarioError, match="nothing to save"):
        save_vm(run.pc, run.monitor, NAME)
