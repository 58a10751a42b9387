"""The translating monitor as the PC and the session know it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from vizapp.isa.addresses import M32
from vizapp.machine.meter import Purpose
from vizapp.machine.places import APPLICATION, TRANSLATION_CACHE, VMKERNEL, VMM
from vizapp.messages import N_, Message
from vizapp.vmm.binary_translation import views
from vizapp.vmm.binary_translation.phases import PHASES, PURPOSES
from vizapp.vmm.processor_view import general
from vizapp.vmm.stage import StageComponent, StageWorld, bare_stage
from vizapp.vmm.trap_and_emulate.monitor import TrapAndEmulateMonitor

if TYPE_CHECKING:
    from vizapp.vmm.base import CpuView
    from vizapp.vmm.binary_translation.vm import TranslatedVm


class TranslatingMonitor(TrapAndEmulateMonitor):
    """A monitor with its virtual machines."""

    def machine(self, vm: int) -> TranslatedVm:
        """A virtual machine by number."""
        return cast("TranslatedVm", self.vms[vm])

    def run_phase(self, name: str) -> str | None:
        """Run one phase and charge its path."""
        bill = self.host.bill
        if self.host.pager is not None:
            self.host.pager.begin()
        if following := self.host.run(name):
            return following
        bill.purpose = PURPOSES.get(name, Purpose.MONITOR)
        bill.path(name)
        return PHASES[name](self.machine(self.current))

    def load(self, saved: Any) -> None:
        """Take up a saved state."""
        super().load(saved)
        self.host.pc.code.translated = self.machine(self.current).cache.ends

    def guest_view(self, vm: int = 0) -> CpuView:
        """The virtual CPU, wherever its state is."""
        return views.guest_view(self.machine(vm))

    def translated_state(self) -> tuple[int, ...] | None:
        """EIP, EAX ECX EDX EBX ESP EBP ESI EDI of the guest whose translation runs; None if none does."""
        pc = self.host.pc
        if pc.meter.place.component != TRANSLATION_CACHE:
            return None
        eip, registers, _ = views.state(self.machine(self.current), pc.cpu.eip, general(pc.cpu))
        return (eip, *registers)

    def guest_address(self, eip: int) -> int:
        """The guest EIP that one of the cache stands for; -1 where many go through, others as they are."""
        cache = self.machine(self.current).cache
        spot = cache.spots.get(eip - cache.base)
        if spot is None:
            return eip
        return spot.eip if eip != cache.base else -1

    def guest_next(self) -> int | None:
        """The linear address of the guest instruction that begins here, in the cache; None inside of one."""
        cache = self.machine(self.current).cache
        offset = self.host.pc.cpu.eip - cache.base
        spot = cache.spots.get(offset)
        unit = None if spot is None else cache.units.get(spot.unit)
        if unit is None:
            return None
        return next(
            (unit.key.base + eip & M32 for eip, _, begin, end in unit.lines if begin == offset < end), None
        )

    def stage(self) -> tuple[StageWorld, ...]:
        """The monitor below, the caches in ring 1, the applications where they were."""
        (world,) = bare_stage()
        guests: list[StageComponent] = []
        for vm in self.vms:
            for identity, title, ring in (
                (TRANSLATION_CACHE, Message(N_("translation cache")), 1),
                (APPLICATION, Message(N_("applications")), 3),
            ):
                owner = vm.name if len(self.vms) > 1 else ""
                guests.append(StageComponent(identity, title, ring, vm.index, owner))
        below = [StageComponent(VMM, Message(N_("virtual machine monitor")), 0)]
        if self.host.kernel is not None:
            below.append(StageComponent(VMKERNEL, Message(N_("VMkernel")), 0))
        return (world._replace(components=(*below, *sorted(guests, key=lambda component: component.ring))),)
