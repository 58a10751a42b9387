"""VMCBs of any contents: VMRUN enters, or refuses for a reason of the manual's; nothing else comes of it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.svm.bench import BARCELONA, REV_F, VMCB, SvmBench
from vizapp.isa.addresses import HostPhysical
from vizapp.machine import events
from vizapp.machine.svm.vmcb import BY_NAME, FIELDS

_GUESTS = (
    "cpuid", "mov eax, cr0\nmov cr3, eax", "int 0x30", "out 0x80, al\nin eax, 0x40", "push eax\npop ds",
    "hlt", "mov [eax], ecx\nmov ecx, [ebx]", "sti\nnop\npopf\nnop", "vmrun", "ud2", "rep movsd", "iret",
    "jmp 0x58:0", "rdmsr\nwrmsr", "lgdt [0x20000]\nmov ss, ax", "vmload\nvmsave\nvmmcall",
)  # fmt: skip
_CHANGED = [field.name for field in FIELDS if field.name != "instruction_bytes"]


def _values(name: str) -> st.SearchStrategy[int]:
    bits = 8 * BY_NAME[name].width
    whole = st.integers(0, (1 << bits) - 1)
    bit = st.integers(0, bits - 1).map(lambda shift: 1 << shift)
    near = st.sampled_from([0, 1, 0x11, 0x8000_0011, 0x5000, 0x8000_0B0D, 0x1000, (1 << bits) - 1])
    return st.one_of(whole, bit, near.map(lambda value: value & (1 << bits) - 1))


CHANGES = st.lists(
    st.sampled_from(_CHANGED).flatmap(lambda name: st.tuples(st.just(name), _values(name))), max_size=6
)


def forbidden(bench: SvmBench) -> bool:
    """APM Vol. 2, "Canonicalization and Consistency Checks" and "Event Injection", said once more."""
    cr0, cr4, event = bench["cr0"], bench["cr4"], bench["eventinj"]
    kind, vector = event >> 8 & 7, event & 0xFF
    rules = (
        bench["efer"] != 0x1000,
        bool(cr0 >> 29 & 1) and not cr0 >> 30 & 1,
        cr0 >> 32 != 0,
        bench["cr3"] >> 52 != 0,
        cr4 & ~bench.cpu.identity.cr4_bits != 0,
        bench["dr6"] >> 32 != 0,
        bench["dr7"] >> 32 != 0,
        not bench["intercept_misc2"] & 1,
        bench["guest_asid"] == 0,
        (bench["iopm_base_pa"] >> 12) + 3 > 1 << 28,
        (bench["msrpm_base_pa"] >> 12) + 2 > 1 << 28,
        bool(event >> 31 & 1) and (kind in (1, 5, 6, 7) or (kind == 3 and (vector == 2 or vector > 31))),
    )
    return any(rules)


def legacy_pae(bench: SvmBench) -> bool:
    return bool(bench["cr0"] >> 31 & 1 and bench["cr4"] >> 5 & 1)


@settings(max_examples=300)
@given(CHANGES, st.sampled_from(_GUESTS), st.sampled_from([REV_F, BARCELONA]), st.integers(0, 3))
def test_an_entry_succeeds_or_is_refused_for_a_reason(changes, guest, identity, ring):
    bench = SvmBench(guest, "vmmcall", identity=identity, ring=ring)
    for name, value in changes:
        bench[name] = value
    invalid = forbidden(bench)
    bench.step()
    first = bench.events[0]
    assert first.kind in (events.VM_ENTERED, events.VM_ENTRY_FAILED)
    if invalid or not legacy_pae(bench):
        assert (first.kind == events.VM_ENTRY_FAILED) is invalid
    bench.pc.run(max_steps=60)


@settings(max_examples=150)
@given(
    st.binary(min_size=0x700, max_size=0x700), st.sets(st.sampled_from(_CHANGED)), st.sampled_from(_GUESTS)
)
def test_noise_with_a_few_fields_as_they_should_be(noise, kept, guest):
    bench = SvmBench(guest)
    before = {name: bench[name] for name in _CHANGED}
    bench.memory.load(HostPhysical(VMCB), noise)
    checked = {"efer", "cr0", "cr3", "cr4", "dr6", "dr7", "guest_asid", "intercept_misc2", "iopm_base_pa"}
    for name in kept | checked | {"msrpm_base_pa", "eventinj"}:
        bench[name] = before[name]
    bench.step()
    assert bench.events[0].kind == events.VM_ENTERED
    bench.pc.run(max_steps=60)
