"""Whom a frame goes to: by the address that the VMkernel gave, and never to who only pretends."""

from __future__ import annotations

import pytest

from vizapp.vmm.vmkernel.virtual_switch import UPLINK, Port, targets

A, B, C, FAR = (bytes.fromhex(f"02000000000{digit}") for digit in "123f")
EVERYBODY = b"\xff" * 6
PORTS = (Port(0, A, A), Port(1, B, B), Port(3, C, C))


def frame(target: bytes, source: bytes = A, size: int = 60) -> bytes:
    return (target + source).ljust(size, b"\0")


@pytest.mark.parametrize(
    ("target", "source", "to"),
    [
        (B, 0, (1,)),
        (A, 0, ()),
        (FAR, 0, (UPLINK,)),
        (C, UPLINK, (3,)),
        (FAR, UPLINK, ()),
        (EVERYBODY, 1, (0, 3, UPLINK)),
        (EVERYBODY, UPLINK, (0, 1, 3)),
    ],
)
def test_a_frame_leaves_where_its_receiver_is(target: bytes, source: int, to: tuple[int, ...]) -> None:
    assert targets(frame(target), source, PORTS) == to


def test_who_takes_another_ones_address_gets_nothing_of_his() -> None:
    thief = (Port(0, A, B), Port(1, B, B))
    assert targets(frame(B), UPLINK, thief) == (1,)


def test_an_address_that_a_driver_has_chosen_is_found() -> None:
    assert targets(frame(FAR), 0, (Port(0, A, A), Port(1, B, FAR))) == (1,)


@pytest.mark.parametrize("size", [0, 13, 59, 1515, 4096])
def test_what_is_no_frame_goes_nowhere(size: int) -> None:
    assert targets(frame(B, size=size)[:size], 0, PORTS) == ()
