"""Keeps the catalogue true: `make locale` extracts every marked sentence, merges it and compiles the result.

The catalogue's key is the English sentence itself, marked with ``N_`` where it stands in the source; the
sentences of lessons stand in the lessons. The compiled file is committed, for gettext reads only that.
"""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "assets" / "locale"
PO = LOCALE / "pt_BR" / "LC_MESSAGES" / "vizapp.po"
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)  # the date of the day would make every run a change
PLACEHOLDER = re.compile(r"{(\w+)[^}]*}")


def extracted() -> Catalog:
    """Every marked sentence of the program, with the files that it stands in."""
    catalogue = Catalog(project="vizapp", charset="utf-8")
    keywords = {"N_": None, "plural": (1, 2)}
    found = extract_from_dir(
        ROOT / "vizapp", method_map=[("**.py", "python")], keywords=keywords, comment_tags=()
    )
    for filename, _line, message, _comments, _context in found:
        catalogue.add(message, locations=[(filename, 0)])
    return catalogue


def merged() -> Catalog:
    """The committed Portuguese with the sentences of today; those that are gone are dropped."""
    if PO.exists():
        with PO.open("rb") as file:
            catalogue = read_po(file, locale="pt_BR")
    else:
        catalogue = Catalog(locale="pt_BR", project="vizapp", charset="utf-8")
    catalogue.update(extracted(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    catalogue.creation_date = catalogue.revision_date = EPOCH
    catalogue.header_comment = "# The sentences of vizapp in Portuguese (Brazil)."
    catalogue.fuzzy = False
    return catalogue


def compiled(catalogue: Catalog) -> bytes:
    """The bytes of the .mo file."""
    buffer = io.BytesIO()
    write_mo(buffer, catalogue)
    return buffer.getvalue()


def untranslated(catalogue: Catalog) -> list[str]:
    """English sentences without Portuguese."""
    return [str(message.id) for message in catalogue if message.id and not _strings(message.string)]


def wrong_placeholders(catalogue: Catalog) -> list[str]:
    """Sentences whose translation names other placeholders than the English."""
    wrong = []
    for message in catalogue:
        english = message.id if isinstance(message.id, tuple) else (message.id,)
        names = {name for text in english for name in PLACEHOLDER.findall(text)}
        for text in _strings(message.string):
            if message.id and not set(PLACEHOLDER.findall(text)) <= names:
                wrong.append(str(message.id))
    return wrong


def _strings(translation: str | tuple[str, ...]) -> tuple[str, ...]:
    texts = translation if isinstance(translation, tuple) else (translation,)
    return tuple(text for text in texts if text)


def main() -> None:
    """Update the files and say what lacks."""
    catalogue = merged()
    PO.parent.mkdir(parents=True, exist_ok=True)
    with PO.open("wb") as file:
        write_po(file, catalogue, include_lineno=False, sort_output=True, width=110, omit_header=False)
    PO.with_suffix(".mo").write_bytes(compiled(catalogue))
    lacking = untranslated(catalogue)
    print(f"{len(catalogue)} sentences, {len(lacking)} without Portuguese")
    for text in lacking:
        print(f"  {text!r}")


if __name__ == "__main__":
    main()
