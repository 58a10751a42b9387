"""The hole at the top: read by nobody but the hypervisor, except for the machine-to-physical table."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xen_support import Run, kernel, started

from vizapp.vmm.host_tables import CODE, IDT, TSS
from vizapp.vmm.xen import abi

ACCESSES = {
    "mov eax, [ebx]": "read", "mov [ebx], eax": "write", "add dword [ebx], 1": "write", "lodsb": "read",
    "stosd": "write", "push dword [ebx]": "read", "jmp ebx": "execute", "mov eax, [es:ebx]": "read",
    "mov esp, ebx\npop eax": "read", "mov esp, ebx\npush eax": "write", "lock inc byte [ebx]": "write",
}  # fmt: skip


def attempt(instruction: str, address: int, ring: int) -> Run:
    body = f"{instruction}\nSTOP" if ring == 1 else ""
    image = kernel(
        f"ready: {body}" if ring == 1 else "", application=None if ring == 1 else f"ready: {instruction}"
    )
    run = Run(image).until("ready")
    run.pc.cpu.ebx = run.pc.cpu.esi = run.pc.cpu.edi = address
    known = [run.pc.memory.dump(frame << 12, 4096) for frame in _own(run)]
    run.run(200)
    assert [run.pc.memory.dump(frame << 12, 4096) for frame in _own(run)] == known
    return run


def _own(run: Run) -> list[int]:
    """The hypervisor's frames, but for its stack and the table in which IRET sets accessed bits."""
    return [run.xen.tables.physical(area) >> 12 for area in (CODE, IDT, TSS)]


@pytest.mark.parametrize("instruction", ACCESSES)
@pytest.mark.parametrize("address", [0xFC40_0000, 0xFF00_2400, 0xFFFF_FFF0])
@pytest.mark.parametrize("ring", [1, 3])
def test_no_instruction_reaches_the_hypervisor(instruction, address, ring):
    run = attempt(instruction, address, ring)
    # #GP, or #SS, for which this kernel has no handler, or has lost the stack for one. Below the lowest of
    # the addresses PUSH hits the machine-to-physical table, which is read-only.
    assert run.word("vector") in (13, 14) or run.reason == "crashed"


@pytest.mark.parametrize("ring", [1, 3])
def test_the_machine_to_physical_table_is_read_and_not_written(ring):
    assert attempt("mov eax, [ebx]\nint3", abi.M2P_START, ring).word("vector") == 3
    assert attempt("mov [ebx], eax", abi.M2P_START, ring).word("vector") == 14


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    address=st.integers(0xFC40_0000, 0xFFFF_FFFF),
    instruction=st.sampled_from(sorted(ACCESSES)),
    selector=st.sampled_from(
        [None, 0xE021, 0xE033, 0xE019, 0xE02B, 0xE010, 0xE011, 0xE013, 0xE008, 0xE048, 3, 7]
    ),
)
def test_nor_through_any_selector_that_loads(address, instruction, selector):
    load = "" if selector is None else f"mov ax, {selector:#x}\nmov ds, ax\nmov es, ax\n"
    run = started(f"{load}access: {instruction}\nint3")
    run.pc.cpu.ebx = run.pc.cpu.esi = run.pc.cpu.edi = address
    known = [run.pc.memory.dump(frame << 12, 4096) for frame in _own(run)]
    run.run(200)
    assert run.word("vector") in (13, 0)  # 0: its handler cannot write either, through what is in DS
    assert [run.pc.memory.dump(frame << 12, 4096) for frame in _own(run)] == known


def test_a_pointer_into_the_hypervisor_is_refused_by_hypercalls():
    run = started()
    assert run.call("console_io", abi.CONSOLEIO_WRITE, 4, 0xFF00_2000) == -abi.EFAULT
    assert run.call("console_io", abi.CONSOLEIO_WRITE, 8, abi.M2P_END - 4) == -abi.EFAULT
    assert run.call("update_va_mapping", 0xFF00_2000, 0, 0, 0) == -abi.EINVAL
