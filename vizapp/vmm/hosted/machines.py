"""The virtual machines beside a host: each VMM knows its own and no other, and the host's kernel schedules.

    the host's kernel ──(its process VMApp is next)──▶ VMDriver ──▶ the world of that machine's VMM

A VMM has the processor only while the process of its machine has. So it looks after its own machine's devices
and does what is due to be done to that one, when it is brought in; its deadlines are what it asks the host
for. A machine that is paused is one whose process waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.machine import events
from vizapp.vmm.hosted.vm import HostedVm
from vizapp.vmm.virtual_machines import KEYBOARD_LINE, VirtualMachines, line_of

if TYPE_CHECKING:
    from vizapp.machine.input_log import Input
    from vizapp.machine.pc import Pc
    from vizapp.machine.places import Place
    from vizapp.vmm.base import Action


class HostedMachines(VirtualMachines[HostedVm]):
    """See ``VirtualMachines``.

    What could wake a machine may be a device of VMApp's, of which the VMM knows nothing. Where nothing at all
    is coming the host's own HLT finds that out.
    """

    def __init__(
        self, pc: Pc, vms: tuple[HostedVm, ...], place: Place, actions: tuple[Action, ...] = ()
    ) -> None:
        super().__init__(pc, vms, place, None, actions)
        self._own = tuple(tuple(one for one in self._actions if one.vm == vm.index) for vm in vms)
        self._done: tuple[int, ...] = (0,) * len(vms)  # how many of them have been done
        self._running = 0

    @property
    def current(self) -> HostedVm:
        """The machine whose process has the processor, or had it last."""
        return self.vms[self._running]

    def give(self, vm: HostedVm) -> None:
        """The host's scheduler goes on with a machine's process."""
        former = self.current
        if vm is former:
            return
        former.leave_processor()
        self._pc.settle_heat()
        self._running = vm.index
        self._follow()
        vm.take_processor()
        self._pc.emit(events.VM_SCHEDULED, vm.name, {"vm": vm.index, "from": former.index})

    def must_switch(self) -> bool:
        """Never: that is the host's to say."""
        return False

    def look_after(self) -> None:
        """See ``VirtualMachines``, for the machine whose VMM asks."""
        self._act()
        vm = self.current
        if vm.blocked and not vm.paused and vm.stopped is None:
            self._look_after(vm)
        if all(done == len(own) for done, own in zip(self._done, self._own, strict=True)):
            self._give_up_paused()

    def deadline(self) -> int | None:
        """The next cycle at which the current machine's VMM has to be there; None: it need not be."""
        vm = self.current
        wanted = [action.cycle for action in self._own[vm.index][self._done[vm.index] :][:1]]
        if vm.stopped is None and not vm.paused:
            due = vm.devices.next_event()
            wanted += [] if due is None else [due]
        return min(wanted, default=None)

    def gives_up(self, vm: HostedVm, awaited: int | None) -> bool:
        """See ``VirtualMachines``."""
        return awaited is not None and vm.waits > vm.devices.waking_events

    def take_input(self, entry: Input) -> None:
        """See ``VirtualMachines``; the line rises even if something lies there for another machine."""
        self._pc.board.line(line_of(entry))(False)
        super().take_input(entry)

    def ask_to_pause(self, vm: HostedVm) -> None:
        """See ``VirtualMachines``."""
        self._pc.board.line(KEYBOARD_LINE)(False)
        super().ask_to_pause(vm)

    def hand_over(self) -> None:
        """The current machine's VMM takes what has come for its own."""
        index = self._running
        others = tuple(entry for entry in self._arrived if entry.vm != index)
        asked = tuple(number for number in self._asked if number != index)
        self._arrived = tuple(entry for entry in self._arrived if entry.vm == index)
        self._asked = tuple(number for number in self._asked if number == index)
        super().hand_over()
        self._arrived, self._asked = others, asked

    def save(self) -> Any:
        """See ``VirtualMachines``."""
        return super().save(), self._running, self._done

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        common, self._running, self._done = saved
        super().load(common)
        self._follow()

    def _follow(self) -> None:
        """What is the current machine's own: its translations, and its VMM."""
        vm = self.current
        self._place = vm.places[0]
        self._pc.code.translated = vm.cache.ends

    def _act(self) -> None:
        """Do what is due to be done to the current machine."""
        index = self._running
        own, now = self._own[index], self._pc.meter.cycles
        while self._done[index] < len(own) and own[self._done[index]].cycle <= now:
            action = own[self._done[index]]
            self._done = (*self._done[:index], self._done[index] + 1, *self._done[index + 1 :])
            self._do(action)
