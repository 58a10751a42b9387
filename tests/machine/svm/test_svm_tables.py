"""The tables of SVM against the notes on AMD's manual: offsets of the VMCB, exit codes, intercept bits."""

from __future__ import annotations

import re

import pytest

from vizapp.machine.svm import codes
from vizapp.machine.svm.vmcb import BY_NAME, FIELDS, GROUPS, SEGMENT_OFFSETS, STATE
from vizapp.machine.svm.words import event_in_words, exit_in_words

# APM Vol. 2, appendices "Layout of VMCB" and "SVM Intercept Exit Codes", as the project's notes have them.
EXIT_CODES = """
060 intr, 061 nmi, 062 smi, 063 init, 064 vintr, 065 cr0-sel-write, 066 idtr-read, 067 gdtr-read,
068 ldtr-read, 069 tr-read, 06A idtr-write, 06B gdtr-write, 06C ldtr-write, 06D tr-write, 06E rdtsc,
06F rdpmc, 070 pushf, 071 popf, 072 cpuid, 073 rsm, 074 iret, 075 swint, 076 invd, 077 pause, 078 hlt,
079 invlpg, 07A invlpga, 07B ioio, 07C msr, 07D task-switch, 07E ferr-freeze, 07F shutdown, 080 vmrun,
081 vmmcall, 082 vmload, 083 vmsave, 084 stgi, 085 clgi, 086 skinit, 087 rdtscp, 088 icebp, 089 wbinvd,
08A monitor, 08B mwait, 08D xsetbv, 400 npf
"""
MISC_1 = """
0 intr, 1 nmi, 2 smi, 3 init, 4 vintr, 5 cr0-sel-write, 6 idtr-read, 7 gdtr-read, 8 ldtr-read, 9 tr-read,
10 idtr-write, 11 gdtr-write, 12 ldtr-write, 13 tr-write, 14 rdtsc, 15 rdpmc, 16 pushf, 17 popf, 18 cpuid,
19 rsm, 20 iret, 21 swint, 22 invd, 23 pause, 24 hlt, 25 invlpg, 26 invlpga, 27 ioio, 28 msr,
29 task-switch, 30 ferr-freeze, 31 shutdown
"""
MISC_2 = """
0 vmrun, 1 vmmcall, 2 vmload, 3 vmsave, 4 stgi, 5 clgi, 6 skinit, 7 rdtscp, 8 icebp, 9 wbinvd, 10 monitor,
11 mwait
"""
CONTROL = """
000 intercept_cr, 004 intercept_dr, 008 intercept_exceptions, 00C intercept_misc1, 010 intercept_misc2,
03E pause_filter_count, 040 iopm_base_pa, 048 msrpm_base_pa, 050 tsc_offset, 058 guest_asid,
05C tlb_control, 060 v_intr, 064 v_intr_vector, 068 interrupt_shadow, 070 exitcode, 078 exitinfo1,
080 exitinfo2, 088 exitintinfo, 090 np_enable, 0A8 eventinj, 0B0 n_cr3, 0B8 lbr_virtualization, 0C0 clean,
0C8 nrip, 0D0 fetched_bytes
"""
SAVED = """
0CB cpl, 0D0 efer, 148 cr4, 150 cr3, 158 cr0, 160 dr7, 168 dr6, 170 rflags, 178 rip, 1D8 rsp, 1F8 rax,
200 star, 208 lstar, 210 cstar, 218 sfmask, 220 kernel_gs_base, 228 sysenter_cs, 230 sysenter_esp,
238 sysenter_eip, 240 cr2, 268 g_pat, 270 dbgctl
"""
SEGMENTS = "000 es, 010 cs, 020 ss, 030 ds, 040 fs, 050 gs, 060 gdtr, 070 ldtr, 080 idtr, 090 tr"


def pairs(text: str, base: int) -> list[tuple[int, str]]:
    return [(int(number, base), name) for number, name in re.findall(r"(\w+) ([\w-]+)", text)]


def test_exit_codes_have_the_manual_s_numbers():
    for code, name in pairs(EXIT_CODES, 16):
        assert codes.NAMES[code] == name
    for index in range(16):
        for group, name in enumerate(("cr{}-read", "cr{}-write", "dr{}-read", "dr{}-write")):
            assert codes.NAMES[16 * group + index] == name.format(index)
    assert codes.NAMES[0x40 + 14] == "exception-pf"
    assert codes.NAMES[-1] == "invalid"


@pytest.mark.parametrize(("field", "text"), [("intercept_misc1", MISC_1), ("intercept_misc2", MISC_2)])
def test_intercept_bits_have_the_manual_s_places(field, text):
    for bit, name in pairs(text, 10):
        intercept = codes.INTERCEPTS[name]
        assert (intercept.field, intercept.bit) == (field, bit)
        assert codes.NAMES[intercept.code] == name


def test_fields_have_the_manual_s_offsets():
    for offset, name in pairs(CONTROL, 16):
        assert BY_NAME[name].offset == offset
    for offset, name in pairs(SAVED, 16):
        assert BY_NAME[name].offset == STATE + offset
    for offset, name in pairs(SEGMENTS, 16):
        assert SEGMENT_OFFSETS[name] == offset


def test_fields_do_not_overlap_and_belong_to_a_group():
    taken: set[int] = set()
    for field in FIELDS:
        span = set(range(field.offset, field.offset + field.width))
        assert not span & taken, field.name
        taken |= span
        assert field.group in GROUPS
        assert field.gloss


@pytest.mark.parametrize("code", sorted(codes.NAMES))
def test_every_exit_can_be_told_in_words(code):
    text = exit_in_words(code, 0x71_0016, 6).in_english()
    assert "{" not in text
    assert text


@pytest.mark.parametrize(
    ("code", "info1", "info2", "text"),
    [
        (0x7B, 0x3F8_0110, 0, "the guest wrote 8 bits to port 0x3f8 (OUT)"),
        (0x7B, 0x1F0_012D, 0, "the guest read 16 bits from port 0x1f0 (REP INS)"),
        (0x4E, 7, 0x1000,
         "the guest met #PF at linear address 0x00001000: a write that the page forbids, in ring 3"),
        (0x4D, 0x18, 0, "the guest met #GP with error code 0x18"),
        (0x13, 0, 0, "the guest wrote CR3"),
        (0x27, 0, 0, "the guest read DR7"),
        (0x75, 0, 0, "the guest executed INT"),
        (0x7C, 1, 0, "the guest wrote a model-specific register"),
        (0x400, 1 << 32 | 6, 0xB8000,
         "nested page fault at guest-physical address 0x000b8000: a write to a page that is not there"),
    ],
)  # fmt: skip
def test_exits_in_words(code, info1, info2, text):
    assert exit_in_words(code, info1, info2).in_english() == text


def test_events_in_words():
    assert event_in_words(0) is None
    told = {word: event_in_words(word).in_english() for word in (0x8000_0030, 0x1234_8000_0B0D, 0x8000_0480)}
    assert list(told.values()) == ["interrupt 0x30", "exception #GP with error code 0x1234", "INT 0x80"]
