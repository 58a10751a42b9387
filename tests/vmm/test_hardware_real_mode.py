"""Random code in real mode under VT-x and AMD-V, instruction by instruction as on the bare machine."""

import random

import pytest
from hardware_support import SETTINGS, HardwareRun
from test_trap_equivalence import states

from tests.lengths import FULL
from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.machine.image import Image

SEEDS = 200 if FULL else 6
INSTRUCTIONS = 300

# What virtual-8086 mode does otherwise than real mode, or cannot do, or must do alike; no reading of time.
CODES = (
    "90 9c 9d fa fb cc cf ce f4 ec ee 6c 6e e421 e621 cd10 cd20 cd80 0fa2 0f01e0 0f0103 0f010b 0f20c0"
    " 0f20d8 0f22d8 0f06 0f0b 8cc8 8ed8 8ec0 8ed0 8ee0 1e 1f 06 07 16 17 0e 669c 669d 66cf 60 61 6660"
    " 6661 f3aa f3a4 31c0 f7f1 b80010 b80020 b80030 bb0000 bc00f0 be0001 bf0002 b90500 ea00000010"
    " 9a10000020 cb a30000 a10000 66a10000 67668b00 0f00c0 0f00d8 63c0 d6 c5060000 0fb2260000"
    " 0f011e0040 6764a10000 2ea10000"
)
CHOICES = [bytes.fromhex(code) for code in CODES.split()]
HANDLERS = [bytes.fromhex(code) for code in ("cf909090", "40cf9090", "fbcf9090", "f4cf9090")]


def noise(choose: random.Random) -> bytes:
    code = b""
    while len(code) < 300:
        kind = choose.random()
        if kind < 0.8:
            code += choose.choice(CHOICES)
        elif kind < 0.9:
            code += bytes((0x40 + choose.randrange(32),))
        else:
            code += bytes(choose.randrange(256) for _ in range(2))
    return code + b"\xf4" * 8


def image(seed: int) -> Image:
    """Code at 1000:0 and 3000:0, and a handler of one kind or another for each vector at 2000:100."""
    choose = random.Random(seed)
    vectors = b"".join((0x100 + 4 * vector).to_bytes(2, "little") + b"\x00\x20" for vector in range(256))
    handlers = b"\xcf" * 0x100 + b"".join(choose.choice(HANDLERS) for _ in range(256))
    parts = {0: vectors, 0x1_0000: noise(choose), 0x2_0000: handlers, 0x3_0000: noise(choose)}
    segments = tuple((GuestPhysical(at), data) for at, data in parts.items())
    return Image("noise", "native", segments, Linear(0x1_0000), bits=16, code_segment=0x1000)


@pytest.mark.oracle
@pytest.mark.parametrize("setting", SETTINGS)
def test_random_code(setting: str) -> None:
    for seed in range(SEEDS):
        native, run = HardwareRun(image(seed), setting, native=True), HardwareRun(image(seed), setting)
        both = zip(states(native, INSTRUCTIONS), states(run, INSTRUCTIONS), strict=False)
        for count, (expected, found) in enumerate(both):
            assert found == expected, f"seed {seed}, instruction {count}"
