"""Exits in words: every reason has some, and the qualifications are read as the manual lays them out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vizapp.machine.vmx.reasons import REASONS
from vizapp.machine.vmx.words import event_in_words, exit_in_words


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.name)
@given(qualification=st.integers(0, (1 << 32) - 1), information=st.integers(0, (1 << 32) - 1))
def test_every_reason_has_words(reason, qualification: int, information: int) -> None:  # type: ignore[no-untyped-def]
    text = exit_in_words(reason.number, qualification, information).in_english()
    assert text
    assert "{" not in text


@pytest.mark.parametrize(
    ("reason", "qualification", "words"),
    [
        (28, 0x303, "the guest moved EBX to CR3"),
        (28, 0x710, "the guest moved CR0 to EDI"),
        (28, 0x20, "the guest executed CLTS"),
        (28, 0x30, "the guest executed LMSW"),
        (29, 0x117, "the guest moved DR7 to ECX"),
        (30, 0x3F8_0000, "the guest wrote 8 bits to port 0x3f8 (OUT)"),
        (30, 0x1F0_0039, "the guest read 16 bits from port 0x1f0 (REP INS)"),
        (14, 0x0040_3000, "the guest executed INVLPG of 0x00403000"),
        (10, 0, "the guest executed CPUID"),
        (9, 0x4000_0028, "the guest was about to switch to the task of selector 0x0028 (IRET)"),
        (48, 0x182, "a write that EPT does not allow: it grants –"),
        (48, 0x1AA, "a write that EPT does not allow: it grants RX"),
        (48, 0x81, "an entry of the guest's own tables is not reachable: a read, and EPT allows –"),
        (33 | 1 << 31, 0, "VM entry with invalid guest state"),
    ],
)
def test_qualifications(reason: int, qualification: int, words: str) -> None:
    assert exit_in_words(reason, qualification).in_english() == words


def test_the_event_that_exited() -> None:
    page_fault = 1 << 31 | 1 << 11 | 3 << 8 | 14
    assert (
        exit_in_words(0, 0x1000, page_fault).in_english() == "the guest met #PF at linear address 0x00001000"
    )
    assert exit_in_words(0, 0, 1 << 31 | 3 << 8).in_english() == "the guest met exception #DE"
    debug = 1 << 31 | 3 << 8 | 1
    assert exit_in_words(0, 1 << 14, debug).in_english() == "the guest met #DB: it is single-stepped"
    assert exit_in_words(0, 5, debug).in_english() == "the guest met #DB: breakpoint 0, 2"
    assert event_in_words(0) is None
    timer = event_in_words(1 << 31 | 0x20)
    assert timer is not None
    assert timer.in_english() == "interrupt 0x20"
    fault = event_in_words(page_fault, 2)
    assert fault is not None
    assert fault.in_english() == "exception #PF with error code 0x2"
