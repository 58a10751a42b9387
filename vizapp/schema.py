"""YAML files with a schema: every problem at once, each with its line, its column and what was expected.

A file is composed to nodes (which know where they stand), checked for what YAML would let pass (a key given
twice), built from plain data only, and validated by a pydantic model. Nothing in a file is ever executed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import lru_cache
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeAlias, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from vizapp.errors import DataError, SourceProblem
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic_core import ErrorDetails

M = TypeVar("M", bound=BaseModel)
Location: TypeAlias = "tuple[str | int, ...]"

_INTEGER = N_("a whole number")
_NUMBER = N_("a number")
_TEXT = N_("text")
_TRUTH = N_("true or false")
_MAPPING = N_("keys with values")
_LIST = N_("a list")
_EXPECTED = {
    "int_type": _INTEGER, "int_parsing": _INTEGER, "int_from_float": _INTEGER,
    "float_type": _NUMBER, "float_parsing": _NUMBER,
    "bool_type": _TRUTH, "bool_parsing": _TRUTH,
    "string_type": _TEXT,
    "model_type": _MAPPING, "model_attributes_type": _MAPPING, "dict_type": _MAPPING,
    "list_type": _LIST, "tuple_type": _LIST,
    "greater_than": N_("a number above {gt}"), "greater_than_equal": N_("a number of {ge} or more"),
    "less_than": N_("a number below {lt}"), "less_than_equal": N_("a number of {le} or less"),
    "literal_error": N_("one of {expected}"), "enum": N_("one of {expected}"),
    "string_pattern_mismatch": N_("text of the form {pattern}"),
    "string_too_short": N_("text of at least {min_length} characters"),
    "string_too_long": N_("text of at most {max_length} characters"),
    "too_short": N_("a list of at least {min_length}"), "too_long": N_("a list of at most {max_length}"),
}  # fmt: skip


class Document(Generic[M]):
    """A valid file: its ``value``, and where each part of it stands for checks beyond the schema."""

    def __init__(self, value: M, file: str, root: yaml.Node) -> None:
        self.value = value
        self._file = file
        self._root = root

    def problem(self, location: Location, message: Message) -> SourceProblem:
        """A problem with what stands at ``location`` (keys and indexes from the top), at its key if any."""
        return _at(_find(self._root, location, at_key=True), self._file, message)


def load(path: Path, model: type[M]) -> M:
    """The file's contents as a ``model``.

    Raises:
        DataError: the file cannot be read, is not YAML, or is not as the model says.
    """
    return read(path, model).value


def read(path: Path, model: type[M]) -> Document[M]:
    """As ``load``, with the places of all parts."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        message = Message(N_("this file cannot be read: {reason}"), {"reason": reason})
        raise DataError((SourceProblem(str(path), 1, 1, message),)) from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        message = Message(N_("this file is not UTF-8 text"))
        raise DataError((SourceProblem(str(path), line, 1, message),)) from None
    return parse(text, str(path), model)


def parse(text: str, file: str, model: type[M]) -> Document[M]:
    """As ``read``, of a text that came from ``file``."""
    document: Document[M] = _parsed(text, file, model)
    return document


# One run reads the same few files for every session that it opens.
@lru_cache(maxsize=64)
def _parsed(text: str, file: str, model: type[BaseModel]) -> Document[Any]:
    try:
        root, data = _compose(text, file)
    except yaml.MarkedYAMLError as error:
        raise DataError((_syntax_problem(error, file),)) from None
    except yaml.YAMLError as error:  # a control character, which has no mark
        message = Message(N_("this is not YAML: {problem}"), {"problem": str(error).splitlines()[0]})
        raise DataError((SourceProblem(file, 1, 1, message),)) from None
    except RecursionError:
        raise DataError((SourceProblem(file, 1, 1, Message(N_("this is nested too deeply"))),)) from None
    problems = list(_duplicates(root, file))
    try:
        value = model.model_validate(data)
    except ValidationError as error:
        problems += _problems(error.errors(), root, file, model)
    if problems:
        raise DataError(tuple(sorted(problems, key=lambda problem: (problem.line, problem.column))))
    return Document(value, file, root)


class _NoAliases(Composer):
    """Composes plain nodes. Aliases are refused: they can unfold into more than memory holds."""

    check_event: Any  # the parser's
    peek_event: Any

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases are not used here", mark)
        return super().compose_node(parent, index)


class _Loader(_NoAliases, yaml.SafeLoader):
    """Plain data only, read in Python."""


def _libyaml_loader() -> Any:
    """The same on libyaml, or None: it is in every wheel of PyYAML, but not in every build."""
    try:
        from yaml._yaml import CParser
    except ImportError:
        return None

    class Loader(_NoAliases, CParser, SafeConstructor, Resolver):
        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

    return Loader


_LIBYAML_LOADER = _libyaml_loader()


def _compose(text: str, file: str) -> tuple[yaml.Node, Any]:
    if _LIBYAML_LOADER is not None:
        try:
            return _composed(_LIBYAML_LOADER(text), file)
        except yaml.YAMLError:
            pass  # told in the other's words
    return _composed(_Loader(text), file)


def _composed(loader: Any, file: str) -> tuple[yaml.Node, Any]:
    loader.name = file
    try:
        root = loader.get_single_node()
        if root is None:
            start = yaml.Mark(file, 0, 0, 0, None, 0)
            root = yaml.MappingNode("tag:yaml.org,2002:map", [], start, start)
        return root, loader.construct_document(root)
    finally:
        loader.dispose()


def _syntax_problem(error: yaml.MarkedYAMLError, file: str) -> SourceProblem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return SourceProblem(
        file, line, column, Message(N_("this is not YAML: {problem}"), {"problem": error.problem or ""})
    )


def _duplicates(node: yaml.Node, file: str) -> Iterator[SourceProblem]:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if key.value in seen:
                yield _at(
                    key,
                    file,
                    Message(
                        N_("{key} is given twice, first in line {line}"),
                        {"key": key.value, "line": seen[key.value]},
                    ),
                )
            seen.setdefault(key.value, key.start_mark.line + 1)
            yield from _duplicates(value, file)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _duplicates(item, file)


def _problems(
    errors: list[ErrorDetails], root: yaml.Node, file: str, model: type[BaseModel]
) -> Iterator[SourceProblem]:
    """The model's complaints, with misspelt keys paired with the missing ones that they stand for."""
    missing = {error["loc"] for error in errors if error["type"] == "missing"}
    explained: set[Location] = set()
    for error in errors:
        if error["type"] == "extra_forbidden":
            *parent, key = error["loc"]
            close = suggestion(str(key), _fields(model, tuple(parent)))
            if close is not None:
                explained.add((*parent, close))
            yield _at(_find(root, error["loc"], at_key=True), file, unknown_name(str(key), close))
    seen: set[tuple[Location, str]] = set()
    for error in errors:
        kind, location = error["type"], error["loc"]
        if kind == "extra_forbidden" or location in explained or (location, kind) in seen:
            continue
        seen.add((location, kind))
        if location in missing and kind == "missing":
            message = Message(N_("{key} is missing here"), {"key": str(location[-1])})
            yield _at(_find(root, location[:-1], at_key=True), file, message)
        else:
            yield _at(_find(root, location), file, _complaint(error))


def suggestion(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` may be a misspelling of."""
    return next(iter(get_close_matches(name, list(known), n=1)), None)


def unknown_name(name: str, close: str | None) -> Message:
    """The sentence for a key that the schema has not."""
    if close is None:
        return Message(N_("there is no such key as {key}"), {"key": name})
    return Message(N_("there is no such key as {key}; did you mean {close}?"), {"key": name, "close": close})


def _complaint(error: ErrorDetails) -> Message:
    context = error.get("ctx", {})
    expected = _EXPECTED.get(error["type"])
    if expected is None:
        cause = context.get("error")
        problem = str(cause) if cause is not None else error["msg"]
        return Message(N_("{problem}"), {"problem": problem})
    parameters = {
        name: value if isinstance(value, int | float) else str(value) for name, value in context.items()
    }
    found = error["input"]
    shown = type(found).__name__ if isinstance(found, dict | list) else repr(found)
    named = {"dict": Message(_MAPPING), "list": Message(_LIST), "None": Message(N_("nothing"))}
    return Message(
        N_("expected {expected}, found {found}"),
        {"expected": Message(expected, parameters), "found": named.get(shown, shown)},
    )


def _at(node: yaml.Node, file: str, message: Message) -> SourceProblem:
    return SourceProblem(file, node.start_mark.line + 1, node.start_mark.column + 1, message)


def _find(root: yaml.Node, location: Location, *, at_key: bool = False) -> yaml.Node:
    """The node at ``location`` or, with ``at_key``, the key it stands under; as deep as there are nodes.

    Parts that name no node are pydantic's own names for branches of a schema.
    """
    node = result = root
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is not None:
                key, node = found
                result = key if at_key else node
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = result = node.value[part]
    return result


def _fields(annotation: Any, location: Location) -> set[str]:
    """The keys that a mapping at ``location`` of a value so annotated may have."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _fields(get_args(annotation)[0], location)
    if origin in (Union, UnionType):
        return {name for member in get_args(annotation) for name in _fields(member, location)}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        if not location:
            return set(fields)
        field = fields.get(str(location[0]))
        # A part that is no field names a branch of a union, this model itself.
        return _fields(annotation, location[1:]) if field is None else _fields(field.annotation, location[1:])
    arguments = get_args(annotation)
    if location and arguments:
        inner = arguments[-1] if arguments[-1] is not Ellipsis else arguments[0]
        return _fields(inner, location[1:])
    return set()
