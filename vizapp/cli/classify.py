"""`classify`: the privilege class of every instruction, of the processor or of one guest, by experiment."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from vizapp.experiment import robin_irvine
from vizapp.experiment.classification import Classifier, Finding, Verdict
from vizapp.guest.loader import load_guest
from vizapp.isa.addresses import Linear
from vizapp.isa.decode import DecodeError, decode
from vizapp.messages import N_, Message
from vizapp.session.listing import Listing

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from vizapp.cli.output import Output
    from vizapp.isa.opcodes import Opcode

Row = dict[str, Any]
_CLASSES = {
    "privileged": N_("privileged"),
    "sensitive": N_("sensitive"),
    "innocuous": N_("innocuous"),
}
_FOUND, _NOT_FOUND = "✓", "–"


def run_classify(options: argparse.Namespace, out: Output) -> int:
    """`vizapp classify [GUEST]`."""
    if options.guest is None:
        _table(out)
    else:
        _guest(options, out)
    return 0


def _evidence(out: Output, verdict: Verdict) -> Row:
    """What a verdict rests on: ``evidence`` is its first sentence, ``runs`` has all.

    ``decided`` is false where the class is the manual's, for no state lets ring 0 finish.
    """
    return {
        "kinds": list(verdict.kinds),
        "decided": verdict.decided,
        "evidence": out.render(verdict.sentence()),
        "runs": [
            {"ring": item.ring, "state": out.render(item.state), "cause": item.cause, "kind": item.kind,
             "sentence": out.render(item.sentence)}
            for item in verdict.evidence
        ],
    }  # fmt: skip


def _table(out: Output) -> None:
    with out.progress(out.text(N_("trying every instruction"))):
        findings = Classifier().table()
    rows = [_finding(out, item) for item in findings]
    if out.as_json:
        out.json(rows)
        return
    out.table(
        (N_("instruction"), N_("class"), N_("what shows it")),
        [[row["name"], out.text(_CLASSES[row["class"]]), row["evidence"]] for row in rows],
    )
    _print_robin_irvine(findings, out)


def _finding(out: Output, finding: Finding) -> Row:
    reason = robin_irvine.BEYOND.get(finding.operation)
    return {
        "name": finding.name,
        "class": finding.verdict.privilege,
        "declared": finding.declared,
        **_evidence(out, finding.verdict),
        "robin_irvine": finding.operation in robin_irvine.LISTED,
        "beyond": None if reason is None else out.text(reason),
        "forms": [
            {"encoding": form.opcode.encoding, "operands": list(form.opcode.operands),
             "class": form.verdict.privilege}
            for form in finding.forms
        ],
    }  # fmt: skip


def _print_robin_irvine(findings: Sequence[Finding], out: Output) -> None:
    marks, beyond = robin_irvine.beside(findings)
    out.line()
    out.say(
        Message(
            N_("Sensitive but unprivileged, beside Robin and Irvine's list ({count} by the paper's count):"),
            {"count": robin_irvine.COUNT},
        )
    )
    rows = [
        [mark.listed.name, f"{mark.listed.group} {out.text(robin_irvine.GROUPS[mark.listed.group])}",
         _FOUND if mark.found else _NOT_FOUND, ""]
        for mark in marks
    ]  # fmt: skip
    for item in beyond:
        reason = "" if item.reason is None else out.render(item.reason)
        rows.append([item.name.upper(), "", _FOUND, reason])
    out.table(
        (N_("instruction"), N_("their requirement"), N_("found here"), N_("why it is beyond theirs")), rows
    )


def _guest(options: argparse.Namespace, out: Output) -> None:
    image = load_guest(options.guest, options.build or "native")
    classifier = Classifier()
    counted: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], tuple[Verdict, Opcode]] = {}
    with out.progress(out.text(N_("trying every instruction of the guest"))):
        for line in Listing(image, "native", virtualizable=False).whole():
            try:
                instruction = decode(line.raw, Linear(line.address))
            except DecodeError:
                continue  # data among the code
            verdict = classifier.instruction(instruction)
            key = (line.text.split()[0], verdict.privilege)
            counted[key] += 1
            first.setdefault(key, (verdict, instruction.opcode))
    rows: list[Row] = []
    for (name, privilege), count in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        verdict, opcode = first[name, privilege]
        rows.append(
            {"name": name, "class": privilege, "count": count, "declared": opcode.privilege,
             **_evidence(out, verdict), "robin_irvine": opcode.operation in robin_irvine.LISTED}
        )  # fmt: skip
    if out.as_json:
        out.json(rows)
        return
    out.table(
        (N_("instruction"), N_("class"), N_("times in the code"), N_("what shows it")),
        [[row["name"], out.text(_CLASSES[row["class"]]), str(row["count"]), row["evidence"]] for row in rows],
        right=(2,),
    )
