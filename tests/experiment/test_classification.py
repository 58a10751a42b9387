"""Privilege classes by experiment: they agree with the opcode table's, and with Robin and Irvine's list."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from vizapp.experiment import robin_irvine
from vizapp.experiment.classification import Classifier, Finding, Verdict, combine
from vizapp.experiment.specimens import specimens
from vizapp.isa.addresses import Linear
from vizapp.isa.classes import SENSITIVE
from vizapp.isa.decode import DecodeError, decode
from vizapp.isa.instruction import Instruction
from vizapp.isa.opcodes import OPCODES

# What ring 0 cannot finish here either, so that nothing is shown: RSM outside system management mode,
# RDPMC without counters, UD2 and INT1, which are exceptions by purpose, and what needs SVM.
SVM = {"vmrun", "vmmcall", "vmload", "vmsave", "stgi", "clgi", "invlpga"}
VMX = {
    "vmxon", "vmxoff", "vmptrld", "vmptrst", "vmclear", "vmread", "vmwrite", "vmlaunch", "vmresume", "vmcall",
    "invept", "invvpid",
}  # fmt: skip
UNDECIDED = {"rsm", "rdpmc", "ud2", "int1"} | SVM | VMX


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier()


@pytest.fixture(scope="module")
def table(classifier: Classifier) -> dict[str, Finding]:
    return {finding.operation: finding for finding in classifier.table()}


def verdict_of(classifier: Classifier, code: str) -> Verdict:
    return classifier.instruction(decode(bytes.fromhex(code), Linear(0x0010_0000)))


def test_every_form_of_the_table_has_a_specimen() -> None:
    assert [opcode for opcode in OPCODES if not list(specimens(opcode))] == []


def test_the_declared_class_is_the_one_found(table: dict[str, Finding]) -> None:
    wrong = {
        name: (finding.declared, finding.verdict.privilege)
        for name, finding in table.items()
        if finding.declared != finding.verdict.privilege
    }
    assert wrong == {}


def test_every_form_of_a_declared_class_is_of_it(table: dict[str, Finding]) -> None:
    for finding in table.values():
        for form in finding.forms:
            assert form.verdict.privilege == form.opcode.privilege, form.opcode.encoding


def test_only_what_faults_at_ring_0_too_is_undecided(table: dict[str, Finding]) -> None:
    assert {name for name, finding in table.items() if not finding.verdict.decided} == UNDECIDED


def test_the_paper_s_list_is_found_whole(table: dict[str, Finding]) -> None:
    marks, _ = robin_irvine.beside(table.values())
    assert len(marks) == 18
    assert [mark.listed.name for mark in marks if not mark.found] == []


def test_what_is_beyond_the_paper_s_list_has_a_reason(table: dict[str, Finding]) -> None:
    _, beyond = robin_irvine.beside(table.values())
    assert {item.name for item in beyond} == set(robin_irvine.BEYOND)
    assert all(item.reason is not None for item in beyond)


def test_names_of_the_list_are_operations_of_the_table(table: dict[str, Finding]) -> None:
    assert set(table) >= robin_irvine.LISTED | set(robin_irvine.BEYOND)


@pytest.mark.parametrize(
    ("operation", "cause"),
    [
        ("sgdt", "GDTR"), ("sidt", "IDTR"), ("sldt", "LDTR"), ("str", "TR"), ("smsw", "CR0"),
        ("pushf", "IF"), ("pushf", "IOPL"), ("popf", "CPL"), ("iret", "CPL"), ("int", "IDTR"), ("int", "TR"),
        ("lar", "CPL"), ("lsl", "GDTR"), ("verr", "CPL"), ("push_segment", "CPL"), ("lds", "GDTR"),
        ("sysenter", "MSR"),
    ],
)  # fmt: skip
def test_a_sensitive_instruction_depends_on(table: dict[str, Finding], operation: str, cause: str) -> None:
    assert cause in {evidence.cause for evidence in table[operation].verdict.evidence}


@pytest.mark.parametrize(
    ("operation", "kinds"),
    [
        ("sgdt", ("behaviour",)),
        ("pushf", ("behaviour",)),
        ("popf", ("control",)),
        ("lar", ("behaviour",)),
        ("mov_from_segment", ("behaviour",)),
        ("iret", ("control", "behaviour")),
        ("sysenter", ("control", "behaviour")),
    ],
)
def test_kinds_of_sensitivity(table: dict[str, Finding], operation: str, kinds: tuple[str, ...]) -> None:
    assert table[operation].verdict.kinds == kinds


def test_popf_loses_the_interrupt_flag_without_a_word(classifier: Classifier) -> None:
    evidence = verdict_of(classifier, "9d").evidence[0]
    text = evidence.sentence.in_english()
    assert text == "IF becomes 0 at ring 0 and 1 at ring 1, because of CPL (everything 0, IF 1)"


def test_a_privileged_instruction_names_its_fault(classifier: Classifier) -> None:
    sentence = verdict_of(classifier, "f4").sentence().in_english()
    assert sentence.startswith("#GP(0x0) at ring 1, where ring 0 carries it out")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("8cd8", "sensitive"),  # mov eax, ds: shows the RPL that the monitor loaded it with
        ("89d8", "innocuous"),  # mov eax, ebx
        ("8ed0", "sensitive"),  # mov ss, ax
        ("e460", "privileged"),  # in al, 0x60
        ("cd80", "sensitive"),  # int 0x80
        ("a1000000fe", "innocuous"),  # mov eax, [0xfe000000]: any address answers
        ("0fa2", "innocuous"),  # cpuid
        ("0f31", "innocuous"),  # rdtsc
        ("630b", "innocuous"),  # arpl [ebx], cx: judges the operands' RPL, not the CPL
        ("f3a4", "innocuous"),  # rep movsb
    ],
)
def test_an_instruction_at_its_own_operands(classifier: Classifier, code: str, expected: str) -> None:
    assert verdict_of(classifier, code).privilege == expected


@pytest.mark.parametrize("operation", sorted(SENSITIVE))
def test_the_theorem_s_condition_holds_with_the_option_virtualizable(
    table: dict[str, Finding], operation: str
) -> None:
    """Popek and Goldberg's theorem 1: every sensitive instruction is privileged."""
    classifier = Classifier(virtualizable=True)
    forms = table[operation].forms
    verdict = combine(classifier.instruction(item) for form in forms for item in specimens(form.opcode))
    assert verdict.privilege == "privileged"


def random_instructions(count: int, bits: int) -> Iterator[Instruction]:
    source = Random(count + bits)
    while count:
        try:
            instruction = decode(source.randbytes(12), Linear(0x1000), bits)
        except DecodeError:
            continue
        yield instruction
        count -= 1


@pytest.mark.parametrize("bits", [16, 32])
def test_random_instructions_are_of_their_declared_class(classifier: Classifier, bits: int) -> None:
    for instruction in random_instructions(60, bits):
        declared = instruction.opcode.privilege
        assert classifier.instruction(instruction).privilege == declared, instruction.raw.hex()


def test_the_place_of_an_instruction_is_of_no_account() -> None:
    verdicts = {
        Classifier().instruction(decode(bytes.fromhex("ebfe"), Linear(at))) for at in (0, 0x1000, 0xFC00_0000)
    }
    assert len(verdicts) == 1


def test_the_experiment_says_the_same_twice(classifier: Classifier) -> None:
    for code in ("9d", "0f0003", "8ed8", "cf"):
        assert verdict_of(Classifier(), code) == verdict_of(classifier, code)
