"""A cell's meaning: numbers, booleans, moments, categories and gaps, however the value came."""

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treeline.data.dtypes import is_missing, missing
from treeline.data.values import (
    MAX_ROWS_IN_LOOP,
    PLAIN_READING,
    Reading,
    as_categories,
    as_category,
    read_booleans,
    read_column,
    read_datetimes,
    read_numbers,
    to_datetimes,
    to_numeric,
)

MOMENTS = pd.to_datetime(pd.Series(["2020-01-31 14:05:06", "2021-12-01 00:00:00", "2019-02-28 23:59:59"]))
EURO = Reading(decimal=",", thousands=".", unit="€", words=("auf Anfrage",))


def values(*items: Any, dtype: Any = None) -> pd.Series:
    return pd.Series(list(items), dtype=dtype)


# --- readings


@pytest.mark.parametrize("reading", [PLAIN_READING, EURO, Reading(form="%d.%m.%Y"), Reading(pair=("y", "n"))])
def test_a_reading_survives_json(reading: Reading) -> None:
    kept = reading.to_dict()
    assert Reading.from_dict(kept) == reading
    assert (kept == {}) is (reading == PLAIN_READING)
    assert not any(isinstance(each, tuple) for each in kept.values())


def test_no_reading_is_the_default_one() -> None:
    assert Reading.from_dict(None) is PLAIN_READING


# --- numbers


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0),
        (np.int8(3), 3.0),
        (True, 1.0),
        ("3", 3.0),
        (" 3.5 ", 3.5),
        ("+3", 3.0),
        ("true", 1.0),
        ("False", 0.0),
        (decimal.Decimal("3.25"), 3.25),
        (datetime.timedelta(minutes=2), 120.0),
        (None, np.nan),
        ("", np.nan),
        ("  ", np.nan),
        ("n.a.", np.nan),
        ("\\N", np.nan),
        ("-inf", -np.inf),
        ("9007199254740993", 9007199254740992.0),
    ],
)
@pytest.mark.parametrize("rows", [1, 2 * MAX_ROWS_IN_LOOP])
def test_a_number_is_read_however_it_is_typed(value: Any, number: float, rows: int) -> None:
    read, strange = read_numbers(pd.Series([value] * rows, dtype=None if isinstance(value, str) else object))
    np.testing.assert_array_equal(read, [number] * rows)
    assert not strange.any()


@pytest.mark.parametrize(
    "value", ["three", "1,234", "1_2", "1E5", "12 km", "2:1", [1, 2], {"a": 1}, 1j, 10**400], ids=str
)
def test_what_is_no_number_is_strange(value: object) -> None:
    read, strange = read_numbers(pd.Series([value, 1.0], dtype=object))
    np.testing.assert_array_equal(read, [np.nan, 1.0])
    assert strange.tolist() == [True, False]
    with pytest.raises(ValueError, match="is no number"):
        to_numeric(pd.Series([value], dtype=object))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.234,50 €", 1234.5),
        ("€ 12,5", 12.5),
        ("-1.234", -1234.0),
        ("auf Anfrage", np.nan),
        ("(5,00 €)", -5.0),
        ("3", 3),
    ],
)
@pytest.mark.parametrize("rows", [1, 2 * MAX_ROWS_IN_LOOP])
def test_a_column_is_read_with_the_signs_it_has(text: str, number: float, rows: int) -> None:
    read, strange = read_numbers(values(*[text] * rows), EURO)
    np.testing.assert_array_equal(read, [number] * rows)
    assert not strange.any()


@pytest.mark.parametrize("text", ["12.5", "5 $", "1.23,4", "nobody"])
def test_other_signs_than_a_column_has_are_strange(text: str) -> None:
    assert read_numbers(values(text), EURO)[1].all()


@given(st.lists(st.one_of(st.none(), st.text(max_size=9), st.floats().map(repr), st.integers().map(str)), min_size=1))
def test_many_cells_are_read_as_each_of_them(cells: list[str | None]) -> None:
    many = pd.Series(cells * (MAX_ROWS_IN_LOOP + 1), dtype="str")
    for reading in (PLAIN_READING, EURO, Reading(thousands=","), Reading(decimal=",", thousands=" ")):
        one_by_one = [read_numbers(pd.Series([cell], dtype="str"), reading) for cell in cells]
        read, strange = read_numbers(many, reading)
        np.testing.assert_array_equal(read[: len(cells)], [each[0][0] for each in one_by_one])
        assert strange[: len(cells)].tolist() == [bool(each[1][0]) for each in one_by_one]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_python_writes_is_read_to_the_last_digit(number: float) -> None:
    for rows in (1, 2 * MAX_ROWS_IN_LOOP):
        assert read_numbers(values(*[repr(number)] * rows, dtype="str"))[0].tolist() == [number] * rows


# --- booleans


@pytest.mark.parametrize(
    ("value", "truth"), [("Y", 1.0), ("n ", 0.0), (True, 1.0), ("TRUE", 1.0), (0, 0.0), (None, np.nan), ("n/a", np.nan)]
)
def test_a_boolean_is_one_of_two_words_or_a_real_one(value: Any, truth: float) -> None:
    read, strange = read_booleans(pd.Series([value], dtype=object), Reading(pair=("y", "n")))
    np.testing.assert_array_equal(read, [truth])
    assert not strange.any()


def test_what_is_no_boolean_is_strange() -> None:
    assert read_booleans(values("t", "perhaps", "yes", [1]), Reading(pair=("t", "f")))[1].tolist() == [
        False,
        True,
        True,
        True,
    ]


# --- categories


@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (3, "3"),
        (3.0, "3"),
        ("3", "3"),
        ("3.0", "3.0"),
        (True, "True"),
        (1.5, "1.5"),
        (2**60 + 1, "1152921504606846977"),
    ],
)
def test_a_level_is_the_same_however_it_is_typed(value: Any, spelled: str) -> None:
    assert as_category(value) == spelled


@pytest.mark.parametrize("value", [None, np.nan, pd.NA, pd.NaT, "", "  "])
def test_a_missing_level_is_nan(value: Any) -> None:
    assert np.isnan(as_category(value))
    assert is_missing(value)
    assert np.isnan(as_categories(pd.Series([value], dtype=object))[0])


@pytest.mark.parametrize("word", ["None", "NA", "null", "nan", "n/a", "-", "?"])
def test_words_are_levels_whatever_they_say(word: str) -> None:
    assert as_category(word) == word
    assert not missing(values(word)).any()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_fraction_is_spelled_in_its_own_width(dtype: str) -> None:
    assert as_categories(values(0.1, 2.0, np.nan, dtype=dtype)).tolist()[:2] == ["0.1", "2"]


def test_levels_that_are_numbers_are_spelled_by_their_shortest_text() -> None:
    reading = Reading(levels_are_numbers=True)
    assert as_categories(values("3.0", "3", "0.50", "9007199254740993", "other"), reading).tolist() == [
        "3",
        "3",
        "0.5",
        "9007199254740993",
        "other",
    ]


# --- moments


@pytest.mark.parametrize(
    "column",
    [
        MOMENTS,
        MOMENTS.dt.tz_localize("UTC"),
        MOMENTS.dt.tz_localize("UTC").dt.tz_convert("America/New_York"),
        MOMENTS.astype("datetime64[s]"),
        MOMENTS.astype(str),
        MOMENTS.map(lambda at: at.isoformat()),
        MOMENTS.map(lambda at: at.isoformat() + "Z"),
        MOMENTS.map(lambda at: at.tz_localize("UTC").tz_convert("Asia/Tokyo").isoformat()),
        MOMENTS.map(lambda at: at.to_pydatetime()).astype(object),
        (MOMENTS.astype("datetime64[ms]").astype("int64")),
    ],
    ids=["real", "UTC", "a zone", "seconds", "text", "iso", "Z", "offset", "objects", "milliseconds"],
)
def test_moments_are_read_as_a_frame_a_file_or_json_carries_them(column: pd.Series) -> None:
    np.testing.assert_array_equal(to_datetimes(column), MOMENTS.to_numpy(dtype="datetime64[us]"))


def test_the_hour_that_autumn_repeats_is_two_hours() -> None:
    utc = pd.Series(pd.date_range("2024-11-03 04:30", periods=4, freq="h", tz="UTC"))
    here = utc.dt.tz_convert("America/New_York")
    for column in (here, here.dt.strftime("%Y-%m-%d %H:%M:%S%z"), here.map(lambda at: at.isoformat())):
        assert np.diff(to_datetimes(column)).tolist() == [datetime.timedelta(hours=1)] * 3


@pytest.mark.parametrize("far", ["9999-12-31", "0001-01-01", "1400-02-03T10:00:00"])
def test_far_away_moments_keep_their_place(far: str) -> None:
    assert to_datetimes(values(far, "2024-01-01"))[0] == np.datetime64(far)


def test_a_time_of_day_is_the_same_as_text_and_as_such() -> None:
    text, real = values("10:30:00", "09:05:00"), values(datetime.time(10, 30), datetime.time(9, 5))
    np.testing.assert_array_equal(to_datetimes(text, "%H:%M:%S"), to_datetimes(real))


def test_text_in_another_format_is_read_when_it_is_iso() -> None:
    read, strange = read_datetimes(values("31.01.2020", "2020-02-01", "nonsense", "n/a"), Reading(form="%d.%m.%Y"))
    assert list(read[:2]) == [np.datetime64("2020-01-31"), np.datetime64("2020-02-01")]
    assert np.isnat(read[2:]).all()
    assert strange.tolist() == [False, False, True, False]


# --- columns and sentences


@pytest.mark.parametrize(
    ("kind", "column", "dtype"),
    [
        ("number", values("1", None), "float64"),
        ("boolean", values("true", "false"), "bool"),
        ("boolean", values("true", None), "object"),
        ("datetime", values("2020-01-01", None), "datetime64[us]"),
    ],
)
def test_a_column_is_read_into_the_type_of_its_kind(kind: str, column: pd.Series, dtype: str) -> None:
    read, strange = read_column(column.set_axis([7, 9]), kind)
    assert (str(read.dtype), read.index.tolist(), strange.any()) == (dtype, [7, 9], False)
