"""A PC with SVM switched on: a host that executes VMRUN, and a guest of a few instructions."""

from __future__ import annotations

from tests.machine.bench import Bench
from vizapp.machine import events
from vizapp.machine.identity import AMD, Identity, make_identity, with_large_pages
from vizapp.machine.inputs import MSR, NEXT_RIP, NPT, SVM, SYSENTER, TSC
from vizapp.machine.svm import state
from vizapp.machine.svm.codes import INTERCEPTS
from vizapp.machine.svm.unit import SvmUnit
from vizapp.machine.svm.vmcb import Block, read_field, write_field

VMCB, HSAVE, IOPM, MSRPM = 0x50000, 0x51000, 0x54000, 0x58000
GUEST = 0x30000
GUEST_STACK = 0x3F000
DIRECTORY = 0x60000  # the guest's own tables
GUEST_TABLE = 0x61000
NESTED_DIRECTORY = 0x62000
NESTED_TABLE = 0x63000
_PLAIN = (TSC, MSR, SYSENTER, SVM)

REV_F = with_large_pages(make_identity(AMD, "revision F", 0x040FB2, _PLAIN))
BARCELONA = with_large_pages(make_identity(AMD, "Barcelona", 0x100F23, (*_PLAIN, NPT)))
SHANGHAI = with_large_pages(make_identity(AMD, "Shanghai", 0x100F42, (*_PLAIN, NPT, NEXT_RIP)))


class SvmBench(Bench):
    """The host stands before VMRUN with EAX at the VMCB; ``guest`` is assembled at GUEST, in ring ``ring``.

    The guest begins with the host's tables and with flat segments of its own ring.
    """

    def __init__(
        self,
        guest: str = "nop",
        *intercepts: str,
        ring: int = 0,
        iopl: int = 0,
        host: str = "vmrun\nstgi\nhlt",
        identity: Identity = REV_F,
    ) -> None:
        super().__init__("nop", ring, iopl=iopl, identity=identity)
        unit = self.cpu.unit
        assert isinstance(unit, SvmUnit)
        self.unit = unit
        unit.efer, unit.hsave = 1 << 12, HSAVE
        block = Block(self.memory, VMCB)
        state.store(self.cpu, block, 1 << 12, rip=GUEST)
        state.store_guest(self.cpu, block)
        block["rsp"], block["guest_asid"] = GUEST_STACK, 1
        block["iopm_base_pa"], block["msrpm_base_pa"] = IOPM, MSRPM
        block.write_back()
        self.symbols = self.assemble(guest, GUEST)
        self.enter(0)
        self.cpu.eflags = 2
        self.assemble(host)
        self.intercept("vmrun", *intercepts)
        self.cpu.eax = VMCB

    def intercept(self, *names: str) -> None:
        for name in names:
            field, bit, _ = INTERCEPTS[name]
            self[field] |= 1 << bit

    def __getitem__(self, name: str) -> int:
        return read_field(self.memory, VMCB, name)

    def __setitem__(self, name: str, value: int) -> None:
        write_field(self.memory, VMCB, name, value)

    def run(self, most: int = 200) -> int:
        """VMRUN and what follows until the host is back; the exit code, -1 for VMEXIT_INVALID."""
        self.step()
        for _ in range(most):
            if self.cpu.guest_mode is None:
                break
            self.step()
        assert self.cpu.guest_mode is None, f"the guest is at {self.cpu.eip:#x}"
        code = self["exitcode"]
        return code if code < 1 << 63 else code - (1 << 64)

    @property
    def exits(self) -> list[events.Event]:
        return [event for event in self.events if event.kind == events.VM_EXITED]


def identity_tables(bench: SvmBench, directory: int, table: int) -> None:
    """Two levels of tables that lead the first megabyte to itself."""
    bench.memory.write(directory, 4, table | 7)
    for page in range(256):
        bench.memory.write(table + 4 * page, 4, page << 12 | 7)
