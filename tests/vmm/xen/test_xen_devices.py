"""Devices in a domain's hands: ports that are checked one by one, lines that arrive as events."""

from __future__ import annotations

from xen_support import Run, kernel

from vizapp.machine import events
from vizapp.machine.features import Features
from vizapp.vmm.xen import abi

DISK = Features(disks=(b"\x5a" * 65536,), apic=False, large_pages=False)
IDENTIFY = """
        XEN 33, 6, one
        mov dword [bind], 14
        XEN 32, 2, bind
        mov [results], eax
        mov dx, 0x1F6
        mov al, 0xA0
        out dx, al
        inc dx
        mov al, 0xEC
        out dx, al
        mov byte [shared_info + 1], 0
wait:   XEN 29, 1
        jmp wait
upcall: mov dx, 0x1F0
        mov edi, scratch
        mov ecx, 256
        rep insw
        XEN 33, 12, line
        mov [results + 4], eax
        mov eax, [bind + 8]
        mov [results + 8], eax
        STOP
one:    dd 1
line:   dd 14
"""


def with_disk(body: str, **options) -> Run:
    return Run(kernel(body, before="%define UPCALL", **options), features=DISK)


def test_a_driver_in_domain_0_is_interrupted_by_its_disk():
    run = with_disk(IDENTIFY).run()
    assert (run.reason, run.words("results", 3)) == ("halted", (0, 0, 1))
    assert run.word("scratch") & 0xFFFF != 0
    assert [event.cause for event in run.kinds(events.EVENT_SENT)] == ["pirq"]
    ports = [event for event in run.kinds(events.INSTRUCTION_EMULATED) if event.cause in ("out", "ins")]
    assert len(ports) >= 3
    assert sum(event.cause == "ins" for event in ports) == 1  # a trap for 256 words
    assert not run.xen.lines.waiting


def test_without_iopl_a_port_is_a_protection_fault_and_of_the_hypervisor_nothing_is_there():
    upcall = "\nupcall: STOP"
    assert with_disk("in al, 0x80" + upcall).run().word("vector") == 13
    body = "XEN 33, 6, one\nin al, 0x21\nmov [results], al\nmov al, 0\nout 0x21, al\nSTOP\none: dd 1"
    run = with_disk(body + upcall)
    before = run.pc.board.read(0x21, 1)
    assert run.run().word("results") == 0xFF
    assert run.pc.board.read(0x21, 1) == before


def test_an_application_gets_the_ports_of_its_bitmap():
    body = """
        XEN 33, 7, request
        mov edi, [start_info]
        jmp go
        align 4
request: dd bitmap, 0x100
bitmap: times 16 db 0xFF
        db 0xFE
        times 15 db 0xFF
go:
upcall equ shutdown
"""
    run = with_disk(body, application="in al, 0x80\nin al, 0x81").run()
    assert run.word("vector") == 13
    address = run.kinds(events.FAULT_REFLECTED)[-1].payload["address"]
    assert address == run.at("application") + 2
    assert [event.cause for event in run.kinds(events.INSTRUCTION_EMULATED)] == ["in"]


def test_lines_that_are_not_a_domains_are_refused():
    run = with_disk("ready: hlt\nupcall: STOP").until("ready")

    def bind(line: int) -> int:
        run.put("results", line.to_bytes(4, "little") + bytes(8))
        return run.call("event_channel_op", abi.EVTCHNOP_BIND_PIRQ, run.at("results"))

    assert [bind(line) for line in (14, 14, 16, 0, 2, 4)] == [
        0, -abi.EEXIST, -abi.EINVAL, -abi.EPERM, -abi.EPERM, -abi.EPERM,
    ]  # fmt: skip
    run.put("results", (9).to_bytes(4, "little"))
    assert run.call("physdev_op", abi.PHYSDEVOP_EOI, run.at("results")) == -abi.EINVAL
    run.put("results", (14).to_bytes(4, "little") + bytes(4))
    assert run.call("physdev_op", abi.PHYSDEVOP_IRQ_STATUS_QUERY, run.at("results")) == 0
    assert run.words("results", 2) == (14, abi.XENIRQSTAT_NEEDS_EOI)
    run.put("results", (4).to_bytes(4, "little"))
    assert run.call("physdev_op", abi.PHYSDEVOP_SET_IOPL, run.at("results")) == -abi.EINVAL
    assert run.call("physdev_op", 99, run.at("results")) == -abi.ENOSYS


def test_the_text_screen_may_be_mapped_by_whoever_has_it():
    run = with_disk("ready: hlt\nupcall: STOP").until("ready")
    assert run.call("update_va_mapping", run.at("stack"), 0xB8 << 12 | 0x63, 0, 2) == 0
    run.put("stack", b"X\x07")
    assert run.pc.memory.dump(0xB8000, 2) == b"X\x07"
    assert run.call("update_va_mapping", run.at("stack"), 0x10 << 12 | 0x63, 0, 2) == -abi.EINVAL
    without = Run(kernel("ready: hlt")).until("ready")
    assert without.call("update_va_mapping", without.at("stack"), 0xB8 << 12 | 0x63, 0, 2) == -abi.EINVAL


TYPED = """
        mov dword [bind], 2
        XEN 32, 1, bind
        mov byte [shared_info + 1], 0
wait:   XEN 29, 1
        jmp wait
upcall: mov byte [shared_info], 0
        mov dword [shared_info + 4], 0
        mov dword [shared_info + 2048], 0
        XEN 18, 1, 16, scratch
        add [results], eax
        XEN 18, 0, eax, scratch
        cmp dword [results], 5
        jae done
        and dword [esp + 8], ~0
        jmp hypercall_page + 32 * 23
done:   STOP
"""


def test_what_is_typed_at_the_console_wakes_domain_0():
    run = Run(kernel(TYPED, before="%define UPCALL"))
    run.pc.attended = True
    run.pc.run(max_steps=2000)
    assert run.pc.awaits == ("serial",)
    run.pc.feed("serial", b"abc")
    run.pc.run(max_steps=2000)
    assert run.word("results") == 3
    assert run.pc.awaits == ("serial",)
    run.pc.feed("serial", b"de")
    run.pc.run(max_steps=2000)
    assert (run.reason, run.word("results")) == ("halted", 5)
    assert [event.cause for event in run.kinds(events.EVENT_SENT)] == ["console", "console"]
