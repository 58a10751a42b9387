"""A virtual machine under binary translation, put into another PC, is translated anew there."""

from __future__ import annotations

import pickle

import pytest

from tests.vmm.test_translation_adaptive import CASES, PAGED, image
from tests.vmm.vmm_support import Run, image_of, library_image
from vizapp.machine.image import Image
from vizapp.vmm.binary_translation.technique import BinaryTranslation
from vizapp.vmm.native import Native
from vizapp.vmm.saved_vm import SavedVm, restore_vm, save_vm

NAME = "binary-translation"
EMPTY = image_of(b"\xfa\xf4", "empty")


def taken(guest: Image, steps: int) -> SavedVm:
    run = Run(guest, BinaryTranslation()).run(steps)
    return pickle.loads(pickle.dumps(save_vm(run.pc, run.monitor, NAME)))


def put(saved: SavedVm) -> Run:
    run = Run(EMPTY, BinaryTranslation())
    restore_vm(run.pc, run.monitor, NAME, saved)
    return run


@pytest.mark.parametrize("steps", [2_000, 3_500])
@pytest.mark.parametrize("name", ["data beside code", "page-table entries", "another page under the window"])
def test_it_ends_as_on_the_bare_machine(name: str, steps: int) -> None:
    guest = image((CASES.get(name) or PAGED[name])[1], paged=name in PAGED)
    assert put(taken(guest, steps)).run().ending() == Run(guest, Native()).run().ending()


@pytest.mark.parametrize("steps", [3_000, 9_000])
def test_a_library_guest_says_the_same_result(steps: int) -> None:
    guest = library_image("minikernel")
    after = put(taken(guest, steps)).run(3_000_000)
    output = bytes(after.monitor.vms[0].hardware.uart.output).decode()
    assert output.splitlines()[-1] == Run(guest, Native()).run(3_000_000).serial.splitlines()[-1]
