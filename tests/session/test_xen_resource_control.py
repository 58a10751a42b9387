"""The table that every guest of the hypervisor may read is no leak until one of them can write it."""

from __future__ import annotations

import pytest

from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.isa.paging import PTE_FRAME, PTE_W
from vizapp.machine.image import Image
from vizapp.machine.pc import Pc
from vizapp.session.scenario import Scenario
from vizapp.session.session import Session
from vizapp.vmm import registry
from vizapp.vmm.base import READABLE, Options
from vizapp.vmm.xen import abi
from vizapp.vmm.xen.monitor import XenMonitor
from vizapp.vmm.xen.technique import Paravirtual

BASE = 0xC000_0000
# mov eax, [M2P_START]; mov [M2P_START], eax; hlt, which is the end of a domain without handlers
CODE = b"\xa1" + abi.M2P_START.to_bytes(4, "little") + b"\xa3" + abi.M2P_START.to_bytes(4, "little") + b"\xf4"
GUEST = Image(
    "m2p", "xen", ((GuestPhysical(0), CODE),), entry=Linear(BASE), virtual_base=Linear(BASE)
)  # fmt: skip


class WritableTable(Paravirtual):
    """Maps the machine-to-physical table writable."""

    abilities = registry.TECHNIQUES["paravirtual"].abilities

    def start(self, pc: Pc, image: Image, options: Options) -> XenMonitor:
        monitor = super().start(pc, image, options)
        slot = (monitor.xen.domain.page_directory << 12) + (abi.M2P_START >> 22) * 4
        entry = pc.memory.read(slot, 4)
        pc.memory.write(slot, 4, entry | PTE_W)
        first = entry & PTE_FRAME
        pc.memory.write(first, 4, pc.memory.read(first, 4) | PTE_W)
        return monitor


def test_the_table_is_read_and_a_write_is_refused() -> None:
    session = Session(Scenario(GUEST, "paravirtual"))
    frame = session.run()
    assert frame.scorecard.let_through == 0
    assert frame.stopped is not None


def test_a_hypervisor_that_lets_it_be_written_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.TECHNIQUES, "paravirtual", WritableTable)
    session = Session(Scenario(GUEST, "paravirtual"))
    assert session.run().scorecard.let_through == 1
    (leak,) = session.leaks
    assert (leak.kind, leak.owner, leak.write) == ("frame", READABLE, True)
