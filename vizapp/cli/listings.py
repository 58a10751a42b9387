"""`list` and `disasm`: what there is, and what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vizapp.cost.processors import load_processor, processor_names
from vizapp.experiment.presets import presets
from vizapp.experiment.techniques import ALL, TITLES
from vizapp.guest.catalogue import GUESTS
from vizapp.guest.loader import load_guest
from vizapp.lesson.loader import all_lessons
from vizapp.messages import N_
from vizapp.session.listing import Listing
from vizapp.vmm.registry import TECHNIQUES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from vizapp.cli.output import Output

Row = dict[str, Any]


def _guests(out: Output) -> list[Row]:
    return [
        {"name": guest.name, "title": out.render(guest.title), "group": guest.group,
         "builds": list(guest.builds), "summary": out.render(guest.summary)}
        for guest in GUESTS.values()
    ]  # fmt: skip


def _techniques(out: Output) -> list[Row]:
    return [{"name": name, "title": out.text(TITLES[name]), "available": name in TECHNIQUES} for name in ALL]


def _processors(_out: Output) -> list[Row]:
    found = (load_processor(name) for name in processor_names())
    return [
        {"name": item.name, "title": item.title, "year": item.year, "hertz": item.hertz} for item in found
    ]


def _presets(_out: Output) -> list[Row]:
    return [
        {"name": name, "title": item.title, "technique": item.technique, "virtualizable": item.virtualizable,
         "description": item.description.strip()}
        for name, item in presets().items()
    ]  # fmt: skip


def lesson_rows(out: Output) -> list[Row]:
    """The lessons, as ``list lessons`` and ``lesson list`` print them."""
    return [
        {"name": item.lesson.name, "title": item.lesson.title.text(out.language),
         "number": item.lesson.number, "minutes": item.lesson.minutes, "steps": len(item.lesson.steps),
         "covers": list(item.lesson.covers)}
        for item in all_lessons()
    ]  # fmt: skip


_LISTS: dict[str, tuple[Callable[[Output], list[Row]], tuple[str, ...]]] = {
    "guests": (_guests, ("name", "group", "builds", "summary")),
    "techniques": (_techniques, ("name", "title", "available")),
    "processors": (_processors, ("name", "title", "year")),
    "presets": (_presets, ("name", "title", "description")),
    "lessons": (lesson_rows, ("name", "title", "minutes", "steps")),
}
_HEADINGS = {
    "name": N_("name"), "title": N_("title"), "group": N_("group"), "builds": N_("builds"),
    "summary": N_("what it does"), "available": N_("available"), "year": N_("year"),
    "description": N_("what it is here"), "minutes": N_("minutes"), "steps": N_("steps"),
}  # fmt: skip
_YES, _NO = N_("yes"), N_("no")


def _cell(out: Output, value: Any) -> str:
    if isinstance(value, bool):
        return out.text(_YES if value else _NO)
    return ", ".join(value) if isinstance(value, list) else str(value)


def print_rows(out: Output, rows: list[Row], columns: tuple[str, ...]) -> None:
    """Print rows as JSON or as a table of some of their columns."""
    if out.as_json:
        out.json(rows)
        return
    cells = [[_cell(out, row[column]) for column in columns] for row in rows]
    out.table([_HEADINGS[column] for column in columns], cells)


def run_list(options: argparse.Namespace, out: Output) -> int:
    """`vizapp list WHAT`."""
    rows, columns = _LISTS[options.what]
    print_rows(out, rows(out), columns)
    return 0


def run_disasm(options: argparse.Namespace, out: Output) -> int:
    """`vizapp disasm GUEST`: address, bytes, instruction, class and source line."""
    image = load_guest(options.guest, options.build or "native", iterations=options.iterations,
                       load=options.load, entry=options.entry, bits=options.bits or 32)  # fmt: skip
    rows: list[Row] = [
        {"address": line.address, "bytes": line.raw.hex(), "text": line.text, "class": line.mark,
         "label": line.label, "line": line.line, "source": line.source, "comment": line.comment}
        for line in Listing(image, "native", virtualizable=False).whole()
    ]  # fmt: skip
    if out.as_json:
        out.json(rows)
        return 0
    for row in rows:
        if row["label"]:
            out.line(f"{row['label']}:")
        mark = {"privileged": "▲", "sensitive": "◆"}.get(row["class"], " ")
        comment = f"; {row['comment']}" if row["comment"] else ""
        out.line(f"{row['address']:08x}  {row['bytes']:<20}  {mark} {row['text']:<32}{comment}".rstrip())
    return 0
