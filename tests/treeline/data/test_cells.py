"""What the text of each column means, settled once."""

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from treeline import UserError
from treeline.data.cells import Cells, settle_cells, settle_label_cells
from treeline.data.values import Reading, read_column, read_datetimes

N = 80
RNG = np.random.default_rng(0)
PRICES = [f"{value:.2f}" for value in RNG.uniform(1, 40, N)]


def cells(*texts: str | None, asked: str = "") -> Cells:
    frame = pd.DataFrame({"c": pd.Series(list(texts), dtype="str")})
    return settle_cells(frame, {"c": asked} if asked else {})


def with_mark(mark: str) -> list[str]:
    return [mark if i in (5, 40) else text for i, text in enumerate(PRICES)]


@pytest.mark.parametrize(
    "mark",
    [
        "\\N",
        "..",
        ".",
        "--",
        "Unknown",
        "#N/A",
        "n.a.",
        "N.A.",
        "missing",
        "NULL",
        "#DIV/0!",
        "*",
        "None",
        "nd",
        "—",
        "soon",
    ],
)
def test_a_few_marks_among_numbers_are_gaps_and_told(mark: str) -> None:
    found = cells(*with_mark(mark))
    assert found.kinds == {"c": "number"}
    assert np.flatnonzero(found.frame["c"].isna()).tolist() == [5, 40]
    assert found.told["c"] == f"2 cells read as missing: {mark!r}"


def test_a_word_of_the_column_s_own_is_kept_with_it() -> None:
    assert cells(*with_mark("soon")).readings == {"c": {"words": ["soon"]}}
    assert cells(*with_mark("n/a")).readings == {}


@pytest.mark.parametrize(("cell", "number"), [("1,5", 1.5), ("inf", np.inf), ("<0.5", 0.5)])
def test_what_is_no_gap_is_a_number_of_its_own(cell: str, number: float) -> None:
    found = cells(*with_mark(cell))
    assert found.kinds == {"c": "number"}
    assert found.frame["c"][5] == number


def test_a_few_numbers_in_another_unit_are_gaps_and_told() -> None:
    texts = [f"{18 + i / 7:.2f} kmpl" for i in range(300)]
    texts[::40] = [f"{20 + i}.5 km/kg" for i in range(8)]
    found = cells(*texts)
    assert found.kinds == {"c": "number"}
    assert found.readings == {"c": {"unit": "kmpl", "others": ["km/kg"]}}
    assert np.flatnonzero(found.frame["c"].isna()).tolist() == list(range(0, 300, 40))
    assert found.told["c"] == "in 'kmpl'; 8 cells read as missing: '20.5 km/kg', '21.5 km/kg', '22.5 km/kg'"
    new = read_column(pd.Series(["31.5 km/kg", "5 mpg", "12.5 kmpl"]), "number", Reading.from_dict(found.readings["c"]))
    assert (new[0].tolist()[2], np.isnan(new[0].tolist()[0]), new[1].tolist()) == (12.5, True, [False, True, False])


def test_house_numbers_with_letters_stay_words() -> None:
    houses = [f"{i}{'a' if i % 30 == 0 else ''}" for i in range(1, 300)]
    assert cells(*houses).kinds == {}


def test_many_words_make_a_column_of_words_and_what_stands_in_the_way_is_told() -> None:
    found = cells(*("n%" if i % 5 == 0 else text for i, text in enumerate(PRICES)))
    assert found.kinds == {}
    assert found.told["c"] == "most are numbers, but 1 different one is not, such as 'n%'"


@pytest.mark.parametrize(
    ("texts", "kind", "dtype"),
    [
        (["1", "2"], "number", "int64"),
        (["18446744073709551615", "1"], "number", "uint64"),
        (["1", "2.5"], "number", "float64"),
        (["1", None], "number", "float64"),
        (["Y", "N"], "boolean", "bool"),
        (["yes", "no", "Yes"], "boolean", "bool"),
        (["t", "f"], "boolean", "bool"),
        (["TRUE", "FALSE", "n/a"], "boolean", "object"),
        (["2020-01-01", "2020-02-01"], "datetime", "datetime64[us]"),
        (["36:15:00", "1:00:00"], "number", "float64"),
        (["52.51,13.40", "48.1,11.5"], "pair", "str"),
        (["POINT (13.4 52.5)", "POINT (11.5 48.1)"], "pair", "str"),
        (["00501", "10115"], "", "str"),
        (["yes", "no", "perhaps"], "", "str"),
        (["None", "Minor", "Major"], "", "str"),
        (["735-739", "715-719"], "", "str"),
    ],
    ids=str,
)
@pytest.mark.parametrize("times", [1, 600])
def test_text_is_what_it_spells(texts: list[str | None], kind: str, dtype: str, times: int) -> None:
    found = cells(*texts * times)
    assert found.kinds.get("c", "") == kind
    assert str(found.frame["c"].dtype).replace("object" if dtype == "str" else "-", dtype) == dtype


def test_words_stay_as_they_stand() -> None:
    words = ["None", " NA ", "null", "a"]
    assert cells(*words).frame["c"].tolist() == words


def test_three_digits_behind_a_sign_are_read_as_in_the_rest_of_the_table() -> None:
    frame = pd.DataFrame({"whole": ["1.234", "12.345", "123.456"], "part": ["1,5", "2,25", "3,125"]}, dtype="str")
    assert settle_cells(frame).frame["whole"].tolist() == [1234, 12345, 123456]
    assert settle_cells(frame[["whole"]]).frame["whole"].tolist() == [1.234, 12.345, 123.456]
    many = pd.concat([frame] * 400, ignore_index=True)
    assert settle_cells(many).frame["whole"].iloc[:3].tolist() == [1234, 12345, 123456]


def test_a_long_plain_column_is_read_as_a_short_one() -> None:
    texts = [*PRICES, "1e-05", "", None, "-0.5", "+3"]
    long, short = cells(*texts * 20), cells(*texts)
    np.testing.assert_array_equal(long.frame["c"].to_numpy()[: len(texts)], short.frame["c"].to_numpy())
    assert (long.told, long.readings) == (short.told, short.readings) == ({}, {})


@pytest.mark.parametrize(
    ("column", "first"),
    [
        (pd.Series([datetime.date(2020, 1, 1)]), pd.Timestamp("2020-01-01")),
        (pd.Series([datetime.time(10, 30)]), pd.Timestamp("1900-01-01 10:30")),
        (pd.Series(pd.to_datetime(["2020-01-01T05:00+05:00"])), pd.Timestamp("2020-01-01")),
        (pd.Series([pd.Timedelta(minutes=1)]), 60.0),
        (pd.Series([decimal.Decimal("1.5")]), 1.5),
    ],
)
def test_values_of_other_types_become_numbers_and_moments(column: pd.Series, first: Any) -> None:
    assert settle_cells(pd.DataFrame({"c": column})).frame["c"][0] == first


def test_a_column_of_numbers_and_text_is_read_as_one() -> None:
    found = settle_cells(pd.DataFrame({"c": pd.Series([1, 2.5, "3", "n/a", None] * 4, dtype=object)}))
    assert found.kinds == {"c": "number"}
    np.testing.assert_array_equal(found.frame["c"][:5], [1, 2.5, 3, np.nan, np.nan])


def test_numbers_asked_for_are_read_or_three_that_are_none_are_named() -> None:
    assert cells("1.234,5 €", "2 €", asked="number").frame["c"].tolist() == [1234.5, 2]
    assert cells("007", "010", asked="number").frame["c"].tolist() == [7, 10]
    with pytest.raises(
        UserError, match=r"^numeric names 'c', which holds 'a', 'b', 'd', not numbers: .* those 4 cells"
    ):
        cells("1", "a", "b", "d", "e", asked="number")


def test_moments_asked_for_are_read_or_refused() -> None:
    assert cells("20200131", "20200201", asked="datetime").frame["c"][0] == pd.Timestamp("2020-01-31")
    with pytest.raises(UserError, match=r"^datetime names 'c', which holds 'x': no known format"):
        cells("x", "y", asked="datetime")


def test_words_asked_for_stay_words_and_levels_that_are_numbers_are_known_as_such() -> None:
    assert cells("1", "2", asked="text").frame["c"].tolist() == ["1", "2"]
    found = cells("1.0", "2.5", asked="category")
    assert (found.frame["c"].tolist(), found.readings) == (["1", "2.5"], {"c": {"levels_are_numbers": True}})
    assert cells("1.1", "1.10", asked="category").readings == {}
    assert cells("007", "10", asked="category").frame["c"].tolist() == ["007", "10"]


@pytest.mark.parametrize(
    ("texts", "numbers", "labels"),
    [
        (["1", "2", "?"], False, [1, 2, np.nan]),
        (["TRUE", "false"], False, [True, False]),
        (["Y", "N"], False, ["Y", "N"]),
        (["None", "Minor"], False, ["None", "Minor"]),
        (["01", "02"], False, ["01", "02"]),
        (["36 months", "60 months"], False, ["36 months", "60 months"]),
        (["36 months", "60 months"], True, [36, 60]),
        (["$1,200.50", "$3"], True, [1200.5, 3]),
        ([" 1,4  ", "2", "0,95", "-"], False, [1.4, 2, 0.95, np.nan]),
        (["1,4 %", "2 %"], False, ["1,4 %", "2 %"]),
        (["1,234", "2,345"], False, ["1,234", "2,345"]),
        (["1", "two"], True, ["1", "two"]),
    ],
    ids=str,
)
def test_a_target_is_numbers_true_and_false_or_labels(texts: list[str], numbers: bool, labels: list[Any]) -> None:
    assert settle_label_cells(pd.Series(texts, dtype="str"), numbers)[0].tolist() == pytest.approx(labels, nan_ok=True)


def test_a_few_words_hide_no_places_and_no_durations() -> None:
    places = [f"{47 + i / 10:.4f},{6 + i / 20:.4f}" for i in range(N)]
    found = cells(*places, "online")
    assert found.kinds == {"c": "pair"}
    assert found.told["c"] == "such as '47.0000,6.0000'; 1 cell is written otherwise: 'online'"
    took = cells(*(f"{20 + i}:{i % 60:02}" for i in range(N)), "DNF")
    assert took.kinds == {"c": "number"}
    assert took.frame["c"].iloc[-2:].fillna(-1).tolist() == [99 * 60 + 19, -1]
    assert took.told["c"] == (
        "a duration, in seconds; '20:00' is taken for minutes and seconds; 1 cell read as missing: 'DNF'"
    )


@pytest.mark.parametrize(
    ("values", "mark", "kind"),
    [
        (list(range(5, 5 + N)), "n/a", "number"),
        ([value / 4 for value in range(N)], "refused", "number"),
        ([datetime.datetime(2021, 1, 1) + datetime.timedelta(hours=7 * i) for i in range(N)], "ongoing", "datetime"),
        ([datetime.date(2021, 1, 1) + datetime.timedelta(days=i) for i in range(N)], "-", "datetime"),
        ([datetime.time(i % 24, 5) for i in range(N)], "unknown", "datetime"),
        ([i % 3 == 0 for i in range(N)], "n/a", "boolean"),
    ],
    ids=str,
)
def test_a_few_words_among_values_of_a_sheet_are_gaps(values: list[Any], mark: str, kind: str) -> None:
    values = [mark if i in (5, 40) else value for i, value in enumerate(values)]
    found = settle_cells(pd.DataFrame({"c": pd.Series(values, dtype=object)}))
    assert found.kinds == {"c": kind}
    assert np.flatnonzero(found.frame["c"].isna()).tolist() == [5, 40]
    assert found.told["c"].endswith(f"2 cells read as missing: {mark!r}")


@pytest.mark.parametrize("written", ["%H:%M:%S", "%I:%M %p", "%H:%M", ""])
def test_a_time_of_the_day_is_read_however_it_is_sent(written: str) -> None:
    times = [datetime.time(i % 24, i % 60) for i in range(N)]
    column = pd.Series([f"{time:{written}}" for time in times] if written else times, dtype=None if written else object)
    reading = Reading.from_dict(settle_cells(pd.DataFrame({"c": column})).readings["c"])
    for sent in ("22:35", "22:35:00", "22:35:00.000000", "1900-01-01T22:35:00", datetime.time(22, 35)):
        found, strange = read_datetimes(pd.Series([sent], dtype=object), reading)
        assert (found[0], strange[0]) == (np.datetime64("1900-01-01T22:35:00"), False), sent


def test_blanks_behind_every_separator_are_no_part_of_the_words() -> None:
    found = cells(" Private", " State-gov", " Private")
    assert found.frame["c"].tolist() == ["Private", "State-gov", "Private"]
    reading = Reading.from_dict(found.readings["c"])
    sent = pd.Series(["Private", " State-gov", "  Private ", None], dtype="str")
    for column in (sent, sent.astype(object)):
        assert read_column(column, "category", reading)[0].tolist()[:3] == ["Private", "State-gov", "Private"]
    assert cells(" a", "b").readings == {}
