"""Random kernel code from the translation cache, instruction by instruction as on the bare machine."""

import pytest
from test_trap_equivalence import INSTRUCTIONS, NOISE, noise, states
from vmm_support import ORIGIN, Run, image_of, small_image

from tests.lengths import FULL
from vizapp.vmm.binary_translation.technique import BinaryTranslation
from vizapp.vmm.native import Native

SEEDS = 300 if FULL else 6


def compare(prologue: str, seed: int, size: int) -> None:
    kernel = small_image(f"{prologue} times {len(NOISE)} nop").segments[0][1]
    start = ORIGIN + kernel.index(NOISE)
    image = image_of(kernel.replace(NOISE, noise(f"{prologue}{seed}")))
    native, run = Run(image, Native()), Run(image, BinaryTranslation(size))
    while native.pc.cpu.eip != start:
        native.pc.step()
    run.pc.run(until_instruction=native.pc.instructions)
    bound = native.pc.instructions + INSTRUCTIONS
    both = zip(states(native, bound), states(run, bound), strict=False)
    for count, (expected, found) in enumerate(both):
        assert found == expected, f"seed {seed}, instruction {count}"
    assert not run.pc.stopped or "monitor" not in run.pc.stopped[1].text
    if run.reason == "crashed":
        return  # the x87 outside of its segment: the fault comes first on the bare machine
    if run.pc.stopped or run.pc.instructions >= bound:
        assert run.ending() == native.ending()


@pytest.mark.oracle
@pytest.mark.parametrize("size", [1 << 18, 1 << 10])
@pytest.mark.parametrize("prologue", ["", "PAGING; "])
def test_random_kernel_code(prologue: str, size: int) -> None:
    for seed in range(SEEDS):
        compare(prologue, seed, size)
