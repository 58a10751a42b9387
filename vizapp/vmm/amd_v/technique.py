"""AMD-V as a technique: SVM on, a VMCB for each virtual machine, shadow or nested paging."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vizapp.isa.addresses import PAGE_SHIFT, PAGE_SIZE, HostPhysical, Linear
from vizapp.machine.places import SVM_GUEST, SVM_HOST
from vizapp.machine.svm.checks import IOPM_BYTES, MSRPM_BYTES
from vizapp.messages import N_, Message
from vizapp.vmm.amd_v import switch
from vizapp.vmm.amd_v.npt_map import NptMap
from vizapp.vmm.amd_v.operations import vmload, vmsave
from vizapp.vmm.amd_v.structure import VmcbStructure
from vizapp.vmm.hardware_assisted.technique import HardwareAssisted
from vizapp.vmm.hardware_assisted.virtual_cpu import PUSHED_BYTES
from vizapp.vmm.hardware_assisted.vm import Worlds

if TYPE_CHECKING:
    from vizapp.vmm.hardware_assisted.control_structure import Controls
    from vizapp.vmm.hardware_assisted.vm import Host, Vm

OWNER: Final = "vmm"
_EAX_PUSHED: Final = PUSHED_BYTES - 4
_PORT_PAGES: Final = -(-IOPM_BYTES // PAGE_SIZE)
_MSR_PAGES: Final = -(-MSRPM_BYTES // PAGE_SIZE)


class AmdV(HardwareAssisted):
    """The monitor as SVM's host."""

    name: ClassVar[str] = "amd-v"
    title: ClassVar[Message] = Message(N_("AMD-V"))
    worlds: ClassVar[Worlds] = Worlds(SVM_HOST, SVM_GUEST)
    code: ClassVar[bytes] = switch.page()
    doors: ClassVar[dict[int, str]] = switch.DOORS
    take_interrupt: ClassVar[int] = switch.TAKE
    own_pages: ClassVar[int] = 1 + _PORT_PAGES + _MSR_PAGES

    def prepare(self, host: Host) -> None:
        """Nothing: the stub turns SVM on."""

    def structure(self, host: Host, controls: Controls) -> VmcbStructure:
        """A VMCB, and maps in which every port and every MSR is intercepted."""
        memory, frames = host.pc.memory, host.frames
        maps = []
        for pages in (_PORT_PAGES, _MSR_PAGES):
            first = frames.allocate(OWNER, pages)
            memory.load(HostPhysical(first << PAGE_SHIFT), b"\xff" * (pages * PAGE_SIZE))
            maps.append(first << PAGE_SHIFT)
        address = HostPhysical(frames.allocate(OWNER) << PAGE_SHIFT)
        return VmcbStructure(host.pc, address, controls, (maps[0], maps[1]))

    def nested_map(self, host: Host, memory: int) -> NptMap:
        """Nested page tables in the host's own format, two levels of 32-bit entries."""
        return NptMap(host.pc.memory, host.frames, host.bill.charge, memory, OWNER)

    def nested_pages(self, memory: int) -> int:
        """Of nested page tables."""
        return NptMap.pages_needed(memory)

    def turn_on(self, host: Host, operands: HostPhysical) -> int:
        """The WRMSRs, with the address of the page for the host's state."""
        host.pc.memory.write(operands, 4, host.frames.allocate(OWNER) << PAGE_SHIFT)
        return switch.BEGIN

    def save_host(self, host: Host, frame: int) -> None:
        """VMSAVE: FS, GS, TR, LDTR and SYSENTER's registers."""
        vmsave(host.pc, frame)

    def restore_host(self, host: Host, frame: int) -> None:
        """VMLOAD."""
        vmload(host.pc, frame)

    def place_machine(self, vm: Vm) -> None:
        """VMRUN finds the address of the VMCB where the guest's EAX would be."""
        vm.pc.memory.write(vm.virtual.pushed_at + _EAX_PUSHED, 4, vm.structure.address)

    def begin(self, host: Host, vm: Vm) -> None:
        """At the WRMSRs that turn SVM on, with the address of the page for the host's state on the stack."""
        pc = host.pc
        pc.memory.write(vm.virtual.pushed_at, 4, host.frames.allocate(OWNER) << PAGE_SHIFT)
        pc.cpu.esp = vm.stack
        pc.cpu.eip = Linear(host.switch_code + switch.BEGIN)
