"""Sentences under binary translation: guest addresses, and whose work an instruction is."""

from __future__ import annotations

import re

import pytest

from vizapp.experiment.scenarios import make_scenario
from vizapp.machine.events import INSTRUCTION_RETRANSLATED
from vizapp.session.session import Session

OWN = ("the VMM's own code", "entry code", "exit code", "the translation cache's own work", "leaves the VMM")
MONITORS = re.compile(r"\b(?:0x)?FF(?:C[0-5]|D[0-3])[0-9A-F]{4}\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def session() -> Session:
    session = Session(make_scenario("pte-modify", technique_name="binary-translation", iterations=6))
    session.run()
    return session


def _sentence(session: Session) -> str:
    return session.frame().sentence.in_english()


@pytest.mark.parametrize("number", [1, -1])
def test_what_the_guest_does_is_told_with_its_own_addresses(session: Session, number: int) -> None:
    told = list(session.store.of_kinds((INSTRUCTION_RETRANSLATED,), session.timeline.end))
    session.timeline.seek(told[number].position)
    translated = 0
    for _ in range(150):
        session.step()
        text = _sentence(session)
        if "leaves the VMM" in text or not any(own in text for own in OWN):
            assert not MONITORS.search(text), text
        assert "directly at ring 1" not in text
        assert "waits for an interrupt" not in text
        translated += "in the translation cache" in text
    assert translated


def test_a_retranslation_is_told_as_it_happens(session: Session) -> None:
    session.timeline.seek(0)
    session.next_event({INSTRUCTION_RETRANSLATED})
    text = _sentence(session)
    assert "has faulted 4 times" in text
    assert "window" in text
