"""Monitors on VT-x and AMD-V as plain data: checkpoints, rewinding, the two truths, several machines."""

import copy

import pytest
from hardware_support import SETTINGS, HardwareRun
from vmm_support import small_image

from vizapp.guest.library import build_guest
from vizapp.isa.registers import CR0_PG
from vizapp.machine import events as ev
from vizapp.machine.places import VMM
from vizapp.session.state_hash import state_hash

SPIN = "mov ecx, 20; spin: loop spin; PAGING; mov eax, [0x200000]; USER; int 0x80"


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_run_taken_up_at_any_step_ends_the_same(setting: str) -> None:
    image = small_image(SPIN)
    whole = HardwareRun(image, setting).run()
    run, other = HardwareRun(image, setting), HardwareRun(image, setting)
    while not run.pc.stopped:
        run.pc.run(max_steps=11)
        saved = run.pc.save()
        frozen = copy.deepcopy(saved["monitor"])
        other.pc.run(max_steps=7)
        other.pc.load(saved)
        assert saved["monitor"] == frozen
        run.pc.step()
        other.pc.step()
        assert other.monitor.guest_view() == run.monitor.guest_view()
        assert other.monitor.processor_view() == run.monitor.processor_view()
    other.run()
    assert run.ending() == other.ending() == whole.ending()
    assert other.pc.meter.cycles == whole.pc.meter.cycles


@pytest.mark.parametrize("setting", SETTINGS)
def test_rewinding_a_ticking_guest_and_running_on_gives_the_same(setting: str) -> None:
    run = HardwareRun(build_guest("minikernel", "native"), setting)
    run.pc.run(max_steps=40_000)
    saved = run.pc.save()
    run.run()
    first = state_hash(run.pc)
    run.pc.load(saved)
    run.run()
    assert state_hash(run.pc) == first


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_guest_s_view_does_not_move_while_the_monitor_enters_and_leaves(setting: str) -> None:
    """Between two retirements the guest sees one state, or the next one: never the monitor's."""
    image = small_image("mov ebx, 0x1234; mov ecx, 0x5678; xor eax, eax; cpuid; in al, 0x61; nop")
    native = HardwareRun(image, setting, native=True)
    states: dict[int, object] = {}
    while not native.pc.stopped:
        view = native.monitor.guest_view()
        state = (view.general, view.eip, view.selectors, view.cpl, view.control, view.gdtr)
        states.setdefault(native.pc.instructions, state)
        native.pc.step()
    run = HardwareRun(image, setting)
    while not run.pc.stopped:
        run.pc.step()
        view = run.monitor.guest_view()
        state = (view.general, view.eip, view.selectors, view.cpl, view.control, view.gdtr)
        if run.pc.phase is None and run.pc.meter.place.component == VMM and run.kinds(ev.VM_ENTERED):
            assert state == states[run.pc.instructions], (hex(run.pc.cpu.eip), run.pc.position)


@pytest.mark.parametrize("setting", ["vt-x-shadow", "amd-v-shadow"])
def test_shadow_paging_shows_one_register_and_has_another(setting: str) -> None:
    run = HardwareRun(small_image("spin: jmp spin"), setting)
    run.run(4000)
    guest, real = run.monitor.guest_view(), run.monitor.processor_view()
    assert not guest.control[0] & CR0_PG
    assert real.control[0] & CR0_PG
    assert guest.control[3] != real.control[3]
    assert guest.general == real.general


@pytest.mark.parametrize("setting", ["unrestricted", "npt"])
def test_nested_paging_leaves_the_guest_its_registers(setting: str) -> None:
    run = HardwareRun(small_image("PAGING; spin: jmp spin"), setting)
    run.run(4000)
    guest, real = run.monitor.guest_view(), run.monitor.processor_view()
    assert guest.control[3] == real.control[3] != 0


@pytest.mark.parametrize("setting", SETTINGS)
def test_one_of_four_dies_and_the_others_go_on(setting: str) -> None:
    names = ("minikernel", "crash", "compute", "popf")
    first, *others = (build_guest(name, "native") for name in names)
    run = HardwareRun(first, setting, others=tuple(others), slice_cycles=20_000).run()
    assert [vm.stopped[0] for vm in run.monitor.vms if vm.stopped] == [
        "halted", "shutdown", "halted", "halted"
    ]  # fmt: skip
    assert len(run.kinds(ev.VM_SCHEDULED)) > 3
    for vm, image in zip(run.monitor.vms, (first, *others), strict=True):
        bare = HardwareRun(image, setting, native=True).run()
        expected = [line for line in bare.serial.splitlines() if line.startswith("result:")]
        found = bytes(vm.devices.uart.output).decode("ascii").splitlines()
        assert [line for line in found if line.startswith("result:")] == expected


@pytest.mark.parametrize("setting", SETTINGS)
def test_two_machines_can_be_rewound(setting: str) -> None:
    image = build_guest("minikernel", "native")
    run = HardwareRun(image, setting, others=(image,), slice_cycles=20_000)
    run.pc.run(max_steps=60_000)
    saved = run.pc.save()
    run.run()
    first = state_hash(run.pc)
    run.pc.load(saved)
    run.run()
    assert state_hash(run.pc) == first
