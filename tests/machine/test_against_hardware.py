"""Instructions captured from a Harris 80C286, of every opcode that it shares with us.

``data/harris-80c286.jsonl.gz`` is a sample (ten of each opcode) of SingleStepTests/80286, MIT license. The
captures are of real mode: segments have their selector times 16 as their base, which needs no real mode for
instructions that load no segment register. ``mask`` are the flags that the 80286 defines.
"""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.machine.window import NoPorts
from vizapp.isa import descriptors as d
from vizapp.isa.addresses import Linear
from vizapp.isa.decode import DecodeError, decode
from vizapp.isa.registers import CS, DS, EFLAGS_ARITHMETIC, EFLAGS_DF, ES, GENERAL, SEGMENTS, SS, WORDS
from vizapp.isa.vectors import GP
from vizapp.isa.vectors import SS as STACK_FAULT
from vizapp.machine.cpu import Cpu
from vizapp.machine.engine.shapes import meaning_of
from vizapp.machine.faults import Fault
from vizapp.machine.segments import SegmentState

DATA = Path(__file__).parent / "data" / "harris-80c286.jsonl.gz"
LONGEST = 10  # bytes: the 80286 faults on a longer instruction, an IA-32 processor on one of more than 15
HLT = 0xF4


def captures() -> dict[str, list[dict[str, Any]]]:
    by_opcode = defaultdict(list)
    for line in gzip.decompress(DATA.read_bytes()).splitlines():
        capture = json.loads(line)
        by_opcode[capture["op"]].append(capture)
    return by_opcode


CAPTURES = captures()


class Memory:
    """Sparse bytes as an ``AddressSpace``."""

    def __init__(self, pieces: list[tuple[int, str]]) -> None:
        self.bytes: dict[int, int] = {}
        for address, text in pieces:
            for index, byte in enumerate(bytes.fromhex(text)):
                self.bytes[address + index] = byte

    def read(self, linear: int, size: int, user: bool) -> int:
        return int.from_bytes(self.fetch(linear, size, user), "little")

    modify = read

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        for index, byte in enumerate(value.to_bytes(size, "little")):
            self.bytes[linear + index] = byte

    def fetch(self, linear: int, count: int, user: bool) -> bytes:
        return bytes(self.bytes.get(linear + index, 0) for index in range(count))

    def flush(self) -> None:
        pass

    def invalidate(self, linear: int) -> None:
        pass


def machine(capture: dict[str, Any]) -> Cpu:
    before = capture["ir"]
    cpu = Cpu(Memory(capture["im"]), NoPorts())
    for index in (ES, CS, SS, DS):
        selector = before[SEGMENTS[index]]
        descriptor = d.segment(selector << 4, 0xFFFF, d.DATA_READ_WRITE)
        state = SegmentState(selector, descriptor.base, descriptor.limit, descriptor.access & ~d.AR_DB)
        if index == CS:  # in real mode it can be written too
            cpu.set_code_segment(state, 0)
        else:
            cpu.set_segment(index, state)
    for name, word in zip(GENERAL, WORDS, strict=True):
        setattr(cpu, name, before[word])
    cpu.eip = before["ip"]
    cpu.eflags = before["flags"] & (EFLAGS_ARITHMETIC | EFLAGS_DF)
    return cpu


def problems(capture: dict[str, Any]) -> list[str] | None:
    """What differs; None where the two processors rightly do."""
    cpu = machine(capture)
    assert isinstance(cpu.space, Memory)
    code = cpu.space.fetch(cpu.segments[CS].base + cpu.eip, 15, False)
    try:
        instruction = decode(code, Linear(cpu.eip), 16)
    except DecodeError:
        return None
    if meaning_of(instruction) is None or instruction.length > LONGEST - 1:
        return None
    start, vector = cpu.eip, None
    try:
        while True:
            cpu.execute(instruction)
            if not (instruction.repeat and cpu.eip == start):
                break
    except Fault as fault:
        # Beyond the limit of SS the 80286 raises 13 in real mode.
        vector = GP if fault.vector == STACK_FAULT else fault.vector
    expected = capture["exc"][0] if "exc" in capture else None
    if vector is not None or expected is not None:
        return [] if vector == expected else [f"vector {vector}, not {expected}"]
    after = capture["ir"] | capture["fr"]
    found = []
    for name, word in zip(GENERAL, WORDS, strict=True):
        if getattr(cpu, name) != after[word]:
            found.append(f"{word} {getattr(cpu, name):#x}, not {after[word]:#x}")
    if cpu.eip + 1 & 0xFFFF != after["ip"] or cpu.space.bytes[cpu.segments[CS].base + cpu.eip] != HLT:
        found.append(f"ip {cpu.eip:#x}, not one before {after['ip']:#x}")
    different = (cpu.eflags ^ after["flags"]) & capture["mask"] & (EFLAGS_ARITHMETIC | EFLAGS_DF)
    if different:
        found.append(f"flags {cpu.eflags:#x}, not {after['flags']:#x}")
    memory = Memory(capture["im"] + capture["fm"]).bytes
    found += [f"memory at {at:#x}" for at, byte in memory.items() if cpu.space.bytes[at] != byte]
    return found


@pytest.mark.parametrize("opcode", CAPTURES)
def test_an_instruction_does_what_the_80286_did(opcode):
    for capture in CAPTURES[opcode]:
        found = problems(capture)
        assert not found, (capture["name"], capture["bytes"], found, capture["ir"])


def test_most_captures_are_of_instructions_that_both_have():
    compared = sum(
        problems(capture) is not None for captures in CAPTURES.values() for capture in captures[:2]
    )
    assert compared > 500
