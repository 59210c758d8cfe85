"""Dates and times: formats told from values, and the parts that a model reads."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from treeline.data.values import datetime_format, spell, to_datetimes
from treeline.model.encoders import datetime_parts

MOMENTS = pd.to_datetime(pd.Series(["2020-01-31 14:05:06", "2021-12-01 00:00:00", "2019-02-28 23:59:59"]))


@pytest.mark.parametrize(
    "written",
    [
        "%Y-%m-%d",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M:%S",
        "%Y/%m/%d",
        "%m/%d/%Y",
        "%d/%m/%Y",
        "%d.%m.%Y",
        "%d.%m.%Y %H:%M",
        "%m/%d/%Y %I:%M:%S %p",
        "%m/%d/%Y %I:%M %p",
        "%d-%b-%Y",
        "%d %B %Y",
        "%b %d, %Y",
        "%B %d, %Y",
        "%m/%d/%y",
    ],
)
def test_common_formats_are_told_and_read(written: str) -> None:
    text = MOMENTS.dt.strftime(written)
    expected = pd.to_datetime(text, format=written)
    np.testing.assert_array_equal(to_datetimes(text, datetime_format(text)), expected.to_numpy(dtype="datetime64[ns]"))


def test_one_value_decides_between_day_and_month() -> None:
    assert datetime_format(pd.Series(["01/02/2020", "03/04/2020"])) == "%m/%d/%Y"
    assert datetime_format(pd.Series(["01/02/2020", "31/05/2020", "30/04/2020"])) == "%d/%m/%Y"


@pytest.mark.parametrize("text", [["a", "b"], ["12 km", "3 km"], ["2020-01-01", "never"], [None, None], ["1.5.2", "x"]])
def test_what_is_no_date_has_no_format(text: list[str]) -> None:
    assert datetime_format(pd.Series(text)) == ""


def test_a_few_blanks_and_typos_do_not_hide_a_format() -> None:
    days = pd.Series(pd.date_range("2020-01-01", periods=200).strftime("%d.%m.%Y"))
    spoilt = pd.concat([days, pd.Series(["", " ", None, "unknown"])], ignore_index=True)
    assert datetime_format(spoilt) == "%d.%m.%Y"
    assert np.isnat(to_datetimes(spoilt, "%d.%m.%Y")).sum() == 4


@pytest.mark.parametrize(
    "column",
    [
        MOMENTS,
        MOMENTS.dt.tz_localize("America/New_York"),
        MOMENTS.astype("datetime64[s]"),
        MOMENTS.astype(str),
        MOMENTS.map(lambda at: at.isoformat()),
        MOMENTS.map(lambda at: at.to_pydatetime()).astype(object),
        (MOMENTS.astype("datetime64[ms]").astype("int64")),
    ],
    ids=["real", "with a zone", "seconds", "text", "iso", "objects", "milliseconds"],
)
def test_real_dates_are_read_as_a_frame_or_json_carries_them(column: pd.Series) -> None:
    np.testing.assert_array_equal(to_datetimes(column, ""), MOMENTS.to_numpy(dtype="datetime64[ns]"))


def test_text_in_another_format_is_read_when_it_is_iso() -> None:
    read = to_datetimes(pd.Series(["31.01.2020", "2020-02-01", "nonsense"]), "%d.%m.%Y")
    assert list(read[:2]) == [np.datetime64("2020-01-31"), np.datetime64("2020-02-01")]
    assert np.isnat(read[2])


def test_the_parts_are_those_of_the_calendar_and_the_clock() -> None:
    found = datetime_parts(MOMENTS.to_numpy(dtype="datetime64[ns]"), np.datetime64("2019-02-28"))
    for i, at in enumerate(MOMENTS):
        day = datetime.datetime(at.year, at.month, at.day)
        for name in ("year", "month", "day", "hour", "minute"):
            assert found[name][i] == getattr(at, name)
        assert found["weekday"][i] == day.weekday()
        assert found["days"][i] == pytest.approx((at - pd.Timestamp("2019-02-28")).total_seconds() / 86400)


def test_the_parts_of_no_moment_are_missing() -> None:
    found = datetime_parts(np.array(["NaT", "2020-01-01"], dtype="datetime64[ns]"), np.datetime64("2020-01-01"))
    for values in found.values():
        assert np.isnan(values[0])
        assert np.isfinite(values[1])


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
        (Decimal("1.50"), "1.50"),
        (["a"], "['a']"),
    ],
)
def test_a_sentence_spells_a_value_as_the_table_does(value: object, spelled: str) -> None:
    assert spell(value) == spelled
