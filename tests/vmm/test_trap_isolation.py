"""Resource control: what a guest gone wild can reach, and that a monitor which leaks can be told by it."""

import random

import pytest
from leaky import LEAKED_PAGE, LEAKED_PORT, PAGE_GUEST, PORT_GUEST, PageLeak, PortLeak
from vmm_support import ORIGIN, Run, image_of, like_native, small_image

from vizapp.machine.places import Place


class Watch:
    """Notes which frames and ports guest code reaches, and whose they are."""

    def __init__(self, run: Run) -> None:
        ownership = run.monitor.ownership()
        self.owners = {
            frame: part.owner for part in ownership.frames for frame in range(part.first, part.end)
        }
        self.frames: set[tuple[str, bool]] = set()
        self.ports: set[int] = set()
        run.pc.on_access = self.access
        run.pc.on_port = self.port

    def access(self, place: Place, linear: int, frame: int, write: bool) -> None:
        if place.is_guest:
            self.frames.add((self.owners.get(frame, "nobody"), write))

    def port(self, place: Place, port: int, size: int, write: bool, value: int) -> None:
        if place.is_guest:
            self.ports.add(port)


def monitor_memory(run: Run) -> bytes:
    """The monitor's pages that a guest could want to change: code, IDT, TSS."""
    tables = run.monitor.vm.tables
    return b"".join(run.pc.memory.dump(tables.physical(offset), 0x1000) for offset in (0, 0x2000, 0x3000))


@pytest.mark.parametrize("ring", ["", "USER;"])
@pytest.mark.parametrize("virtualizable", [False, True])
def test_wild_pointers_reach_nothing_of_the_monitor(ring, virtualizable):
    generator = random.Random(f"{ring}{virtualizable}")
    for _ in range(6):
        near = [0xFFC0_0000 + generator.randrange(-8, 0x3_0000) & 0xFFFF_FFFF for _ in range(6)]
        accesses = "".join(
            f" mov dword [{address:#x}], 0x41414141; mov eax, [{address:#x}];" for address in near
        )
        run = Run(small_image(f"PAGING; {ring} {accesses}"), virtualizable=virtualizable)
        watch, before = Watch(run), monitor_memory(run)
        run.run()
        assert {owner for owner, _ in watch.frames} == {"vm0"}
        assert monitor_memory(run) == before


def test_segments_with_any_base_and_limit_reach_nothing_of_the_monitor():
    generator = random.Random(7)
    for _ in range(12):
        base = generator.choice(
            [0, 0x1000, 0xFFBF_F000, 0xFFC0_0000, 0xFFFF_0000, generator.randrange(1 << 32)]
        )
        kind = generator.choice([0x92, 0x96])
        high = (
            base & 0xFF00_0000 | 0x00C0_0000 | generator.randrange(16) << 16 | kind << 8 | base >> 16 & 0xFF
        )
        low = (base & 0xFFFF) << 16 | generator.randrange(1 << 16)
        offsets = [0xFFC0_0000 - base + generator.randrange(0x3_0000) & 0xFFFF_FFFF for _ in range(4)]
        accesses = "".join(f" mov dword [{offset:#x}], 0x41414141;" for offset in offsets)
        body = f"mov dword [gdt + 0x30], {low:#x}; mov dword [gdt + 0x34], {high:#x}; lgdt [gdtr];"
        run = Run(small_image(f"{body} mov ax, 0x30; mov ds, ax; {accesses}"))
        watch, before = Watch(run), monitor_memory(run)
        run.run()
        assert {owner for owner, _ in watch.frames} == {"vm0"}
        assert monitor_memory(run) == before


@pytest.mark.parametrize("virtualizable", [False, True])
def test_random_kernel_code_reaches_nothing_of_the_monitor(virtualizable):
    generator = random.Random(virtualizable)
    tables = image_of(b"").segments
    assert tables == ((ORIGIN, b""),)
    for _ in range(25):
        code = small_image("times 64 nop").segments[0][1]
        noise = bytes(generator.randrange(256) for _ in range(64))
        run = Run(image_of(code.replace(b"\x90" * 64, noise)), virtualizable=virtualizable)
        watch, before = Watch(run), monitor_memory(run)
        run.run(6000)
        assert {owner for owner, _ in watch.frames} == {"vm0"}
        assert not watch.ports
        assert monitor_memory(run) == before


def test_invlpg_of_the_monitor_s_addresses_does_it_no_harm():
    like_native("PAGING; invlpg [0xFFC00000]; invlpg [0xFFC05000]; mov eax, cr0")


def test_no_port_of_the_machine_is_reached():
    run = Run(small_image("in al, 0x60; out 0x80, al; mov dx, 0xCF8; in eax, dx"))
    watch = Watch(run)
    run.run()
    assert not watch.ports


def test_a_leaked_page_is_reached():
    run = Run(PAGE_GUEST, PageLeak())
    watch = Watch(run)
    run.run()
    assert ("vmm", True) in watch.frames
    assert run.pc.memory.read(run.monitor.vm.shadow.translate(LEAKED_PAGE), 4) == 0x1234_5678


def test_a_leaked_port_is_reached():
    run = Run(PORT_GUEST, PortLeak())
    watch = Watch(run)
    run.run()
    assert watch.ports == {LEAKED_PORT}
    assert run.reason == "halted"


def test_the_map_of_owners_names_the_guest_s_memory_and_the_monitor_s():
    run = Run(small_image(""))
    owners = {part.owner: part.frames for part in run.monitor.ownership().frames}
    assert owners["vm0"] == len(run.monitor.vm.memory.p2m)
    assert set(owners) == {"vmm", "vm0"}
