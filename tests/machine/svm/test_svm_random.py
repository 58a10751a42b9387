"""VMCBs of any contents: VMRUN enters, or refuses for a reason of the manual's; nothing else comes of it."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.machine.svm.bench import (
    BARCELONA,
    DIRECTORY,
    GUEST,
    GUEST_TABLE,
    NESTED_DIRECTORY,
    NESTED_TABLE,
    REV_F,
    SHANGHAI,
    VMCB,
    SvmBench,
    identity_tables,
)
from vizapp.isa.addresses import HostPhysical
from vizapp.machine import events
from vizapp.machine.inputs import INDEX
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


_WORDS = ("intercept_cr", "intercept_dr", "intercept_exceptions", "intercept_misc1", "intercept_misc2")
_INJECTED = (0x8000_0030, 0x8000_0480, 0x8000_0202, 0x8000_0B0D, 0x8000_030E)


def machine(seed: int) -> SvmBench:
    """A host that enters its guest again and again: random code, intercepts, events and nested tables."""
    random = Random(seed)
    identity = random.choice((REV_F, BARCELONA, SHANGHAI))
    host = "host: vmload\nvmrun\nvmsave\nstgi\nmov eax, 0x50000\njmp host"
    bench = SvmBench("nop", identity=identity, ring=random.choice((0, 0, 1, 3)), host=host)
    bench.memory.load(HostPhysical(GUEST), random.randbytes(64))
    if random.random() < 0.5:
        identity_tables(bench, DIRECTORY, GUEST_TABLE)
        bench["cr3"], bench["cr0"] = DIRECTORY, 0x8000_0011
    if random.random() < 0.5:
        identity_tables(bench, NESTED_DIRECTORY, NESTED_TABLE)
        bench["np_enable"], bench["n_cr3"] = 1, NESTED_DIRECTORY
        bench.memory.write(NESTED_TABLE + 4 * random.randrange(256), 4, random.choice((0, 5)))
    for name in _WORDS:
        bench[name] = random.getrandbits(32) & random.getrandbits(32)
    bench["intercept_misc2"] |= 1
    if random.random() < 0.3:
        bench["eventinj"] = random.choice(_INJECTED)
    if random.random() < 0.3:
        bench["v_intr"], bench["v_intr_vector"] = random.getrandbits(32), random.getrandbits(8)
    bench["rflags"] = random.choice((2, random.getrandbits(22)))
    bench.cpu.nmi_pending = random.random() < 0.1
    return bench


@pytest.mark.parametrize("seed", range(40))
def test_a_random_machine_steps_as_it_runs_and_from_any_checkpoint(seed):
    run, stepped = machine(seed), machine(seed)
    run.pc.run(max_steps=60)
    while stepped.pc.position < 60 and stepped.pc.stopped is None:
        stepped.pc.step()
        if stepped.pc.position % 7 == 0:
            stepped.pc.load(stepped.pc.save())
    one, other = run.pc.save(), stepped.pc.save()
    assert run.memory.digest() == stepped.memory.digest()
    assert {name: value for name, value in one.items() if name != "memory"} == {
        name: value for name, value in other.items() if name != "memory"
    }
    assert run.events == stepped.events
    meter = run.pc.meter
    assert sum(row.times * meter.prices[INDEX[row.input]] for row in meter.rows()) == meter.cycles
