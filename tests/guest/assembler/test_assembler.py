"""What an assembly is besides its bytes: symbols, the line map, the mode, every problem's place."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vizapp.errors import AssemblyError
from vizapp.guest.assembler import Assembly, assemble
from vizapp.machine.image import SourceLine


def problems(source: str, **options: object) -> list[tuple[int, int, str]]:
    with pytest.raises(AssemblyError) as caught:
        assemble(source, "test.asm", **options)  # type: ignore[arg-type]
    return [(one.line, one.column, one.message.in_english()) for one in caught.value.problems]


def test_symbols_and_constants() -> None:
    assembly = assemble(
        "bits 32\norg 0x1000\nmain: nop\n.loop: nop\nlater equ .loop + 1\nSIZE equ $ - main\n"
    )
    assert assembly.origin == 0x1000
    assert assembly.symbols == {"main": 0x1000, "main.loop": 0x1001}
    assert assembly.constants == {"later": 0x1002, "SIZE": 2}


def test_the_mode_is_that_of_the_first_statement() -> None:
    assert assemble("nop").bits == 16
    assert assemble("bits 32\nnop\nbits 16\nnop").bits == 32
    assert assemble("mov eax, 1", bits=32).data.hex() == "b801000000"


def test_defines() -> None:
    assert assemble("%ifdef XEN\ndb 1\n%else\ndb 2\n%endif", defines={"XEN": ""}).data == b"\x01"
    assert assemble("db N, N + 1", defines={"N": 5}).data == b"\x05\x06"
    assert assemble("db N", defines={"N": "2 * 3"}).data == b"\x06"


def test_lines_map_addresses_to_the_source() -> None:
    source = "bits 32\norg 0x100\nstart:  mov eax, 1 ; one\n\n        times 3 nop\nlabel:\n        db 'ab'\n"
    assert assemble(source, "a.asm").lines == (
        SourceLine(0x100, 5, "a.asm", 3, "start:  mov eax, 1 ; one"),
        SourceLine(0x105, 3, "a.asm", 5, "        times 3 nop"),
        SourceLine(0x108, 2, "a.asm", 7, "        db 'ab'", code=False),
    )


def test_what_a_macro_makes_belongs_to_the_line_that_calls_it() -> None:
    source = "%macro two 0\nnop\nhlt\n%endmacro\n%macro four 0\ntwo\ntwo\n%endmacro\nfour\nx: two\n"
    assert [(line.number, line.address, line.length, line.text) for line in assemble(source).lines] == [
        (9, 0, 4, "four"),
        (10, 4, 2, "x: two"),
    ]


def test_repeated_lines_belong_to_themselves() -> None:
    lines = assemble("%rep 2\nnop\nhlt\n%endrep\n").lines
    assert [(line.number, line.address) for line in lines] == [(2, 0), (3, 1), (2, 2), (3, 3)]


def test_included_lines_belong_to_their_file() -> None:
    files = {"part.inc": "nop\nhlt\n"}
    assembly = assemble('cli\n%include "part.inc"\nsti\n', "main.asm", include=files.__getitem__)
    assert assembly.data.hex() == "fa90f4fb"
    assert [(line.file, line.number) for line in assembly.lines] == [
        ("main.asm", 1), ("part.inc", 1), ("part.inc", 2), ("main.asm", 3),
    ]  # fmt: skip


def test_a_continued_line_counts_as_its_first() -> None:
    assembly = assemble("db 1, \\\n   2\nnop\n")
    assert [(line.number, line.length) for line in assembly.lines] == [(1, 2), (3, 1)]


def test_windows_line_ends() -> None:
    assert assemble("db 1\r\ndb 2\r\n").data == b"\x01\x02"


@pytest.mark.parametrize(
    ("line", "column", "text"),
    [
        ("mov eax, zzz", 10, "zzz is not defined"),
        ("mov eax, her", 10, "her is not defined; did you mean here?"),
        ("mvo eax, 1", 1, "mvo is no instruction, directive or macro; did you mean cmovo?"),
        ("        frobnicate eax", 9, "frobnicate is no instruction, directive or macro"),
        ("nopp", 1, "nopp is no instruction; did you mean nop, or a label, nopp:?"),
        ("something", 1, "something is no instruction; a label alone ends in a colon"),
        ("mov eax", 5, "mov does not take these operands"),
        ("mov [eax], 5", 5, "the size of the operand in memory is not told"),
        ("add al, 0x223", 9, "0x223 does not fit in 8 bits"),
        ("enter 8, 0x300", 10, "0x300 does not fit in 8 bits"),
        ("db 1, 2, 0x300", 10, "0x300 does not fit in 8 bits"),
        ("dd 0x1_0000_0000", 4, "0x100000000 does not fit in 32 bits"),
        ("db 'abc", 4, "this string does not end on its line"),
        ("times -1 nop", 10, "a count of -1 is negative"),
        ("times here nop", 12, "a count must be a number, not an address"),
        ("times 3", 8, "an instruction is missing here"),
        ("resb 1 << 40", 1, "1099511627776 bytes are more than the 16777216 that a source may make"),
        ("align 3", 1, "3 is not a power of two"),
        ("mov eax, [eax+ecx+edx]", 10, "these registers do not make an address"),
        ("mov eax, [bx+cx]", 10, "these registers do not make an address"),
        ("mov eax, [al]", 10, "these registers do not make an address"),
        ("mov eax, [eax+bx]", 10, "these registers do not make an address"),
        ("mov eax, [-eax]", 10, "these registers do not make an address"),
        ("mov eax, [eax", 14, "expected ] here"),
        ("mov eax, [foo:eax]", 11, "foo is not a segment register"),
        ("mov eax, es:[ebx]", 10, "a segment override belongs inside the brackets"),
        ("mov eax, ebx + 1", 10, "this is neither an address nor a number"),
        ("jmp short here + 200", 5, "the target is out of a short jump's reach"),
        ("mov eax, 5 5", 12, "unexpected 5"),
        ("dd 1 +", 7, "an expression is missing here"),
        ("dd (1", 6, "expected ) here"),
        ("dd 12z", 4, "12z is not a number"),
        ("dd here * here", 9, "this works on numbers only, not on addresses or registers"),
        ("dd here * 2", 4, "this is neither an address nor a number"),
        ("dd ~here", 4, "this works on numbers only, not on addresses or registers"),
        ("dd 1 / 0", 6, "division by zero"),
        ("dd 'ninechars' + 1", 4, "a character constant has at most 8 characters"),
        ("here: nop", 1, "here is already defined in test.asm:2"),
        ("eax: nop", 1, "eax is a register"),
        ("equ 5", 1, "equ needs a name"),
        ("bits 64", 1, "bits takes 16 or 32"),
        ("section .data", 9, "a flat image has the section .text only"),
        ("extern foo", 1, "extern has no place in a flat image"),
        ("mov eax, @", 10, "@ is not defined"),
        ("mov eax, #", 10, "unexpected #"),
        ("mov eax, %1", 10, "%1 means something inside a macro only"),
        ("%foo", 1, "unknown directive %foo"),
        ("%defin X 1", 1, "unknown directive %defin; did you mean %define?"),
        ("%define", 1, "%define needs a name"),
        ("%assign i", 1, "an expression is missing here"),
        ("%assign i here", 11, "here is not known before assembly"),
        ("%if nothing", 5, "nothing is not known before assembly"),
        ("%endif", 1, "%endif without %if"),
        ("%else", 1, "%else without %if"),
        ("%ifdef X", 1, "%endif is missing"),
        ("%macro m 1", 1, "%endmacro is missing"),
        ("%rep 3", 1, "%endrep is missing"),
        ("%exitrep", 1, "%exitrep is in no %rep"),
        ("%rotate 1", 1, "%rotate works inside a macro only"),
        ("%include 5", 1, "%include needs a file's name in quotes"),
        ('%include "absent.inc"', 10, "the file absent.inc cannot be read"),
        ("%error no {braces} here", 1, "no {braces} here"),
        ("movsb eax", 1, "movs is written without operands"),
        ("mov eax, [rel here]", 15, "relative addresses exist in 64-bit mode only"),
        ("mov ax, [word eax+bx]", 9, "these registers do not make an address"),
        ("a16 mov eax, [ebx]", 5, "two address sizes in one instruction"),
    ],
)
def test_every_problem_has_its_place(line: str, column: int, text: str) -> None:
    found = problems(f"bits 32\nhere: nop\n{line}\n")
    assert (3, column, text) in found


def test_all_problems_at_once_in_the_order_of_the_source() -> None:
    source = "mov eax, nowhere\nnop\nmvo eax, 1\ndb 256 * 2\n%if 1\n"
    assert [line for line, _, _ in problems(source)] == [1, 3, 4, 5]


def test_a_problem_in_a_macro_is_told_at_the_call_with_the_place_inside() -> None:
    source = "%macro load 1\nmov eax, %1\nmov ebx, missing\n%endmacro\n\n  load 5\n"
    assert problems(source) == [(6, 3, "missing is not defined (in macro load, test.asm:3)")]


def test_a_problem_with_a_parameter_stands_at_the_parameter() -> None:
    assert problems("%macro load 1\nmov eax, %1\n%endmacro\n  load missing\n") == [
        (4, 8, "missing is not defined (in macro load, test.asm:2)")
    ]


def test_a_problem_in_an_included_file_names_it() -> None:
    with pytest.raises(AssemblyError) as caught:
        assemble('%include "a.inc"\n', "main.asm", include={"a.inc": "nop\n bad 1\n"}.__getitem__)
    only = caught.value.problems[0]
    assert (only.file, only.line, only.column) == ("a.inc", 2, 2)


@pytest.mark.parametrize(
    ("source", "line", "text"),
    [
        ("%macro m 0\nm\n%endmacro\nm\n", 4, "macro m calls itself (in macro m, test.asm:2)"),
        (
            "%macro a 0\nb\n%endmacro\n%macro b 0\na\n%endmacro\na\n",
            7,
            "macro a calls itself (in macro b, test.asm:5)",
        ),
        ("a equ b\nb equ a + 1\n", 1, "the value of a does not settle"),
        ("a: times 10 - (b - a) db 0\nb:\n", 2, "the value of b does not settle"),
        ("%rep 100000\nnop\n%endrep\n", 1, "%rep repeats at most 65536 times"),
        ("%rep 60000\n%rep 60000\n\n%endrep\n%endrep\n", 3, "the source grows beyond 100000 lines"),
        ("times 0x7fffffff db 0\n", 1, "2147483647 bytes are more than the 16777216 that a source may make"),
        ("times 10000000 dd 0\n", 1, "40000000 bytes are more than the 16777216 that a source may make"),
        ("times 1000000 jmp $\n", 1, "1000000 repetitions are too many here"),
        ("times 3000000 dd 0\n" * 2, 2, "the source makes more than 16777216 bytes"),
        ('%include "self"\n', 1, "self is included without end"),
        ("dd " + "(" * 5000 + "\n", 1, "this expression is nested too deeply"),
        ("dd " + "-" * 5000 + "1\n", 1, "this expression is nested too deeply"),
    ],
)
def test_sources_without_end_end_in_a_problem(source: str, line: int, text: str) -> None:
    started = time.process_time()
    found = problems(source, include=lambda name: f'%include "{name}"\n')
    assert (line, text) in [(number, said) for number, _, said in found]
    assert time.process_time() - started < 5


def test_defines_that_name_each_other_stay_as_they_are() -> None:
    assert problems("%define a b\n%define b a\ndd a\n") == [(3, 4, "a is not defined")]


def test_defines_that_double_are_bounded() -> None:
    source = "".join(f"%define a{i} a{i + 1} a{i + 1}\n" for i in range(60)) + "dd a0\n"
    ((line, _, text),) = problems(source)
    assert (line, text.split(" ", 1)[1]) == (61, "expands to more than 20000 tokens")


FRAGMENTS = st.sampled_from(
    [
        "mov", "eax", ",", "[", "]", "(", ")", "+", "-", "*", "1", "0x10", "'a'", "label", ":", "%define",
        "%macro", "%endmacro", "%if", "%endif", "%rep", "%endrep", "%1", "%%x", "%+", "db", "dd", "times",
        "equ", "$", "$$", "jmp", ".x", "\n", "\n", " ", " ", "%assign", "byte", "far", "rep", "movsb",
        "%else", "0", "3", "{", "}", "?", "%include", "align", "bits 32", "es", "~", "<<", "'", '"', "\\",
        ";", "%rotate", "%ifidn", "/", "%", "1h",
    ]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(FRAGMENTS, max_size=40).map(" ".join) | st.text(max_size=60))
def test_any_text_assembles_or_is_told_why_not(source: str) -> None:
    try:
        assembly = assemble(source, "any.asm")
    except AssemblyError as error:
        for problem in error.problems:
            assert problem.line >= 1
            assert problem.column >= 1
            assert problem.message.in_english()
    else:
        assert isinstance(assembly, Assembly)
        assert sum(line.length for line in assembly.lines) == len(assembly.data)
