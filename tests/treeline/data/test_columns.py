"""What kind a column is, and which are left out."""

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tables_maker import KINDS, TARGET, make_table

from treeline import UserError
from treeline.data.columns import KINDS_BY_SETTING, MAX_NATIVE_CATEGORIES, Columns, settle_columns


def values(*items: Any, dtype: Any = None) -> pd.Series:
    return pd.Series(list(items), dtype=dtype)


def settled(column: pd.Series, asked: str = "") -> Columns:
    return settle_columns(pd.DataFrame({"größe": column}), {"größe": asked} if asked else {})


def repeated(*items: Any, times: int = 10, dtype: Any = None) -> pd.Series:
    return pd.Series(list(items) * times, dtype=dtype)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (values(1, 2), "number"),
        (values(1, 2, dtype="uint8"), "number"),
        (values(1.5, None), "number"),
        (values(1, None, dtype="Int64"), "number"),
        (values(1, None, dtype="int64[pyarrow]"), "number"),
        (values(np.inf, np.nan), "number"),
        (values(decimal.Decimal(1), None, decimal.Decimal("2.5")), "number"),
        (values(pd.Timedelta(1), None, pd.Timedelta(5)), "number"),
        (values("1.5", " ", "-3", None, "1e+3", "?"), "number"),
        (values("1", "2"), "number"),
        (values(True, False), "boolean"),
        (values(True, None, dtype="boolean"), "boolean"),
        (values(True, np.nan, False, dtype=object), "boolean"),
        (values("a", None), "category"),
        (values("a", np.nan, dtype=object), "category"),
        (values("a", None, "b", dtype="category"), "category"),
        (values(1, 2, dtype="category"), "category"),
        (values("yes", "no"), "boolean"),
        (values("01234", "10115", "00100"), "category"),
        (values("0123", "0456", "1789"), "category"),
        (values("a", 1, dtype=object), "category"),
        (values("1", "12 km", "3"), "category"),
        (repeated(*(f"level {i}" for i in range(MAX_NATIVE_CATEGORIES))), "category"),
        (repeated(*(f"level {i}" for i in range(MAX_NATIVE_CATEGORIES + 1))), "high_cardinality"),
        (values(*pd.to_datetime(["2020-01-01", None, "2021-01-01"])), "datetime"),
        (values(*pd.to_datetime(["2020-01-01", "2020-01-02"], utc=True)), "datetime"),
        (values(datetime.date(2020, 1, 1), None, datetime.date(2020, 1, 3)), "datetime"),
        (values(*pd.period_range("2020", periods=2, freq="D")), "datetime"),
        (values("2020-01-31", "2020-02-01"), "datetime"),
        (values("31/01/2020 14:05", "01/02/2020 03:00", None), "datetime"),
        (values("14:05", "03:00"), "datetime"),
        (values(*(f"the film {i} was not good at all" for i in range(30))), "text"),
        (repeated("some college no degree at all", "a doctor of many things"), "category"),
    ],
    ids=lambda value: f"{value.dtype}-{value.iloc[0]}"[:40] if isinstance(value, pd.Series) else str(value),
)
def test_a_column_has_the_kind_of_its_values(column: pd.Series, kind: str) -> None:
    assert settled(column).kinds == {"größe": kind}


def test_every_column_gets_its_kind_in_order() -> None:
    kinds = settle_columns(make_table().drop(columns=TARGET)).kinds
    assert list(kinds.items()) == list(KINDS.items())


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (values(None, None), "it holds no value"),
        (values(" ", ""), "it holds no value"),
        (values(None, None, dtype="category"), "it holds no value"),
        (values(7, 7), "it is constant: '7'"),
        (values("a", "a"), "it is constant: 'a'"),
        (values([1], [2]), "it holds list values"),
        (values({"a": 1}, {}), "it holds dict values"),
        (values(b"a", b"b"), "it holds bytes values"),
        (values(1j, 2), "it holds complex numbers"),
        (values(*(f"{i:05}-XY" for i in range(50))), "it is an id: 50 rows"),
    ],
    ids=str,
)
def test_a_column_that_tells_nothing_is_left_out_and_named(column: pd.Series, reason: str) -> None:
    found = settled(column)
    assert found.kinds == {}
    assert found.left_out["größe"].startswith(reason)


def test_a_row_number_is_left_out_where_anything_else_is_there() -> None:
    numbers = pd.Series(range(100, 150))
    both = settle_columns(pd.DataFrame({"row": numbers, "x": numbers % 7}))
    assert (both.kinds, both.left_out) == ({"x": "number"}, {"row": "it numbers the rows"})
    assert settle_columns(pd.DataFrame({"row": numbers})).kinds == {"row": "number"}


@pytest.mark.parametrize("name", ["id", "customer_id", "PassengerId", "customerID", "ID", "user id"])
def test_whole_numbers_that_never_repeat_under_the_name_of_an_id_are_left_out(name: str) -> None:
    numbers = np.random.default_rng(0).permutation(50)
    assert "it is an id" in settle_columns(pd.DataFrame({name: numbers})).left_out[name]
    assert settle_columns(pd.DataFrame({name: numbers // 2})).kinds == {name: "number"}


@pytest.mark.parametrize("name", ["paid", "population", "Kid", "humid"])
def test_whole_numbers_that_never_repeat_under_another_name_are_numbers(name: str) -> None:
    assert settle_columns(pd.DataFrame({name: np.random.default_rng(0).permutation(50)})).kinds == {name: "number"}


def test_a_constant_with_missing_values_is_kept_for_what_is_missing() -> None:
    assert settled(values(1.0, None)).kinds == {"größe": "number"}


def test_the_second_of_two_equal_columns_is_left_out_unless_asked_for() -> None:
    frame = pd.DataFrame({"a": [1, 2, None], "b": [1.0, 2.0, None], "c": ["x", "y", None], "d": ["x", "y", None]})
    assert settle_columns(frame).left_out == {"b": "the same as 'a'", "d": "the same as 'c'"}
    assert settle_columns(frame, {"b": "number"}).left_out == {"d": "the same as 'c'"}


@pytest.mark.parametrize(
    ("column", "asked", "kind"),
    [
        (values(*range(100, 150)), "number", "number"),
        (values(1, 2, 3), "category", "category"),
        (values(*range(150)), "category", "high_cardinality"),
        (values("a", "b"), "text", "text"),
        (values(20200131, 20200201), "datetime", "datetime"),
        (values("1", " "), "number", "number"),
    ],
    ids=str,
)
def test_the_user_has_the_last_word(column: pd.Series, asked: str, kind: str) -> None:
    found = settled(column, asked)
    assert found.kinds == {"größe": kind}
    setting = next(setting for setting, each in KINDS_BY_SETTING.items() if each == asked)
    assert found.reasons["größe"] == f"asked for by {setting}"


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [("number", "^numeric names 'größe', which holds 'b'"), ("datetime", "^datetime names 'größe', which holds '1'")],
)
def test_what_cannot_be_read_as_asked_is_named(asked: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        settled(values("1", "b"), asked)


def test_a_blank_in_front_of_every_word_is_said() -> None:
    told = settle_columns(pd.DataFrame({"work": [" State-gov", " Private"] * 20, "b": [" x", "y"] * 20})).reasons
    assert told["work"] == "2 levels; blanks around the words are left out"
    assert told["b"] == "2 levels"


def test_weeks_are_no_addresses() -> None:
    assert settled(values(*[f"WEEK {i % 9}" for i in range(90)])).reasons["größe"] == "9 levels"


def test_blanks_are_said() -> None:
    assert settled(values("1.5", " ", "?", "2")).reasons["größe"] == "numbers; 1 cell read as missing: '?'"


@pytest.mark.filterwarnings("error")
def test_an_infinite_number_among_different_ones_warns_of_nothing() -> None:
    assert settle_columns(pd.DataFrame({"n": [*range(30), np.inf]})).kinds == {"n": "number"}


def test_a_column_without_a_name_is_left_out_and_told() -> None:
    found = settle_columns(pd.DataFrame({"": [1, 2, 1, 2], "a": [1, 2, 2, 1]}))
    assert (found.kinds, found.left_out) == ({"a": "number"}, {"": "it has no name"})
