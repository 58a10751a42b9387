"""A full PC: its devices reached by code, its interrupts taken, its state saved at any moment."""

from __future__ import annotations

from datetime import datetime

import pytest

from vizapp.guest.assembler.assembler import assemble
from vizapp.isa.addresses import HostPhysical
from vizapp.machine.devices.network import Switch
from vizapp.machine.features import Features
from vizapp.machine.inputs import NAMES
from vizapp.machine.mp_tables import MP_BASE
from vizapp.machine.pc import Pc

HERTZ = 100_000_000
ENTRY = 0x10_0000

# A flat GDT, and an IDT of 256 gates that all lead to `handler`.
PREAMBLE = """
        bits 32
        org 0x100000
        mov esp, 0x90000
        lgdt [gdt_pointer]
        jmp 0x08:flat
flat:   mov ax, 0x10
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov edi, 0x20000
        mov ecx, 256
gates:  mov eax, handler
        mov [edi], ax
        mov word [edi + 2], 0x08
        mov word [edi + 4], 0x8E00
        shr eax, 16
        mov [edi + 6], ax
        add edi, 8
        dec ecx
        jnz gates
        lidt [idt_pointer]
        jmp main
        align 8
gdt:    dq 0
        dq 0x00CF9A000000FFFF
        dq 0x00CF92000000FFFF
gdt_pointer:
        dw 23
        dd gdt
idt_pointer:
        dw 2047
        dd 0x20000
"""
PIC_SETUP = """
        mov al, 0x11
        out 0x20, al
        out 0xA0, al
        mov al, 0x20
        out 0x21, al
        mov al, 0x28
        out 0xA1, al
        mov al, 4
        out 0x21, al
        mov al, 2
        out 0xA1, al
        mov al, 1
        out 0x21, al
        out 0xA1, al
"""


def build(source: str, features: Features | None = None) -> Pc:
    pc = Pc(dict.fromkeys(NAMES, 1), 16 << 20, HERTZ, features=features or Features())
    code = assemble(PREAMBLE + source, "test.asm")
    pc.memory.load(HostPhysical(ENTRY), code.data)
    pc.cpu.eip = ENTRY
    return pc


def console(pc: Pc) -> bytes:
    assert pc.board.peripherals is not None
    return bytes(pc.board.peripherals.console.output)


def finish(pc: Pc) -> bytes:
    pc.run(max_steps=2_000_000)
    assert pc.stopped is not None
    assert pc.stopped[0] == "halted"
    return console(pc)


LAPIC_TIMER = """
main:   mov ebp, 0
        mov dword [0xFEE000F0], 0x1FF
        mov dword [0xFEE003E0], 0x0B
        mov dword [0xFEE00320], 0x20030
        mov dword [0xFEE00350], 0x10000
        mov dword [0xFEE00380], 1000
        sti
wait:   cmp ebp, 5
        jb wait
        cli
        hlt
handler:
        inc ebp
        mov al, 'T'
        out 0xE9, al
        mov dword [0xFEE000B0], 0
        iret
"""


def test_the_local_timer_interrupts():
    pc = build(LAPIC_TIMER)
    assert finish(pc) == b"TTTTT"
    assert 5000 <= pc.meter.cycles < 8000


def test_stepping_and_running_are_the_same():
    run, stepped = build(LAPIC_TIMER), build(LAPIC_TIMER)
    finish(run)
    while stepped.stopped is None:
        stepped.step()
    assert (stepped.position, stepped.meter.cycles) == (run.position, run.meter.cycles)
    assert stepped.memory.digest() == run.memory.digest()
    assert stepped.board.save() == run.board.save()


def test_an_interrupt_that_the_program_sends_itself_is_taken_at_once():
    pc = build("""
main:   sti
        mov dword [0xFEE00300], 0x40051
        mov al, 'b'
        out 0xE9, al
        cli
        hlt
handler:
        mov al, 'a'
        out 0xE9, al
        mov dword [0xFEE000B0], 0
        iret
""")
    assert finish(pc) == b"ab"


KEYBOARD = (
    PIC_SETUP
    + """
        mov al, {mask}
        out 0x21, al
        {setup}
        sti
wait:   hlt
        cmp al, 0x9E
        jne wait
        cli
        hlt
handler:
        in al, 0x60
        out 0xE9, al
        push eax
        mov al, 0x20
        out 0x20, al
        mov dword [0xFEE000B0], 0
        pop eax
        iret
"""
)
IO_APIC = """
        mov dword [0xFEC00000], 0x12
        mov dword [0xFEC00010], 0x21
"""


@pytest.mark.parametrize(("mask", "setup"), [("0xFD", ""), ("0xFF", IO_APIC)], ids=["8259", "IO APIC"])
def test_keys_by_either_interrupt_controller(mask, setup):
    pc = build("main:" + KEYBOARD.format(mask=mask, setup=setup))
    while not pc.cpu.halted:
        pc.step()
    assert pc.board.peripherals is not None
    pc.board.peripherals.keyboard.key("a", True)
    pc.board.peripherals.keyboard.key("a", False)
    assert finish(pc) == b"\x1e\x9e"


READ_SECTOR = (
    PIC_SETUP
    + """
        mov al, 0xFB
        out 0x21, al
        mov al, 0xBF
        out 0xA1, al
        mov dx, 0x1F6
        mov al, 0xE0
        out dx, al
        mov dx, 0x1F2
        mov al, 1
        out dx, al
        inc dx
        mov al, 2
        out dx, al
        inc dx
        mov al, 0
        out dx, al
        inc dx
        out dx, al
        mov dx, 0x1F7
        mov al, 0x20
        out dx, al
        sti
        hlt
        cli
        hlt
handler:
        mov dx, 0x1F7
        in al, dx
        mov dx, 0x1F0
        mov edi, 0x30000
        mov ecx, 256
        cld
        rep insw
        mov esi, 0x30000
        mov ecx, 5
        mov dx, 0xE9
        rep outsb
        iret
"""
)


def test_a_sector_is_read_by_interrupt():
    disk = bytes(1024) + b"Hello" + bytes(600)
    pc = build("main:" + READ_SECTOR, Features(disks=(disk,)))
    assert finish(pc) == b"Hello"
    assert pc.memory.dump(HostPhysical(0x30000), 512) == disk[1024:1536]
    assert pc.meter.cycles > HERTZ // 1000  # the head has moved


def test_a20_by_port_92():
    pc = build("""
main:   mov al, 0xD1
        out 0x64, al
        mov al, 0xDD
        out 0x60, al
        mov al, 2
        out 0x92, al
        mov byte [0x500], 1
        mov byte [0x100500], 2
        mov al, 0
        out 0x92, al
        mov byte [0x300500], 3
        mov bl, [0x200500]
        mov al, 2
        out 0x92, al
        mov al, [0x200500]
        add al, bl
        out 0xE9, al
        cli
        hlt
handler:
""")
    pc.memory.write(0x20_0500, 1, 9)
    # The code lies in the second megabyte: without line 20 it must also stand in the first.
    pc.memory.load(HostPhysical(0), pc.memory.dump(HostPhysical(ENTRY), 0x400))
    assert finish(pc) == b"\x06"


def test_the_reset_line_ends_the_run_unless_someone_takes_it():
    source = "main: mov al, 0xFE\n out 0x64, al\n nop\n hlt\nhandler:\n"
    pc = build(source)
    pc.run(max_steps=10_000)
    assert pc.stopped is not None
    assert pc.stopped[0] == "shutdown"
    taken = []
    pc = build(source)
    pc.on_reset = lambda: taken.append(pc.cpu.eip)
    pc.run(max_steps=10_000)
    assert len(taken) == 1
    assert pc.stopped is not None
    assert pc.stopped[0] == "halted"


def test_nmi_needs_no_permission():
    pc = build("""
main:   cli
        mov dword [0xFEE00300], 0x44400
        mov al, 'b'
        out 0xE9, al
        hlt
handler:
        mov al, 'n'
        out 0xE9, al
        iret
""")
    assert finish(pc) == b"nb"


def test_an_nmi_waits_for_the_end_of_the_last():
    pc = build("""
main:   mov dword [0xFEE00300], 0x44400
        mov al, 'e'
        out 0xE9, al
        hlt
handler:
        mov al, '<'
        out 0xE9, al
        inc dword [count]
        cmp dword [count], 1
        jne done
        mov dword [0xFEE00300], 0x44400
        mov al, '-'
        out 0xE9, al
done:   mov al, '>'
        out 0xE9, al
        iret
count:  dd 0
""")
    assert finish(pc) == b"<-><>e"


def test_software_can_ask_where_the_apic_is():
    pc = build("""
main:   mov ecx, 0x1B
        rdmsr
        cmp eax, 0xFEE00900
        jne bad
        wrmsr
        mov al, ah
        out 0xE9, al
bad:    hlt
handler:
""")
    assert finish(pc) == b"\x09"


def test_the_tables_are_where_operating_systems_look():
    pc = build("main: hlt\nhandler:\n")
    assert pc.memory.dump(MP_BASE, 4) == b"_MP_"
    assert pc.cpu.identity.leaf(1).edx & 1 << 9
    plain = build("main: hlt\nhandler:\n", Features(apic=False))
    assert plain.memory.dump(MP_BASE, 4) == bytes(4)
    assert not plain.cpu.identity.leaf(1).edx & 1 << 9


def test_a_machine_goes_on_from_wherever_it_was_saved():
    features = Features(disks=(bytes(1024) + b"Hello" + bytes(600),), start=datetime(2009, 2, 3))
    whole = build("main:" + READ_SECTOR, features)
    expected = finish(whole)
    pc = build("main:" + READ_SECTOR, features)
    while pc.stopped is None:
        saved = pc.save()
        pc.run(max_steps=97)
        pc.load(saved)
        pc.run(max_steps=97)
    assert console(pc) == expected
    assert (pc.position, pc.meter.cycles) == (whole.position, whole.meter.cycles)
    assert pc.board.save() == whole.board.save()


ONE_SHOT = (
    "main:"
    + PIC_SETUP
    + """
        mov al, 0xFE
        out 0x21, al
        mov al, 0x30            ; channel 0, mode 0: one interrupt
        out 0x43, al
        mov al, 3
        out 0x40, al
        mov al, 0
        out 0x40, al
        mov ebp, 0
        sti
.wait:  cmp ebp, 1
        jb .wait
        cli
        hlt
handler:
        inc ebp
        mov al, 'P'
        out 0xE9, al
        iret
"""
)


@pytest.mark.parametrize("source", [ONE_SHOT, LAPIC_TIMER])
def test_what_is_due_when_a_machine_is_saved_is_due_when_it_goes_on(source: str) -> None:
    whole, pc = build(source), build(source)
    expected = finish(whole)
    pc.run(max_steps=whole.position - 900)
    while pc.stopped is None and pc.position < whole.position:
        pc.load(pc.save())
        pc.run(max_steps=1)
    assert console(pc) == expected
    assert (pc.position, pc.meter.cycles) == (whole.position, whole.meter.cycles)


NETWORK = """
main:   mov dx, 0x312
        mov ax, 1
        out dx, ax
        sub edx, 2
        mov eax, block
        out dx, ax
        add edx, 2
        mov ax, 2
        out dx, ax
        sub edx, 2
        mov eax, block
        shr eax, 16
        out dx, ax
        add edx, 2
        mov ax, 0
        out dx, ax
        sub edx, 2
        mov ax, 1               ; INIT
        out dx, ax
        mov ax, 0x0102          ; IDON, STRT
        out dx, ax
        mov ax, 0x0008          ; TDMD
        out dx, ax
wait:   in ax, dx
        test ax, 0x0200         ; TINT
        jz wait
        cli
        hlt
handler:
        align 8
block:  dw 0x8000, 0x0C00, 0x0029, 0x0100, 0, 0, 0, 0
        dd receive
        dd transmit
receive:
        dd 0x80030000
        dd 0xF9C0
transmit:
        dd 0x83000000 + packet
        dd 0xFFC4
packet: times 6 db 0xFF
        db 0x00, 0x0C, 0x29, 0, 0, 1
        db "a frame for everyone"
        times 28 db 0
"""


def test_a_frame_leaves_by_dma():
    pc = build(NETWORK, Features(mac=bytes.fromhex("000c29000001")))
    assert pc.board.peripherals is not None
    assert pc.board.peripherals.network is not None
    switch = Switch()
    pc.board.peripherals.network.cable = switch.plug(pc.board.clock)
    elsewhere = switch.plug(pc.board.clock)
    finish(pc)
    (frame,) = elsewhere.receive(pc.meter.cycles + HERTZ)
    assert frame[:12] == b"\xff" * 6 + bytes.fromhex("000c29000001")
    assert frame[12:32] == b"a frame for everyone"


def test_a_plain_pc_has_none_of_it():
    pc = Pc(dict.fromkeys(NAMES, 1), 4 << 20, HERTZ)
    assert pc.board.peripherals is None
    assert pc.board.interrupts is pc.pic
    assert set(pc.board.save()) == {"pic", "pit", "uart", "screen", "due"}
    assert pc.board.ports.read(0x64, 1) == 0xFF
