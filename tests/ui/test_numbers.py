from itertools import pairwise

import pytest

from vizapp.ui.numbers import compact, decimal, grouped, percent, ticks, times


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1000, "1\u202f000"), (141_882, "141\u202f882")]
)
def test_thousands_are_grouped_by_a_narrow_space(number, text):
    assert grouped(number) == text


def test_portuguese_has_a_decimal_comma():
    assert decimal(1.9, 2) == "1.90"
    assert decimal(1.9, 2, "pt_BR") == "1,90"
    assert times(4.6, "pt_BR") == "4,60×"


@pytest.mark.parametrize(("ratio", "text"), [(1.0, "1.00×"), (12.44, "12.4×"), (1250.4, "1\u202f250×")])
def test_large_ratios_are_coarser(ratio, text):
    assert times(ratio) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0"), (40_000, "40 k"), (1_500_000, "1.5 M"), (999, "999")])
def test_axis_numbers_are_short(number, text):
    assert compact(number) == text


def test_percent_keeps_one_decimal():
    assert percent(0.916) == "91.6 %"


@pytest.mark.parametrize("high", [7, 84_000, 1.6e6, 123_456_789])
def test_ticks_are_round_and_inside(high):
    marks = ticks(0, high, 5)
    assert marks[0] == 0
    assert marks[-1] <= high
    assert 2 <= len(marks) <= 7
    steps = {round(b - a, 6) for a, b in pairwise(marks)}
    assert len(steps) == 1
