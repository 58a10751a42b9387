"""Random code, hypercalls and frames: no guest leaves its rings, and every count stays right."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from xen_support import NUMBER, Run, kernel, recount_machine, started

from vizapp.vmm.xen import abi

ARGUMENT = st.one_of(
    st.sampled_from(
        [0, 1, 2, 3, 4, 5, 13, abi.DOMID_SELF, 0xFFFF_FFFF, 0x8000_0001, 0xFC00_0000, 0xFF00_5000]
    ),
    st.integers(0xC000_0000, 0xC000_4000),
    st.integers(0, 0xFFFF_FFFF),
)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    calls=st.lists(
        st.tuples(st.sampled_from(sorted(set(NUMBER.values()) - {abi.IRET})), st.tuples(*[ARGUMENT] * 5)),
        max_size=12,
    ),
    memory=st.binary(max_size=256),
)
def test_no_hypercall_brings_the_hypervisor_down(calls, memory):
    run = started("int 0x82\nhere: jmp here")
    run.put("scratch", memory)
    for number, arguments in calls:
        if run.pc.stopped is not None:
            break
        cpu = run.pc.cpu
        cpu.eip = run.at("ready")
        cpu.eax = number
        cpu.ebx, cpu.ecx, cpu.edx, cpu.esi, cpu.edi = arguments
        run.pc.run(max_steps=120)
        if run.pc.cpu.cpl != 1:
            break  # it sleeps, or is still at a very long request
    recount_machine(run)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    words=st.lists(
        st.one_of(
            st.sampled_from([0x202, 0x302, 0x3FFFFF, 0xE019, 0xE02B, 0xE033, 0xE008, 0xE009, 0xE00B, 3]),
            st.integers(0, 0xFFFF_FFFF),
        ),
        min_size=6, max_size=6,
    )
)  # fmt: skip
def test_no_frame_brings_the_guest_into_ring_0(words):
    run = started("int 0x82")
    run.pc.cpu.eax = abi.IRET
    run.pc.cpu.esp = run.put("results", b"".join(word.to_bytes(4, "little") for word in words))
    known = len(run.events)
    run.pc.run(max_steps=200)
    for event in run.events[known:]:
        for place in (event.source, event.target):
            assert (place.ring == 0) == (place.component == "vmm")
    if run.pc.cpu.cpl == 0 and run.pc.stopped is None:
        assert run.xen.tables.base <= run.pc.cpu.eip < run.xen.tables.base + 0x2000


# CLI STI POPF IRET RETF HLT INT3 CLTS; MOV from and to CR3, CR0, DR1; WRMSR RDMSR; MOV DS and SS; INT 80, 81,
# 82; UD2; hypercalls iret, mmuext_op, update_va_mapping, event_channel_op; a stack at the top; far transfers.
CODES = """
    fa fb 9d cf cb f4 cc 0f06 0f20d8 0f22d8 0f22c0 0f21c8 0f23c8 0f30 0f32 8ed8 8ed0 cd80 cd81 cd82 0f0b
    b817000000cd82 b81a000000cd82 b80e000000cd82 b820000000cd82 bce0ffffff ea0000000008e0 9a0000000009e0
"""
PIECES = st.one_of(
    st.sampled_from([bytes.fromhex(code) for code in CODES.split()]), st.binary(min_size=1, max_size=3)
)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    code=st.lists(PIECES, max_size=60),
    registers=st.tuples(*[ARGUMENT] * 7),
    ring=st.sampled_from([1, 3]),
)
def test_no_code_brings_the_hypervisor_down(code, registers, ring):
    body = "times 512 nop\nSTOP"
    run = Run(kernel(f"ready: {body}") if ring == 1 else kernel("", application="ready: times 512 nop"))
    run.until("ready")
    run.put("ready", b"".join(code)[:500])
    cpu = run.pc.cpu
    cpu.eax, cpu.ebx, cpu.ecx, cpu.edx, cpu.esi, cpu.edi, cpu.ebp = registers
    run.run(300)
    recount_machine(run)
    for event in run.events:
        for place in (event.source, event.target):
            assert (place.ring == 0) == (place.component == "vmm")
