"""SVM of one processor: what it holds outside memory, and its model-specific registers.

    EFER       C000_0080   12 SVME; NXE, LME and the rest belong to processors that have 64-bit mode
    VM_CR      C001_0114   4 SVMDIS   3 LOCK   2 DIS_A20M   1 R_INIT   0 DPD
    VM_HSAVE_PA C001_0117  host-physical address of the page where VMRUN saves the host

APM Vol. 2, "SVM Related MSRs".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vizapp.isa import vectors
from vizapp.isa.addresses import PAGE_MASK
from vizapp.machine.faults import Fault
from vizapp.machine.identity import FEATURE_NP, FEATURE_NRIPS, SVM_LEAF
from vizapp.machine.svm.checks import EFER_SVME, PHYSICAL_BITS
from vizapp.machine.svm.entry import switch_memory
from vizapp.machine.svm.guest import SvmGuest
from vizapp.machine.svm.vmcb import Block

if TYPE_CHECKING:
    from vizapp.machine.cpu import Cpu
    from vizapp.machine.identity import Identity
    from vizapp.machine.memory import PhysicalMemory
    from vizapp.machine.mmu import Mmu

EFER, VM_CR, VM_HSAVE_PA = 0xC000_0080, 0xC001_0114, 0xC001_0117
SVMDIS: Final = 1 << 4
_VM_CR_BITS: Final = 0b10111
_FEATURE_FLUSH_BY_ASID: Final = 1 << 6
_BLOCKS: Final = 64
STORED: Final = ("star", "lstar", "cstar", "sfmask", "kernel_gs_base")
"""Registers of 64-bit processors, kept for VMLOAD and VMSAVE alone."""


class SvmUnit:
    """SVM, on or off.

    Attributes:
        gif: the global interrupt flag.
        shadowed, stack_loaded: see ``VirtualizationUnit``; SVM asks for neither.
        efer: EFER of the code that runs.
        hsave: VM_HSAVE_PA.
        guest: the guest that runs.
        stored: the registers of ``STORED`` by name.
        exit_images: see ``VirtualizationUnit``.
        has_nested_paging, has_next_rip, has_flush_by_asid: what this generation can do.
    """

    def __init__(self, identity: Identity, memory: PhysicalMemory, mmu: Mmu) -> None:
        self.identity = identity
        self.memory = memory
        self.mmu = mmu
        features = identity.leaf(SVM_LEAF).edx
        self.has_nested_paging = bool(features & FEATURE_NP)
        self.has_next_rip = bool(features & FEATURE_NRIPS)
        self.has_flush_by_asid = bool(features & _FEATURE_FLUSH_BY_ASID)
        self.reset()

    def block(self, address: int) -> Block:
        """The block at a host-physical address, decoded anew only where memory has other bytes than then."""
        known = self._blocks.get(address)
        if known is None or not known.is_current:
            if len(self._blocks) >= _BLOCKS:
                self._blocks.clear()
            known = self._blocks[address] = Block(self.memory, address)
        return known

    @property
    def enabled(self) -> bool:
        """EFER.SVME."""
        return bool(self.efer & EFER_SVME)

    @property
    def interrupts_open(self) -> bool | None:
        """Closed while GIF is 0; under V_INTR_MASKING as the host's IF was; else IF and the shadow decide."""
        if not self.gif:
            return False
        if self.guest is not None and self.guest.masks_interrupts:
            return self.guest.host_if
        return None

    def reset(self) -> None:
        """Power on."""
        self.gif = True
        self.shadowed = self.stack_loaded = False
        self.efer = self.vm_cr = self.hsave = 0
        self.guest: SvmGuest | None = None
        self.stored = dict.fromkeys(STORED, 0)
        self._blocks: dict[int, Block] = {}
        self.exit_images: dict[int, tuple[bytes, bytes]] = {}
        self.mmu.switch(0, None, (0, 0, 0, ()))

    def read_msr(self, cpu: Cpu, index: int) -> int | None:
        """The 64 bits of EFER, VM_CR or VM_HSAVE_PA; None: not one of them."""
        return {EFER: self.efer, VM_CR: self.vm_cr, VM_HSAVE_PA: self.hsave}.get(index)

    def write_msr(self, cpu: Cpu, index: int, value: int) -> bool:
        """Write one of them, or say that it is none."""
        if index == EFER:
            if value & ~EFER_SVME or (value and self.vm_cr & SVMDIS):
                raise Fault(vectors.GP, 0)
            self.efer = value
            if self.guest is not None:
                self.guest.efer = value
        elif index == VM_CR:
            if value & ~_VM_CR_BITS or (value & SVMDIS and self.enabled):
                raise Fault(vectors.GP, 0)
            self.vm_cr = value
        elif index == VM_HSAVE_PA:
            if value & PAGE_MASK or value >> PHYSICAL_BITS:
                raise Fault(vectors.GP, 0)
            self.hsave = value
        else:
            return False
        return True

    def check_cr4(self, cpu: Cpu, value: int) -> None:
        """SVM forbids nothing in CR4."""

    def check_cr0(self, cpu: Cpu, value: int) -> None:
        """Nor in CR0."""

    def save(self) -> dict[str, Any]:
        """Its state outside memory, guest mode included, as plain data."""
        return {
            "gif": self.gif,
            "efer": self.efer,
            "vm_cr": self.vm_cr,
            "hsave": self.hsave,
            "stored": dict(self.stored),
            "exit_images": dict(self.exit_images),
            "guest": None if self.guest is None else self.guest.save(),
        }

    def load(self, cpu: Cpu, saved: dict[str, Any]) -> None:
        """Take up a saved state and set ``Cpu.guest_mode`` to fit."""
        self.gif, self.efer = saved["gif"], saved["efer"]
        self.vm_cr, self.hsave = saved["vm_cr"], saved["hsave"]
        self.stored = dict(saved["stored"])
        self.exit_images = dict(saved["exit_images"])
        guest = saved["guest"]
        if guest is None:
            self.guest = cpu.guest_mode = None
            self.mmu.switch(0, None, (cpu.cr0, cpu.cr3, cpu.cr4, cpu.pointers))
            return
        self.guest = cpu.guest_mode = SvmGuest.restored(self, guest)
        switch_memory(self, cpu, self.guest)
