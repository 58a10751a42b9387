"""Guests that use a network and a disk, of the library and from source, as virtual machines of a VMkernel."""

from __future__ import annotations

from dataclasses import replace

from tests.vmm.vmm_support import assemble, image_of
from vizapp.machine.image import Image
from vizapp.session.scenario import Scenario, VmScenario

SLICE = 100e-6
MEGABYTES_8 = 8 << 20
# A kernel of the library's kind around a body, which ends at ``end`` with carry clear, or at ``late``.
AROUND = """
%define ITERATIONS 1
%include "abi.inc"
_start: START_KERNEL
        call    console_start
        call    timer_start
        call    network_start
        jc      late
{body}
late:   SAY     text_late
end:    call    end_line
        call    print_result
        SHUT_DOWN
text_late: db "too late", 0
text_done: db "done", 0
frame_head: db {target}
        times 6 db 0
        db 0x88, 0xB6
TRAPS
        TIMER_TRAP timer_interrupt
        DEVICE_TRAP LANCE_LINE, lance_interrupt
END_TRAPS
%include "measure.inc"
%include "devices.inc"
%include "station.inc"
%include "network.inc"
%include "support.inc"
        align   PAGE
image_end:
"""


def station(vm: int) -> str:
    """The address of a virtual machine's adapter, as bytes for ``db``."""
    return ", ".join(f"0x{byte:02x}" for byte in (0x000C_2900_0001 + vm).to_bytes(6, "big"))


def networked(body: str, target: str = "0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF", name: str = "test") -> Image:
    """A guest with an adapter that runs ``body``; ``target`` is what ``frame_head`` begins with."""
    code = assemble(AROUND.format(body=body, target=target), "NATIVE")
    return replace(image_of(code, name), needs_pc=True, needs_network=True)


def together(*images: Image, slice_seconds: float = SLICE) -> Scenario:
    """Several virtual machines of one VMkernel."""
    first, *others = images
    return Scenario(
        first,
        "binary-translation",
        name=f"{first.name}-0",
        others=tuple(
            VmScenario(image, memory=MEGABYTES_8, name=f"{image.name}-{number}")
            for number, image in enumerate(others, 1)
        ),
        slice_seconds=slice_seconds,
    )
