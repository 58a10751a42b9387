"""Monitors that fail at resource control on purpose, and guests that find the leak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.isa.descriptors import TSS_32_BUSY as BUSY
from vizapp.isa.descriptors import TSS_BYTES, TSS_IO_MAP, system_segment
from vizapp.machine.image import Image
from vizapp.machine.segments import system_state
from vizapp.vmm.guest_mmu import Translation
from vizapp.vmm.host_tables import GDT, TSS, TSS_SELECTOR
from vizapp.vmm.registry import TECHNIQUES
from vizapp.vmm.trap_and_emulate.technique import TrapAndEmulate

if TYPE_CHECKING:
    from vizapp.machine.pc import Pc
    from vizapp.vmm.base import Options
    from vizapp.vmm.trap_and_emulate.monitor import TrapAndEmulateMonitor

LEAKED_PAGE = 0x70_0000  # linear; beyond what the guests here use
LEAKED_PORT = 0x80
ORIGIN = 0x10_0000


class PageLeak(TrapAndEmulate):
    """Maps the first page of its own GDT where the guest can write it."""

    abilities = TECHNIQUES["trap-and-emulate"].abilities

    def start(self, pc: Pc, image: Image, options: Options) -> TrapAndEmulateMonitor:
        monitor = super().start(pc, image, options)
        frame = monitor.vm.tables.physical(GDT) >> 12
        monitor.vm.shadow.fill(LEAKED_PAGE, Translation(0, True, True, True), frame, write=True)
        return monitor


class PortLeak(TrapAndEmulate):
    """Opens a port of the machine to every ring, in the I/O bitmap of its TSS."""

    abilities = TECHNIQUES["trap-and-emulate"].abilities

    def start(self, pc: Pc, image: Image, options: Options) -> TrapAndEmulateMonitor:
        monitor = super().start(pc, image, options)
        tables = monitor.vm.tables
        size = TSS_BYTES + LEAKED_PORT // 8 + 2
        tss = system_segment(tables.base + TSS, size - 1, BUSY)
        tables.set_descriptor(TSS_SELECTOR >> 3, tss)
        pc.cpu.tr = system_state(TSS_SELECTOR, tss)
        pc.memory.load(tables.physical(TSS), pc.memory.dump(tables.physical(TSS), TSS_BYTES))
        pc.memory.write(tables.physical(TSS) + TSS_IO_MAP, 2, TSS_BYTES)
        for port in range(LEAKED_PORT):
            byte = tables.physical(TSS) + TSS_BYTES + port // 8
            pc.memory.write(byte, 1, pc.memory.read(byte, 1) | 1 << port % 8)
        return monitor


def _image(name: str, code: bytes) -> Image:
    return Image(name, "native", ((GuestPhysical(ORIGIN), code),), Linear(ORIGIN))


# mov dword [LEAKED_PAGE], 0x12345678; cli; hlt
PAGE_GUEST = _image(
    "page-leak",
    bytes.fromhex("c705") + LEAKED_PAGE.to_bytes(4, "little") + bytes.fromhex("78563412 fa f4"),
)
# mov al, 0x55; out LEAKED_PORT, al; cli; hlt
PORT_GUEST = _image("port-leak", bytes((0xB0, 0x55, 0xE6, LEAKED_PORT, 0xFA, 0xF4)))
# mov dword [0x70000000], 0x12345678; cli; hlt: where no guest here has memory
FAR_GUEST = _image("far-page", bytes.fromhex("c705 00000070 78563412 fa f4"))
