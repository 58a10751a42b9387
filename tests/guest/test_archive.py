"""The archive of domains: what domain 0 reads out of it is what was put in."""

from __future__ import annotations

from dataclasses import replace
from struct import unpack_from

import pytest

from vizapp.errors import ScenarioError
from vizapp.guest.archive import ArchivedDomain, Order, flat, make_archive
from vizapp.guest.library import build_guest
from vizapp.isa.addresses import GuestPhysical

MEMORY = 8 << 20


def domain(name: str = "hello", **fields: object) -> ArchivedDomain:
    return ArchivedDomain(build_guest("hello", "xen"), name, MEMORY, 256, **fields)


def test_header_entries_orders_and_images_follow_each_other() -> None:
    image = build_guest("hello", "xen")
    orders = [Order(2e-3, "kill", 1), Order(1e-3, "balloon", 0, 6144)]
    archive = make_archive([domain("first", adapter=True, sectors=(8, 100)), domain("second")], orders)
    assert archive[:4] == b"XDOM"
    assert unpack_from("<3I", archive, 4) == (2, 2, 0)
    assert archive[16:32] == b"first".ljust(16, b"\0")
    memory, weight, at, length, entry, base, hypercalls, *devices, flags = unpack_from("<12I", archive, 32)
    assert (memory, weight, flags) == (8192, 256, 0)
    assert (entry, base, hypercalls) == (image.entry, 0xC000_0000, image.symbols["hypercall_page"])
    assert devices == [1, 1, 8, 100]
    assert archive[at : at + length] == flat(image)
    assert unpack_from("<4I", archive, 16 + 2 * 64) == (1000, 4, 1, 6144)  # by time
    assert unpack_from("<4I", archive, 32 + 2 * 64) == (2000, 3, 2, 0)


def test_domains_that_domain_0_cannot_make_are_refused() -> None:
    with pytest.raises(ScenarioError, match="at most 8 domains, and 9"):
        make_archive([domain()] * 9)
    with pytest.raises(ScenarioError, match="at most 64 MB, and huge is to have 65 MB"):
        make_archive([ArchivedDomain(build_guest("hello", "xen"), "huge", 65 << 20, 256)])


def test_one_that_was_not_ported_comes_in_whole_pages_with_its_registers() -> None:
    native = build_guest("hello", "native")
    segments = (*native.segments, (GuestPhysical(0x9FFC), b"12345678"))
    image = replace(native, segments=segments, registers=(("eax", 0x2BADB002), ("ebx", 0x9500)))
    domain = ArchivedDomain(image, "plain", MEMORY, 256)
    archive = make_archive([domain])
    assert domain.hvm
    *_, at, length, entry, base, _, _, _, _, _, flags = unpack_from("<12I", archive, 32)
    assert (entry, base, flags) == (image.entry, 0, 2)
    blob = archive[at : at + length]
    assert unpack_from("<9I", blob) == (0x9500, 0, 0, 0, 0, 0, 0x2BADB002, 1, 2)
    parts = [unpack_from("<3I", blob, 36 + 12 * part) for part in range(2)]
    (low, low_bytes, low_at), (high, high_bytes, high_at) = parts
    assert (low, low_bytes, high, high_bytes % 4096) == (0x9000, 0x2000, 0x100000, 0)
    assert blob[low_at : low_at + 0x2000] == b"12345678".rjust(0x1004, b"\0").ljust(0x2000, b"\0")
    ((_, data),) = native.segments
    assert blob[high_at:] == data.ljust(high_bytes, b"\0")
