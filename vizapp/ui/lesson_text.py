"""The prose of a lesson as HTML of Qt's subset: Markdown, code in the colours of the theme.

Raw HTML in a lesson is shown as it stands, never obeyed; ``lesson:name:step`` links lead into lessons.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from vizapp.ui.look import MONO

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from markdown_it import MarkdownIt
    from markdown_it.token import Token

    from vizapp.ui.look import Look

_ALIASES = {"asm": "nasm", "x86": "nasm", "": "nasm"}  # what a lesson shows is mostly NASM
_SCHEMES = ("lesson:", "https:", "http:")


def to_html(markdown: str, look: Look) -> str:
    """Markdown as the body of a document; its style sheet is ``sheet``."""
    return str(_parser(look.theme.name, _palette(look)).render(markdown))


def sheet(look: Look) -> str:
    """The style sheet for a document of prose, at the zoom and in the theme of ``look``."""
    color, px = look.theme.colors, look.px
    return f"""
        p, li {{ line-height: 138%; }}
        p {{ margin: 0 0 {px(9)}px 0; }}
        hr {{ background-color: {color.line}; }}
        h2 {{ font-size: {px(17)}px; font-weight: bold; margin: 0 0 {px(9)}px 0; }}
        h3 {{ font-size: {px(14)}px; font-weight: bold; margin: {px(6)}px 0 {px(6)}px 0; }}
        ul, ol {{ margin: 0 0 {px(9)}px {px(6)}px; -qt-list-indent: 1; }}
        code {{ font-family: "{MONO}"; background-color: {color.sunken}; color: {color.text}; }}
        pre {{ font-family: "{MONO}"; background-color: {color.sunken}; margin: 0 0 {px(9)}px 0;
               white-space: pre-wrap; }}
        blockquote {{ color: {color.text_muted}; margin: 0 0 {px(9)}px {px(12)}px; }}
        th, td {{ padding: {px(3)}px {px(8)}px; border-bottom: 1px solid {color.line}; }}
        a {{ color: {color.accent}; text-decoration: underline; }}
    """


def _palette(look: Look) -> tuple[tuple[str, str], ...]:
    color = look.theme.colors
    return (
        ("keyword", color.ring3_text),
        ("register", color.ring1_text),
        ("number", color.ring0_text),
        ("comment", color.text_muted),
    )


@lru_cache(maxsize=8)
def _parser(_theme: str, palette: tuple[tuple[str, str], ...]) -> MarkdownIt:
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "highlight": _highlighter(dict(palette))})
    parser.enable("table")
    parser.validateLink = _is_link  # type: ignore[method-assign]
    parser.add_render_rule("fence", _render_fence)
    return parser


def _is_link(url: str) -> bool:
    """Links lead into lessons, to the web, or to a picture that lies beside the lesson."""
    return url.startswith(_SCHEMES) or ":" not in url


def _render_fence(self: Any, tokens: Sequence[Token], index: int, options: Any, _env: Any) -> str:
    token = tokens[index]
    return f"<pre>{options.highlight(token.content.rstrip(), token.info.strip(), '')}</pre>\n"


def _highlighter(palette: dict[str, str]) -> Callable[[str, str, str], str]:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.style import Style
    from pygments.token import Comment, Keyword, Name, Number, String
    from pygments.util import ClassNotFound

    class Colours(Style):
        """The theme's colours."""

        styles = {  # noqa: RUF012 - Pygments reads it from the class
            Keyword: palette["keyword"],
            Name.Function: palette["keyword"],
            Name.Builtin: palette["register"],
            Name.Label: "bold",
            Number: palette["number"],
            String: palette["number"],
            Comment: palette["comment"],
        }

    formatter = HtmlFormatter(nowrap=True, noclasses=True, style=Colours)

    def coloured(code: str, language: str, _attributes: str) -> str:
        try:
            lexer = get_lexer_by_name(_ALIASES.get(language, language))
        except ClassNotFound:
            lexer = get_lexer_by_name("text")
        return str(highlight(code, lexer, formatter)).rstrip("\n")

    return coloured
