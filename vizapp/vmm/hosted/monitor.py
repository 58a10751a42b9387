"""The hosted VMM with its host, as the PC and the session know them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from vizapp.isa.addresses import PAGE_MASK, PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.isa.registers import CS
from vizapp.machine import events
from vizapp.machine.meter import Purpose
from vizapp.machine.places import (
    HOST,
    HOST_KERNEL,
    HOST_PROCESS,
    VM_APP,
    VM_DRIVER,
    VMM,
    VMM_WORLD,
    Place,
)
from vizapp.messages import N_, Message
from vizapp.vmm.base import Ownership, app_owner
from vizapp.vmm.binary_translation.monitor import TranslatingMonitor
from vizapp.vmm.frame_allocator import FrameRange
from vizapp.vmm.hosted import layout
from vizapp.vmm.hosted.phases import PHASES, PURPOSES
from vizapp.vmm.hosted.views import kept_view
from vizapp.vmm.stage import StageComponent, StageWorld

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.events import Payload
    from vizapp.vmm.base import CpuView
    from vizapp.vmm.hosted.machines import HostedMachines
    from vizapp.vmm.hosted.vm import HostedHost, HostedVm

OWNER: Final = "host"
_KERNEL: Final = Place(world=HOST, ring=0, component=HOST_KERNEL)
_DRIVER: Final = Place(world=HOST, ring=0, component=VM_DRIVER)
_APP: Final = Place(world=HOST, ring=3, component=VM_APP)
_APPS: Final = tuple(_APP._replace(vm=vm) for vm in range(layout.MOST_VMS))
_PROCESS: Final = Place(world=HOST, ring=3, component=HOST_PROCESS)


class HostedMonitor(TranslatingMonitor):
    """The VMMs, one a virtual machine, each with a world of its own.

    ``context`` is where the state of the first one's world is kept while the host has the processor; those of
    the others are in the pages behind.
    """

    host: HostedHost

    def __init__(self, host: HostedHost, context: HostPhysical) -> None:
        super().__init__(host)
        self._context = context
        self._several = len(self.vms) > 1
        self._worlds = {frame: vm.index for vm in self.vms for frame in vm.shadow.directories}
        self._spaces: dict[int, int] = {}  # of VMApps, by page directory; learned when they are first used
        self._notify = host.pc.cpu.notify
        host.pc.cpu.notify = self._told

    def machine(self, vm: int) -> HostedVm:
        """A virtual machine by number."""
        return cast("HostedVm", self.vms[vm])

    def run_phase(self, name: str) -> str | None:
        """Run one phase and charge its path."""
        bill = self.host.bill
        bill.purpose = PURPOSES.get(name, Purpose.MONITOR)
        bill.path(name)
        return PHASES[name](self.machine(self.current))

    def place_of(self, cpu: Cpu) -> Place:
        """By the page directory the world, and whose; in the host's, by the code segment who it is."""
        if cpu.cr3 >= layout.HOST_END:
            return self.vms[self._worlds[cpu.cr3 >> PAGE_SHIFT]].places[cpu.cpl]
        selector = cpu.segments[CS].selector
        if cpu.cpl == 3:
            if selector != layout.VMAPP_CODE:
                return _PROCESS
            return _APPS[self._spaces.get(cpu.cr3, 0)] if self._several else _APP
        # With paging off it is the host's kernel, on its way up.
        return _KERNEL if selector == layout.KERNEL_CODE or not cpu.cr3 else _DRIVER

    def stage(self) -> tuple[StageWorld, ...]:
        """The VMM's world with the guest in it, and the host's."""
        (world,) = super().stage()
        host = [
            StageComponent(HOST_KERNEL, Message(N_("host kernel")), 0),
            StageComponent(VM_DRIVER, Message(N_("VMDriver")), 0),
        ]
        if not self._several:
            host.append(StageComponent(VM_APP, Message(N_("VMApp")), 3))
        else:
            vmm = Message(N_("VMM"))
            vmms = tuple(StageComponent(VMM, vmm, 0, vm.index, vm.name) for vm in self.vms)
            world = world._replace(components=(*vmms, *world.components[1:]))
            app = Message(N_("VMApp"))
            host += [StageComponent(VM_APP, app, 3, vm.index, vm.name) for vm in self.vms]
        return (
            world._replace(id=VMM_WORLD, title=Message(N_("VMM world"))),
            StageWorld(HOST, Message(N_("host world")), tuple(host)),
        )

    @property
    def _in_host(self) -> bool:
        return self.host.pc.meter.place.world == HOST

    def processor_view(self, vm: int = 0) -> CpuView:
        """What the processor holds for the guest, or will again."""
        if self._in_host or vm != self.current:
            return kept_view(self.machine(vm), HostPhysical(self._context + vm * PAGE_SIZE))
        return super().processor_view(vm)

    def processor_translate(self, linear: Linear, vm: int = 0) -> HostPhysical | None:
        """Through the shadow, or in the host's world through the host's own tables."""
        if not self._in_host or vm != self.current:
            return super().processor_translate(linear, vm)
        frame = self.host.pc.mmu.probe(linear)
        if frame is None:  # of the guest's, or of the VMM's
            return super().processor_translate(linear, vm)
        return HostPhysical(frame << PAGE_SHIFT | linear & PAGE_MASK)

    def ownership(self) -> Ownership:
        """A guest has its memory, and its process the pages shared with its VMM.

        The rest is the VMMs' or, as every port and line, the host's.
        """
        first = layout.HOST_END >> PAGE_SHIFT
        pages = layout.SHARED_BYTES >> PAGE_SHIFT
        apps = [
            FrameRange((self.host.shared >> PAGE_SHIFT) + pages * vm.index, pages, app_owner(vm.index))
            for vm in self.vms
        ]
        behind = apps[-1].end
        return Ownership(
            (
                FrameRange(0, apps[0].first, OWNER),
                *apps,
                FrameRange(behind, first - behind, OWNER),
                *self.host.frames.ranges(),
            ),
            ((0, 0xFFFF, OWNER),),
            tuple((line, OWNER) for line in range(16)),
        )

    def _told(self, kind: str, cause: str, payload: Payload) -> None:
        """An event of the processor's: the MOV CR3 of the switch page is what changes worlds."""
        if kind != events.ADDRESS_SPACE_SWITCHED:
            self._notify(kind, cause, payload)
        elif self._switches():
            self._notify(events.WORLD_SWITCHED, *self._passage())
        else:
            self._notify(kind, cause, payload)
            if self._several and self._in_host:
                self._scheduled(self.host.pc.cpu.cr3)

    def _scheduled(self, directory: int) -> None:
        """The host's kernel goes on with another process: is it a virtual machine's?"""
        if directory not in self._spaces:
            memory = self.host.pc.memory
            for vm in self.vms:
                slot = HostPhysical(self.host.processes + vm.index * layout.SLOT + layout.SLOT_SPACE)
                self._spaces[memory.read(slot, 4)] = vm.index
        if directory in self._spaces:
            cast("HostedMachines", self.host.machines).give(self.machine(self._spaces[directory]))

    def _switches(self) -> bool:
        cpu = self.host.pc.cpu
        return not cpu.cpl and layout.CROSS <= cpu.eip < layout.CROSS + PAGE_SIZE

    def _passage(self) -> tuple[str, dict[str, int | str]]:
        """Why the processor changes worlds, and what else is to be told of it."""
        payload: dict[str, int | str] = {"vm": self.current} if self._several else {}
        if not self._in_host:
            return layout.CAUSES[0], {"direction": "vmm", **payload}
        peek = self.machine(self.current).shared.peek
        reason = peek(layout.REASON)
        payload["direction"] = "host"
        if reason == layout.INTERRUPT:
            payload["vector"] = peek(layout.VECTOR)
        elif reason == layout.PORT:
            payload["port"] = peek(layout.PORT_NUMBER)
            payload["write"] = peek(layout.WRITE)
        return layout.CAUSES[reason], payload
