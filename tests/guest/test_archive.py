"""The archive of domains: what domain 0 reads out of it is what was put in."""

from __future__ import annotations

from struct import unpack_from

import pytest

from vizapp.errors import ScenarioError
from vizapp.guest.archive import ArchivedDomain, Order, flat, make_archive
from vizapp.guest.library import build_guest

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
    memory, weight, at, length, entry, base, hypercalls, *devices, later = unpack_from("<12I", archive, 32)
    assert (memory, weight, later) == (8192, 256, 0)
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
