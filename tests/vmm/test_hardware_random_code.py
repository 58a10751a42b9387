"""Random code under VT-x and AMD-V, instruction by instruction as on the bare machine."""

import pytest
from hardware_support import SETTINGS, HardwareRun
from test_trap_equivalence import INSTRUCTIONS, NOISE, PROLOGUES, noise, states
from vmm_support import ORIGIN, image_of, small_image

from tests.lengths import FULL

SEEDS = 300 if FULL else 4


def compare(setting: str, prologue: str, seed: int) -> None:
    kernel = small_image(f"{prologue} times {len(NOISE)} nop").segments[0][1]
    start = ORIGIN + kernel.index(NOISE)
    image = image_of(kernel.replace(NOISE, noise(f"{prologue}{seed}")))
    native, run = HardwareRun(image, setting, native=True), HardwareRun(image, setting)
    while native.pc.cpu.eip != start:
        native.pc.step()
    run.pc.run(until_instruction=native.pc.instructions)
    bound = native.pc.instructions + INSTRUCTIONS
    both = zip(states(native, bound), states(run, bound), strict=False)
    for count, (expected, found) in enumerate(both):
        assert found == expected, f"seed {seed}, instruction {count}"
    if run.pc.stopped or run.pc.instructions >= bound:
        assert run.ending() == native.ending()


@pytest.mark.oracle
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("prologue", PROLOGUES)
def test_random_code(setting: str, prologue: str) -> None:
    for seed in range(SEEDS):
        compare(setting, prologue, seed)
