"""Virtual disks on the machine's disk: a layout that reads back, and bounds that hold."""

from __future__ import annotations

import pytest

from vizapp.errors import ScenarioError
from vizapp.vmm.vmkernel import extents
from vizapp.vmm.vmkernel.extents import Extent, lay_out, read_table

DISKS = ((b"a" * 1000, b"b" * 512), (), (b"c" * 9 * 512,))


def test_what_is_laid_out_is_read_back() -> None:
    volume = lay_out(DISKS)
    table = read_table(volume[:512])
    assert [(extent.vm, extent.drive, extent.sectors) for extent in table] == [
        (0, 0, 2),
        (0, 1, 1),
        (2, 0, 9),
    ]
    for extent in table:
        data = DISKS[extent.vm][extent.drive]
        start = extent.first * 512
        assert volume[start : start + len(data)] == data


def test_no_two_extents_overlap_and_none_covers_the_table() -> None:
    taken = [range(1)] + [range(one.first, one.first + one.sectors) for one in read_table(lay_out(DISKS))]
    sectors = [sector for part in taken for sector in part]
    assert len(sectors) == len(set(sectors))


@pytest.mark.parametrize(
    ("block", "count", "at"),
    [(0, 1, 100), (9, 1, 109), (0, 10, 100), (9, 2, None), (10, 1, None), (-1, 1, None), (0, 0, None)],
)
def test_an_extent_gives_its_own_sectors_only(block: int, count: int, at: int | None) -> None:
    assert Extent(0, 0, 100, 10).physical(block, count) == at


def test_another_disk_has_no_extents() -> None:
    assert read_table(b"\x55" * 512) == ()


def test_too_many_disks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScenarioError, match="40 disks are more"):
        lay_out([(b"x",)] * 40)
    monkeypatch.setattr(extents, "MOST_LBA", 100)
    with pytest.raises(ScenarioError, match="1 disks are more"):
        lay_out([(bytes(512 * 100),)])
