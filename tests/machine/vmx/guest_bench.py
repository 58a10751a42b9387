"""A monitor of a few instructions on a bare machine, its VMCS, and a guest whose exits it sees.

The monitor's own code is real: VMXON, VMCLEAR, VMPTRLD, VMLAUNCH and VMRESUME are executed. What stands in
the VMCS is put there as a test wants it, straight into memory or by VMWRITE.
"""

from __future__ import annotations

from typing import Any

from tests.machine.bench import GDT, IDT, TSS, Bench, code_selector, data_selector
from vizapp.isa.registers import CR0_NE, CR0_PE, CR0_PG, CR4_VMXE
from vizapp.machine.identity import INTEL, Identity, make_identity, with_large_pages
from vizapp.machine.inputs import EPT, MSR, SYSENTER, TSC, UNRESTRICTED_GUEST, VPID, VT_X
from vizapp.machine.vmx import fields as f
from vizapp.machine.vmx.capabilities import Capabilities, capabilities
from vizapp.machine.vmx.region import REVISION, Vmcs
from vizapp.machine.vmx.unit import VmxUnit

VMXON_REGION = 0x60000
VMCS = 0x61000
IO_A, IO_B, MSRS = 0x62000, 0x63000, 0x64000
POINTERS = 0x65000  # where the monitor keeps the two addresses
HOST_EXIT = 0x13000
GUEST_CODE = 0x70000
GUEST_STACK = 0x78000
EPT_TABLES = 0x90000

_PLAIN = (TSC, MSR, SYSENTER, VT_X)
GENERATIONS: dict[int, Identity] = {
    2005: make_identity(INTEL, "first", 0x0F62, _PLAIN),
    2008: make_identity(INTEL, "second", 0x106A5, (*_PLAIN, EPT, VPID)),
    2011: make_identity(INTEL, "third", 0x206A7, (*_PLAIN, EPT, VPID, UNRESTRICTED_GUEST)),
}
START = f"""
vmxon [{POINTERS:#x}]
vmclear [{POINTERS + 8:#x}]
vmptrld [{POINTERS + 8:#x}]
vmlaunch
failed: jmp failed
"""
RESUME = "vmresume\nagain: jmp again"


class GuestBench(Bench):
    """``source`` is the guest's code, assembled at GUEST_CODE; the host resumes wherever it is left."""

    def __init__(self, source: str = "hlt", generation: int = 2011, **fields: int) -> None:
        super().__init__(START, identity=GENERATIONS[generation])
        self.assemble(RESUME, HOST_EXIT)
        self.assemble(source, GUEST_CODE)
        self.turn_on_paging(CR0_PE | CR0_NE | CR0_PG)
        self.cpu.cr4 = CR4_VMXE
        self.cpu.mode_changed()
        for region in (VMXON_REGION, VMCS):
            self.memory.write(region, 4, REVISION)
        self.memory.write(POINTERS, 8, VMXON_REGION)
        self.memory.write(POINTERS + 8, 8, VMCS)
        self.vmcs = Vmcs(self.memory, VMCS)
        self.vmcs.update(self.defaults())
        self.set(**fields)

    @property
    def unit(self) -> VmxUnit:
        assert isinstance(self.cpu.unit, VmxUnit)
        return self.cpu.unit

    @property
    def capable(self) -> Capabilities:
        return self.unit.capable

    def defaults(self) -> dict[int, int]:
        """A VMCS that passes all checks: the guest has the host's tables and control registers."""
        cpu = self.cpu
        values = {encoding: allowed.ones for encoding, allowed in self.capable.allowed.items()}
        values |= {
            f.LINK_POINTER: (1 << 64) - 1,
            f.IO_BITMAP_A: IO_A,
            f.IO_BITMAP_B: IO_B,
            f.MSR_BITMAP: MSRS,
            f.GUEST_CR0: cpu.cr0,
            f.GUEST_CR3: cpu.cr3,
            f.GUEST_CR4: cpu.cr4,
            f.CR4_MASK: CR4_VMXE,
            f.GDTR_BASE: GDT,
            f.GDTR_LIMIT: 0x7F,
            f.IDTR_BASE: IDT,
            f.IDTR_LIMIT: 0x7FF,
            f.GUEST_RSP: GUEST_STACK,
            f.GUEST_RIP: GUEST_CODE,
            f.GUEST_RFLAGS: 2,
            f.GUEST_DR7: 0x400,
            f.HOST_CR0: cpu.cr0,
            f.HOST_CR3: cpu.cr3,
            f.HOST_CR4: cpu.cr4,
            f.HOST_TR_BASE: TSS,
            f.HOST_GDTR_BASE: GDT,
            f.HOST_IDTR_BASE: IDT,
            f.HOST_RSP: 0x50000,
            f.HOST_RIP: HOST_EXIT,
        }
        for index, state in enumerate((*cpu.segments, cpu.ldtr, cpu.tr)):
            values[f.GUEST_SELECTORS[index]] = state.selector
            values[f.GUEST_BASES[index]] = state.base
            values[f.GUEST_LIMITS[index]] = state.limit
            values[f.GUEST_RIGHTS[index]] = state.access
        for index, encoding in enumerate(f.HOST_SELECTORS):
            values[encoding] = code_selector(0) if index == 1 else data_selector(0)
        values[f.HOST_SELECTORS[6]] = cpu.tr.selector
        return values

    def capable_of_pae(self) -> None:
        """As a full PC's processor is: PSE and PAE exist."""
        identity = with_large_pages(self.cpu.identity)
        self.cpu.identity = identity
        self.unit.capable = capabilities(identity)

    def set(self, **fields: int) -> None:
        """Put values into fields, by name; ``name__or`` sets bits."""
        for name, value in fields.items():
            plain = name.removesuffix("__or")
            encoding = f.BY_NAME[plain].encoding
            self.vmcs.write(encoding, self.vmcs.read(encoding) | value if plain != name else value)

    def field(self, name: str) -> int:
        return self.vmcs.read(f.BY_NAME[name].encoding)

    def enter_guest(self) -> None:
        """VMXON, VMCLEAR, VMPTRLD, VMLAUNCH."""
        self.step(4)

    def run_to_exit(self, most: int = 200) -> str:
        """Launch or resume, run on to the exit; its cause."""
        self.events.clear()
        for _ in range(most):
            self.pc.step()
            for event in self.events:
                if event.kind in ("VmExited", "VmEntryFailed"):
                    return event.cause
            if self.pc.stopped:
                break
        raise AssertionError(f"no exit: {self.events} {self.pc.stopped} {self.cpu.eip:#x}")

    def exit(self) -> dict[str, Any]:
        """What the last exit told."""
        return dict(next(event for event in self.events if event.kind == "VmExited").payload)

    def map_ept(self, rights: int = 7, pages: int = 256) -> None:
        """Extended page tables that map every page to itself."""
        pml4, pdpt, directory, table = (EPT_TABLES + 0x1000 * index for index in range(4))
        self.memory.write(pml4, 8, pdpt | 7)
        self.memory.write(pdpt, 8, directory | 7)
        self.memory.write(directory, 8, table | 7)
        for page in range(pages):
            self.memory.write(table + 8 * page, 8, page << 12 | 6 << 3 | rights)
        self.set(primary_controls__or=1 << 31, secondary_controls__or=2, ept_pointer=pml4 | 3 << 3 | 6)

    def ept_entry(self, address: int) -> int:
        """Where the last-level entry of a page lies."""
        return EPT_TABLES + 0x3000 + 8 * (address >> 12)

    def set_bit(self, bitmap: int, number: int) -> None:
        at = bitmap + number // 8
        self.memory.write(at, 1, self.memory.read(at, 1) | 1 << (number & 7))
