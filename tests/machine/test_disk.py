"""Disks keep what is written to themselves; debugging ports remember."""

from __future__ import annotations

from vizapp.machine.devices.debug_ports import CONSOLE_PORT, ExitPort, LoggedPort
from vizapp.machine.devices.disk import Disk, Geometry, default_geometry


def test_the_contents_are_never_changed():
    contents = bytes(range(256)) * 5
    disk = Disk(contents)
    assert disk.sectors == 3
    assert disk.read(2) == contents[1024:] + bytes(256)
    disk.write(2, b"\x55" * 512)
    assert disk.read(2) == b"\x55" * 512
    assert contents == bytes(range(256)) * 5


def test_checkpoints_share_the_overlay_until_it_changes():
    disk = Disk(bytes(4096))
    disk.write(1, b"a" * 512)
    first = disk.save()
    assert disk.save() is first
    disk.write(2, b"b" * 512)
    assert set(first) == {1}
    disk.load(first)
    disk.write(3, b"c" * 512)
    assert (set(first), disk.read(2), disk.read(3)) == ({1}, bytes(512), b"c" * 512)


def test_geometry():
    assert default_geometry(20 * 16 * 63) == Geometry(20, 16, 63)
    assert default_geometry(10**9).cylinders == 16383
    geometry = Geometry(80, 2, 18)
    assert [geometry.block(0, 0, 1), geometry.block(1, 1, 18)] == [0, 71]
    assert [geometry.block(80, 0, 1), geometry.block(0, 2, 1), geometry.block(0, 0, 0)] == [None] * 3


def test_a_logged_port_remembers():
    port = LoggedPort(answer=CONSOLE_PORT)
    for byte in b"ok":
        port.write_port(0xE9, byte)
    saved = port.save()
    port.write_port(0xE9, 0x21)
    assert (port.output, port.read_port(0xE9)) == (b"ok!", 0xE9)
    port.load(saved)
    assert port.output == b"ok"


def test_an_exit_port_passes_the_status_on():
    left = []
    ExitPort(left.append).write_port(0xF4, 3)
    assert left == [3]
