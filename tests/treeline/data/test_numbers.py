"""Text that spells numbers: the signs of a column, and what is no number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from treeline.data.numbers import Signs, are_few, has_leading_zero, is_plain, marks_missing, parse_number
from treeline.data.signs import settle_numbers


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("1,234", Signs()),
        ("12.345", Signs(decimal=",")),
        ("12.5", Signs(decimal=",", thousands=".")),
        ("1,5", Signs(thousands=",")),
        ("5 km", Signs()),
        ("5 mi", Signs(unit="km")),
        ("1 234", Signs()),
    ],
)
def test_what_could_mean_two_things_is_no_number(text: str, signs: Signs) -> None:
    assert parse_number(text, signs) is None


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12).map(lambda x: round(x, 2)))
def test_every_number_is_read_back_from_every_way_to_write_it(number: float) -> None:
    english = f"{number:,.2f}"
    german = english.translate(str.maketrans(",.", ".,"))
    assert parse_number(english, Signs(thousands=",")) == number
    assert parse_number(german, Signs(decimal=",", thousands=".")) == number
    assert parse_number(english.replace(",", " "), Signs(thousands=" ")) == number
    assert parse_number(f"{german} kg", Signs(decimal=",", thousands=".", unit="kg")) == number
    assert parse_number(repr(number)) == number


@given(st.text(max_size=20))
def test_no_text_is_too_strange(text: str) -> None:
    number = parse_number(text)
    assert number is None or isinstance(number, float)
    settle_numbers({text: 1, "1": 1})


def test_marks_are_told_without_case_and_blanks() -> None:
    assert all(map(marks_missing, ["", " NA", "#DIV/0!", "\\N", "Unknown", "—", "..", "None"]))
    assert not any(map(marks_missing, ["0", "no", "a", "x"]))


def test_codes_and_plain_numbers_are_told_apart() -> None:
    assert [has_leading_zero(text) for text in ("007", "0", "0.5", "-01", "10")] == [True, False, False, True, False]
    assert [is_plain(text) for text in ("1", "-1.5", "1e+5", "1E5", "1,5", "")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_few_are_few_cells_and_few_words() -> None:
    assert are_few({"a": 5}, 100)
    assert not are_few({"a": 6}, 100)
    assert not are_few({str(i): 1 for i in range(6)}, 1000)


def test_more_words_are_few_where_they_are_rare() -> None:
    typos = dict.fromkeys("abcdefgh", 1)
    assert not are_few(typos, 4000)
    assert are_few(typos, 8000)
    assert not are_few(dict.fromkeys(map(str, range(200)), 1), 10**6)
