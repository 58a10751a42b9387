"""Every kind of exit and the phase that handles it, and the two phases that begin and end the exit loop.

    VMLAUNCH, VMRESUME, VMRUN ──▶ (the guest runs) ──exit──▶ read_exit ──┬▶ PHASES[kind] ─▶ ... ─▶
    look_around ─▶ enter
                ▲                                                     │                             │      │
                └─────────────────────────────────────────────────────┴─────────────────────────────┴──────┘

``read_exit`` asks the processor why; the phase of that kind does what is to be done and names the next one;
``look_around`` looks whether something is due for the guest first, ``enter`` puts its registers back and
leaves through the stub that enters it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vizapp.isa import vectors
from vizapp.isa.registers import EFLAGS_IF
from vizapp.machine.faults import Fault
from vizapp.machine.guest_mode import EXTERNAL, HARDWARE_EXCEPTION, Delivery
from vizapp.machine.guest_mode import NMI as NMI_TYPE
from vizapp.machine.peripherals import NMI
from vizapp.messages import N_, Message
from vizapp.vmm.hardware_assisted.control_structure import DIRECT, NOT, VIRTUAL_8086
from vizapp.vmm.hardware_assisted.virtual_cpu import GENERAL
from vizapp.vmm.hardware_assisted.vm import Pending

if TYPE_CHECKING:
    from vizapp.vmm.hardware_assisted.vm import Vm

PHASES: Final[dict[str, str]] = {
    "page-fault": "walk",
    "exception": "hand_back",
    "interrupt": "let_interrupt_in",
    "window": "look_around",
    "cpuid": "emulate",
    "hlt": "emulate",
    "rdtsc": "emulate",
    "rdpmc": "emulate",
    "rdmsr": "emulate",
    "wrmsr": "emulate",
    "cr": "emulate",
    "dr": "emulate",
    "io": "emulate",
    "invlpg": "emulate",
    "cache": "emulate",
    "instruction": "decode",
    "task-switch": "task_switch",
    "nested-fault": "nested_fault",
    "virtualization": "undefined",
    "call": "undefined",
    "shutdown": "shut_down",
    "misconfiguration": "entry_failed",
    "entry-failed": "entry_failed",
}
"""The phase that handles each kind of exit."""


_REPEATED: Final = (EXTERNAL, NMI_TYPE, HARDWARE_EXCEPTION)


def read_exit(vm: Vm) -> str:
    """The guest was left: take its virtual CPU over, and see why."""
    vm.virtual.after_exit()
    leaving = vm.structure.take_exit()
    vm.pending = Pending(leaving)
    # What has not been delivered will be, unless something takes its place. INT n, INT3 and INTO run again by
    # themselves, for EIP is still theirs.
    broken_off = leaving.vectoring
    vm.event = broken_off if broken_off is not None and broken_off.type in _REPEATED else None
    phase = PHASES[leaving.kind]
    if phase == "emulate":
        if not leaving.encoding:
            return "decode"
        vm.pending = Pending(leaving, instruction=leaving.encoding)
    return phase


def hand_back(vm: Vm) -> str:
    """An exception other than a page fault, which the guest is to have after all.

    In virtual-8086 mode that stands for real mode it comes of the difference between the two: the instruction
    is run by the rules of real mode, which may make a fault of it again. So is one whose exception may come
    of the difference between the processor and the guest's own.
    """
    leaving = vm.pending.exit
    if vm.mode == VIRTUAL_8086 and leaving.vector != vectors.DB:
        return "decode"
    if leaving.vector in vm.structure.doubtful:
        return "decode" if vm.event is None else "deliver_event"
    if vm.mode == VIRTUAL_8086:
        return vm.reflect(Fault(leaving.vector, leaving.error))
    vm.event = Delivery(leaving.vector, leaving.type, leaving.error, leaving.length)
    return "look_around"


def undefined(vm: Vm) -> str:
    """An instruction of VMX or SVM: the guest's processor has none of them."""
    return vm.reflect(Fault(vectors.UD))


def shut_down(vm: Vm) -> str | None:
    """The guest could not even be told of a double fault: its processor shuts down."""
    text = N_("triple fault at {address} ({bytes}); the virtual processor shut down")
    return vm.finish("shutdown", Message(text, vm.here()))


def entry_failed(vm: Vm) -> str | None:
    """The processor has refused the guest's state: the monitor has made one that there is not."""
    text = N_("the processor has refused to enter the guest at {address}: {reason}")
    return vm.finish("crashed", Message(text, {**vm.here(), "reason": vm.pending.exit.detail}))


def refused(vm: Vm) -> str | None:
    """The instruction that enters a guest has failed and the processor has gone on behind it."""
    vm.virtual.after_exit()
    text = N_("the processor has refused to enter the guest at {address}: {reason}")
    return vm.finish("crashed", Message(text, {**vm.here(), "reason": vm.structure.refusal()}))


def set_up(vm: Vm) -> str:
    """The processor is ready for guests: fill in the first one's control structure."""
    vm.structure.set_up()
    return "enter" if vm.ready else "wait"


def look_around(vm: Vm) -> str | None:
    """Back to the guest, unless something is due for it, or the processor for another one."""
    if vm.mmu.flush_requested or vm.mmu.invalidated:
        return "flush_translations"
    if following := vm.host.due():
        return following
    vm.host.machines.look_after()
    if not vm.ready:
        return "wait"  # it was paused or killed
    if vm.pending.exit.kind == "interrupt" and vm.structure.stops_waiting():
        return "halt"
    devices = vm.devices
    devices.advance()
    signal = devices.take_signal()
    if signal == NMI:
        vm.event = vm.event or Delivery(vectors.NMI, NMI_TYPE)
    elif signal is not None:
        return "reset"
    if vm.host.machines.must_switch():
        return "schedule"
    waiting = devices.interrupt_pending
    if waiting and vm.event is None:
        cpu = vm.virtual.take(GENERAL)
        if cpu.eflags & EFLAGS_IF and not cpu.shadow:
            return "inject_interrupt"
    if vm.way == DIRECT:
        vm.structure.ask_for_window(wanted=waiting)
    elif waiting and vm.event is None and vm.virtual.cpu.eflags & EFLAGS_IF:
        return "decode"  # behind STI or a load of SS one more instruction comes first
    return "enter"


def enter(vm: Vm) -> str | None:
    """Put the guest's registers back and go through the stub that enters it."""
    way = vm.way
    if way == NOT:
        return "decode"  # it is where the processor cannot run it
    vm.mode = way
    structure = vm.structure
    structure.set_mode(way)
    if vm.event is not None:
        structure.inject(vm.event)
        vm.event = None
    structure.set_tsc_offset(vm.virtual.cpu.tsc_offset + vm.devices.offset)
    vm.virtual.give_back()
    vm.virtual.held = ()
    vm.pc.cpu.esp = vm.stack
    vm.host.timer.arm(vm.host.machines.deadline())
    vm.host.go_to(structure.entry())
    return None
