"""The checks of the table as something to bring about: where there is one, how it fails, what it raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.machine.exceptions.machine import (
    AC0,
    BEYOND,
    DATA,
    GP0,
    NO_SELECTOR,
    SS0,
    STACK,
    TSS,
    Form,
    Machine,
)
from tests.machine.exceptions.table import RULES
from vizapp.isa import descriptors as d
from vizapp.isa import vectors
from vizapp.isa.addresses import HostPhysical
from vizapp.isa.instruction import ControlRegister, DebugRegister
from vizapp.isa.registers import (
    CR0_EM,
    CR0_MP,
    CR0_TS,
    CR4_DE,
    CR4_TSD,
    DS,
    ES,
    SS,
)

Raised = tuple[int, int | None]
UD, NM, DB, DE, BR = (
    (vector, None) for vector in (vectors.UD, vectors.NM, vectors.DB, vectors.DE, vectors.BR)
)
POPS = frozenset(["pop", "popa", "popf", "ret", "retf", "iret", "leave", "pop_segment"])
BYTE = frozenset(("Eb", "Mb", "AL", "Xb", "Yb", "BBb", "Gb"))


class Check(NamedTuple):
    """One thing that can be wrong. ``fail`` brings it about, or is None where it is so already."""

    name: str
    expected: Raised
    fail: Callable[[], None] | None


def _stack(machine: Machine, form: Form) -> list[Check]:
    mode = machine.mode
    pops = form.opcode.operation in POPS
    cpu = machine.cpu
    size = form.instruction.operand_size
    name = form.opcode.operation
    register = "ebp" if name == "leave" else "esp"

    def beyond() -> None:
        if mode.protected:
            setattr(cpu, register, BEYOND + 0x40)
        else:
            setattr(cpu, register, 0xFFFF if pops else 1)

    def misaligned() -> None:
        setattr(cpu, register, getattr(cpu, register) | 1)
        machine.check_alignment()

    checks = [Check("stack limit", SS0, beyond)]
    if not mode.real:
        error = (4 if mode.ring == 3 else 0) | (0 if pops else 2)
        checks.append(Check("stack page", (vectors.PF, error), lambda: machine.page(STACK, 6)))
    if mode.ring == 3 and size > 1:
        checks.append(Check("stack alignment", AC0, misaligned))
    return checks


def _memory(machine: Machine, form: Form) -> list[Check]:
    if not form.accessed:
        return []
    mode, cpu = machine.mode, machine.cpu
    name = form.opcode.operation
    index = form.segment
    string = name in ("movs", "cmps", "stos", "lods", "scas", "ins", "outs")
    offset_fixed = form.memory_operand is not None and form.memory_operand.base is None
    fault = SS0 if index == SS else GP0
    is_byte = form.opcode.operands[-1 if name == "xlat" else 0] in BYTE or any(
        code in BYTE for code in form.opcode.operands if code[0] in "EXYBO"
    )
    first = ES if name in ("stos", "scas", "ins") else DS if string else index
    pages = {DS: DATA, ES: 0x4_0000, SS: STACK}

    def move(offset: int) -> None:
        if string:
            cpu.esi = cpu.edi = offset
        else:
            cpu.ebx = offset

    def misalign() -> None:
        if string:
            cpu.esi, cpu.edi = cpu.esi | 1, cpu.edi | 1
        else:
            cpu.ebx |= 1
        machine.check_alignment()

    checks = []
    if mode.protected:
        checks.append(Check("null segment", fault, lambda: machine.set_segment(first, access=0)))
        if form.written and not string:
            checks.append(
                Check(
                    "read-only segment",
                    fault,
                    lambda: machine.set_segment(first, access=cpu.segments[first].access & ~2),
                )
            )
        if not offset_fixed:
            checks.append(Check("limit", fault, lambda: move(BEYOND)))
    elif not (is_byte or offset_fixed):
        checks.append(Check("limit", fault, lambda: move(0xFFFF)))
    if not mode.real:
        writes = form.written if not string else name in ("stos", "ins")
        error = (4 if mode.ring == 3 else 0) | (2 if writes else 0)
        checks.append(Check("page", (vectors.PF, error), lambda: machine.page(pages[first], 6)))
    aligned = is_byte or offset_fixed or name in ("fxsave", "fxrstor")
    if mode.ring == 3 and not aligned:
        checks.append(Check("alignment", AC0, misalign))
    return checks


def _selector(machine: Machine, form: Form) -> list[Check]:
    if not machine.mode.protected:
        return []
    name, cpu, memory = form.opcode.operation, machine.cpu, machine.pc.memory
    value = NO_SELECTOR.to_bytes(2, "little")

    def fail() -> None:
        if name == "pop_segment":
            memory.load(HostPhysical(STACK + (cpu.esp & 0xFFFF)), value)
        elif not form.memory:
            cpu.eax = NO_SELECTOR
        else:
            skip = form.instruction.operand_size if name[0] == "l" and name not in ("lldt", "ltr") else 0
            memory.load(HostPhysical(DATA + cpu.ebx + skip), value)

    return [Check("selector", (vectors.GP, NO_SELECTOR & 0xFFFC), fail)]


def _port(machine: Machine, form: Form) -> list[Check]:
    mode = machine.mode
    if mode.ring == 0:
        return []

    def fail() -> None:
        machine.set_iopl(0)
        machine.pc.memory.load(HostPhysical(TSS + d.TSS_BYTES), b"\xff" * 8)

    return [Check("port", GP0, fail)]


def _controls(machine: Machine, form: Form) -> list[Check]:
    cpu = machine.cpu
    register = form.instruction.operands[0]
    assert isinstance(register, ControlRegister)
    bad = {0: 0x8000_0000, 4: 0x8000_0000}.get(register.index)
    if bad is None:
        return []
    return [Check("value", GP0, lambda: setattr(cpu, "eax", bad))]


def _debug(machine: Machine, form: Form) -> list[Check]:
    cpu = machine.cpu
    which = next(each for each in form.instruction.operands if isinstance(each, DebugRegister))
    if which.index not in (4, 5):
        return []

    def fail() -> None:
        cpu.cr4 |= CR4_DE

    return [Check("DR4", UD, fail)]


def checks_of(machine: Machine, form: Form) -> list[Check]:
    """What can be wrong with a form in the machine's mode, in the order in which it is found."""
    mode, cpu = machine.mode, machine.cpu
    name = form.opcode.operation
    found: list[Check] = []
    outside = mode.ring > 0

    def set_bits(register: str, bits: int) -> Callable[[], None]:
        return lambda: setattr(cpu, register, getattr(cpu, register) | bits)

    def general_detect() -> None:
        cpu.debug[7] |= 1 << 13

    for rule in RULES[name]:
        match rule:
            case "ud":
                found.append(Check("always", UD, None))
            case "db":
                found.append(Check("always", DB, None))
            case "gp":
                found.append(Check("always", GP0, None))
            case "mode":
                found += [] if mode.protected else [Check("mode", UD, None)]
            case "cpl":
                found += [Check("ring", GP0, None)] if outside else []
            case "real":
                found += [Check("real mode", GP0, None)] if mode.real else []
            case "iopl":
                found += [Check("IOPL", GP0, lambda: machine.set_iopl(0))] if outside else []
            case "v86":
                found += [Check("IOPL", GP0, lambda: machine.set_iopl(0))] if mode.virtual else []
            case "port":
                found += _port(machine, form)
            case "tsd":
                found += [Check("TSD", GP0, set_bits("cr4", CR4_TSD))] if outside else []
            case "msr":
                found.append(Check("MSR", GP0, lambda: setattr(cpu, "ecx", 0x1234)))
            case "null-msr":
                found.append(Check("null MSR", GP0, lambda: cpu.sysenter.__setitem__(0, 0)))
            case "cr0":
                found += _controls(machine, form)
            case "dr4":
                found += _debug(machine, form)
            case "gd":
                found.append(Check("GD", DB, general_detect))
            case "nm":
                found.append(Check("TS", NM, set_bits("cr0", CR0_TS)))
                found.append(Check("EM", NM, set_bits("cr0", CR0_EM)))
            case "wait":
                found.append(Check("TS and MP", NM, set_bits("cr0", CR0_TS | CR0_MP)))
            case "memory":
                found += _memory(machine, form)
            case "stack":
                found += _stack(machine, form)
            case "divide":
                found += _divide(machine, form)
            case "bounds":
                found.append(Check("bounds", BR, lambda: setattr(cpu, "ecx", 0x7801)))
            case "selector":
                found += _selector(machine, form)
            case "aligned":
                found.append(Check("16 bytes", GP0, lambda: setattr(cpu, "ebx", 0xF01)))
            case _:
                raise AssertionError(rule)
    return found


def _divide(machine: Machine, form: Form) -> list[Check]:
    cpu, memory = machine.cpu, machine.pc.memory

    def fail() -> None:
        if form.opcode.operation == "aam":
            machine.place(form.instruction.raw[:-1] + b"\0")
        elif form.memory:
            memory.load(HostPhysical(DATA + cpu.ebx), bytes(8))
        else:
            cpu.eax = 0

    return [Check("divide", DE, fail)]
