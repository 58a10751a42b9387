"""A host and its guest as a run: stepped or run, saved and loaded at every step, all cycles accounted for."""

from __future__ import annotations

from tests.machine.svm.bench import SvmBench
from vizapp.isa.addresses import HostPhysical
from vizapp.machine.inputs import INDEX
from vizapp.machine.pc import Pc

# The guest counts and asks the host now and then; the host goes on behind the instruction, with a virtual
# interrupt, and stops at HLT.
GUEST_CODE = """
        mov ecx, 3
again:  mov ebx, 50
loop1:  add [0x20000], ebx
        dec ebx
        jnz loop1
        cpuid
        sti
        vmmcall
        dec ecx
        jnz again
        hlt
"""
HOST_CODE = """
host:   vmload
        vmrun
        vmsave
        stgi
        mov edx, [0x50070]
        add [0x20004], edx
        cmp edx, 0x78
        je done
        mov edx, 3
        cmp dword [0x50070], 0x81
        je next
        mov edx, 2
next:   add [0x50578], edx
        mov dword [0x50060], 0x010F0100
        mov dword [0x50064], 0x55
        jmp host
done:   hlt
"""


def bench() -> SvmBench:
    made = SvmBench(GUEST_CODE, "cpuid", "vmmcall", "hlt", host=HOST_CODE)
    made.assemble("inc dword [0x20008]\niret", 0x8000 + 16 * 0x55)
    made.pc.save()
    return made


def end_of(pc: Pc) -> tuple[object, ...]:
    assert pc.stopped is not None
    words = [pc.memory.read(0x20000 + 4 * index, 4) for index in range(3)]
    return pc.position, pc.instructions, pc.meter.cycles, pc.memory.digest(), pc.stopped, words


def test_stepping_is_running():
    one, other = bench(), bench()
    one.pc.run(max_steps=5000)
    while other.pc.stopped is None:
        other.pc.step()
    assert end_of(one.pc) == end_of(other.pc)
    assert one.events == other.events
    words = end_of(one.pc)[-1]
    assert words == [3 * 1275, 3 * (0x72 + 0x81) + 0x78, 5]


def test_a_run_can_be_saved_and_loaded_at_any_step():
    whole = bench()
    whole.pc.run(max_steps=5000)
    first = bench()
    saved = []
    while first.pc.stopped is None:
        saved.append(first.pc.save())
        first.pc.run(max_steps=7)
    assert end_of(first.pc) == end_of(whole.pc)
    in_guest = [state for state in saved if state["unit"]["guest"] is not None]
    assert in_guest
    assert len(in_guest) < len(saved)
    for state in saved[::9]:
        other = bench()
        other.pc.load(state)
        other.pc.run(max_steps=5000)
        assert end_of(other.pc) == end_of(whole.pc)


def test_loading_leaves_guest_mode_as_it_was():
    made = bench()
    before = made.pc.save()
    made.pc.run(max_steps=40)
    assert made.cpu.guest_mode is not None
    within = made.pc.save()
    made.pc.load(before)
    assert made.cpu.guest_mode is None
    made.pc.load(within)
    assert made.cpu.guest_mode is not None
    assert made.pc.save() == within


def test_every_cycle_is_in_the_ledger():
    made = bench()
    made.pc.run(max_steps=5000)
    meter = made.pc.meter
    assert sum(row.times * meter.prices[INDEX[row.input]] for row in meter.rows()) == meter.cycles


def test_a_guest_can_write_over_its_vmcb_without_harm():
    made = SvmBench("mov edi, 0x50000\nmov ecx, 1024\nmov eax, -1\nrep stosd\nvmmcall", "vmmcall")
    made.step(1100)
    assert made.memory.dump(HostPhysical(0x50000 + 0x300), 4) == b"\xff" * 4
    assert [event.cause for event in made.exits] == ["vmmcall"]
