"""How many exits an operation costs, and what a control bit makes of them."""

import pytest
from hardware_support import SETTINGS, HardwareRun
from vmm_support import small_image

from vizapp.errors import ScenarioError
from vizapp.guest.library import build_guest
from vizapp.isa.addresses import Linear
from vizapp.machine import events as ev
from vizapp.machine.image import Image

SHADOW = ("vt-x-shadow", "amd-v-shadow")
NESTED = ("ept", "unrestricted", "npt")
FEW, MANY = 20, 60


def exits_per_operation(guest: str, setting: str) -> float:
    """Exits that each further operation of a benchmark costs."""
    few, many = (
        sum(HardwareRun(build_guest(guest, "native", iterations=count), setting).run().exits().values())
        for count in (FEW, MANY)
    )
    return (many - few) / (MANY - FEW)


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    ("guest", "least", "most"), [("syscall", 0, 0.1), ("call-ret", 0, 0.1), ("in", 1, 1.1)]
)
def test_exits_of_an_operation(guest: str, least: float, most: float, setting: str) -> None:
    assert least <= exits_per_operation(guest, setting) <= most


@pytest.mark.parametrize("setting", SHADOW)
@pytest.mark.parametrize("guest", ["page-fault", "pte-modify"])
def test_shadow_paging_exits_for_what_concerns_pages(guest: str, setting: str) -> None:
    assert exits_per_operation(guest, setting) >= 1


@pytest.mark.parametrize("setting", NESTED)
@pytest.mark.parametrize("guest", ["page-fault", "pte-modify"])
def test_nested_paging_does_not(guest: str, setting: str) -> None:
    assert exits_per_operation(guest, setting) < 0.1


@pytest.mark.parametrize(("setting", "name", "on"), [
    ("vt-x-shadow", "rdtsc", True), ("npt", "rdtsc", True), ("ept", "cr3", True), ("npt", "cr3", True),
    ("npt", "pushf", True), ("ept", "invlpg", True),
])  # fmt: skip
def test_an_intercept_that_is_asked_for_makes_exits(setting: str, name: str, on: bool) -> None:
    body = "PAGING; rdtsc; pushfd; popfd; mov eax, cr3; mov cr3, eax; invlpg [0x100000]"
    image = small_image(body)
    without, with_it = (
        HardwareRun(image, setting).run(),
        HardwareRun(image, setting, intercepts={name: on}).run(),
    )
    assert sum(with_it.exits().values()) > sum(without.exits().values())
    assert with_it.pc.instructions == without.pc.instructions
    assert with_it.ending()[0] == without.ending()[0] == "halted"


@pytest.mark.parametrize("setting", SHADOW)
@pytest.mark.parametrize("name", ["cr3", "invlpg", "page-fault", "no-such-thing"])
def test_an_intercept_that_shadow_paging_needs_cannot_be_taken_away(setting: str, name: str) -> None:
    with pytest.raises(ScenarioError, match=name):
        HardwareRun(small_image("nop"), setting, intercepts={name: False})


@pytest.mark.parametrize("setting", ["vt-x-shadow", "ept", "unrestricted"])
def test_a_guest_may_wait_in_the_processor(setting: str) -> None:
    """Without HLT exits the virtual CPU waits where a real one would, and its timer wakes it."""
    image = build_guest("minikernel", "native")
    run = HardwareRun(image, setting, intercepts={"hlt": False}).run()
    assert "hlt" not in run.exits()
    assert run.reason == "halted"
    assert (
        run.serial.splitlines()[-1] == HardwareRun(image, setting, native=True).run().serial.splitlines()[-1]
    )


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    "code", ["0f01c1", "0f01c2", "0f01c4", "0f01d8", "0f01d9", "0f01da", "0f01dd", "0fc73510001000", "0f78c0"]
)
def test_a_call_to_a_monitor_is_no_instruction(code: str, setting: str) -> None:
    """VMCALL, VMLAUNCH, VMRUN...: of one's own vendor or the other, #UD as on a processor without."""
    call = ", ".join(f"0x{code[at : at + 2]}" for at in range(0, len(code), 2))
    # SVM's own are #GP before anything is intercepted where EAX is not the address of a page, or in ring 3.
    for before in ("xor eax, eax", "mov eax, 0x123", "USER"):
        image = small_image(f"{before}; db {call}")
        run, native = HardwareRun(image, setting).run(), HardwareRun(image, setting, native=True).run()
        assert run.ending() == native.ending()


@pytest.mark.parametrize("setting", ["vt-x-shadow", "amd-v-shadow", "npt"])
@pytest.mark.parametrize(
    "body",
    [
        "mov byte [idt + 6 * 8 + 5], 0; ud2",  # #GP instead
        "mov byte [idt + 5], 0; xor ecx, ecx; div ecx",  # #DF
        "mov byte [idt + 13 * 8 + 5], 0; USER; cli",  # #DF
        "mov byte [idt + 0x80 * 8 + 5], 0x8E; USER; int 0x80",
        "mov eax, [gs:0x200000]; mov ax, 0x30; mov gs, ax; mov eax, [gs:0x10000]",
    ],
)
def test_a_protection_fault_is_the_guests_own(body: str, setting: str) -> None:
    """Where the monitor sees it first, what comes of it is as on the bare machine, in a delivery too."""
    image = small_image(body)
    run, native = HardwareRun(image, setting).run(), HardwareRun(image, setting, native=True).run()
    assert run.ending() == native.ending()


@pytest.mark.parametrize("setting", SETTINGS)
def test_who_looks_at_an_exit_sees_where_the_guest_was_left(setting: str) -> None:
    """Also before the monitor has looked, which at this moment still has what it held before the entry."""
    run = HardwareRun(small_image("mov ecx, 3; again: in al, 0x61; inc ebx; loop again"), setting)
    pc, seen = run.pc, 0
    while pc.stopped is None:
        before = len(run.events)
        pc.step()
        for event in run.events[before:]:
            if event.kind == ev.VM_EXITED:
                view = run.monitor.guest_view()
                assert view.code_base + view.eip == event.payload["address"]
                seen += event.cause in ("ioio", "io-instruction")
    assert seen == 3


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_rom_stays_as_it_is(setting: str) -> None:
    """Its copy below 1 MB is memory of the guest that the guest cannot write to, as on the bare machine."""
    code = bytes.fromhex(
        "2ec70600100000"  # mov word [cs:0x1000], 0
        "2ea10010"  # mov ax, [cs:0x1000]
        "f4"  # hlt
    )
    rom = code.ljust(0x1000, b"\x90") + b"\xef\xbe" + bytes(0xEFEE) + bytes.fromhex("ea000000f0")
    image = Image("rom", "native", (), Linear(0xFFFF_FFF0), bits=16, rom=rom.ljust(0x1_0000, b"\0"))
    run = HardwareRun(image, setting).run()
    assert run.reason == "halted"
    assert run.monitor.guest_view().general[0] & 0xFFFF == 0xBEEF
    assert run.ending() == HardwareRun(image, setting, native=True).run().ending()


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_guest_s_processor_has_no_virtualization(setting: str) -> None:
    body = (
        "mov eax, 1; cpuid; mov [0x120000], ecx; mov eax, 0x80000001; cpuid; mov [0x120004], ecx; "
        "mov ecx, 0xC0000080; rdmsr"
    )
    run = HardwareRun(small_image(body), setting).run()
    assert not run.memory(0x12_0000) & 1 << 5
    assert not run.memory(0x12_0004) & 1 << 2
    assert run.ending() == HardwareRun(small_image(body), setting, native=True).run().ending()


def test_what_a_fill_tells() -> None:
    shadow = HardwareRun(small_image("PAGING; mov eax, [0x200000]"), "vt-x-shadow").run()
    nested = HardwareRun(small_image("PAGING; mov eax, [0x200000]"), "ept").run()
    assert {event.payload["linear"] for event in shadow.kinds(ev.PAGE_SHADOWED)} >= {0x20_0000}
    assert {event.payload["guest_frame"] for event in nested.kinds(ev.NESTED_PAGE_MAPPED)} >= {0x200}
    assert not nested.kinds(ev.PAGE_SHADOWED)
