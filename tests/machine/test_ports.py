"""The port bus: bytes, widths and silence."""

from __future__ import annotations

from vizapp.machine.ports import PortBus


class Latch:
    """Remembers the byte last written to each port."""

    def __init__(self) -> None:
        self.bytes: dict[int, int] = {}

    def read_port(self, port: int) -> int:
        return self.bytes.get(port, 0)

    def write_port(self, port: int, value: int) -> None:
        self.bytes[port] = value


def test_an_unclaimed_port_reads_as_ones_at_every_width():
    bus = PortBus()
    bus.write(0x80, 4, 0x12345678)
    assert [bus.read(0x80, size) for size in (1, 2, 4)] == [0xFF, 0xFFFF, 0xFFFFFFFF]


def test_a_wide_access_is_one_to_each_byte_port():
    bus, device = PortBus(), Latch()
    bus.register(range(0x100, 0x103), device)
    bus.write(0x100, 4, 0x44332211)
    assert device.bytes == {0x100: 0x11, 0x101: 0x22, 0x102: 0x33}
    assert bus.read(0x100, 4) == 0xFF332211
    assert bus.read(0x101, 2) == 0x3322


def test_the_last_port_is_followed_by_the_first():
    bus, device = PortBus(), Latch()
    bus.register(range(1), device)
    bus.write(0xFFFF, 2, 0x5500)
    assert device.bytes == {0: 0x55}
    assert bus.read(0xFFFF, 2) == 0x55FF


def test_the_later_claim_holds():
    bus, first, second = PortBus(), Latch(), Latch()
    bus.register(range(0x60, 0x70), first)
    bus.register(range(0x61, 0x62), second)
    bus.write(0x60, 2, 0x0201)
    assert (first.bytes, second.bytes) == ({0x60: 1}, {0x61: 2})
    assert bus.claimed(0x6F)
    assert not bus.claimed(0x70)


def test_a_device_may_take_wide_accesses_whole():
    class Fifo:
        def __init__(self) -> None:
            self.taken: list[tuple[int, int, int]] = []

        def read_wide(self, port: int, size: int) -> int:
            return 0xCAFE if size == 2 else 0xDEADBEEF

        def write_wide(self, port: int, size: int, value: int) -> None:
            self.taken.append((port, size, value))

    bus, fifo = PortBus(), Fifo()
    bus.register_wide(range(0x1F0, 0x1F1), fifo)
    assert (bus.read(0x1F0, 2), bus.read(0x1F0, 4), bus.read(0x1F0, 1)) == (0xCAFE, 0xDEADBEEF, 0xFF)
    assert bus.read(0x1F1, 2) == 0xFFFF
    bus.write(0x1F0, 2, 0x12345)
    bus.write(0x1F0, 1, 0x12)
    assert fifo.taken == [(0x1F0, 2, 0x2345)]
