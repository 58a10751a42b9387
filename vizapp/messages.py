"""Sentences: a message is an English text with named placeholders, translated where it is shown.

A layer below the window never formats a sentence: it makes a ``Message``, which crosses the process
boundary as plain data, and whoever shows it renders it with the ``Translator`` of the moment. So the
language can change without a restart and without asking the machine again.
"""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

Parameter: TypeAlias = "str | int | float | Message"
LANGUAGES = ("en", "pt_BR")


def N_(text: str) -> str:  # noqa: N802 - gettext's own name for "translate later"
    """Mark ``text`` for the catalogue and return it unchanged."""
    return text


class Message(NamedTuple):
    """A sentence to be said: ``text`` is the catalogue's key, with ``{named}`` placeholders."""

    text: str
    parameters: Mapping[str, Parameter] = {}

    def in_english(self) -> str:
        """The sentence untranslated."""
        return Translator().render(self)


class Translator:
    """Renders messages in one language, English where the catalogue has no translation."""

    def __init__(self, language: str = "en", locale_directory: Path | None = None) -> None:
        self.language = language
        self._catalogue: gettext.NullTranslations = gettext.NullTranslations()
        if language != "en" and locale_directory is not None:
            self._catalogue = gettext.translation("vizapp", locale_directory, [language], fallback=True)

    def text(self, text: str) -> str:
        """The translation of a fixed text."""
        return self._catalogue.gettext(text) if text else ""

    def plural(self, singular: str, plural: str, count: int) -> str:
        """The form for ``count``, with ``{count}`` filled in."""
        return self._catalogue.ngettext(singular, plural, count).format(count=count)

    def render(self, message: Message) -> str:
        """The sentence with its parameters; a parameter that is a message is rendered too."""
        parameters = {
            name: self.render(value) if isinstance(value, Message) else value
            for name, value in message.parameters.items()
        }
        return self.text(message.text).format(**parameters)
