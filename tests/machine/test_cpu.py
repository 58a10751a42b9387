"""One processor class, physical or virtual: accesses, and instructions and deliveries one at a time."""

import pytest

from tests.machine.bench import CODE, DATA, GDT, IDT, Bench, code_selector
from vizapp.isa import vectors as v
from vizapp.isa.addresses import Linear
from vizapp.isa.decode import decode
from vizapp.isa.opcodes import OPCODES
from vizapp.isa.registers import DS
from vizapp.machine.cpu import Cpu
from vizapp.machine.cpu_state import load_cpu, save_cpu
from vizapp.machine.faults import Fault, TripleFault
from vizapp.machine.ports import PortBus
from vizapp.machine.segments import TableRegister
from vizapp.machine.semantics import INSTRUCTIONS
from vizapp.machine.system import HANDLERS


class FlatSpace:
    """An address space of its own, as a monitor makes one."""

    def __init__(self, memory: bytearray) -> None:
        self.memory = memory
        self.calls: list[str] = []

    def read(self, linear: int, size: int, user: bool) -> int:
        if linear >= len(self.memory):
            raise Fault(v.PF, 4 if user else 0, linear)
        return int.from_bytes(self.memory[linear : linear + size], "little")

    def modify(self, linear: int, size: int, user: bool) -> int:
        return self.read(linear, size, user)

    def write(self, linear: int, size: int, value: int, user: bool) -> None:
        self.read(linear, size, user)
        self.memory[linear : linear + size] = value.to_bytes(size, "little")

    def fetch(self, linear: int, count: int, user: bool) -> bytes:
        return bytes(self.memory[linear : linear + count])

    def flush(self) -> None:
        self.calls.append("flush")

    def invalidate(self, linear: int) -> None:
        self.calls.append(f"invalidate {linear:#x}")


def virtual(source: str, ring: int = 0) -> tuple[Cpu, FlatSpace]:
    """A virtual processor in the state and with the memory of a bench."""
    bench = Bench(source, ring)
    space = FlatSpace(bytearray(bench.memory.dump(0, bench.memory.size)))
    cpu = Cpu(space, PortBus())
    load_cpu(cpu, save_cpu(bench.cpu))
    return cpu, space


def run(cpu: Cpu, space: FlatSpace) -> None:
    cpu.execute(decode(space.fetch(cpu.eip, 15, False), Linear(cpu.eip)))


def test_a_virtual_processor_executes_and_delivers():
    cpu, space = virtual("inc dword [0x20000]\nmov cr3, eax\ninvlpg [0x20000]\nud2")
    run(cpu, space)
    assert space.memory[DATA] == 1
    run(cpu, space)
    run(cpu, space)
    assert space.calls == ["flush", "invalidate 0x20000"]
    with pytest.raises(Fault) as caught:
        run(cpu, space)
    assert cpu.eip == CODE + 6 + 3 + 7
    cpu.take(caught.value)
    assert cpu.eip == 0x8000 + 16 * v.UD


def test_a_delivery_that_fails_three_times():
    cpu, _ = virtual("ud2")
    cpu.idtr = TableRegister(IDT, 0)
    with pytest.raises(TripleFault) as caught:
        cpu.deliver(v.PF, 0)
    assert [fault.vector for fault in caught.value.faults] == [v.PF, v.GP, v.GP]


def test_an_interrupt_can_be_injected():
    cpu, _ = virtual("nop", 3)
    cpu.halted = True
    cpu.deliver(0x20, external=True)
    assert (cpu.cpl, cpu.eip, cpu.halted) == (0, 0x8000 + 16 * 0x20, False)


def test_int_n_by_delivery_looks_at_the_gate():
    cpu, space = virtual("nop", 3)
    space.memory[IDT + 8 * 0x80 + 5] &= 0x9F
    with pytest.raises(Fault) as caught:
        cpu.deliver(0x80, software=True)
    assert (caught.value.vector, caught.value.error) == (v.GP, 0x80 * 8 + 2)
    assert cpu.cpl == 3


def test_saved_state_comes_back():
    bench = Bench("mov eax, 1\nadd eax, -1\nsti", 0)
    bench.step(3)
    state = save_cpu(bench.cpu)
    other = Bench("nop", 3)
    load_cpu(other.cpu, state)
    assert save_cpu(other.cpu) == state
    assert other.cpu.zf
    assert other.cpu.shadow


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("offset", [DATA, DATA + 1, DATA + 0xFFF, DATA + 0xFFD])
def test_accesses_of_every_size_and_alignment(size, offset):
    cpu = Bench().cpu
    value = 0x8182_8384 & (1 << 8 * size) - 1
    for _ in range(2):  # by the long way and by the fast maps
        cpu.store(DS, offset, size, value)
        assert cpu.load(DS, offset, size) == value
    change = {1: cpu.modify1, 2: cpu.modify2, 4: cpu.modify4}[size]
    assert [change(DS, offset), change(DS, offset)] == [value, value]


def test_a_write_to_decoded_code_is_executed():
    bench = Bench("mov eax, 1\nmov byte [0x10001], 7\njmp 0x10000")
    bench.step(4)
    assert bench.cpu.eax == 7


def test_a_write_beside_decoded_code_keeps_it():
    bench = Bench("mov eax, 1\nmov byte [0x10100], 7\njmp 0x10000")
    bench.step(3)
    before = bench.pc.code.hot[CODE]
    bench.step(4)
    assert bench.pc.code.hot[CODE] is before


@pytest.mark.parametrize("paging", [False, True])
def test_data_and_code_in_one_page_are_told_apart_each_time(paging):
    bench = Bench("again: mov eax, 1\nmov [0x10100], eax\ninc byte [0x10001]\njmp again")
    if paging:
        bench.turn_on_paging()
    bench.step(4 * 5 + 1)
    assert bench.cpu.eax == 6
    assert bench.memory.read(0x10100, 4) == 5


def test_an_instruction_that_overwrites_itself_ends_as_it_began():
    bench = Bench("mov dword [0x10000], 0x90909090\nnop")
    bench.step()
    assert bench.cpu.eip == CODE + 10
    assert bench.memory.read(CODE, 4) == 0x9090_9090


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (b"\x0f\x0b", (v.UD, None)),
        (b"\xf0\x90", (v.UD, None)),  # LOCK NOP
        (b"\x66" * 15 + b"\x90", (v.GP, 0)),  # over 15 bytes
        (b"\x8e\xc8", (v.UD, None)),  # MOV CS
        (b"\xff\xf8", (v.UD, None)),
    ],
)
def test_bytes_that_are_no_instruction(code, expected):
    bench = Bench()
    bench.memory.load(CODE, code)
    assert bench.fault() == expected


def test_an_instruction_that_is_not_done_stops_the_machine_with_a_sentence():
    bench = Bench()
    bench.memory.load(CODE, b"\x0f\xef\xc0")
    bench.step()
    reason, message = bench.pc.stopped
    assert reason == "crashed"
    assert "0f ef c0" in message.in_english()
    assert f"{CODE:#010x}" in message.in_english()


def test_code_beyond_the_limit_of_cs():
    bench = Bench("mov eax, 0x12345678")
    code = bench.cpu.segments[1]
    bench.cpu.set_code_segment(type(code)(code.selector, 0, CODE + 3, code.access), 0)
    assert bench.fault() == (v.GP, 0)


def test_every_opcode_has_a_meaning():
    missing = {opcode.operation for opcode in OPCODES} - set(INSTRUCTIONS) - set(HANDLERS)
    assert missing <= {"imul", "ret", "pop"} | {opcode.operation for opcode in OPCODES if opcode.repeatable}


def test_the_gdt_may_be_anywhere():
    bench = Bench("mov ds, ax", 0)
    bench.memory.load(0x70000, bench.memory.dump(GDT, 0x80))
    bench.cpu.gdtr = TableRegister(0x70000 - 0x10_0000 + 0x10_0000, 0x7F)
    bench.cpu.eax = code_selector(0)
    assert bench.fault() is None
