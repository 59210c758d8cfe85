"""The format of the moments of a column."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from treeline.data.durations import is_duration, parse_duration
from treeline.data.formats import settle_moments
from treeline.data.moments import parse

MOMENTS = pd.to_datetime(pd.Series(["2020-01-31 14:05:06", "2021-12-01 00:00:00", "2019-02-28 23:59:59"]))


def form_of(*texts: str) -> str:
    dated = settle_moments(Counter(texts))
    return dated.form if dated else ""


@pytest.mark.parametrize(
    "written",
    [
        "%Y-%m-%d",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M:%S.%f",
        "%Y/%m/%d",
        "%Y.%m.%d",
        "%m/%d/%Y",
        "%d/%m/%Y",
        "%d.%m.%Y",
        "%d.%m.%Y %H:%M",
        "%d-%m-%Y %H.%M",
        "%m/%d/%Y %I:%M:%S %p",
        "%m/%d/%Y %I:%M %p",
        "%d-%b-%Y",
        "%d-%b-%y %I.%M.%S.%f %p",
        "%d %B %Y",
        "%d. %B %Y",
        "%d. %m. %Y",
        "%Y-%b-%d",
        "%Y %b %d",
        "%Y %m %d",
        "%d/%b/%y",
        "%d %b, %Y",
        "%m.%d.%Y",
        "%Y年%m月%d日",
        "%d.%m.%Y - %H:%M",
        "%Y-%m-%d-%H.%M.%S",
        "%b %d, %Y",
        "%B %d, %Y",
        "%A, %B %d, %Y",
        "%m/%d/%y",
        "%b-%Y",
        "%m/%Y",
        "%d/%b/%Y:%H:%M:%S",
        "%d%b%Y",
        "%Y%m%d",
        "%H:%M",
        "%H.%M.%S",
        "%a %b %d %H:%M:%S %Y",
    ],
)
def test_common_formats_are_told_and_read(written: str) -> None:
    text = MOMENTS.dt.strftime(written)
    expected = pd.to_datetime(text, format=written).to_numpy(dtype="datetime64[us]")
    np.testing.assert_array_equal(parse(text, form_of(*text)), expected)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Wed Aug 27 13:08:45 +0000 2008", "2008-08-27T13:08:45"),
        ("Mon Jan 01 00:00:00 PST 2024", "2024-01-01T08:00:00"),
        ("Mon, 01 Jan 2024 00:00:00 GMT", "2024-01-01T00:00:00"),
        ("2024-01-31 10:00:00 UTC", "2024-01-31T10:00:00"),
        ("2024-01-31T10:00:00.123456789+02:00", "2024-01-31T08:00:00.123456"),
        ("2024-01-31 10:00:00 -0800", "2024-01-31T18:00:00"),
        ("01-JAN-24 02.00.00.000000000 PM", "2024-01-01T14:00:00"),
        ("2024-Q3", "2024-07-01"),
        ("Q3 2024", "2024-07-01"),
        ("2024-W05", "2024-01-29"),
        ("Jan. 5, 2020", "2020-01-05"),
        ("9:05 a.m.", "1900-01-01T09:05"),
        ("9999-12-31", "9999-12-31"),
        ("31.12.9999", "9999-12-31"),
        ("0001-01-01", "0001-01-01"),
    ],
)
def test_a_moment_is_read_as_what_it_says_in_utc(text: str, moment: str) -> None:
    assert parse(pd.Series([text], dtype=object), form_of(text))[0] == np.datetime64(moment)


@pytest.mark.parametrize(
    "texts",
    [
        ["a", "b"],
        ["12 km", "3 km"],
        ["2020-01-01", "never"],
        ["1.5.2", "x"],
        ["2:1", "16:9"],
        ["10.11.12", "11.12.13"],
        ["1_2", "3_4"],
        ["1E5", "2E6"],
        ["735-739", "715-719"],
        ["2020", "2021"],
        ["1", "2"],
        ["", "n/a"],
        ["192.168.0.1", "10.0.0.1"],
    ],
    ids=str,
)
def test_what_is_no_moment_has_no_format(texts: list[str]) -> None:
    assert form_of(*texts) == ""


def test_one_value_decides_between_day_and_month() -> None:
    assert form_of("01/02/2020", "31/05/2020", "30/04/2020") == "%d/%m/%Y"
    assert form_of("01/02/2020", "05/31/2020", "04/30/2020") == "%m/%d/%Y"


def test_where_no_value_decides_it_is_told_and_even_spacing_wins() -> None:
    dated = settle_moments(Counter(["01/02/2020", "03/04/2020"]))
    assert dated is not None
    assert (dated.form, "month is taken to stand first" in dated.doubt) == ("%m/%d/%Y", True)
    months = pd.date_range("2015-01-01", periods=24, freq="MS").strftime("%d/%m/%Y")
    dated = settle_moments(Counter(months))
    assert dated is not None
    assert (dated.form, "day is taken to stand first" in dated.doubt) == ("%d/%m/%Y", True)


def test_a_few_words_do_not_hide_a_format_and_are_named() -> None:
    days = list(pd.date_range("2020-01-01", periods=200).strftime("%d.%m.%Y"))
    dated = settle_moments(Counter([*days, "", " ", "unknown", "0000-00-00", "Total"]))
    assert dated is not None
    assert (dated.form, dict(dated.words)) == ("%d.%m.%Y", {"Total": 1})


@given(st.datetimes(), st.sampled_from(["%Y-%m-%d %H:%M:%S.%f", "%d.%m.%Y %H:%M:%S.%f"]))
def test_every_moment_is_read_back(at: object, written: str) -> None:
    text = f"{at:%d.%m.}{at.year:04} {at:%H:%M:%S.%f}" if written[1] == "d" else f"{at.year:04}-{at:%m-%d %H:%M:%S.%f}"  # type: ignore[attr-defined]
    assert parse(pd.Series([text], dtype=object), form_of(text))[0] == np.datetime64(at, "us")  # type: ignore[call-overload]


@given(st.text(max_size=20))
def test_no_text_is_too_strange(text: str) -> None:
    settle_moments({text: 1, "2020-01-01": 1})
    parse_duration(text)
    is_duration({text: 1})


@pytest.mark.parametrize("sign", ["/", "-", "."])
@pytest.mark.parametrize(
    ("days", "first"),
    [
        (pd.date_range("2021-03-02", periods=120, freq="5D"), "%y"),
        (pd.date_range("2021-03-02", periods=120, freq="5D"), "%d"),
        (pd.date_range("2005-01-31", periods=200, freq="ME"), "%d"),
        (pd.date_range("2005-01-01", periods=200, freq="MS"), "%d"),
    ],
    ids=["years", "days", "month ends", "month starts"],
)
def test_years_of_two_digits_may_stand_first(days: pd.DatetimeIndex, first: str, sign: str) -> None:
    written = sign.join(["%y", "%m", "%d"] if first == "%y" else ["%d", "%m", "%y"])
    dated = settle_moments(Counter(days.strftime(written)))
    assert dated is not None
    assert (parse(pd.Series(days.strftime(written)), dated.form) == days.to_numpy()).all()
    assert ("year is taken to stand first" in dated.doubt) == (first == "%y")


@pytest.mark.parametrize(
    "texts",
    [
        ["2nd March 2021", "31st December 2021"],
        ["31/12/2021 12:00 a. m.", "01/12/2021 1:30 p. m."],
        ["02.03.2021 14:05 Uhr", "03.03.2021 15:00 Uhr"],
    ],
    ids=str,
)
def test_what_people_write_into_dates_is_passed_over(texts: list[str]) -> None:
    assert form_of(*texts)


@pytest.mark.parametrize(
    ("years", "form", "first", "last"),
    [
        (range(1946, 2000), "%d-%b-%y, years from 1923", 1946, 1999),  # births
        (range(1913, 1999), "%d-%b-%y, years from 1906", 1913, 1998),
        (range(1990, 2016), "%d-%b-%y", 1990, 2015),
        (range(1962, 2021), "%d-%b-%y, years from 1941", 1962, 2020),
        (range(2015, 2046), "%d-%b-%y", 2015, 2045),  # loans that end
        (range(1935, 1960), "%d-%b-%y, years from 1897", 1935, 1959),
        (range(2018, 2019), "%d-%b-%y", 2018, 2018),
        (range(1969, 2069), "%d-%b-%y", 1969, 2068),
    ],
    ids=str,
)
def test_years_of_two_digits_stay_in_order(years: range, form: str, first: int, last: int) -> None:
    texts = [f"{day}-Jun-{year % 100:02}" for year in years for day in (1, 24)]
    dated = settle_moments(dict.fromkeys(texts, 1))
    assert dated is not None
    assert dated.form == form
    moments = parse(pd.Series([*texts, "29-Feb-96", "?"], dtype=object), dated.form)
    assert moments[0] == np.datetime64(f"{first}-06-01")
    assert moments[-3] == np.datetime64(f"{last}-06-24")
    assert np.isnat(moments[-1])
    assert (np.diff(moments[:-2].astype("int64")) > 0).all()
