"""What can be said on the command line: commands, options, and how numbers are written."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, NoReturn

from vizapp.errors import VizappError
from vizapp.messages import LANGUAGES, N_, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COMMANDS = ("list", "run", "compare", "classify", "lesson", "picture", "disasm")
LISTS = ("guests", "techniques", "processors", "presets", "lessons")
THEMES = ("light", "dark", "high-contrast")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class UsageError(VizappError):
    """The words of the command do not fit."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(Message(N_("{command}: {problem}"), {"command": self.prog, "problem": message}))


def number(text: str) -> int:
    """A whole number, decimal or 0x hexadecimal."""
    return int(text, 0)


def size(text: str) -> int:
    """A size in bytes, with an optional unit: 16M, 512K, 0x1000."""
    unit = text[-1:].upper()
    return int(text[:-1], 0) * _UNITS[unit] if unit in _UNITS and unit else int(text, 0)


def override(text: str) -> tuple[str, int]:
    """INPUT=VALUE, a cost in cycles."""
    name, _, value = text.partition("=")
    if not name or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not INPUT=VALUE")
    return name, int(value, 0)


def switch(text: str) -> tuple[str, bool]:
    """NAME=on or NAME=off."""
    name, _, value = text.partition("=")
    if not name or value not in ("on", "off"):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=on or NAME=off")
    return name, value == "on"


def port_log(text: str) -> tuple[int, str]:
    """PORT=FILE."""
    port, _, file = text.partition("=")
    if not port or not file:
        raise argparse.ArgumentTypeError(f"{text!r} is not PORT=FILE")
    return int(port, 0), file


def default_language() -> str:
    """The language of the locale: Portuguese or, for every other one, English."""
    for variable in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable)
        if value:
            return "pt_BR" if value.startswith("pt") else "en"
    return "en"


def _common(parser: argparse.ArgumentParser, *, json: bool = True) -> None:
    parser.add_argument(
        "--lang",
        choices=LANGUAGES,
        help="language of sentences; default: the locale's, of the window the last",
    )
    if json:
        parser.add_argument("--json", action="store_true", help="print one JSON document and nothing else")


def _guest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "guest", metavar="GUEST", help="a library guest, an .asm file, a binary or a scenario.yaml"
    )
    parser.add_argument("--load", type=number, metavar="ADDRESS", help="where a flat binary is loaded")
    parser.add_argument("--entry", type=number, metavar="ADDRESS", help="where a flat binary starts")
    parser.add_argument("--bits", type=int, choices=(16, 32), help="of a flat binary")
    parser.add_argument("--build", choices=("native", "xen", "hvm"), help="default: what the technique needs")
    parser.add_argument("--iterations", type=number, metavar="N", help="loop count of a benchmark guest")


def _machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--processor", metavar="P", help="default: what the technique needs")
    parser.add_argument("--paging", choices=("shadow", "nested"), default="shadow")
    parser.add_argument("--virtualizable", action=argparse.BooleanOptionalAction, default=None,
                        help="sensitive unprivileged instructions trap at rings 1-3")  # fmt: skip
    parser.add_argument("--set", dest="overrides", type=override, action="append", default=[],
                        metavar="INPUT=VALUE", help="override one cost, in cycles")  # fmt: skip
    parser.add_argument(
        "--memory", type=size, default=16 << 20, metavar="SIZE", help="of the guest; default 16M"
    )
    parser.add_argument("--disk", dest="disks", action="append", default=[], metavar="FILE",
                        help="an IDE disk, repeatable; only read, writes are kept apart")  # fmt: skip
    parser.add_argument("--max-instructions", type=number, metavar="N")
    parser.add_argument("--max-seconds", type=float, metavar="S")


def _single_technique(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--technique", default=None, metavar="T", help="default: native")
    parser.add_argument("--preset", metavar="NAME", help="a product of the survey")
    parser.add_argument("--shadow-sync", choices=("eager", "lazy"), default="eager",
                        help="of binary-translation: its shadow follows each write, or a flush")  # fmt: skip
    parser.add_argument("--host-memory", type=size, metavar="SIZE",
                        help="of the PC itself; a monitor pages where its guests have more")  # fmt: skip
    parser.add_argument("--intercept", type=switch, action="append", default=[], metavar="NAME=on|off",
                        help="an exit of vt-x or amd-v to be made or not: rdtsc, hlt, cr3 ...")  # fmt: skip
    parser.add_argument("--io", metavar="hosted|bare-metal|split", help="who has the machine's devices")
    parser.add_argument("--guests", choices=("ported", "hvm"),
                        help="of paravirtual: unmodified ones are HVM domains")  # fmt: skip
    parser.add_argument("--hosted", type=switch, action="append", default=[], metavar="NAME=on|off",
                        help="of --io hosted: ports, combining, notification")  # fmt: skip


def _run(parser: argparse.ArgumentParser) -> None:
    _guest(parser)
    _single_technique(parser)
    _machine(parser)
    parser.add_argument("--until", metavar="EVENT", help="stop at the first such event: trap, hypercall, "
                        "'trap:#GP', 'instruction:0x101000'")  # fmt: skip
    parser.add_argument("--serial", metavar="-|FILE", help="where COM1's output goes")
    parser.add_argument("--port-log", type=port_log, action="append", default=[], metavar="PORT=FILE")
    parser.add_argument(
        "--ramdisk", metavar="FILE", help="what a domain's kernel finds in memory at its start"
    )
    parser.add_argument("--command-line", default="", metavar="TEXT", help="what it is told there")
    parser.add_argument("--exit-port", type=number, metavar="PORT")
    parser.add_argument("--trace", metavar="FILE", help=".jsonl, or .perfetto.json for the Perfetto viewer")
    parser.add_argument("--registers", metavar="FILE.jsonl", help="one record an instruction retired")
    parser.add_argument("--scorecard", action="store_true", help="also check equivalence")
    parser.add_argument("--expect-clean", action="store_true", help="exit status 1 if the guest crashed")
    _common(parser)


def _compare(parser: argparse.ArgumentParser) -> None:
    _guest(parser)
    parser.add_argument("--technique", action="append", default=[], metavar="T")
    _machine(parser)
    parser.add_argument("--csv", action="store_true", help="print comma-separated values")
    parser.add_argument("-o", "--output", metavar="FILE", help=".png, .svg, .csv, .json or .pdf")
    _common(parser)


def _lesson(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="action", required=True, parser_class=_Parser)
    _common(kinds.add_parser("list", help="the lessons"))
    check = kinds.add_parser("check", help="does everything that a lesson says hold in the machine?")
    check.add_argument("path", nargs="?", metavar="PATH", help="a lesson's folder; default: all lessons")
    _common(check)
    play = kinds.add_parser("play", help="play a lesson in the terminal")
    play.add_argument("lesson", metavar="LESSON")
    play.add_argument("--step", type=int, metavar="N", help="only this step, counted from 1")
    play.add_argument("--answers", metavar="FILE", help="a letter a line, instead of asking")
    _common(play)


def _picture(parser: argparse.ArgumentParser) -> None:
    _guest(parser)
    _single_technique(parser)
    _machine(parser)
    parser.add_argument("--until", metavar="EVENT", help="draw the state at the first such event")
    parser.add_argument("--view", choices=("stage", "step", "compare"), default="step")
    parser.add_argument("--theme", choices=THEMES, default="light")
    parser.add_argument("--size", default="1440x900", metavar="WIDTHxHEIGHT")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.png|.svg|.gif")
    _common(parser, json=False)


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=LISTS)
    _common(parser)


def _classify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("guest", nargs="?", metavar="GUEST", help="only this guest's instructions")
    parser.add_argument("--build", choices=("native", "xen"), default=None)
    _common(parser)


def _disasm(parser: argparse.ArgumentParser) -> None:
    _guest(parser)
    _common(parser)


_COMMAND_PARSERS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "list": ("what there is", _list),
    "run": ("run one scenario; print where it ended and what it cost", _run),
    "compare": ("the same guest under several techniques", _compare),
    "classify": ("every instruction: privileged, sensitive or innocuous", _classify),
    "lesson": ("list, check or play lessons", _lesson),
    "picture": ("draw a view into a file", _picture),
    "disasm": ("a guest's code with its source", _disasm),
}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command and its options.

    Words that start with no command open the window: ``command`` is then ``window``.

    Raises:
        UsageError: the words do not fit, with the reason.
    """
    if (arguments and arguments[0] in COMMANDS) or set(arguments) & {"-h", "--help"}:
        parser = _Parser(
            prog="vizapp",
            description="Teaches x86 virtualization by executing real guest code.",
            epilog="Without a command, opens the window: vizapp [GUEST | LESSON[:STEP]].",
        )
        commands = parser.add_subparsers(
            dest="command", required=True, parser_class=_Parser, metavar="COMMAND"
        )
        for name, (summary, fill) in _COMMAND_PARSERS.items():
            fill(commands.add_parser(name, help=summary, description=summary))
        return parser.parse_args(arguments)
    parser = _Parser(prog="vizapp")
    parser.add_argument("subject", nargs="?", metavar="GUEST | LESSON[:STEP]")
    _common(parser, json=False)
    options = parser.parse_args(arguments)
    options.command = "window"
    return options
