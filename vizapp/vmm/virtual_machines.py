"""All virtual machines of a monitor: who has the processor, who waits for what, and who is over.

    ready ──HLT──▶ blocked ──an interrupt of its own devices──▶ ready
      │                │
      └─ends or dies───┴─nothing that could wake it is coming──▶ stopped        all stopped: the run ends

A monitor asks here whenever a door has brought it in. Nothing of a machine that waits happens before that, so
``deadline`` is what the physical timer is programmed for. A paused machine neither runs nor is woken; time
goes on for its devices all the same, and they catch up when it is resumed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from vizapp.errors import ScenarioError
from vizapp.machine import events
from vizapp.machine.input_log import KEYBOARD
from vizapp.messages import N_, Message
from vizapp.vmm.scheduler import Scheduler, slice_of
from vizapp.vmm.virtual_machine import VirtualMachine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vizapp.machine.input_log import Input
    from vizapp.machine.pc import Pc
    from vizapp.machine.places import Place
    from vizapp.vmm.base import Action

V = TypeVar("V", bound=VirtualMachine)

KEYBOARD_LINE, SERIAL_LINE = 1, 4
KILLED: Final = Message(N_("the virtual machine was killed"))
PAUSED_FOR_GOOD: Final = Message(N_("the virtual machine is paused, and nothing is left that resumes it"))
NOTHING_COMES: Final = Message(N_("the guest halted, and no interrupt that could wake it is coming"))


class VirtualMachines(Generic[V]):
    """The machines ``vms`` on one processor; what happens to them is told as from ``place``.

    ``actions`` are done to them by their cycles; of the same one in the order given.

    Attributes:
        vms: by number.
        scheduler: whose turn it is.
        on_input: told (number of the machine, input) when a machine's devices get something from outside.
        awaits: whether something is under way for a machine of which its devices know nothing yet.
    """

    def __init__(
        self,
        pc: Pc,
        vms: tuple[V, ...],
        place: Place,
        slice_cycles: int | None = None,
        actions: tuple[Action, ...] = (),
    ) -> None:
        self.vms = vms
        self.scheduler = Scheduler(tuple(vm.weight for vm in vms), slice_cycles or slice_of(pc.hertz))
        self.on_input: Callable[[int, Input], None] | None = None
        self.awaits: Callable[[int], bool] = _nothing_awaited
        self._pc = pc
        self._place = place
        self._awaited: tuple[int | None, ...] = (None,) * len(vms)
        self._arrived: tuple[Input, ...] = ()
        self._asked: tuple[int, ...] = ()
        self._actions = tuple(sorted(actions, key=lambda action: action.cycle))
        self._acted = 0  # how many of them have been done

    @property
    def current(self) -> V:
        """The machine that has the processor, or had it last."""
        return self.vms[self.scheduler.current]

    def is_current(self, vm: V) -> bool:
        """Whether a machine has the processor, or had it last."""
        return self.current is vm

    def start(self) -> None:
        """The first machine has the processor, before the clock runs.

        Raises:
            ScenarioError: it is to be created later.
        """
        for action in self._actions:
            if action.kind == "create":
                self.vms[action.vm].paused = True
                self.scheduler.block(action.vm, self._pc.meter.cycles)
        if self.current.paused:
            sentence = N_("{vm} is the first virtual machine, which is there from the start")
            raise ScenarioError(Message(sentence, {"vm": self.current.name}))
        self.scheduler.start(self._pc.meter.cycles)
        self.current.take_processor()

    def stop(self, vm: V, reason: str, message: Message) -> bool:
        """A machine has ended or died. Whether others are left; if not, the run is over."""
        vm.end(reason, message, self._place)
        self.scheduler.block(vm.index, self._pc.meter.cycles)
        if any(other.stopped is None for other in self.vms):
            return True
        self._pc.stop(*self._outcome())
        return False

    def halt(self, vm: V) -> None:
        """The virtual CPU of a machine waits for an interrupt."""
        vm.blocked, vm.waits = True, 0
        self._await(vm, None)
        self.scheduler.block(vm.index, self._pc.meter.cycles)

    def look_after(self) -> None:
        """Let the devices of those that wait act; wake whom they interrupt, end whom nothing will."""
        self._act()
        for vm in self.vms:
            if vm.blocked and not vm.paused and vm.stopped is None:
                self._look_after(vm)
        if self._acted == len(self._actions):
            self._give_up_paused()

    def must_switch(self) -> bool:
        """Whether the processor is due to another machine than the current one."""
        return self.scheduler.must_switch(self._pc.meter.cycles)

    def switch(self) -> V:
        """Give the processor to whose turn it is; ValueError if nobody can run."""
        former = self.current
        former.leave_processor()
        self.scheduler.switch(self._pc.meter.cycles)
        vm = self.current
        vm.take_processor()
        if vm is not former:
            payload = {"vm": vm.index, "from": former.index}
            self._pc.emit(events.VM_SCHEDULED, vm.name, payload, self._place, self._place)
        return vm

    def deadline(self) -> int | None:
        """The next cycle at which the monitor has to be brought in; None: it need not be.

        It is when a device of the current machine or of one that waits acts, or when the slice ends.
        """
        wanted = [self.scheduler.slice_end()]
        wanted += [action.cycle for action in self._actions[self._acted : self._acted + 1]]
        current = self.current
        wanted += [
            vm.devices.next_event()
            for vm in self.vms
            if vm.stopped is None and not vm.paused and (vm.blocked or vm is current)
        ]
        return min((cycle for cycle in wanted if cycle is not None), default=None)

    def take_input(self, entry: Input) -> None:
        """Something comes from outside: it lies at the physical device, whose line asks for the monitor."""
        self._arrived = (*self._arrived, entry)
        self._pc.board.line(line_of(entry))(True)

    def awaited_inputs(self) -> tuple[str, ...]:
        """The sources of inputs that would interrupt one of the machines, whose drivers the monitor has."""
        waiting = [vm for vm in self.vms if vm.stopped is None and not vm.paused]
        return tuple(sorted({source for vm in waiting for source in vm.devices.awaited_inputs()}))

    def ask_to_pause(self, vm: V) -> None:
        """Somebody at the machine's console wants a virtual machine paused: a line asks for the monitor."""
        self._asked = (*self._asked, vm.index)
        self._pc.board.line(KEYBOARD_LINE)(True)

    def hand_over(self) -> None:
        """The monitor's drivers fetch what has come and give it to the machines that it is for."""
        asked, self._asked = self._asked, ()
        for number in asked:
            self._pc.board.line(KEYBOARD_LINE)(False)
            self.pause(self.vms[number])
        arrived, self._arrived = self._arrived, ()
        for entry in arrived:
            self._pc.board.line(line_of(entry))(False)
            vm = self.vms[entry.vm]
            vm.devices.advance()
            vm.devices.take_input(entry)
            if self.on_input is not None:
                self.on_input(vm.index, entry)

    def save(self) -> Any:
        """What concerns all together, as plain data; each machine's own is its own ``save``."""
        vms = tuple(vm.save() for vm in self.vms)
        return self.scheduler.save(), self._awaited, self._arrived, self._asked, self._acted, vms

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        scheduler, self._awaited, self._arrived, self._asked, self._acted, vms = saved
        self.scheduler.load(scheduler)
        states: tuple[Mapping[str, Any], ...] = vms
        for vm, state in zip(self.vms, states, strict=True):
            vm.load(state)

    def enter_again(self, vm: V) -> None:
        """Let a machine that has been put in before the first step begin where it was."""
        vm.stopped, vm.paused = None, False
        if vm.blocked:
            self._await(vm, None)
            self.scheduler.block(vm.index, self._pc.meter.cycles)

    def pause(self, vm: V) -> None:
        """Take the processor from a machine until it is resumed."""
        if vm.stopped is None and not vm.paused:
            vm.paused = True
            self.scheduler.block(vm.index, self._pc.meter.cycles)

    def resume(self, vm: V) -> None:
        """Let a paused machine go on."""
        if vm.stopped is None and vm.paused:
            vm.paused = False
            if not vm.blocked:
                self.scheduler.wake(vm.index, self._pc.meter.cycles)

    def _act(self) -> None:
        """Do what is due to be done to machines."""
        while self._acted < len(self._actions) and self._actions[self._acted].cycle <= self._pc.meter.cycles:
            action = self._actions[self._acted]
            self._acted += 1
            self._do(action)

    def _do(self, action: Action) -> None:
        vm = self.vms[action.vm]
        if action.kind == "pause":
            self.pause(vm)
        elif action.kind == "kill":
            if vm.stopped is None:
                self.stop(vm, "halted", KILLED)
        else:
            self.resume(vm)

    def _give_up_paused(self) -> None:
        """When only paused machines are left, nothing will happen any more."""
        left = [vm for vm in self.vms if vm.stopped is None]
        if left and all(vm.paused for vm in left):
            for vm in left:
                self.stop(vm, "halted", PAUSED_FOR_GOOD)

    def _look_after(self, vm: V) -> None:
        now = self._pc.meter.cycles
        vm.devices.advance()
        if vm.devices.interrupt_pending:
            vm.blocked = False
            self.scheduler.wake(vm.index, now)
            return
        awaited = self._awaited[vm.index]
        if awaited is None or awaited <= now:
            vm.waits += 1
            awaited = vm.devices.next_event()
            self._await(vm, awaited)
        if self.gives_up(vm, awaited) and not (self._pc.input_may_come and vm.devices.awaited_inputs()):
            self.stop(vm, "halted", NOTHING_COMES)

    def gives_up(self, vm: V, awaited: int | None) -> bool:
        """Whether nothing will wake a machine whose devices act next at cycle ``awaited`` (None: never)."""
        return (awaited is None or vm.waits > vm.devices.waking_events) and not self.awaits(vm.index)

    def _await(self, vm: V, cycle: int | None) -> None:
        index = vm.index
        self._awaited = (*self._awaited[:index], cycle, *self._awaited[index + 1 :])

    def _outcome(self) -> tuple[str, Message]:
        """Why the run ended: with one machine its own reason, with several the first that is not a rest."""
        ends = [(vm, vm.stopped) for vm in self.vms if vm.stopped is not None]
        _, last = ends[0]
        assert last is not None
        if len(ends) == 1:
            return last
        for vm, stopped in ends:
            if stopped is not None and stopped[0] != "halted":
                return stopped[0], Message(N_("{vm}: {detail}"), {"vm": vm.name, "detail": stopped[1]})
        return "halted", Message(N_("all {count} virtual machines have halted"), {"count": len(ends)})


def _nothing_awaited(vm: int) -> bool:
    return False


def line_of(entry: Input) -> int:
    """The interrupt line of the physical device that an input lies at."""
    return KEYBOARD_LINE if entry.source == KEYBOARD else SERIAL_LINE
