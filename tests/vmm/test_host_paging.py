"""Guests with more memory than the host: pages go to its disk and come back, and nothing else changes."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from vmm_support import Run, library_image, small_image

from tests.session.conftest import image
from vizapp.errors import ScenarioError
from vizapp.machine import events
from vizapp.machine.features import Features
from vizapp.session.scenario import Scenario, VmScenario
from vizapp.session.session import Session
from vizapp.vmm.binary_translation.technique import BinaryTranslation
from vizapp.vmm.host_paging import LEAST_FRAMES
from vizapp.vmm.native import Native
from vizapp.vmm.trap_and_emulate.technique import TrapAndEmulate

LEAST = {TrapAndEmulate: 0x200, BinaryTranslation: 0x240}
# Writes to each page of a megabyte, then twice more in another order, with what it read before.
SWEEP = """
    mov ebx, 0x140000; a: mov [ebx], ebx; add ebx, 4096; cmp ebx, 0x240000; jb a; mov ecx, 2;
    b: mov ebx, 0x23F000; c: mov eax, [ebx]; add edx, eax; mov [ebx + 4], edx; sub ebx, 4096;
    cmp ebx, 0x140000; jae c; dec ecx; jnz b; mov [0x125000], edx
"""


def overcommitted(body: str, kind: type[TrapAndEmulate | BinaryTranslation], spare: int = 0) -> Run:
    host = LEAST[kind] + LEAST_FRAMES + spare << 12
    return Run(small_image(body), kind(), virtualizable=kind is TrapAndEmulate, host_memory=host)


@pytest.mark.parametrize("kind", LEAST)
@pytest.mark.parametrize("prologue", ["", "PAGING; "])
def test_results_are_as_on_the_bare_machine(
    prologue: str, kind: type[TrapAndEmulate | BinaryTranslation]
) -> None:
    run = overcommitted(prologue + SWEEP, kind).run()
    assert run.ending() == Run(small_image(prologue + SWEEP), Native()).run().ending()
    out, back = run.kinds(events.PAGE_SWAPPED_OUT), run.kinds(events.PAGE_SWAPPED_IN)
    assert len(out) > 300
    assert len(back) > 200
    waited = sum(dict(event.charges).get("idle_cycle", 0) for event in (*out, *back))
    assert waited >= (len(out) + len(back)) * 300_000  # 3 ms at 100 MHz


def test_with_enough_memory_nothing_is_paged() -> None:
    run = overcommitted(SWEEP, BinaryTranslation, 1024).run()
    assert not run.kinds(events.PAGE_SWAPPED_OUT)


def test_goes_on_from_any_checkpoint() -> None:
    whole = overcommitted("PAGING; " + SWEEP, BinaryTranslation).run(30_000)
    parts = overcommitted("PAGING; " + SWEEP, BinaryTranslation)
    choice = random.Random(3)
    saved = parts.pc.save()
    while parts.pc.position < 30_000:
        parts.pc.run(max_steps=choice.randrange(1, 4000))
        parts.pc.load(saved)
        parts.pc.run(max_steps=min(choice.randrange(1, 4000), 30_000 - parts.pc.position))
        saved = parts.pc.save()
    assert parts.ending() == whole.ending()
    assert parts.pc.meter.rows() == whole.pc.meter.rows()
    assert whole.kinds(events.PAGE_SWAPPED_IN)


def test_a_page_on_both_disks_is_counted_as_paged_twice() -> None:
    """The guest pages too: it writes a page to its disk that it has not used for long, and reads it back."""
    transfer = """
        mov dx, 0x1F6; mov al, 0xE0; out dx, al; mov dx, 0x1F2; mov al, 1; out dx, al; inc edx; mov al, 0;
        out dx, al; inc edx; out dx, al; inc edx; out dx, al; mov dx, 0x1F7; mov al, {command:#x}; out dx, al;
        mov ebp, 1; {name}: mov dx, 0x1F7;
        {name}w: mov ecx, 9000; {name}l: loop {name}l; in al, dx; and al, 0x88; cmp al, 8; jne {name}w;
        mov dx, 0x1F0; mov ecx, 256; rep {move}; dec ebp; jnz {name};
        mov dx, 0x1F7; {name}b: mov ecx, 9000; {name}m: loop {name}m; in al, dx; test al, 0x80; jnz {name}b;
    """
    body = (
        "mov dword [0x140000], 0x12345678;"
        + SWEEP.replace("cmp ebx, 0x140000", "cmp ebx, 0x141000")
        + "; mov esi, 0x140000;"
        + transfer.format(command=0x30, name="o", move="outsw")
        + "mov edi, 0x141000;"
        + transfer.format(command=0x20, name="i", move="insw")
        + "mov eax, [0x141000]"
    )
    features = Features(disks=(bytes(512 * 2016),), large_pages=False)
    host = LEAST[BinaryTranslation] + LEAST_FRAMES << 12
    run = Run(small_image(body), BinaryTranslation(), features=features, host_memory=host).run()
    assert run.monitor.guest_view().general[0] == 0x140000
    causes = [event.cause for event in run.kinds(events.PAGE_SWAPPED_IN)]
    assert 1 <= causes.count("guest-disk") <= 2
    assert causes.count("use") > 100


def test_two_guests_share_what_there_is_and_reach_nothing_else() -> None:
    scenario = Scenario(
        small_image("PAGING; " + SWEEP),
        "binary-translation",
        memory=4 << 20,
        others=(VmScenario(image("rings", "native"), 4 << 20),),
        slice_seconds=2e-5,
        host_memory=0x380 + LEAST_FRAMES << 12,
    )
    session = Session(scenario, lockstep=True)
    session.advance()
    report = session.report()
    assert [vm["scorecard"]["equivalence"]["holds"] for vm in report["vms"]] == [True, True]
    assert report["events"]["page-swapped-out"] > 0
    assert session.scorecard().let_through == 0


def test_who_cannot_page_says_so() -> None:
    guest = library_image("hello")
    for technique in ("native", "vt-x", "paravirtual"):
        with pytest.raises(ScenarioError, match=r"page$|build"):
            Session(Scenario(guest, technique, host_memory=8 << 20))
    with pytest.raises(ScenarioError, match="1024 KB of host memory are not enough"):
        Session(replace(Scenario(guest, "binary-translation"), host_memory=1 << 20))
