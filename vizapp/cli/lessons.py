"""`vizapp lesson`: list, check and play lessons."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vizapp.cli.listings import lesson_rows, print_rows
from vizapp.errors import ScenarioError, VizappError
from vizapp.lesson.checker import check, run_step, scenario_of
from vizapp.lesson.loader import all_lessons, find_lesson, load_lesson
from vizapp.messages import N_, Message
from vizapp.session.session import Session

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from vizapp.cli.output import Output
    from vizapp.lesson.loader import LoadedLesson
    from vizapp.lesson.schema import Prediction


def run(options: argparse.Namespace, out: Output) -> int:
    """`vizapp lesson list | check | play`."""
    actions: dict[str, Callable[[argparse.Namespace, Output], int]] = {
        "list": _list,
        "check": _check,
        "play": _play,
    }
    return actions[options.action](options, out)


def _list(_options: argparse.Namespace, out: Output) -> int:
    print_rows(out, lesson_rows(out), ("name", "title", "minutes", "steps"))
    return 0


def _check(options: argparse.Namespace, out: Output) -> int:
    """Status 1 when a lesson says something that does not hold, 2 when it is no lesson."""
    lessons = [load_lesson(_folder(options.path))] if options.path else all_lessons()
    failures = []
    for lesson in lessons:
        with out.progress(lesson.lesson.name):
            failures += check(lesson)
    if out.as_json:
        out.json(
            [
                {"lesson": item.lesson, "step": item.step, "problem": out.render(item.message)}
                for item in failures
            ]
        )
    else:
        for item in failures:
            out.line(f"{item.lesson}:{item.step}: {out.render(item.message)}")
        if not failures:
            steps = sum(len(lesson.lesson.steps) for lesson in lessons)
            out.say(
                Message(
                    N_("{lessons} lessons with {steps} steps hold"), {"lessons": len(lessons), "steps": steps}
                )
            )
    return 1 if failures else 0


def _folder(path: str) -> Path:
    folder = Path(path)
    if folder.name == "lesson.yaml":
        folder = folder.parent
    if not (folder / "lesson.yaml").is_file():
        raise ScenarioError(Message(N_("{path} is no folder with a lesson.yaml"), {"path": path}))
    return folder


def _play(options: argparse.Namespace, out: Output) -> int:
    """Read, answer, see. Status 1 when an answer was wrong."""
    lesson = find_lesson(options.lesson)
    steps = lesson.lesson.steps
    if options.step is not None and not 1 <= options.step <= len(steps):
        raise ScenarioError(
            Message(
                N_("{lesson} has the steps 1 to {last}, not {step}"),
                {"lesson": options.lesson, "last": len(steps), "step": options.step},
            )
        )
    answers = _answers(options.answers)
    report = []
    session: Session | None = None
    if not out.as_json:
        out.line(f"{lesson.lesson.title.text(out.language)}\n")
    for number, step in enumerate(steps, 1):
        if step.scenario is not None:
            session = Session(scenario_of(step.scenario))
        assert session is not None
        shown = options.step in (None, number)
        if shown and not out.as_json:
            _prose(lesson, step.id, number, out)
        given = _ask(step.predict, answers, out) if shown and step.predict else None
        outcome = run_step(session, step)
        if shown:
            report.append(_tell(step.id, step.predict, given, outcome.right, out))
            if not out.as_json:
                out.line(f"→ {out.render(outcome.frame.sentence)}\n")
                if after := lesson.text(out.language).sections[step.id].after:
                    out.line(f"{after}\n")
        if options.step == number:
            break
    asked = [item for item in report if item["right"] is not None]
    wrong = [item for item in asked if not item["right"]]
    if out.as_json:
        out.json(
            {
                "lesson": lesson.lesson.name,
                "steps": report,
                "asked": len(asked),
                "right": len(asked) - len(wrong),
            }
        )
    elif asked:
        out.say(
            Message(
                N_("{right} of {asked} predictions were right"),
                {"right": len(asked) - len(wrong), "asked": len(asked)},
            )
        )
    return 1 if wrong else 0


def _prose(lesson: LoadedLesson, step: str, number: int, out: Output) -> None:
    section = lesson.text(out.language).sections[step]
    out.line(f"{number}. {section.title}\n\n{section.before}\n")


def _answers(file: str | None) -> Iterator[str] | None:
    return None if file is None else iter(Path(file).read_text(encoding="utf-8").split())


def _ask(question: Prediction, answers: Iterator[str] | None, out: Output) -> int:
    """The index of the answer that is given, out of the file or from the keyboard."""
    letters = "abcde"[: len(question.choices)]
    if not out.as_json:
        out.line(question.question.text(out.language))
        for letter, choice in zip(letters, question.choices, strict=True):
            out.line(f"  {letter}) {choice.text.text(out.language)}")
    if answers is not None:
        answer = next(answers, "")
        if answer not in tuple(letters):
            raise ScenarioError(
                Message(
                    N_("the answers have {answer}, where one of {letters} is expected"),
                    {"answer": repr(answer), "letters": ", ".join(letters)},
                )
            )
        return letters.index(answer)
    while True:
        print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            raise VizappError(Message(N_("the lesson asks, and there is no answer; use --answers FILE")))
        if line.strip() in tuple(letters):
            return letters.index(line.strip())


def _tell(
    step: str, question: Prediction | None, given: int | None, right: tuple[int, ...], out: Output
) -> dict[str, str | bool | None]:
    if question is None or given is None:
        return {"step": step, "given": None, "right": None}
    good = given in right
    if not out.as_json:
        if good:
            out.say(Message(N_("Right: that is what the machine did.")))
        else:
            answer = question.choices[right[0]].text.text(out.language) if right else "–"
            out.say(Message(N_("The machine did something else: {answer}"), {"answer": answer}))
    return {"step": step, "given": "abcde"[given], "right": good}
