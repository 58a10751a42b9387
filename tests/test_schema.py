"""What a person sees of a bad YAML file: all problems at once, each with its place."""

from __future__ import annotations

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from vizapp import schema
from vizapp.errors import DataError
from vizapp.messages import Message
from vizapp.resources import assets
from vizapp.schema import load, parse


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wheel(Strict):
    radius: int = Field(gt=0)
    spokes: tuple[int, ...] = ()


class Car(Strict):
    title: str
    wheels: dict[str, Wheel] = {}
    doors: list[Wheel] = []
    fast: bool = False
    spare: Wheel | None = None

    @model_validator(mode="after")
    def _not_a_boat(self):
        if self.title == "boat":
            raise ValueError("a boat is no car")
        return self


def problems(text: str) -> list[str]:
    with pytest.raises(DataError) as caught:
        parse(text, "car.yaml", Car)
    return [f"{p.line}:{p.column} {p.message.in_english()}" for p in caught.value.problems]


def test_a_valid_text_becomes_the_model_and_knows_its_places():
    document = parse("title: Mini\nwheels:\n  left: {radius: 3, spokes: [1, 2]}\n", "car.yaml", Car)
    assert document.value == Car(title="Mini", wheels={"left": Wheel(radius=3, spokes=(1, 2))})
    problem = document.problem(("wheels", "left", "radius"), Message("too small"))
    assert (problem.file, problem.line, problem.column) == ("car.yaml", 3, 10)
    assert document.problem((), Message("")).line == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["1:1 title is missing here"]),
        ("titel: Mini", ["1:1 there is no such key as titel; did you mean title?"]),
        ("title: Mini\ncolour: red", ["2:1 there is no such key as colour"]),
        ("title: 5", ["1:8 expected text, found 5"]),
        ("title: {a: 1}", ["1:8 expected text, found keys with values"]),
        ("title:", ["1:7 expected text, found nothing"]),
        ("title: a\nfast: perhaps", ["2:7 expected true or false, found 'perhaps'"]),
        ("title: a\nwheels: [1]", ["2:9 expected keys with values, found a list"]),
        ("title: a\ndoors: 1", ["2:8 expected a list, found 1"]),
        ("title: a\nwheels: {x: {radius: 0}}", ["2:22 expected a number above 0, found 0"]),
        ("title: a\nwheels: {x: {radius: 1.5}}", ["2:22 expected a whole number, found 1.5"]),
        ("title: a\nspare: {raduis: 1}", ["2:9 there is no such key as raduis; did you mean radius?"]),
        ("title: a\ndoors:\n- {radius: 1}\n- {}", ["4:3 radius is missing here"]),
        ("title: a\nwheels: {x: {}}", ["2:10 radius is missing here"]),
        ("title: a\ntitle: b", ["2:1 title is given twice, first in line 1"]),
        ("title: boat", ["1:1 a boat is no car"]),
    ],
)
def test_one_problem_is_told_where_it_stands(text, expected):
    assert problems(text) == expected


def test_all_problems_are_told_in_the_order_of_the_text():
    text = "wheels:\n  left: {radius: x, spoke: [1]}\n  left: {radius: 1}\ndoors: [2]\n"
    assert problems(text) == [
        "1:1 title is missing here",
        "3:3 left is given twice, first in line 2",
        "4:9 expected keys with values, found 2",
    ]


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("title: [1", 1, "this is not YAML"),
        ("title: a\n\tfast: true", 2, "this is not YAML"),
        ("title: !!python/object/apply:os.getcwd []", 1, "this is not YAML"),
        ("title: a\ndoors: [&x {radius: 1}, *x]", 2, "aliases"),
        ("title: \x01", 1, "this is not YAML"),
        ("title: " + "[" * 5000, 1, "nested too deeply"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_in_its_line(text, line, part):
    (problem,) = problems(text)
    assert problem.startswith(f"{line}:")
    assert part in problem


def test_a_file_that_is_not_there_or_no_text_is_told_by_name(tmp_path):
    for name, content, part in (
        ("none.yaml", None, "cannot be read"),
        ("binary.yaml", b"a: 1\n\xff", "UTF-8"),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError) as caught:
            load(path, Car)
        assert caught.value.problems[0].file == str(path)
        assert part in caught.value.message.in_english()


def test_a_good_file_loads(tmp_path):
    path = tmp_path / "car.yaml"
    path.write_text("title: Käfer\n", encoding="utf-8")
    assert load(path, Car).title == "Käfer"


def test_with_and_without_libyaml_every_shipped_file_is_read_alike(monkeypatch):
    texts = [path.read_text(encoding="utf-8") for path in sorted(assets().rglob("*.yaml"))]
    with_libyaml = [read_through(text) for text in texts]
    monkeypatch.setattr(schema, "_LIBYAML_LOADER", None)
    assert [read_through(text) for text in texts] == with_libyaml


def read_through(text):
    def places(node):
        yield (node.tag, node.start_mark.line, node.start_mark.column)
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                yield from places(key)
                yield from places(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                yield from places(value)

    root, data = schema._compose(text, "any.yaml")
    return list(places(root)), data
