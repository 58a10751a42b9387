"""CR4.VME and CR4.PVI under monitors: random tasks and applications that use VIF, as on the bare machine."""

from __future__ import annotations

import random

import pytest
from hardware_support import SETTINGS, HardwareRun
from test_hardware_real_mode import noise
from test_trap_equivalence import states
from vmm_support import ORIGIN, Run, small_image

from tests.lengths import FULL
from vizapp.isa.addresses import GuestPhysical, Linear
from vizapp.isa.registers import CR4_PVI, CR4_VME, EFLAGS_IF, EFLAGS_IOPL, EFLAGS_VIF, EFLAGS_VIP, EFLAGS_VM
from vizapp.machine.image import Image
from vizapp.vmm.binary_translation.technique import BinaryTranslation
from vizapp.vmm.native import Native
from vizapp.vmm.trap_and_emulate.technique import TrapAndEmulate

SEEDS = 60 if FULL else 5
STEPS = 220
# CLI; STI; PUSHF, POP AX; PUSHF, POPF; PUSH of flags, POPF; INT 10h, 21h and 80h; an IRET; INC.
_CODES = "fa fb 9c58 9c9d 6802029d 6802009d 68d67e9d cd10 cd21 cd80 9c0ee80200eb01cf 40 43"
IN_TASK = [bytes.fromhex(code) for code in _CODES.split()]

# A TSS of its own that has both maps, redirection at 68h and ports at 88h.
_START = """
        mov eax, {cr4:#x}
        mov cr4, eax
        mov dword [gdt + 0x28], 0x80000108
        mov dword [gdt + 0x2C], 0x00008913
        mov dword [0x138004], 0x11C000
        mov dword [0x138008], 0x10
        mov word [0x138066], 0x88
        mov edi, 0x138068
        mov ecx, 40
        mov eax, {redirected:#x}
        rep stosd
        or byte [edi], 0xFF
        mov ax, 0x28
        ltr ax
"""
_TO_TASK = """
        push dword 0x2000
        push dword 0x2100
        push dword 0x2000
        push dword 0x2000
        push dword 0x2000
        push dword 0xFF00
        push dword {flags:#x}
        push dword 0x2000
        push dword 0
        iret
"""
_TO_APPLICATION = """
        push dword 0x23
        push dword 0x118000
        push dword {flags:#x}
        push dword 0x1B
        push dword application
        iret
"""
_APPLICATION = ("cli", "sti", "pushf", "pop eax", "nop", "push eax; popf", "inc ebx", "o16 pushf; pop cx")


def _image(body: str, *more: tuple[int, bytes]) -> Image:
    """A kernel that runs ``body`` with room behind its TSS, and what else is in memory."""
    source = ";".join(line.strip() for line in body.strip().splitlines())
    kernel = small_image(source).segments[0][1]
    parts = ((ORIGIN, kernel), *more)
    return Image("task", "native", tuple((GuestPhysical(at), raw) for at, raw in parts), Linear(ORIGIN))


def _flags(choose: random.Random) -> int:
    flags = 2 | sum(choose.choice((0, bit)) for bit in (EFLAGS_VIF, EFLAGS_IF))
    return flags | choose.choice((0, 0, EFLAGS_IOPL)) | choose.choice((0, 0, 0, EFLAGS_VIP))


def task(seed: int) -> Image:
    """A kernel with VME that goes to virtual-8086 code at 2000:0, some of whose INT n stay in the task."""
    choose = random.Random(seed)
    redirected = choose.choice((0, 0, 0, 0xFFFE_FFFC))
    start = _START.format(cr4=choose.choice((CR4_VME, CR4_VME | CR4_PVI)), redirected=redirected)
    code = b"".join(choose.choice(IN_TASK) for _ in range(60))
    if seed % 3 == 0:  # without SGDT, SIDT and SMSW, which tell of a translating monitor
        code += noise(choose).replace(b"\x0f\x01", b"\x90\x90")
    table = b"".join((0x100 + 4 * vector).to_bytes(2, "little") + b"\x00\x30" for vector in range(256))
    handlers = b"\xcf" * 0x100 + b"".join(choose.choice((b"\xcf\x90", b"\xfb\xcf")) * 2 for _ in range(256))
    body = start + _TO_TASK.format(flags=EFLAGS_VM | _flags(choose))
    return _image(body, (0, table), (0x2_0000, code), (0x3_0000, handlers))


def application(seed: int) -> Image:
    """A kernel with PVI that goes to ring 3."""
    choose = random.Random(seed)
    code = "; ".join(choose.choice(_APPLICATION) for _ in range(40))
    start = _START.format(cr4=choose.choice((CR4_PVI, CR4_VME | CR4_PVI)), redirected=0)
    body = start + _TO_APPLICATION.format(flags=_flags(choose)) + f"application: {code}"
    return _image(body)


def _compare(native: Run, run: Run, seed: int, steps: int = STEPS) -> None:
    both = zip(states(native, steps), states(run, steps), strict=True)
    for count, (expected, found) in enumerate(both):
        assert found == expected, f"seed {seed}, instruction {count}"


@pytest.mark.oracle
@pytest.mark.parametrize("make", [task, application])
@pytest.mark.parametrize("setting", SETTINGS)
def test_hardware_gives_them_to_its_guests(setting: str, make) -> None:
    for seed in range(SEEDS):
        native = HardwareRun(make(seed), setting, native=True)
        _compare(native, HardwareRun(make(seed), setting), seed)


@pytest.mark.oracle
@pytest.mark.parametrize("make", [task, application])
def test_a_translating_monitor_has_them_on_its_virtual_processor(make) -> None:
    for seed in range(SEEDS):
        _compare(Run(make(seed), Native()), Run(make(seed), BinaryTranslation()), seed)


@pytest.mark.oracle
def test_the_classical_monitor_has_pvi_on_its_virtual_processor() -> None:
    for seed in range(SEEDS):
        run = Run(application(seed), TrapAndEmulate(), virtualizable=True)
        _compare(Run(application(seed), Native()), run, seed)


def test_the_classical_monitor_says_that_it_has_no_virtual_8086_mode() -> None:
    run = Run(task(3), TrapAndEmulate(), virtualizable=True).run()
    assert run.reason == "crashed"
    assert "virtual-8086" in run.pc.stopped[1].in_english()
