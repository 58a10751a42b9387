"""Random code on the virtualizable processor, instruction by instruction as on the bare machine."""

import random
from collections.abc import Iterator

import pytest
from vmm_support import ORIGIN, Run, image_of, small_image

from tests.lengths import FULL
from vizapp.vmm.native import Native

SEEDS = 500 if FULL else 8
INSTRUCTIONS = 160
STEPS = 40_000
NOISE = b"\x90" * 256

# Every privileged and sensitive instruction, and what touches the edges of segments and of the linear space.
CODES = (
    "9c 9d fa fb 0e cc cb cf ce f4 ec ee 6c 6e f36e 60 61 c9 06 07 16 17 1e 1f 0fa2 0f0b 31c0 f7f1 63d8"
    " 0f0103 0f010b 0f0003 0f000b 0f01e0 0f20c0 0f20d8 0f20e0 0f22d8 0f06 0f013b 0f01f0 0fb403 c503"
    " 8cc8 8cd0 8cd8 8ed8 8ec0 8ee0 8ed0 0f02c8 0f03c8 0f00e0 0f00e8 e421 e621 f3a4 f3ab 66669d 669c"
    " cd30 cd40 cd80 66b81000 66b83000 66b81300 66b82300 66b80000 ea0000100030 6803030000 6802010000"
    " a10000c0ff a3fcffffff a100005000 bc0000d0ff b9050000c0 bb0001c0ff c8100000"
)
CHOICES = [bytes.fromhex(code) for code in CODES.split()]


def descriptor(choose: random.Random) -> bytes:
    """Code that rewrites the descriptor at 30h and loads it somewhere."""
    base = choose.choice(
        [0, 0x10_0000, 0x20_0000, 0xFFBF_F000, 0xFFC0_0000, 0xFFFF_0000, choose.randrange(1 << 32)]
    )
    limit = choose.choice([0, 0xFFF, 0xFFFF, 0xF_FFFF, 0xF_FBFF, choose.randrange(1 << 20)])
    access = choose.choice(
        [0x92, 0x93, 0x96, 0x9A, 0x9E, 0xF2, 0xFA, 0xB2, 0x12, 0x82, 0x8C, choose.randrange(256)]
    )
    low = (base & 0xFFFF) << 16 | limit & 0xFFFF
    high = (
        base & 0xFF00_0000 | choose.randrange(16) << 20 | limit & 0xF_0000 | access << 8 | base >> 16 & 0xFF
    )
    load = bytes.fromhex(choose.choice(["8ed8", "8ec0", "8ee0", "8ee8", "8ed0"]))
    return (
        bytes.fromhex("c705") + GDT_ENTRY + low.to_bytes(4, "little")
        + bytes.fromhex("c705") + (int.from_bytes(GDT_ENTRY, "little") + 4).to_bytes(4, "little")
        + high.to_bytes(4, "little") + bytes.fromhex("66b83000") + load
    )  # fmt: skip


GDT_ENTRY = (
    0x10_0000 + small_image("").segments[0][1].index(bytes.fromhex("ffff0000009acf00")) + 40
).to_bytes(4, "little")


def noise(seed: str) -> bytes:
    choose = random.Random(seed)
    code = b""
    while len(code) < len(NOISE) - 40:
        kind = choose.random()
        if kind < 0.7:
            code += choose.choice(CHOICES)
        elif kind < 0.8:
            code += descriptor(choose)
        elif kind < 0.9:
            code += bytes((0x50 + choose.randrange(16),))
        else:
            code += bytes(choose.randrange(256) for _ in range(2))
    return code[: len(NOISE) - 4].ljust(len(NOISE), b"\xf4")


HOW = frozenset({"where", "code_base", "code_bits"})


def states(run: Run, bound: int) -> Iterator[tuple[object, ...]]:
    """What the guest sees behind each of its instructions, up to number ``bound``."""
    seen = run.pc.instructions
    for _ in range(STEPS):
        run.pc.step()
        if run.pc.instructions != seen:
            seen = run.pc.instructions
            # Where the values are kept, and where CS lies, is the technique's own affair.
            view = run.monitor.guest_view()._asdict()
            yield tuple(value for name, value in view.items() if name not in HOW)
        if run.pc.stopped or seen >= bound:
            return


def compare(prologue: str, seed: int) -> None:
    kernel = small_image(f"{prologue} times {len(NOISE)} nop").segments[0][1]
    start = ORIGIN + kernel.index(NOISE)
    image = image_of(kernel.replace(NOISE, noise(f"{prologue}{seed}")))
    native, run = Run(image, Native()), Run(image, virtualizable=True)
    while native.pc.cpu.eip != start:
        native.pc.step()
    run.pc.run(until_instruction=native.pc.instructions)
    bound = native.pc.instructions + INSTRUCTIONS
    both = zip(states(native, bound), states(run, bound), strict=False)
    for count, (expected, found) in enumerate(both):
        assert found == expected, f"seed {seed}, instruction {count}"
    assert not run.pc.stopped or "monitor" not in run.pc.stopped[1].text
    if run.pc.stopped or run.pc.instructions >= bound:
        assert run.ending() == native.ending()


PROLOGUES = ["", "PAGING; ", "USER; ", "PAGING; USER; "]


@pytest.mark.oracle
@pytest.mark.parametrize("prologue", PROLOGUES)
def test_random_code(prologue):
    for seed in range(SEEDS):
        compare(prologue, seed)


def test_an_escape_to_the_x87_that_faults_is_reflected():
    compare("", 61)  # its operand lies beyond the monitor's limit, and then beyond the guest's
