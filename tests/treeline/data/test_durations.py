"""Text that spells durations."""

from collections import Counter

import pytest

from treeline.data.durations import is_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("36:15:00", 130500),
        ("1 day, 02:03:04", 93784),
        ("2 days 00:00:01.5", 172801.5),
        ("-1 days +02:00:00", -79200),
        ("P1DT2H", 93600),
        ("1h 30m", 5400),
        ("90 min", 5400),
    ],
)
def test_a_duration_is_its_seconds(text: str, seconds: float) -> None:
    assert is_duration({text: 1})
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("texts", "seconds"),
    [(["36:15", "5:30", "12:04"], [2175, 330, 724]), (["59:30", "1:02:03", "58:07.5"], [3570, 3723, 3487.5])],
)
def test_minutes_and_seconds_are_a_duration(texts: list[str], seconds: list[float]) -> None:
    assert is_duration(Counter(texts))
    assert [parse_duration(text) for text in texts] == seconds


@pytest.mark.parametrize(
    "texts",
    [
        ["10:30:00", "09:00:00"],
        ["5m"],
        ["36:15:00", "x"],
        ["2:1"],
        [""],
        ["12"],
        ["12:05", "23:59", "24:00"],
        ["28:25", "31:30", "27:27"],  # goals
        ["60:40", "80:20", "50:50"],
        ["119:105", "36:05"],
    ],
    ids=str,
)
def test_what_is_no_duration(texts: list[str]) -> None:
    assert not is_duration(Counter(texts))


def test_a_few_words_make_no_words_of_durations() -> None:
    took = {f"{hours}:15:00": 1 for hours in range(20, 120)}
    assert is_duration({**took, "DNF": 4})
    assert not is_duration({**took, "DNF": 40})


def test_two_parts_are_minutes_and_seconds_where_many_are_no_time_of_the_day() -> None:
    assert is_duration({f"{minutes}:{minutes:02}": 1 for minutes in range(59)})
    assert is_duration({"2:10.250": 1, "1:59.000": 1})
    assert parse_duration("29:34") == 29 * 60 + 34
    assert parse_duration("-2:10.250") == -130.25
    times = {f"{hour}:{minute:02}": 1 for hour in range(24) for minute in range(0, 60, 10)}
    assert not is_duration({**times, "24:00": 1})
    assert not is_duration({"16:9": 1, "21:9": 1})
