"""Physical memory against a plain bytearray, and what a snapshot must keep."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizapp.isa.addresses import PAGE_SIZE, HostPhysical
from vizapp.machine.memory import PhysicalMemory

PAGES = 4
SIZE = PAGES * PAGE_SIZE

addresses = st.one_of(
    st.integers(0, SIZE + 16), st.sampled_from([PAGE_SIZE - 3, PAGE_SIZE - 1, SIZE - 2, SIZE - 1])
)
writes = st.tuples(st.just("write"), addresses, st.sampled_from([1, 2, 4, 8]), st.integers(0, (1 << 64) - 1))
loads = st.tuples(st.just("load"), addresses, st.binary(max_size=2 * PAGE_SIZE), st.none())


def apply(memory: PhysicalMemory, model: bytearray, operation: tuple) -> None:
    kind, address, what, value = operation
    if kind == "write":
        memory.write(address, what, value)
        what = (value & (1 << 8 * what) - 1).to_bytes(what, "little")
    else:
        memory.load(HostPhysical(address), what)
    kept = what[: max(0, SIZE - address)]
    model[address : address + len(kept)] = kept


@settings(max_examples=30)
@given(st.lists(writes | loads, max_size=8), addresses, st.sampled_from([1, 2, 4]))
def test_memory_is_an_array_of_bytes_that_ends_in_ones(operations, address, size):
    memory, model = PhysicalMemory(SIZE), bytearray(SIZE)
    for operation in operations:
        apply(memory, model, operation)
    assert memory.dump(HostPhysical(0), SIZE + 8) == bytes(model) + b"\xff" * 8
    assert memory.read(address, size) == int.from_bytes(
        (bytes(model) + b"\xff" * 32)[address : address + size], "little"
    )


@settings(max_examples=30)
@given(st.lists(writes | loads, max_size=5), st.lists(writes | loads, max_size=5))
def test_a_snapshot_keeps_what_was_there_and_can_be_restored_twice(before, after):
    memory, model = PhysicalMemory(SIZE), bytearray(SIZE)
    for operation in before:
        apply(memory, model, operation)
    snapshot, then, digest = memory.snapshot(), bytes(model), memory.digest()
    for operation in after:
        apply(memory, model, operation)
    assert memory.dump(HostPhysical(0), SIZE) == bytes(model)
    for _ in range(2):
        memory.restore(snapshot)
        assert memory.dump(HostPhysical(0), SIZE) == then
        assert memory.digest() == digest
        memory.write(0, 4, 0x12345678)


@settings(max_examples=30)
@given(st.lists(writes | loads, max_size=6))
def test_the_digest_depends_on_contents_alone(operations):
    memory, model = PhysicalMemory(SIZE), bytearray(SIZE)
    for index, operation in enumerate(operations):
        apply(memory, model, operation)
        if index % 2:
            memory.snapshot()
            memory.digest()
    fresh = PhysicalMemory(SIZE)
    fresh.load(HostPhysical(0), bytes(model))
    assert memory.digest() == fresh.digest()


def test_the_digest_sees_each_byte_and_its_place():
    memory = PhysicalMemory(SIZE)
    empty = memory.digest()
    memory.write(PAGE_SIZE, 1, 7)
    first = memory.digest()
    memory.write(PAGE_SIZE, 1, 0)
    memory.write(2 * PAGE_SIZE, 1, 7)
    assert len({empty, first, memory.digest()}) == 3
    memory.write(2 * PAGE_SIZE, 1, 0)
    assert memory.digest() == empty


def test_the_first_write_to_a_page_tells_who_holds_the_shared_one():
    memory = PhysicalMemory(SIZE)
    stale: list[int] = []
    memory.on_unshare.append(stale.append)
    memory.write(0, 1, 1)
    held = memory.writable_page(0)
    memory.write(1, 1, 2)
    assert held[1] == 2
    assert stale == [0]
    generations: list[int] = []
    memory.on_generation.append(lambda: generations.append(memory.generation))
    snapshot = memory.snapshot()
    assert generations == []
    memory.write(2, 1, 3)
    assert held[2] == 3
    assert snapshot.pages[0][:3] == b"\1\2\0"
    assert stale == [0]
    memory.restore(snapshot)
    assert generations == [1]
    assert memory.page(0) is snapshot.pages[0]
    memory.write(2, 1, 4)
    assert snapshot.pages[0][2] == 0
    assert stale == [0, 0]


def test_snapshots_share_what_has_not_changed_between_them():
    memory = PhysicalMemory(SIZE)
    memory.write(0, 1, 1)
    memory.write(PAGE_SIZE, 1, 1)
    first = memory.snapshot()
    memory.write(0, 1, 2)
    memory.write(PAGE_SIZE, 1, 1)
    second = memory.snapshot()
    assert second.unshared(first) == 1
    assert second.pages[1] is first.pages[1]
    assert memory.snapshot().unshared(second) == 0


def test_a_page_that_is_no_longer_written_is_shared_again():
    memory = PhysicalMemory(SIZE)
    generations: list[int] = []
    memory.on_generation.append(lambda: generations.append(memory.generation))
    held, busy = memory.writable_page(0), memory.writable_page(1)
    for count in range(64):
        busy[0] = count + 1
        snapshot = memory.snapshot()
    assert generations == [1]
    assert memory.page(0) is snapshot.pages[0]
    assert memory.page(0) is not held
    assert memory.writable_page(1) is busy
    memory.write(0, 1, 7)
    assert snapshot.pages[0][0] == 0


def test_pages_that_are_owned_again_soon_stay_owned_longer():
    memory = PhysicalMemory(SIZE)
    pages = []
    for count in range(96):
        page = memory.writable_page(0)
        if not count % 20:
            page[0] = count + 1
            pages.append(page)
        memory.snapshot()
    assert pages[0] is not pages[1]
    assert pages[3] is pages[4]


@pytest.mark.parametrize(
    ("address", "data", "hit"),
    [
        (0x1000, b"x", [(1, 0, 1)]),
        (0x0FFF, b"xy", [(1, 0, 1)]),
        (0x1FFC, b"12345678", [(1, 0xFFC, 4)]),
        (0x2000, b"x", []),
    ],
)
def test_a_write_to_decoded_code_is_reported_by_any_way(address, data, hit):
    memory = PhysicalMemory(SIZE)
    memory.code_frames.add(1)
    seen: list[tuple[int, int, int]] = []
    memory.on_code_write.append(lambda *written: seen.append(written))
    memory.load(HostPhysical(address), data)
    memory.write(address, len(data), int.from_bytes(data, "little"))
    assert seen == hit * 2


def test_memory_is_whole_pages_and_takes_only_its_own_snapshots():
    for size in (0, -4096, 1000):
        with pytest.raises(ValueError, match="whole number"):
            PhysicalMemory(size)
    with pytest.raises(ValueError, match="4 pages"):
        PhysicalMemory(2 * SIZE).restore(PhysicalMemory(SIZE).snapshot())


def test_a_snapshot_of_16_mib_takes_less_than_a_millisecond():
    memory = PhysicalMemory(16 << 20)
    for frame in range(0, memory.frames, 2):
        memory.writable_page(frame)[0] = 1
    best = min(_seconds(memory.snapshot) for _ in range(20))  # long enough for idle pages to be shared
    assert best < 0.001


def _seconds(call) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def test_what_is_protected_stays_as_it_was():
    memory = PhysicalMemory(SIZE)
    memory.load(HostPhysical(PAGE_SIZE), b"rom" * 100)
    memory.protect(HostPhysical(PAGE_SIZE), PAGE_SIZE)
    memory.write(PAGE_SIZE, 4, 0)
    memory.load(HostPhysical(PAGE_SIZE - 2), b"1234")
    memory.write(2 * PAGE_SIZE - 2, 4, 0x1234_5678)
    assert memory.dump(HostPhysical(PAGE_SIZE - 2), 5) == b"12rom"
    assert memory.read(2 * PAGE_SIZE, 2) == 0x1234
