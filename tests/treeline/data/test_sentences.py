"""Values in sentences."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from treeline.data.sentences import examples, figure, refusal, spell


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        ("x", "'x'"),
        (np.str_("it's"), '"it\'s"'),
        (np.int64(0), "0"),
        (np.float64(3.0), "3"),
        (-999.0, "-999"),
        (np.float32(0.1), "0.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e20, "1e+20"),
        (np.float64("inf"), "inf"),
        (True, "True"),
        (np.bool_(False), "False"),
        (np.float64("nan"), "an empty cell"),
        (None, "an empty cell"),
        (pd.NA, "an empty cell"),
        (np.datetime64("NaT"), "an empty cell"),
        (pd.Timestamp("2026-01-31"), "2026-01-31"),
        (pd.Timestamp("2026-01-31 12:30", tz="UTC"), "2026-01-31 12:30:00+00:00"),
        (np.datetime64("2026-01-31T01:00"), "2026-01-31 01:00:00"),
        (datetime.date(2026, 1, 31), "2026-01-31"),
        (datetime.time(1, 2), "01:02:00"),
        (pd.Timedelta(hours=36), "1 days 12:00:00"),
        (decimal.Decimal("1.50"), "1.50"),
        (["a"], "['a']"),
    ],
)
def test_a_sentence_spells_a_value_as_the_table_does(value: object, spelled: str) -> None:
    assert spell(value) == spelled


def test_a_refusal_is_one_sentence_that_spells_the_value() -> None:
    assert refusal("a b", "number", "x") == "The column 'a b' holds 'x', not a number."
    assert refusal("a", "boolean", np.int64(7)) == "The column 'a' holds 7, not true or false."


def test_examples_are_different_and_few() -> None:
    assert examples([np.int64(1), 1, "a", "b", "c"]) == "1, 'a', 'b'"


@pytest.mark.parametrize(
    ("value", "spelled"),
    [(70512.4, "70512"), (1234.56, "1235"), (0.123456, "0.1235"), (-0.0, "0"), (3e10, "3e+10"), (float("nan"), "nan")],
)
def test_a_figure_is_read_without_powers_of_ten(value: float, spelled: str) -> None:
    assert figure(value) == spelled


def test_a_figure_has_the_digits_that_are_asked_for() -> None:
    assert figure(12345.67, 5) == "12346"
    assert figure(0.1234567, 5) == "0.12346"
