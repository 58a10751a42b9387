"""VT-x as a technique: VMXON, a VMCS for each virtual machine, shadow paging or EPT."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from vizapp.isa.addresses import PAGE_SHIFT, HostPhysical, Linear
from vizapp.isa.paging import PTE_P, PTE_PS, PTE_U, PTE_W
from vizapp.isa.registers import CR0_NE, CR4_VMXE
from vizapp.machine.places import VMX_NON_ROOT, VMX_ROOT
from vizapp.machine.vmx.capabilities import BASIC
from vizapp.messages import N_, Message
from vizapp.vmm.hardware_assisted.technique import HardwareAssisted
from vizapp.vmm.hardware_assisted.vm import Worlds
from vizapp.vmm.vt_x import switch
from vizapp.vmm.vt_x.ept_map import EptMap
from vizapp.vmm.vt_x.operations import unit_of
from vizapp.vmm.vt_x.structure import VmcsStructure

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc
    from vizapp.vmm.hardware_assisted.control_structure import Controls
    from vizapp.vmm.hardware_assisted.vm import Host, Vm

OWNER: Final = "vmm"


class VtX(HardwareAssisted):
    """The monitor in VMX root operation."""

    name: ClassVar[str] = "vt-x"
    title: ClassVar[Message] = Message(N_("VT-x"))
    worlds: ClassVar[Worlds] = Worlds(VMX_ROOT, VMX_NON_ROOT)
    code: ClassVar[bytes] = switch.page()
    doors: ClassVar[dict[int, str]] = switch.DOORS
    take_interrupt: ClassVar[int] = switch.TAKE

    def prepare(self, host: Host) -> None:
        """The bits of CR0 and CR4 that VMX operation wants; the firmware has allowed VMXON."""
        cpu = host.pc.cpu
        cpu.cr0 |= CR0_NE
        cpu.cr4 |= CR4_VMXE
        cpu.mode_changed()

    def structure(self, host: Host, controls: Controls) -> VmcsStructure:
        """A VMCS with the processor's revision identifier, and the identity map that it may need."""
        address = _region(host)
        structure = VmcsStructure(host.pc, address, controls)
        if controls.nested is not None and not structure.unrestricted:
            frame = host.frames.allocate(OWNER)
            for index in range(1024):
                entry = index << 22 | PTE_P | PTE_W | PTE_U | PTE_PS
                host.pc.memory.write((frame << PAGE_SHIFT) + 4 * index, 4, entry)
            structure.identity_map = frame
        return structure

    def nested_map(self, host: Host, memory: int) -> EptMap:
        """Extended page tables."""
        return EptMap(host.pc.memory, host.frames, host.bill.charge, memory, OWNER)

    def nested_pages(self, memory: int) -> int:
        """Of EPT, and the identity map."""
        return EptMap.pages_needed(memory) + 1

    def turn_on(self, host: Host, operands: HostPhysical) -> int:
        """VMXON, with the address of its region."""
        host.pc.memory.write(operands, 8, _region(host))
        return switch.ON

    def save_host(self, host: Host, frame: int) -> None:
        """Nothing: the host-state area of each VMCS has TR, and what else is needed is loaded anew."""

    def restore_host(self, host: Host, frame: int) -> None:
        """Nothing either."""

    def place_machine(self, vm: Vm) -> None:
        """The stub needs nothing more."""

    def begin(self, host: Host, vm: Vm) -> None:
        """At VMXON, with the addresses of the VMXON region and the first VMCS on the stack."""
        pc = host.pc
        operands = vm.virtual.pushed_at
        for index, address in enumerate((_region(host), vm.structure.address)):
            pc.memory.write(operands + 8 * index, 8, address)
        pc.cpu.esp = vm.stack
        pc.cpu.eip = Linear(host.switch_code + switch.BEGIN)


def _region(host: Host) -> HostPhysical:
    """A page that begins with the revision identifier that IA32_VMX_BASIC tells."""
    pc: Pc = host.pc
    address = HostPhysical(host.frames.allocate(OWNER) << PAGE_SHIFT)
    revision = unit_of(pc).read_msr(pc.cpu, BASIC)
    assert revision is not None
    pc.memory.write(address, 4, revision & 0x7FFF_FFFF)
    return address
