import re

import pytest
from PySide6.QtWidgets import QApplication, QWidget

from vizapp.errors import DataError, UnknownNameError
from vizapp.resources import assets
from vizapp.ui.look import Appearance
from vizapp.ui.theme import THEME_TITLES, load_theme, style_sheet

THEMES = assets() / "themes"


def luminance(colour):
    def channel(value):
        value /= 255
        return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (channel(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", THEME_TITLES)
def test_every_theme_loads(name):
    assert load_theme(THEMES, name).name == name


@pytest.mark.parametrize("name", THEME_TITLES)
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("text", "surface"),
        ("text", "background"),
        ("text", "sunken"),
        ("text", "control"),
        ("text", "current"),
        ("text", "differs"),
        ("text_muted", "surface"),
        ("text_muted", "background"),
        ("differs_text", "differs"),
        ("on_accent", "accent"),
        ("bad_text", "surface"),
        ("good_text", "surface"),
        ("screen_text", "screen"),
        ("ring0_text", "surface"),
        ("ring1_text", "surface"),
        ("ring2_text", "surface"),
        ("ring3_text", "surface"),
    ],
)
def test_words_can_be_read_on_their_ground(name, text, ground):
    # WCAG 2.1, "Contrast (Minimum)": 4.5 to 1.
    colors = load_theme(THEMES, name).colors
    assert contrast(getattr(colors, text), getattr(colors, ground)) >= 4.5


def test_a_misspelt_role_is_named_with_its_line(tmp_path):
    text = (THEMES / "light.yaml").read_text(encoding="utf-8").replace("  grid:", "  gird:")
    (tmp_path / "light.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        load_theme(tmp_path, "light")
    messages = [problem.message.in_english() for problem in caught.value.problems]
    assert messages == ["there is no colour role named gird", "the colour role grid is missing"]
    line = next(n for n, words in enumerate(text.splitlines(), 1) if "gird" in words)
    assert caught.value.problems[0].line == line


def test_a_colour_in_another_form_is_refused(tmp_path):
    text = (THEMES / "dark.yaml").read_text(encoding="utf-8").replace('line: "#323D4C"', "line: grey")
    (tmp_path / "dark.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="line must read #RRGGBB"):
        load_theme(tmp_path, "dark")


def test_an_unknown_theme_names_those_that_exist():
    with pytest.raises(UnknownNameError, match="did you mean light"):
        load_theme(THEMES, "lihgt")


def test_the_style_sheet_is_filled_in_at_the_zoom():
    colors = load_theme(THEMES, "light").colors
    template = "a { color: {{ text }}; width: {{ 10px }}; image: {{ icon check accent }} }"
    filled = style_sheet(template, colors, 1.5, lambda name, role: f"{name}-{role}.svg")
    assert filled == f"a {{ color: {colors.text}; width: 15px; image: check-accent.svg }}"


def test_no_literal_colour_stands_in_the_code_or_the_template():
    sources = [*(assets().parent / "vizapp" / "ui").glob("*.py"), THEMES / "style.qss"]
    for path in sources:
        assert re.findall(r"#[0-9A-Fa-f]{6}\b|QColor\(\d", path.read_text(encoding="utf-8")) == []


def test_a_window_has_its_own_look_and_leaves_the_application_as_it_was(qtbot, appearance):
    application = QApplication.instance()
    window = QWidget()
    qtbot.addWidget(window)
    before = application.styleSheet(), application.palette(), application.font()
    application.setStyleSheet("")
    own = Appearance(application, assets(), "dark")
    own.dress(window)
    first = window.styleSheet()
    own.change(scale=1.5)
    assert "" != first != window.styleSheet()
    assert application.styleSheet() == ""
    assert application.palette() != before[1]
    own.undress()
    assert (window.styleSheet(), application.styleSheet()) == ("", "")
    assert (application.palette(), application.font()) == before[1:]
    application.setStyleSheet(before[0])
