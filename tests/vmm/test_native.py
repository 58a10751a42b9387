from dataclasses import replace

import pytest
from vmm_support import MEMORY, Run, image_of, library_image

from vizapp.errors import ImageError, ScenarioError
from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.machine.image import Image
from vizapp.vmm.base import Technique
from vizapp.vmm.native import Native
from vizapp.vmm.trap_and_emulate.technique import TrapAndEmulate


def test_the_guest_starts_flat_in_ring_0_with_paging_and_interrupts_off():
    view = Run(image_of(b"\xf4"), Native()).monitor.guest_view()
    assert (view.cpl, view.eip, view.eflags, view.control) == (0, 0x10_0000, 2, (0x11, 0, 0, 0, 0))
    assert set(view.limits) == {0xFFFF_FFFF}


def test_both_truths_are_one():
    monitor = Run(library_image("hello"), Native()).run().monitor
    assert monitor.guest_view() == monitor.processor_view()
    assert monitor.guest_translate(Linear(0x1234)) == monitor.processor_translate(Linear(0x1234)) == 0x1234


def test_everything_belongs_to_the_guest():
    monitor = Run(library_image("hello"), Native()).monitor
    assert {part.owner for part in monitor.ownership().frames} == {"vm0"}
    assert monitor.guest_physical(GuestPhysical(MEMORY)) is None


def test_an_image_that_does_not_fit_is_refused():
    image = Image("big", "native", ((GuestPhysical(0x10_0000), bytes(MEMORY)),), Linear(0x10_0000))
    techniques: tuple[Technique, ...] = (Native(), TrapAndEmulate())
    for technique in techniques:
        with pytest.raises(ImageError, match="big needs 5 MB of memory and there are 4"):
            Run(image, technique)


BOOT = Image("boot", "native", ((GuestPhysical(0x7C00), b"\xf4"),), Linear(0x7C00), bits=16)


def test_a_real_mode_image_starts_in_real_mode():
    view = Run(BOOT, Native()).monitor.guest_view()
    assert (view.eip, view.selectors[1], view.control[0] & 1) == (0x7C00, 0, 0)


def test_a_rom_starts_at_the_reset_vector_and_is_at_both_places():
    rom = bytes(0xFF0) + bytes.fromhex("EA 00 00 00 FF") + bytes(11)
    image = Image("rom", "native", (), Linear(0xFFFF_FFF0), bits=16, rom=rom)
    run = Run(image, Native())
    view = run.monitor.guest_view()
    assert (view.eip, view.selectors[1]) == (0xFFF0, 0xF000)
    assert run.monitor.guest_read(Linear(0xF_FFF0), 1) == b"\xea"
    run.pc.step()
    view = run.monitor.guest_view()
    assert (view.eip, view.selectors[1]) == (0, 0xFF00)


def test_a_real_mode_image_cannot_be_deprivileged():
    with pytest.raises(ScenarioError, match="boot starts in real mode"):
        Run(BOOT, TrapAndEmulate())


def test_registers_of_an_image_are_set():
    image = image_of(b"\xf4")
    techniques: tuple[Technique, ...] = (Native(), TrapAndEmulate())
    for technique in techniques:
        started = Run(replace(image, registers=(("eax", 0x2BADB002), ("ebx", 0x1000))), technique)
        general = started.monitor.guest_view().general
        assert (general[0], general[3]) == (0x2BADB002, 0x1000)
