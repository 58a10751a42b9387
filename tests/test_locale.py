"""The catalogue: every sentence is there in both languages, with the same placeholders, and compiled."""

from __future__ import annotations

import gettext
from pathlib import Path

from tests import locale_tool

PO = locale_tool.PO


def test_every_sentence_has_its_portuguese() -> None:
    assert locale_tool.untranslated(locale_tool.merged()) == []


def test_no_sentence_is_left_over() -> None:
    with PO.open("rb") as file:
        committed = {message.id for message in locale_tool.read_po(file, locale="pt_BR")}
    assert committed == {message.id for message in locale_tool.merged()}


def test_placeholders_are_those_of_the_english() -> None:
    assert locale_tool.wrong_placeholders(locale_tool.merged()) == []


def test_the_compiled_catalogue_is_of_today() -> None:
    with Path(PO).open("rb") as file:
        committed = locale_tool.read_po(file, locale="pt_BR")
    with PO.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for message in committed:
        if isinstance(message.id, str) and message.id:
            assert compiled.gettext(message.id) == message.string
