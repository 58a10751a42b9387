"""The phases of the classical monitor, each a short step that names the next; a door opens the first.

    guest trap ─▶ arrive ─┬▶ walk ─┬▶ fill_shadow ─────────────────────────┬▶ resume ─▶ (the guest runs)
                          │        └▶ reflect, decode                      │    ▲ │
                          ├▶ decode ─▶ emulate ─┬▶ flush_shadow ───────────┤    │ └▶ inject
                          │                     ├▶ reflect ────────────────┤    └──────┘
                          │                     └▶ halt ─▶ wait ─▶ (idle)  │
                          ├▶ reflect ──────────────────────────────────────┤
                          └▶ interrupt ────────────────────────────────────┘
    resume, wait ─▶ schedule ─▶ resume of another machine
    idle ended ─▶ wait      interrupt while idle ─▶ nested ─▶ (back into the idle loop)

Popek and Goldberg's dispatcher is ``arrive``, their allocator ``fill_shadow`` and ``flush_shadow``, their
interpreter routines ``emulate``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from vizapp.isa import vectors
from vizapp.isa.paging import PF_U, PF_W
from vizapp.isa.registers import CR4_TSD, CS, EFLAGS_IF, EFLAGS_TF
from vizapp.machine import events
from vizapp.machine.debug import DR6_BS
from vizapp.machine.faults import Fault, TripleFault, Unimplemented
from vizapp.machine.meter import Purpose
from vizapp.machine.peripherals import NMI
from vizapp.messages import N_, Message
from vizapp.vmm import hidden_fault, ring0
from vizapp.vmm.account import emulated
from vizapp.vmm.hidden_fault import Hidden
from vizapp.vmm.instruction_fetch import decoded, fetch
from vizapp.vmm.physical_timer import VECTORS
from vizapp.vmm.trap_and_emulate.idle import acknowledge, halt, nested, schedule, wait
from vizapp.vmm.trap_and_emulate.vm import Pending

if TYPE_CHECKING:
    from vizapp.isa.instruction import Instruction
    from vizapp.machine.cpu import Cpu
    from vizapp.vmm.trap_and_emulate.vm import Vm

_PORTS: Final = frozenset({"in", "out", "ins", "outs"})
_NO_TASKS: Final = N_(
    "the guest entered virtual-8086 mode, whose segments this monitor does not put in another ring; "
    "binary-translation, vt-x and amd-v run such tasks"
)
_MOST_ITERATIONS: Final = 64  # of a repeated instruction, in one phase

# Faults that may be of the monitor's own making (a deprivileged ring, a truncated segment, an empty shadow):
# what the instruction would have done in its own ring has to be found out by doing it there.
_TO_EMULATE: Final = frozenset({vectors.GP, vectors.SS, vectors.NP, vectors.TS})


def arrive(vm: Vm) -> str:
    """A trap out of the guest: take the virtual CPU off the processor and see what it was."""
    vm.virtual.capture(vm.tables.frame)
    vm.held = True
    vm.pending = Pending()
    return judge(vm)


def judge(vm: Vm) -> str:
    """What a trap was, by its vector."""
    frame = vm.tables.frame
    vector = frame.entry_vector
    if vector in VECTORS:
        return "interrupt"
    if vector == vectors.PF:
        return "walk"
    if vector in _TO_EMULATE:
        return "decode"
    if vector == vectors.DB:
        # DR6 says that it was a single step; the processor never clears it.
        vm.virtual.cpu.debug[6] |= vm.pc.cpu.debug[6] & DR6_BS
        vm.pc.cpu.debug[6] &= ~DR6_BS
    error = frame.error_code if vector in vectors.WITH_ERROR_CODE else None
    return vm.reflect(Fault(vector, error))


def walk(vm: Vm) -> str:
    """A page fault: a true one if the guest's own tables refuse the access, a hidden one if they grant it."""
    linear = vm.pc.cpu.cr2
    error = vm.tables.frame.error_code
    write = bool(error & PF_W)
    if linear >= vm.tables.base:
        return "decode"
    try:
        found = vm.mmu.translate(linear, write, bool(error & PF_U))
    except Fault as fault:
        return vm.reflect(fault)
    if vm.memory.host_frame(found.frame) is None:
        if found.frame in vm.memory.mmio.frames:
            vm.bill.purpose = Purpose.IO
            vm.bill.path("device")
        return "decode"  # nothing to map: a device answers, or ones are read there and writes vanish
    vm.pending = Pending(hidden=Hidden(linear, found, write))
    return "fill_shadow"


def fill_shadow(vm: Vm) -> str:
    """Map the page that the guest's tables grant, and let the instruction run again."""
    hidden = vm.pending.hidden
    assert hidden is not None
    frame = vm.memory.host_frame(hidden.translation.frame)
    assert frame is not None
    if not vm.shadow.has_room(hidden.linear):
        _flush(vm, "no page table is free")
    vm.emit(events.PAGE_SHADOWED, hidden.cause, hidden_fault.fill(vm.shadow, hidden, frame))
    return "resume"


def decode_instruction(vm: Vm) -> str | None:
    """Fetch and decode the guest's instruction through the guest's own tables."""
    cpu = vm.virtual.cpu
    try:
        instruction = fetch(cpu)
    except Fault as fault:
        return vm.reflect(fault)
    except Unimplemented as limit:
        return vm.stop("crashed", limit.message)
    vm.pending = Pending(instruction=(cpu.eip, instruction.raw))
    return "emulate"


def emulate(vm: Vm) -> str | None:
    """Run the instruction on the virtual CPU, in the ring that the guest believes it is in."""
    pending = vm.pending.instruction
    assert pending is not None
    cpu = vm.virtual.cpu
    instruction = decoded(pending[1], pending[0], 32 if cpu.segments[CS].big else 16)
    cpu.single_step = bool(cpu.eflags & EFLAGS_TF)
    before = vm.linear_eip, cpu.eip, cpu.cpl
    try:
        _execute(vm, cpu, instruction)
        for _ in range(_MOST_ITERATIONS):
            if not _goes_on(vm, cpu, instruction, before[1]):
                break
            _execute(vm, cpu, instruction)
    except Fault as fault:
        return vm.reflect(fault)
    except TripleFault as fault:
        return _shut_down(vm, fault)
    except Unimplemented as limit:
        return vm.stop("crashed", limit.message)
    emulated(vm, instruction, instruction.raw, *before)
    if cpu.single_step:
        cpu.debug[6] |= DR6_BS
        return vm.reflect(Fault(vectors.DB))
    if vm.mmu.flush_requested or vm.mmu.invalidated:
        return "flush_shadow"
    if cpu.halted:
        return "halt"
    return "emulate" if _goes_on(vm, cpu, instruction, before[1]) else "resume"


def _execute(vm: Vm, cpu: Cpu, instruction: Instruction) -> None:
    """The instruction, or one iteration of it."""
    if instruction.mnemonic in _PORTS:
        vm.bill.purpose = Purpose.IO
        vm.bill.path("device")
        vm.bill.purpose = Purpose.MONITOR
        vm.memory.transfer = instruction.mnemonic in ("ins", "outs")
    cpu.execute(instruction)


def _goes_on(vm: Vm, cpu: Cpu, instruction: Instruction, eip: int) -> bool:
    """Whether a repeated instruction has iterations left, and nothing comes between them."""
    if not instruction.repeat or cpu.eip != eip or cpu.single_step:
        return False
    if vm.mmu.flush_requested or vm.mmu.invalidated:
        return False
    vm.devices.advance()
    return not (vm.devices.interrupt_pending and cpu.eflags & EFLAGS_IF)


def flush_shadow(vm: Vm) -> str:
    """The guest has flushed its translations, or one: forget what the shadow remembers of them."""
    if vm.mmu.flush_requested:
        _flush(vm, "the guest's CR3")
    else:
        for linear in vm.mmu.invalidated:
            if vm.shadow.drop(linear):
                ring0.invlpg(vm.pc, linear)
            vm.emit(events.SHADOW_FLUSHED, "invlpg", {"linear": linear, "pages": 1})
    vm.mmu.flush_requested = vm.mmu.reshaped = False
    vm.mmu.invalidated = ()
    return "resume"


def reflect(vm: Vm) -> str | None:
    """Hand a fault to the guest: deliver it on the virtual CPU, through the guest's own IDT."""
    assert vm.pending.fault is not None
    vector, error, linear = vm.pending.fault
    cpu = vm.virtual.cpu
    address = cpu.eip
    try:
        cpu.take(Fault(vector, error, linear))
    except TripleFault as fault:
        return _shut_down(vm, fault)
    except Unimplemented as limit:
        return vm.stop("crashed", limit.message)
    payload = {"vector": vector, "address": address, "handler": cpu.eip}
    if error is not None:
        payload["error"] = error
    if linear is not None:
        payload["linear"] = linear
    vm.emit(events.FAULT_REFLECTED, vectors.name(vector), payload, to_guest=True)
    return "resume"


def interrupt(vm: Vm) -> str:
    """A physical interrupt took the processor from the guest: end it; who is due is found on the way back."""
    acknowledge(vm, vm.tables.frame.entry_vector)
    return "resume"


def inject(vm: Vm) -> str | None:
    """Interrupt the virtual CPU with what its interrupt controller has for it."""
    cpu = vm.virtual.cpu
    address, count = cpu.eip, cpu.ecx
    vector = vm.devices.acknowledge()
    try:
        cpu.deliver(vector, external=True)
    except TripleFault as fault:
        return _shut_down(vm, fault)
    except Unimplemented as limit:
        return vm.stop("crashed", limit.message)
    # With ECX a repeated instruction tells how far it had come.
    payload = {"vector": vector, "instructions": vm.instructions, "address": address, "ecx": count}
    vm.emit(events.INTERRUPT_INJECTED, vectors.name(vector), payload, to_guest=True)
    return "resume"


ENTER: Final = "enter"
"""What ``due`` says when nothing is."""


def due(vm: Vm) -> str | None:
    """What comes before the guest: another machine, or an interrupt for it."""
    cpu = vm.virtual.cpu
    if vm.mmu.flush_requested or vm.mmu.invalidated:
        return "flush_shadow"
    machines = vm.host.machines
    if following := vm.host.due():
        return following
    machines.look_after()
    if not vm.ready:
        return "wait"  # it was paused or killed
    if machines.must_switch():
        return "schedule"
    vm.devices.advance()
    if (signal := vm.devices.take_signal()) is not None:
        return _signalled(vm, signal)
    if vm.devices.interrupt_pending and cpu.eflags & EFLAGS_IF:
        # Behind STI or a load of SS the guest runs one more instruction first; the monitor runs it for it.
        return "decode" if cpu.shadow else "inject"
    return ENTER


def resume(vm: Vm) -> str | None:
    """Back to the guest, unless an interrupt is due for it first or it is where the processor cannot go."""
    following = due(vm)
    if following != ENTER:
        return following
    if vm.virtual.cpu.virtual_8086:
        return vm.stop("crashed", Message(_NO_TASKS))
    if not vm.virtual.reachable:
        return "decode"
    prepare(vm)
    leave(vm, vm.virtual.commit(vm.tables.frame))
    return None


def prepare(vm: Vm) -> None:
    """The timer and CR4 as the guest needs them."""
    cpu = vm.virtual.cpu
    vm.timer.arm(vm.host.machines.deadline())
    # RDTSC of ring 3 has to trap while the guest's CR4 says so; in ring 1 it then does too, and is emulated.
    # So it has to where the guest's counter is not the machine's, because it came from another one.
    trapped = CR4_TSD if vm.devices.offset else cpu.cr4 & CR4_TSD
    cr4 = vm.pc.cpu.cr4 & ~CR4_TSD | trapped
    if cr4 != vm.pc.cpu.cr4:
        ring0.load_cr4(vm.pc, cr4)


def leave(vm: Vm, exit_stub: int) -> None:
    """Go to one of the exits, with the guest's state in the frame."""
    vm.held = False
    ring0.jump(vm.pc, vm.tables, exit_stub)


def _signalled(vm: Vm, signal: str) -> str | None:
    """What needs no permission of the guest's: its reset line, or NMI."""
    if signal == NMI:
        vm.pending = Pending(fault=(vectors.NMI, None, None))
        return "reflect"
    return "resume" if vm.power_on() else vm.stop("shutdown", Message(N_("the guest reset the machine")))


def _flush(vm: Vm, cause: str) -> None:
    """Empty the shadow and the processor's TLB."""
    pages = vm.shadow.flush()
    ring0.load_cr3(vm.pc, vm.shadow.directory)
    vm.emit(events.SHADOW_FLUSHED, cause, {"pages": pages})


def _shut_down(vm: Vm, fault: TripleFault) -> str | None:
    """The guest could not even be told of a double fault: its processor shuts down."""
    text = N_("triple fault at {address} ({bytes}): {faults}; the virtual processor shut down")
    return vm.stop("shutdown", Message(text, {**vm.here(), "faults": str(fault)}))


PHASES: Final[dict[str, Callable[[Vm], str | None]]] = {
    "arrive": arrive,
    "walk": walk,
    "fill_shadow": fill_shadow,
    "decode": decode_instruction,
    "emulate": emulate,
    "flush_shadow": flush_shadow,
    "reflect": reflect,
    "interrupt": interrupt,
    "inject": inject,
    "halt": halt,
    "wait": wait,
    "schedule": schedule,
    "nested": nested,
    "resume": resume,
}
PURPOSES: Final = {"walk": Purpose.MEMORY, "fill_shadow": Purpose.MEMORY, "flush_shadow": Purpose.MEMORY}
"""Of the phases whose work is not the monitor's own deciding and emulating."""
