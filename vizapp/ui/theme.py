"""Themes: named colour roles read from YAML, and the one style sheet filled in from them."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import yaml

from vizapp.errors import DataError, SourceProblem, UnknownNameError
from vizapp.messages import N_, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SYSTEM = "system"  # no theme, but whichever the desktop has
THEME_TITLES = {"light": N_("Light"), "dark": N_("Dark"), "high-contrast": N_("High contrast")}
# The one in C reads a theme ten times as fast; it is in every wheel of PyYAML, but not in every build.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_PLACEHOLDER = re.compile(r"\{\{\s*([^}]+?)\s*\}\}")
_LENGTH = re.compile(r"(\d+)px")


@dataclass(frozen=True, slots=True)
class Colors:
    """Every colour role, as ``#RRGGBB``; what each is for stands in its name."""

    background: str
    surface: str
    sunken: str
    control: str
    control_hover: str
    control_pressed: str
    line: str
    grid: str
    text: str
    text_muted: str
    text_disabled: str
    accent: str
    accent_hover: str
    on_accent: str
    focus: str
    current: str
    current_line: str
    differs: str
    differs_text: str
    flash: str
    good: str
    good_text: str
    bad: str
    bad_text: str
    unknown: str
    warning_fill: str
    breakpoint: str
    heat: str
    cursor: str
    pill: str
    screen: str
    screen_text: str
    ring0: str
    ring1: str
    ring2: str
    ring3: str
    ring0_text: str
    ring1_text: str
    ring2_text: str
    ring3_text: str
    mark_innocuous: str
    mark_sensitive: str
    mark_privileged: str
    mark_monitor: str
    purpose_guest: str
    purpose_transition: str
    purpose_monitor: str
    purpose_translation: str
    purpose_memory: str
    purpose_io: str
    purpose_idle: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Theme:
    """One theme: its name, whether its ground is dark, its colours."""

    name: str
    dark: bool
    colors: Colors


def load_theme(directory: Path, name: str) -> Theme:
    """Read ``directory/name.yaml``; a missing, unknown or malformed role is a ``DataError`` with its line."""
    path = directory / f"{name}.yaml"
    if not path.is_file():
        raise UnknownNameError("theme", name, (other.stem for other in directory.glob("*.yaml")))
    text = path.read_text(encoding="utf-8")
    root = yaml.compose(text, Loader=_Loader)
    problems = list(_problems(path.name, root))
    if problems:
        raise DataError(tuple(problems))
    data = yaml.load(text, Loader=_Loader)
    return Theme(data["name"], data["dark"], Colors(**data["colors"]))


def style_sheet(template: str, colors: Colors, scale: float, icon: Callable[[str, str], str]) -> str:
    """Fill in the template: ``{{ role }}``, ``{{ 13px }}`` times ``scale``, ``{{ icon name role }}``."""

    def value(match: re.Match[str]) -> str:
        word = match[1]
        if length := _LENGTH.fullmatch(word):
            return f"{max(1, round(int(length[1]) * scale))}px"
        if word.startswith("icon "):
            _, name, role = word.split()
            return icon(name, role)
        return str(getattr(colors, word))

    return _PLACEHOLDER.sub(value, template)


def _problems(file: str, root: yaml.Node | None) -> Iterable[SourceProblem]:
    """What keeps the document from being a theme."""

    def problem(node: yaml.Node | None, text: str, **parameters: str) -> SourceProblem:
        line, column = (node.start_mark.line + 1, node.start_mark.column + 1) if node is not None else (1, 1)
        return SourceProblem(file, line, column, Message(text, parameters))

    document = _entries(root)
    expected = {"name", "dark", "colors"}
    if set(document) != expected:
        yield problem(root, N_("a theme has the keys: {keys}"), keys=", ".join(sorted(expected)))
        return
    roles = {field.name for field in fields(Colors)}
    colors = _entries(document["colors"])
    for role, node in colors.items():
        if role not in roles:
            yield problem(node, N_("there is no colour role named {role}"), role=role)
        elif not (isinstance(node, yaml.ScalarNode) and _COLOUR.fullmatch(node.value)):
            yield problem(node, N_("the colour of {role} must read #RRGGBB"), role=role)
    for role in sorted(roles - set(colors)):
        yield problem(document["colors"], N_("the colour role {role} is missing"), role=role)


def _entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: value for key, value in node.value}
