"""The signs of the numbers of a column."""

import math
from collections import Counter

import pytest

from treeline.data.numbers import parse_number
from treeline.data.signs import settle_numbers


def read(*texts: str, comma_elsewhere: bool = False) -> list[float | None]:
    spelled = settle_numbers(Counter(texts), comma_elsewhere)
    return [] if spelled is None else [parse_number(text, spelled.signs) for text in texts]


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [
        (["1,5", "2,75", "3"], [1.5, 2.75, 3]),
        (["1,234", "56,789", "12"], [1234, 56789, 12]),
        (["1,234,567", "12"], [1234567, 12]),
        (["12,34,567", "1,00,000"], [1234567, 100000]),
        (["1.234,56", "12,50", "1.234.567,00"], [1234.56, 12.5, 1234567]),
        (["1 234,5", "12,0"], [1234.5, 12]),
        (["1\u202f234,5", "1\u00a0234"], [1234.5, 1234]),
        (["1'234.5", "1’000"], [1234.5, 1000]),
        (["1.234", "12.345", "987"], [1234, 12345, 987]),
        (["1.250", "2.500", "3"], [1.25, 2.5, 3]),
        (["0.125", "12.345", "987"], [0.125, 12.345, 987]),
        (["1.234", "12.345", "123.456"], [1.234, 12.345, 123.456]),
        (["$1,234.50", "$5.00", "($3.00)", "-$2", "$.50"], [1234.5, 5, -3, -2, 0.5]),
        (["USD 5", "USD 1,200"], [5, 1200]),
        (["Rs.500", "Rs. 1,500"], [500, 1500]),
        (["5,5 €", "100 €"], [5.5, 100]),
        (["0", "1", "2", "$4.99"], [0, 1, 2, 4.99]),
        (["0", "1", "2", "$4.99", "5 €"], [0, 1, 2, None, None]),
        (["R$ 1.234,50", "R$ 20,00"], [1234.5, 20]),
        (["12.5%", "3 %"], [12.5, 3]),
        (["13 kmpl", "14.5 kmpl"], [13, 14.5]),
        (["36 months", "60 months", "1 month"], [36, 60, 1]),
        (["10+ years", "< 1 year", "3 years"], [10, 1, 3]),
        (["12 m2", "13 m²"], [12, 13]),
        (["1st", "2nd", "25th", "33rd"], [1, 2, 25, 33]),
        (["€110.5M", "€565K", "€0"], [110.5e6, 565e3, 0]),
        (["1.2k", "300", "3M"], [1200, 300, 3e6]),
        (["0.5 million", "3 thousand"], [5e5, 3e3]),
        (["₹56.5 Lakh", "₹1.2 Cr"], [5.65e6, 1.2e7]),
        (["1.6K", "2K", "372", "4"], [1600, 2000, 372, 4]),
        (["300K", "310K", "290"], [300, 310, 290]),
        (["1.6K", "1600"], [1.6, 1600]),
        (["100-", "20"], [-100, 20]),
        (["Fr. 5'631.–", "Fr. 20.-"], [5631, 20]),
        (["5.631,- €", "20,50 €"], [5631, 20.5]),
        (["$(1,234.50)", "$20", "–$3"], [-1234.5, 20, -3]),
        (["–5", "4"], [-5, 4]),
        (["5,631e+03", "2,417e+05"], [5631, 241700]),
        (["5.6308e3", "2.5e4"], [5630.8, 25000]),
        (["−5", "4"], [-5, 4]),
        (["1.5e-05", "2.0E5", "1e+16"], [1.5e-5, 2e5, 1e16]),
        ([".5", "-.25", "5."], [0.5, -0.25, 5]),
        (["12.5", "<0.5", "1,5", "inf"], [12.5, 0.5, 1.5, math.inf]),
    ],
    ids=str,
)
def test_numbers_are_read_as_their_column_writes_them(texts: list[str], numbers: list[float]) -> None:
    assert read(*texts) == numbers


@pytest.mark.parametrize(
    "texts",
    [
        ["1E5", "2E3"],
        ["1_2", "3_4"],
        ["2:1", "16:9"],
        ["10.11.12", "1.2.3"],
        ["735-739", "1-2"],
        ["A1", "A2"],
        ["00501 a", "00502 a"],
        ["00000-XY", "00001-XY"],
        ["10 Jan", "11 Jan"],
        ["5 PM", "6 PM"],
        ["street 12", "street 5"],
        ["1 2", "3 4"],
        ["1/2"],
        ["36:15:00"],
        ["52.51,13.40", "52.1,13.2"],
        ["192.168.0.1"],
        ["a", "b"],
        ["", "n/a"],
        ["0x1F"],
        ["٣"],
    ],
    ids=str,
)
def test_what_only_looks_like_a_number_is_none(texts: list[str]) -> None:
    assert read(*texts) == []


def test_groups_of_three_follow_the_rest_of_the_table() -> None:
    assert read("1.234", "12.345", comma_elsewhere=True) == [1234, 12345]
    assert read("1,234", "12,345", comma_elsewhere=True) == [1.234, 12.345]


def test_two_units_are_no_unit() -> None:
    spelled = settle_numbers(Counter(["5 km", "3 km", "2 mi"]))
    assert spelled is not None
    assert dict(spelled.words) == {"2 mi": 1}


def test_what_was_seen_is_told() -> None:
    spelled = settle_numbers(Counter(["1.234,5 €", "(2,0 €)", "<3 €", "x"]))
    assert spelled is not None
    assert spelled.details == (
        "decimal commas",
        "thousands set apart by '.'",
        "in '€'",
        "bounds read as their number, such as '<3 €'",
        "negative by brackets or a sign behind, such as '(2,0 €)'",
    )
    assert dict(spelled.words) == {"x": 1}


def test_a_column_that_does_not_decide_is_told() -> None:
    spelled = settle_numbers(Counter(["1,234", "5,678"]))
    assert spelled is not None
    assert "which the column does not decide" in spelled.details[0]


def test_who_writes_whole_numbers_without_a_point_writes_no_zero_behind_one() -> None:
    dotted = [f"{thousands}.{rest:03}" for thousands, rest in zip(range(1, 41), range(5, 805, 20), strict=True)]
    assert read("7", "250", "5.600", *dotted)[:3] == [7, 250, 5600]
    assert read("7", "250", "5.601", *(each[:-1] + "5" for each in dotted))[2] == 5.601  # as before: nearer in size
    assert read("0", "5.600", *dotted)[1] == 5.6  # a lone 0 is written so by anyone
