"""HVM domains: unmodified code beside a ported kernel, whose device model answers its ports."""

from __future__ import annotations

import pytest
from hvm_support import HvmRun, flat

from vizapp.machine import events

WAYS = [("vt-x", False), ("vt-x", True), ("amd-v", False), ("amd-v", True)]
PORTS = flat("""
        mov dx, 0x3F8
        mov al, 'A'
        out dx, al
        mov dx, 0x3FD
        in al, dx
        mov [got], eax
        mov eax, 0x12345678
        out 0x80, eax
        in ax, 0x90
        mov [got + 4], eax
        cli
        hlt
        align 4
got:    dd 0, 0
""")


@pytest.mark.parametrize(("vendor", "nested"), WAYS)
def test_ports_reach_the_device_model(vendor, nested):
    run = HvmRun(PORTS, vendor, nested=nested).start()
    assert run.kept == [(0x3F8, ord("A")), (0x80, 0x12345678)]
    assert (run.guest_word("got"), run.guest_word("got") >> 8) == (0x60, 0)
    assert run.xen.domains[1].stopped[1].in_english() == "the guest halted with interrupts disabled"
    assert [event.payload["address"] for event in run.kinds(events.IO_REQUESTED)] == [
        0x3F8,
        0x3FD,
        0x80,
        0x90,
    ]
