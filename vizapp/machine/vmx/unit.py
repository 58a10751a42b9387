"""VMX of one processor: whether it is on, the current VMCS, the MSRs, and what CR0 and CR4 must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from vizapp.isa import vectors
from vizapp.isa.registers import CR0_ET, CR0_PE
from vizapp.machine.ept import EptTables
from vizapp.machine.faults import Fault
from vizapp.machine.inputs import EPT, VPID
from vizapp.machine.vmx import capabilities as cap
from vizapp.machine.vmx.fields import readable, writable
from vizapp.machine.vmx.guest import VmxGuest, Wishes
from vizapp.machine.vmx.passage import leave
from vizapp.machine.vmx.region import Vmcs

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.guest_mode import VmExit
    from vizapp.machine.identity import Identity
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.mmu import Mmu

_FEATURE_CONTROL: Final = cap.LOCKED | cap.OUTSIDE_SMX  # as the firmware has left it
_NEEDS: Final = {"invept": EPT, "invvpid": VPID}


class VmxUnit:
    """VMX: root operation from VMXON to VMXOFF, and non-root operation within it.

    ``acknowledge`` takes an interrupt from the machine's controllers, for exits that do so.

    Attributes:
        capable: what this generation has.
        readable, writable: the encodings of the fields that it has, and of those that VMWRITE takes.
        memory, mmu: the machine's.
        vmxon: the VMXON pointer; None outside VMX operation.
        current: the current VMCS, or None.
        guest: set in non-root operation.
        gif: SVM's flag; here 1 always.
        shadowed, stack_loaded, exit_images: see ``VirtualizationUnit``.
    """

    def __init__(
        self, identity: Identity, memory: PhysicalMemory, mmu: Mmu, acknowledge: Callable[[], int]
    ) -> None:
        self.capable = cap.capabilities(identity)
        self.readable, self.writable = readable(self.capable.features), writable(self.capable.features)
        self.memory = memory
        self.mmu = mmu
        self.acknowledge = acknowledge
        self.gif = True
        self.shadowed = self.stack_loaded = False
        self.vmxon: int | None = None
        self.current: Vmcs | None = None
        self.guest: VmxGuest | None = None
        self.exit_images: dict[int, tuple[bytes, bytes]] = {}

    @property
    def interrupts_open(self) -> bool | None:
        """As on any processor, IF and the shadow decide."""
        return None

    def has(self, operation: str) -> bool:
        """Whether an instruction of VMX exists on this processor."""
        return _NEEDS.get(operation, EPT) in self.capable.features or operation not in _NEEDS

    def make_current(self, address: int | None) -> None:
        """VMPTRLD, or that there is no current VMCS any more."""
        self.current = None if address is None else Vmcs(self.memory, address)

    def read_msr(self, cpu: Cpu, index: int) -> int | None:
        """IA32_FEATURE_CONTROL and the capability MSRs."""
        return _FEATURE_CONTROL if index == cap.FEATURE_CONTROL else self.capable.msrs.get(index)

    def write_msr(self, cpu: Cpu, index: int, value: int) -> bool:
        """#GP(0): the one is locked, the others are read-only."""
        if index == cap.FEATURE_CONTROL or index in self.capable.msrs:
            raise Fault(vectors.GP, 0)
        return False

    def check_cr0(self, cpu: Cpu, value: int) -> None:
        """#GP(0) in VMX operation of clearing PE, NE or PG; an unrestricted guest may clear PE and PG."""
        if self.vmxon is None:
            return
        secondary = 0 if self.guest is None else self.guest.wishes.secondary
        fixed = self.capable.guest_cr0_fixed(secondary)
        if value & fixed != fixed:
            raise Fault(vectors.GP, 0)

    def check_cr4(self, cpu: Cpu, value: int) -> None:
        """#GP(0) in VMX operation of clearing VMXE."""
        fixed = self.capable.cr4_fixed
        if self.vmxon is not None and value & fixed != fixed:
            raise Fault(vectors.GP, 0)

    def reset(self) -> None:
        """Power on: outside VMX operation."""
        self.vmxon = self.current = self.guest = None
        self.exit_images = {}
        self.shadowed = self.stack_loaded = False
        self.use_address_space((CR0_PE | CR0_ET, 0, 0, ()))

    def save(self) -> Any:
        """VMXON pointer, current-VMCS pointer, what the guest's last entry wished, its last instruction,
        what has cast the last interrupt shadow."""
        return (
            self.vmxon,
            None if self.current is None else self.current.address,
            None if self.guest is None else (tuple(self.guest.wishes), self.guest.last),
            dict(self.exit_images),
            self.stack_loaded,
        )

    def load(self, cpu: Cpu, saved: Any) -> None:
        """Take up what ``save`` gave."""
        self.vmxon, current, guest, images, self.stack_loaded = saved
        self.exit_images = dict(images)
        self.make_current(current)
        self.guest = None
        if guest is not None:
            wishes, last = guest
            self.guest = VmxGuest(self, Wishes(*wishes))
            self.guest.last = last
        cpu.guest_mode = self.guest
        self.use_address_space((cpu.cr0, cpu.cr3, cpu.cr4, cpu.pointers))

    def use_address_space(self, control: tuple[int, int, int, tuple[int, ...]]) -> None:
        """Give the MMU the guest's address space, or the host's; ``control``: as for ``Mmu.configure``."""
        if self.guest is None:
            self.mmu.switch(0, None, control)
            return
        wishes = self.guest.wishes
        nested = EptTables(self.memory, wishes.ept_pointer) if wishes.ept_pointer else None
        self.mmu.switch(wishes.vpid, nested, control)

    def leave(self, cpu: Cpu, guest: VmxGuest, leaving: VmExit) -> None:
        """A VM exit."""
        leave(self, cpu, guest, leaving)
