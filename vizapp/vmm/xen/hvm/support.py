"""The hypervisor's use of VT-x or AMD-V: turned on at its start, a machine for each HVM domain that is made.

A machine's parts in the monitor's memory (control structure, shadow or nested tables, the page for its
registers) are taken when its domain is created and given back when it is destroyed; which frames they are is
all that is needed to find them again, so that a checkpoint need not keep more of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vizapp.isa.addresses import PAGE_SHIFT, HostPhysical, Linear
from vizapp.machine.doors import Door
from vizapp.machine.image import Image
from vizapp.vmm import ring0, stubs
from vizapp.vmm.base import VmOptions
from vizapp.vmm.frame_allocator import FrameAllocator
from vizapp.vmm.guest_mmu import GuestMmu
from vizapp.vmm.hardware_assisted.assembly import Asked, assemble, place_code
from vizapp.vmm.hardware_assisted.vm import Host
from vizapp.vmm.shadow import Shadow
from vizapp.vmm.xen.hvm.board import HvmBoard
from vizapp.vmm.xen.hvm.machines import HvmDomains
from vizapp.vmm.xen.hvm.memory import DomainMemory
from vizapp.vmm.xen.hvm.vm import HvmVm

if TYPE_CHECKING:
    from vizapp.machine.features import Features
    from vizapp.vmm.base import Hvm, Options
    from vizapp.vmm.hardware_assisted.technique import HardwareAssisted
    from vizapp.vmm.xen.domain import Domain
    from vizapp.vmm.xen.hypervisor import Hypervisor

OWNER: Final = "vmm"
MOST_MEMORY: Final = 64 << 20  # that the nested tables of a domain have room for at once
_SHARED_PAGES: Final = 8  # stubs, page directory, and what the processor wants for itself
_OPERANDS: Final = 16  # bytes below the trap frame, for the stub that turns virtualization on

_NOTHING: Final = Image("", "native", (), Linear(0))  # domain 0 loads what it runs

Taken = tuple[tuple[int, int], ...]


def pages_needed(technique: HardwareAssisted, options: Options) -> int:
    """Frames of the monitor's for all HVM domains that there may be."""
    assert options.hvm is not None
    each = technique.pages_of(MOST_MEMORY, nested=options.hvm.nested)
    return _SHARED_PAGES + each * len(options.others)


class _Recorder(FrameAllocator):
    """The hypervisor's allocator, noting what is taken; or one that gives the same again."""

    def __init__(self, frames: FrameAllocator, known: Taken | None = None) -> None:
        self._from = frames
        self._known = None if known is None else list(known)
        self.taken: Taken = ()

    def allocate(self, owner: str, count: int = 1) -> int:
        """The first of so many adjacent frames."""
        first = self._from.allocate(owner, count) if self._known is None else self._known.pop(0)[0]
        self.taken = (*self.taken, (first, count))
        return first


class HvmSupport:
    """What ``xen`` has for HVM domains on this processor.

    Attributes:
        technique: the vendor's.
        directory: the frame of the page directory in which exits arrive: the hypervisor's part alone.
        vms: the machines by the index of their domain.
    """

    def __init__(self, xen: Hypervisor, technique: HardwareAssisted, asked: Hvm) -> None:
        self._xen = xen
        self._asked = asked
        self.technique = technique
        self.vms: dict[int, HvmVm] = {}
        self._taken: dict[int, Taken] = {}
        frames, memory = xen.frames, xen.pc.memory
        self.directory = frames.allocate(OWNER)
        memory.write(
            (self.directory << PAGE_SHIFT) + (xen.tables.base >> 22) * 4, 4, xen.tables.directory_entry
        )
        self._code = frames.allocate(OWNER)
        self._rest = frames.allocate(OWNER)
        self._host = self._new_host(frames)
        technique.prepare(self._host)
        self._open_doors()

    @property
    def current(self) -> HvmVm | None:
        """The machine of the current domain; None while that is a paravirtual one."""
        domain = self._xen.domain
        return None if domain.hvm is None else self.vms[domain.index]

    def is_unmodified(self, index: int) -> bool:
        """Whether a domain runs, or once it is made will run, a guest that was not ported."""
        domains, others = self._xen.domains, self._xen.options.others
        if index < len(domains):
            return domains[index].hvm is not None
        return 0 < index <= len(others) and others[index - 1].image.build != "xen"

    def begin(self) -> None:
        """Stand before the instructions that turn virtualization on."""
        xen = self._xen
        operands = HostPhysical(xen.frame.address - _OPERANDS)
        offset = self.technique.turn_on(self._host, operands)
        xen.pc.cpu.esp = xen.tables.frame_linear - _OPERANDS
        xen.pc.cpu.eip = Linear(self._host.switch_code + offset)

    def turned_on(self) -> None:
        """They have been executed: now the first domain is entered."""
        xen = self._xen
        self.technique.save_host(self._host, self._rest)
        xen.pc.cpu.esp = xen.tables.frame_linear
        ring0.jump(xen.pc, xen.tables, stubs.EXIT)

    def create(self, domain: Domain) -> None:
        """A machine for a new domain, without memory; ScenarioError where too few frames are free."""
        recorder = _Recorder(self._xen.frames)
        try:
            self.vms[domain.index] = self._assemble(domain.index, recorder)
        finally:
            self._taken[domain.index] = recorder.taken
            if domain.index not in self.vms:
                self._give_back(domain.index)

    def destroy(self, domain: Domain) -> None:
        """Its domain is no more."""
        del self.vms[domain.index]
        self._give_back(domain.index)

    def leave(self, vm: HvmVm) -> None:
        """Another domain gets the processor: take what the guest had left there."""
        vm.virtual.park()
        vm.virtual.give_back()
        self._xen.pc.cpu.esp = self._xen.tables.frame_linear

    def restore_host(self) -> None:
        """A paravirtual domain gets the processor after an HVM domain: what an exit does not bring back."""
        self.technique.restore_host(self._host, self._rest)

    def enter(self, vm: HvmVm) -> None:
        """An HVM domain gets the processor."""
        pc = self._xen.pc
        ring0.load_cr3(pc, self.directory)
        self._xen.types.flushed()
        pc.cpu.esp = vm.stack
        vm.structure.switch_to()
        if not vm.structure.ready:
            vm.structure.set_up()
        vm.virtual.unpark()

    def save(self) -> Any:
        """The machines outside machine memory, as plain data."""
        return tuple((index, self._taken[index], vm.save()) for index, vm in sorted(self.vms.items()))

    def load(self, saved: Any) -> None:
        """Take up a saved state; a machine that is not there any more is put together again."""
        kept = {index: taken for index, taken, _ in saved}
        for index in list(self.vms):
            if kept.get(index) != self._taken[index]:
                del self.vms[index], self._taken[index]
        for index, taken, state in saved:
            if index not in self.vms:
                self.vms[index] = self._assemble(index, _Recorder(self._xen.frames, taken))
                self._taken[index] = taken
            self.vms[index].load(state)

    def _give_back(self, index: int) -> None:
        for first, count in self._taken.pop(index):
            self._xen.frames.free(first, count)

    def _new_host(self, frames: FrameAllocator) -> Host:
        xen = self._xen
        host = Host(xen.pc, self._asked.paths, frames, xen.tables, self.technique.worlds)
        host.place = xen.places[0]
        host.timer = xen.timer
        host.directory = self.directory
        place_code(self.technique, host, self._code)
        host.machines = HvmDomains(xen)
        return host

    def _assemble(self, index: int, frames: FrameAllocator) -> HvmVm:
        xen, pc, nested = self._xen, self._xen.pc, None
        host = self._new_host(frames)
        block = frames.allocate(OWNER)
        memory = DomainMemory(pc.memory)
        mmu = GuestMmu(memory, host.bill.charge)
        shadow = None
        if self._asked.nested:
            nested = self.technique.nested_map(host, MOST_MEMORY)
        else:
            shadow = Shadow(pc.memory, frames, host.bill.charge, owner=OWNER)
        asked = Asked((shadow, nested), mmu, {}, HvmBoard)
        options = VmOptions(_NOTHING, MOST_MEMORY, features=self._features(index))
        vm: HvmVm = assemble(self.technique, host, index, block, memory, options, asked, HvmVm)
        vm.connect(xen)
        return vm

    def _features(self, index: int) -> Features | None:
        """A full PC's board for whom it was asked, of which the hypervisor emulates the APICs."""
        others = self._xen.options.others
        features = others[index - 1].features if index <= len(others) else None
        return None if features is None else features._replace(disks=(), mac=None, station=False)

    def _open_doors(self) -> None:
        for offset, name in self.technique.doors.items():
            phase = "turned_on" if name == "set_up" else name  # nobody's structure is to be filled in yet
            self._xen.pc.doors[HostPhysical((self._code << PAGE_SHIFT) + offset)] = Door(0, phase)
