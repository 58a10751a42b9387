"""The phases of a hosted VMM; those that it shares with the translating one are that one's.

physical interrupt ─▶ arrive ─▶ to_host ─┐
emulate ─▶ ask_vmapp ────────────────────┤
resume ─▶ ask_timer ─────────────────────┼─▶ (the switch page: the host's world) ─▶ world_entered
halt, the guest's end ─▶ wait ───────────┤
emulate ─▶ ship_text, ship_sector ───────┘            world_entered ─▶ emulate, wait or resume
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from vizapp.isa.instruction import Immediate, Memory
from vizapp.isa.registers import CS, EFLAGS_TF, FS, GS
from vizapp.machine.devices.ide import DATA, IDE_PORTS
from vizapp.machine.devices.lance import LANCE_IRQ
from vizapp.machine.faults import Fault, Unimplemented
from vizapp.machine.meter import Purpose
from vizapp.machine.port_io import may_access
from vizapp.machine.segments import SegmentState
from vizapp.vmm.account import emulated
from vizapp.vmm.binary_translation import phases as translating
from vizapp.vmm.binary_translation.vm import NO_LINK
from vizapp.vmm.hosted import layout
from vizapp.vmm.instruction_fetch import decoded
from vizapp.vmm.trap_and_emulate import phases as classical
from vizapp.vmm.trap_and_emulate.vm import Pending

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.vmm.hosted.vm import HostedVm

_DATA_PORT: Final = IDE_PORTS.start + DATA
_EMULATE: Final = translating.PHASES["emulate"]


def arrive(vm: HostedVm) -> str | None:
    """A trap out of the guest; a physical interrupt is the host's, whose controllers have its vector."""
    following = translating.arrive(vm)
    vector = vm.tables.frame.entry_vector
    if vector not in layout.HOST_VECTORS:
        return following
    vm.pending, vm.link = Pending(), NO_LINK
    vm.shared.write(layout.VECTOR, vector)
    return "to_host"


def to_host(vm: HostedVm) -> None:
    """The host has an interrupt to serve."""
    _leave(vm, layout.INTERRUPT)


def world_entered(vm: HostedVm) -> str:
    """The VMM has the processor again."""
    shared, ports = vm.shared, vm.ports
    if shared.take(layout.FIRED):
        vm.timer.acknowledge()
    # What came while the host was still starting lies in its devices since: nobody was interrupted.
    if shared.take(layout.INPUT) or not shared.read(layout.REASON):
        vm.host.machines.hand_over()
    vm.note_stores()
    ports.drive_lines()
    if vm.asked:
        vm.asked = False
        ports.answer = shared.read(layout.VALUE)
        return "emulate"
    vm.tell_relayed()
    following, vm.after = vm.after, ""
    return following or ("wait" if vm.blocked else "resume")


def emulate(vm: HostedVm) -> str | None:
    """Run an instruction on the virtual CPU; what it asks of VMApp's devices is asked of VMApp first."""
    ports = vm.ports
    access = None if ports.answer is not None else _access(vm)
    if access is not None:
        if access.port == _DATA_PORT and access.instruction.repeat:
            following = _repeat(vm, access.instruction)
        elif ports.needs_vmapp(access.port, access.size, access.write, access.value):
            shared = vm.shared
            shared.write(layout.PORT_NUMBER, access.port)
            shared.write(layout.SIZE, access.size)
            shared.write(layout.WRITE, int(access.write))
            shared.write(layout.VALUE, access.value)
            vm.asked = True
            return "ask_vmapp"
        else:
            following = _EMULATE(vm)
    else:
        following = _EMULATE(vm)
    ports.answer = None
    vm.tell_relayed()
    if ports.through is not None:
        vm.after = following or ""
        return "ship_sector"
    if vm.text:
        vm.text = False
        vm.after = following or ""
        return "ship_text"
    return following


def ask_vmapp(vm: HostedVm) -> None:
    """VMApp is to carry out the access to a port."""
    _leave(vm, layout.PORT)


def ship_sector(vm: HostedVm) -> None:
    """A sector has gone through the disk's data port: VMApp is to go on with the next."""
    shared, through = vm.shared, vm.ports.through
    vm.ports.through = None
    shared.write(layout.PORT_NUMBER, _DATA_PORT)
    shared.write(layout.WRITE, int(bool(through)))
    _leave(vm, layout.PORT)


def ship_text(vm: HostedVm) -> None:
    """A line of text is complete: VMApp prints it."""
    _leave(vm, layout.SERIAL)


def ask_timer(vm: HostedVm) -> None:
    """The VMM has to be back sooner than the host would let it."""
    _leave(vm, layout.TIMER)


def wait(vm: HostedVm) -> str | None:
    """The guest has nothing to run, so its process has not either: VMApp waits in the host, or ends."""
    machines = vm.host.machines
    machines.look_after()
    if vm.ready:
        return "inject" if vm.devices.interrupt_pending else "resume"
    if vm.pc.stopped is not None:
        return None
    vm.timer.armed = None
    if vm.stopped is not None:
        _leave(vm, layout.END, tell=False)
        return None
    deadline = machines.deadline()
    count = -1 if deadline is None else vm.timer.count(deadline)
    vm.shared.write(layout.TIMEOUT, count & 0xFFFF_FFFF)
    _leave(vm, layout.HALT, tell=False)
    return None


def resume(vm: HostedVm) -> str | None:
    """Back to the guest, if the host lets the VMM in again in time."""
    following = classical.due(vm)
    if following != classical.ENTER:
        return following
    if vm.timer.misses(vm.host.machines.deadline()):
        return "ask_timer"
    return translating.resume(vm)


class _Access(NamedTuple):
    instruction: Instruction
    port: int
    size: int
    write: bool
    value: int


def _access(vm: HostedVm) -> _Access | None:
    """What the pending instruction does to a port of VMApp's devices; None: nothing, or it may not."""
    pending = vm.pending.instruction
    assert pending is not None
    cpu = vm.virtual.cpu
    instruction = decoded(pending[1], pending[0], 32 if cpu.segments[CS].big else 16)
    mnemonic = instruction.mnemonic
    if mnemonic not in ("in", "out", "ins", "outs"):
        return None
    first, second = instruction.operands
    write = mnemonic in ("out", "outs")
    named = first if mnemonic == "out" else second
    port = named.value if isinstance(named, Immediate) else cpu.edx & 0xFFFF
    memory = next((item for item in instruction.operands if isinstance(item, Memory)), None)
    code = instruction.opcode.operands[1 if write else 0]
    size = memory.size if memory is not None else 1 if code == "AL" else instruction.operand_size
    if not vm.ports.claims(port) or not may_access(cpu, port, size):
        return None
    return _Access(instruction, port, size, write, cpu.eax & (1 << 8 * size) - 1 if write else 0)


def _repeat(vm: HostedVm, instruction: Instruction) -> str | None:
    """REP INS or REP OUTS at the disk's data port: as many iterations as the sector has."""
    cpu, bill = vm.virtual.cpu, vm.bill
    if cpu.eflags & EFLAGS_TF:
        return _EMULATE(vm)
    before = vm.linear_eip, cpu.eip, cpu.cpl
    bill.purpose = Purpose.IO
    bill.path("device")
    try:
        while True:
            cpu.execute(instruction)
            bill.charge("mon_memory_reference", 2)
            if cpu.eip != before[1] or vm.ports.through is not None:
                break
    except Fault as fault:
        return vm.reflect(fault)
    except Unimplemented as limit:
        return vm.stop("crashed", limit.message)
    finally:
        bill.purpose = Purpose.MONITOR
    emulated(vm, instruction, instruction.raw, *before)
    return "flush_shadow" if vm.mmu.flush_requested or vm.mmu.invalidated else "resume"


def _leave(vm: HostedVm, reason: int, *, tell: bool = True) -> None:
    """Go to the VMM's way out, which the processor executes. FS and GS are nobody's meanwhile."""
    pc = vm.pc
    if tell:
        vm.tell_deadline()
    vm.shared.write(layout.REASON, reason)
    serving = vm.hardware.pic.slave.isr >> LANCE_IRQ - 8 & 1
    if serving != vm.shared.peek(layout.SERVICE):
        vm.shared.write(layout.SERVICE, serving)
    for index in (FS, GS):
        vm.bill.charge("mon_segment_load")
        pc.cpu.set_segment(index, SegmentState(0))
    vm.virtual.reload = True
    pc.cpu.eip = vm.host.leave


PHASES: Final[dict[str, Callable[[HostedVm], str | None]]] = {
    **translating.PHASES,
    "arrive": arrive,
    "to_host": to_host,
    "world_entered": world_entered,
    "emulate": emulate,
    "ask_vmapp": ask_vmapp,
    "ship_sector": ship_sector,
    "ship_text": ship_text,
    "ask_timer": ask_timer,
    "wait": wait,
    "resume": resume,
}
PURPOSES: Final = {
    **translating.PURPOSES,
    "to_host": Purpose.TRANSITION,
    "world_entered": Purpose.TRANSITION,
    "ask_timer": Purpose.TRANSITION,
    "ask_vmapp": Purpose.IO,
    "ship_sector": Purpose.IO,
    "ship_text": Purpose.IO,
}
"""Of the phases whose work is not the monitor's own deciding and emulating."""
