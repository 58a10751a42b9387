"""Lesson prose: sections by step id, and what is wrong with a heading."""

from __future__ import annotations

import pytest

from vizapp.errors import DataError
from vizapp.lesson.texts import parse


def test_sections_are_found_by_their_ids() -> None:
    text = parse("# Title\nintro\n\n## First {#one}\nbody\nmore\n## Second {#two}\n", "en.md")
    assert (text.title, text.introduction) == ("Title", "intro")
    assert text.sections["one"].title == "First"
    assert text.sections["one"].body == "body\nmore"
    assert text.sections["two"].line == 7


def test_what_stands_after_a_rule_is_read_once_the_step_has_run() -> None:
    text = parse("# T\n## One {#one}\nask\n\n---\n\ntell\n## Two {#two}\nonly this\n", "en.md")
    assert text.sections["one"].before == "ask"
    assert text.sections["one"].after == "tell"
    assert text.sections["two"].before == "only this"
    assert text.sections["two"].after == ""


def test_headings_inside_code_are_no_headings() -> None:
    text = parse("# T\n## S {#s}\n```\n## not a step\n```\n", "en.md")
    assert list(text.sections) == ["s"]
    assert "## not a step" in text.sections["s"].body


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("# T\n## A heading\n", 2, "ends with its id"),
        ("# T\n## A {#a}\n## B {#a}\n", 3, "two sections"),
    ],
)
def test_bad_headings_are_named_with_their_line(source: str, line: int, words: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(source, "en.md")
    (problem,) = caught.value.problems
    assert problem.line == line
    assert words in problem.message.in_english()
