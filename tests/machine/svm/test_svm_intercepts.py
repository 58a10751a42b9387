"""Each intercept, by a guest of a few instructions: it leaves with its code, or runs on without the bit."""

from __future__ import annotations

import pytest

from tests.machine.svm.bench import SvmBench
from vizapp.machine.svm import codes

# What the guest executes, the intercept, EXITINFO1 and EXITINFO2 of APM Vol. 2, "SVM Intercepts".
INSTRUCTIONS = [
    ("cpuid", "cpuid", 0, 0),
    ("pause", "pause", 0, 0),
    ("hlt", "hlt", 0, 0),
    ("pushf", "pushf", 0, 0),
    ("popf", "popf", 0, 0),
    ("iret", "iret", 0, 0),
    ("int 0x80", "swint", 0, 0),
    ("int1", "icebp", 0, 0),
    ("rsm", "rsm", 0, 0),
    ("invd", "invd", 0, 0),
    ("wbinvd", "wbinvd", 0, 0),
    ("invlpg [0x1234]", "invlpg", 0, 0),
    ("rdtsc", "rdtsc", 0, 0),
    ("rdpmc", "rdpmc", 0, 0),
    ("sgdt [0x20000]", "gdtr-read", 0, 0),
    ("sidt [0x20000]", "idtr-read", 0, 0),
    ("sldt ax", "ldtr-read", 0, 0),
    ("str ax", "tr-read", 0, 0),
    ("lgdt [0x20000]", "gdtr-write", 0, 0),
    ("lidt [0x20000]", "idtr-write", 0, 0),
    ("lldt ax", "ldtr-write", 0, 0),
    ("ltr ax", "tr-write", 0, 0),
    ("mov eax, cr0", "cr0-read", 0, 0),
    ("mov eax, cr2", "cr2-read", 0, 0),
    ("mov eax, cr3", "cr3-read", 0, 0),
    ("mov eax, cr4", "cr4-read", 0, 0),
    ("smsw ax", "cr0-read", 0, 0),
    ("clts", "cr0-write", 0, 0),
    ("lmsw ax", "cr0-write", 0, 0),
    ("mov cr3, eax", "cr3-write", 0, 0),
    ("mov eax, dr6", "dr6-read", 0, 0),
    ("mov dr7, eax", "dr7-write", 0, 0),
    ("xor eax, eax\nvmrun", "vmrun", 0, 0),
    ("vmmcall", "vmmcall", 0, 0),
    ("xor eax, eax\nvmload", "vmload", 0, 0),
    ("xor eax, eax\nvmsave", "vmsave", 0, 0),
    ("stgi", "stgi", 0, 0),
    ("clgi", "clgi", 0, 0),
    ("invlpga", "invlpga", 0, 0),
    ("ud2", "exception-ud", 0, 0),
    ("mov eax, 1\nmov ds, eax", "exception-gp", 0, 0),
]


@pytest.mark.parametrize(("guest", "name", "info1", "info2"), INSTRUCTIONS)
def test_an_instruction_leaves_the_guest(guest, name, info1, info2):
    bench = SvmBench(guest, name)
    assert codes.name_of(bench.run()) == name
    assert (bench["exitinfo1"], bench["exitinfo2"], bench["exitintinfo"]) == (info1, info2, 0)
    (event,) = bench.exits
    assert event.cause == name
    assert event.payload["exitcode"] == bench["exitcode"]
