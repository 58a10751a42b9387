"""A virtual machine's full board answers as the bare machine's does, in the guest's own memory."""

from vizapp.isa.addresses import PAGE_SIZE, GuestPhysical
from vizapp.machine.devices.apic import APIC_BASE
from vizapp.machine.devices.ioapic import IOAPIC_BASE
from vizapp.machine.features import Features
from vizapp.machine.identity import FEATURE_APIC, PENTIUM_4
from vizapp.machine.inputs import NAMES
from vizapp.machine.memory import PhysicalMemory
from vizapp.machine.pc import Pc
from vizapp.machine.places import Place
from vizapp.vmm.guest_memory import GuestMemory
from vizapp.vmm.virtual_devices import VirtualDevices

MEGABYTE = 1 << 20
BASE = 300
PAGES = 512
HERTZ = 100_000_000
DISK = bytes(range(256)) * 2 * 100
FEATURES = Features(disks=(DISK,), mac=bytes.fromhex("525400123456"))


class Counter:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.cycles = 0

    def __call__(self) -> int:
        return self.cycles


def virtual(features: Features | None = FEATURES) -> tuple[VirtualDevices, GuestMemory, Counter]:
    host = PhysicalMemory((BASE + PAGES) * PAGE_SIZE)
    memory = GuestMemory(host, tuple(range(BASE, BASE + PAGES)))
    now = Counter()
    return VirtualDevices(memory, HERTZ, now, Place, lambda source, value: value, features), memory, now


def native() -> Pc:
    return Pc(dict.fromkeys(NAMES, 1), PAGES * PAGE_SIZE, HERTZ, PENTIUM_4, FEATURES)


def test_apics_are_where_the_bare_machine_has_them():
    devices, memory, _ = virtual()
    bare = native().mmu.mmio
    assert devices.mmio.frames.keys() == bare.frames.keys()
    for base, offset in ((APIC_BASE, 0x30), (APIC_BASE, 0xF0), (IOAPIC_BASE, 0x00)):
        assert memory.read(base + offset, 4) == bare.read(base + offset, 4)
    memory.write(APIC_BASE + 0xF0, 4, 0x1FF)
    assert memory.read(APIC_BASE + 0xF0, 4) == 0x1FF
    assert devices.peripherals is not None
    assert devices.peripherals.apic is devices.interrupts


def test_firmware_tells_of_the_apics_in_guest_memory():
    devices, memory, _ = virtual()
    identity = devices.identity(PENTIUM_4)
    pc = native()
    assert identity.leaf(1).edx & FEATURE_APIC
    found = memory.dump(GuestPhysical(0xF_5B00), 16)
    assert found == pc.memory.dump(0xF_5B00, 16)
    assert found.startswith(b"_MP_")


def test_a_disk_is_read_through_ports():
    devices, _, now = virtual()
    for port, value in ((0x1F2, 1), (0x1F3, 5), (0x1F4, 0), (0x1F5, 0), (0x1F6, 0xE0), (0x1F7, 0x20)):
        devices.write(port, 1, value)
    while devices.read(0x1F7, 1) & 0x88 != 0x08:
        due = devices.next_event()
        assert due is not None
        now.cycles = max(now.cycles + 1, due)
    data = b"".join(devices.read(0x1F0, 2).to_bytes(2, "little") for _ in range(256))
    assert data == DISK[5 * 512 : 6 * 512]


def test_dma_reaches_the_guests_memory_and_is_asked_about_by_host_frame():
    devices, memory, _ = virtual()
    assert devices.peripherals is not None
    master = devices.peripherals.bus_master
    asked: list[tuple[int, bool]] = []
    devices.on_dma = lambda frame, write: bool(asked.append((frame, write))) or frame != BASE + 3
    master.write(2 * PAGE_SIZE, b"hello")
    assert memory.dump(GuestPhysical(2 * PAGE_SIZE), 5) == b"hello"
    master.write(3 * PAGE_SIZE, b"hello")
    assert memory.dump(GuestPhysical(3 * PAGE_SIZE), 5) == bytes(5)
    assert asked == [(BASE + 2, True), (BASE + 3, True)]
    assert master.read(PAGES * PAGE_SIZE, 4) == b"\xff" * 4  # there is no memory


def test_whoever_watches_dma_is_told_the_machines_frames():
    devices, memory, _ = virtual()
    assert devices.peripherals is not None
    told: list[tuple[int, bool]] = []
    devices.watch_dma(lambda frame, write: told.append((frame, write)))
    devices.peripherals.bus_master.write(2 * PAGE_SIZE, b"hello")
    devices.peripherals.bus_master.read(PAGE_SIZE - 2, 4)
    assert memory.dump(GuestPhysical(2 * PAGE_SIZE), 5) == b"hello"
    assert told == [(BASE + 2, True), (BASE, False), (BASE + 1, False)]


def test_line_20_folds_memory():
    devices, memory, _ = virtual()
    told: list[bool] = []
    devices.on_a20 = lambda: told.append(memory.a20)
    memory.write(MEGABYTE, 1, 0x55)
    devices.write(0x64, 1, 0xD1)
    devices.write(0x60, 1, 0xDD)  # the output port without bit 1
    assert told == [False]
    memory.write(MEGABYTE, 1, 0xAA)
    assert memory.read(0, 1) == 0xAA
    devices.write(0x92, 1, 2)
    assert memory.read(MEGABYTE, 1) == 0x55


def test_rom_is_read_and_not_written():
    _, memory, _ = virtual()
    memory.load(GuestPhysical(0x5000), b"firmware")
    memory.add_rom(0xFFFFF, (BASE + 5,))
    assert memory.dump(0xFFFF_F000, 8) == b"firmware"
    memory.write(0xFFFF_F000, 4, 0)
    memory.load(0xFFFF_F000, bytes(8))
    assert memory.dump(0xFFFF_F000, 8) == b"firmware"


def test_a_saved_board_goes_on_where_it_was():
    devices, memory, now = virtual()
    for port, value in ((0x43, 0x34), (0x40, 0), (0x40, 1), (0x70, 0x0B), (0x71, 0x42), (0x92, 0)):
        devices.write(port, 1, value)
    now.cycles = 12_345
    devices.advance()
    saved, frames = devices.save(), memory.save()
    other, others_memory, others_now = virtual()
    others_now.cycles = now.cycles
    others_memory.load_state(frames)
    other.load(saved)
    for _ in range(50):
        due = devices.next_event()
        assert other.next_event() == due
        assert due is not None
        now.cycles = others_now.cycles = due
        devices.advance()
        other.advance()
        assert other.save() == devices.save()
