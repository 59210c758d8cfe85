"""Planted marks, totals and serials: each is found, and columns that only look odd are left in peace."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from treeline.data.oddities import inspect_cells, sentinels
from treeline.data.problem import Problem, TableSettings, settle_problem
from treeline.data.tables import make_table

N = 80


def table(**columns: Any) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x, area = rng.uniform(1, 40, N).round(2), rng.integers(200, 9000, N)
    return pd.DataFrame({"temp": x, "area": area, **columns, "y": (100 * x + area / 50).round(2)})


def found(frame: pd.DataFrame, target: str = "y", **settings: Any) -> list[str]:
    problem, rows = settle_problem(make_table("t", frame, target), TableSettings(**settings))
    assert isinstance(problem, Problem)
    return inspect_cells(problem, rows)


def planted(values: np.ndarray, *marks: float, every: int = 9) -> np.ndarray:
    values = values.astype(float)
    for i, mark in enumerate(marks):
        values[i :: every * len(marks)] = mark
    return values


def draw(seed: int = 0, n: int = N) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- sentinels


@pytest.mark.parametrize(
    ("values", "marks"),
    [
        (draw().uniform(1, 40, N), [-999]),
        (draw().uniform(-20, 40, N), [-999]),
        (draw().uniform(100, 4000, N), [-200]),
        (draw().uniform(0, 1, N), [-1]),
        (draw().integers(1, 800, N), [-1]),
        (draw().uniform(0, 60, N), [9999]),
        (draw().uniform(0, 30_000, N), [99999]),
        (draw().normal(size=N), [1e20]),
        (draw().integers(18, 60, N), [999]),
        (draw().uniform(1, 40, N), [-9999.0, -999.0]),
        (draw().uniform(-5, 5, N), [-99.9]),
        (draw().integers(1990, 2026, N), [9999]),
    ],
    ids=str,
)
def test_a_mark_of_a_missing_number_is_found_and_counted(values: np.ndarray, marks: list[float]) -> None:
    column = planted(values, *marks)
    assert sentinels(column) == {mark: int((column == mark).sum()) for mark in marks}


@pytest.mark.parametrize(
    "values",
    [
        np.where(draw().random(500) < 0.9, 0, draw(1).uniform(1, 1000, 500)),  # mostly zero
        np.minimum(draw().normal(25, 12, 500).round(1), 50.0),  # capped, as the prices of Boston
        np.minimum(draw().normal(60, 30, 500).round(), 99),  # capped at nines
        draw().integers(1990, 2026, 500),
        draw().poisson(3, 500),
        np.exp(draw().normal(0, 3, 500)).round(),  # a heavy tail
        draw().geometric(0.1, 500) * 1000,
        np.append(draw().uniform(0, 10, 500), [1e6, 1e7]),  # outliers, each alone
        draw().choice([-1, 0, 1, 2, 3], 500),
        draw().choice([-1, 1], 500),
        np.append(draw().integers(0, 20, 500), [-1, -1, -1]),  # floors of a house, the basement among them
        draw().normal(size=500).round(1),
        draw().normal(10, 6, 500).round(),  # degrees
        np.append(draw().integers(0, 20, 500), [99999, 99999]),  # twice is chance
        np.append(draw().uniform(0, 10, 500), [40.0] * 9),  # far and frequent, but no mark
        np.full(500, np.nan),
        np.append(draw().normal(size=500), [np.inf, np.inf, np.inf]),
    ],
)
def test_columns_that_only_look_odd_hold_no_mark(values: np.ndarray) -> None:
    assert sentinels(values.astype(float)) == {}


def test_marks_are_told_with_what_to_do_once_for_all_columns_and_once_for_the_target() -> None:
    frame = table()
    frame["temp"], frame["y"] = planted(frame["temp"].to_numpy(), -999), planted(frame["y"].to_numpy(), -200, every=20)
    target, columns = found(frame)
    assert target.startswith("The target 'y' holds -200 in 4 rows, far from its other values")
    assert "'temp' (-999 in 9 rows). Replace them by empty cells" in columns


# --- totals


def with_last(frame: pd.DataFrame, **cells: Any) -> pd.DataFrame:
    return pd.concat([frame, pd.DataFrame([cells])], ignore_index=True)


@pytest.mark.parametrize("word", ["Total", "TOTALS", "Summe", "Gesamt:", "Grand total"])
def test_a_totals_row_that_says_so_is_told(word: str) -> None:
    frame = with_last(table(town=["Bonn", "Köln"] * (N // 2)), town=word, y=1.0)
    (told,) = found(frame)
    assert told.startswith(f"The last row (row 81) looks like a totals row: 'town' says '{word}'.")


def test_a_totals_row_without_a_word_is_known_by_the_sum_of_the_target() -> None:
    frame = table()
    (told,) = found(with_last(frame, y=round(frame["y"].sum(), 2)))
    assert "The last row (row 81) looks like a totals row: 'y' is the sum of the other rows" in told
    first = pd.concat([pd.DataFrame([frame.sum().to_dict()]), frame], ignore_index=True)
    assert found(first)[0].startswith("The first row (row 1) looks like a totals row: 'temp', 'area', 'y' is the sum")


def test_a_large_last_row_is_no_total_and_neither_is_a_town_of_that_name_in_many_rows() -> None:
    assert found(with_last(table(), temp=3.0, area=500, y=1e6)) == []
    zeros = table(z=[-1.0, 1.0] * (N // 2))
    assert found(with_last(zeros, z=0.0, y=1.0)) == []
    assert found(table(town=["Total", "Köln"] * (N // 2))) == []


# --- words that may mean the same


def test_variants_of_a_label_are_told_with_their_counts_and_trained_as_spelled() -> None:
    frame = table(c=["Yes", "No"] * 30 + ["yes ", "NO"] * 10)
    (told,) = found(frame, "c")
    assert "'Yes' (30 rows), 'yes ' (10 rows)" in told
    assert "'No' (30 rows), 'NO' (10 rows)" in told
    problem, _ = settle_problem(make_table("t", frame, "c"), TableSettings())
    assert problem.classes == ["NO", "No", "Yes", "yes "]


def test_variants_of_a_level_are_told_once_for_all_columns() -> None:
    frame = table(town=["New York", "new-york", "Rome", "Oslo"] * (N // 4), kind=["a b", "A  B", "c", "a b"] * (N // 4))
    (told,) = found(frame)
    assert "'town': 'New York' (20 rows), 'new-york' (20 rows) | 'kind': 'a b' (40 rows), 'A  B' (20 rows)" in told


@pytest.mark.parametrize(
    "levels", [["A+", "A-"], ["1-5", "15"], ["<5", ">5"], ["C", "C++"], ["1.5 m", "15 m"], ["a", "b"]]
)
def test_words_that_differ_in_more_than_their_spelling_are_left_in_peace(levels: list[str]) -> None:
    assert found(table(c=[*levels, "zz", "ww"] * (N // 4))) == []


# --- numbers that float32 cannot tell apart


def test_serials_that_float32_cannot_tell_apart_are_told_with_the_constant_to_subtract() -> None:
    serials = 100_000_000 + draw().permutation(N)
    (told,) = found(table(**{"serial no. x": serials}))
    assert "'serial no. x' has 80 different numbers, of which XGBoost's 32-bit numbers tell 11 apart" in told
    assert "derive `serial_no_x_0 = `serial no. x` - 100000000`" in told


def test_the_constant_to_subtract_is_spelled_in_few_digits() -> None:
    pairs = [59.81 + 0.003 * (i // 2) + 1e-6 * (i % 2) for i in range(N)]
    (told,) = found(table(latitude=pairs))
    assert "derive `latitude_0 = latitude - 59.8`" in told


def test_the_advice_on_serials_works_as_it_is_written() -> None:
    from treeline.model.expressions import Expression, parse_derived

    serials = 1_700_000_000_000 + draw().integers(0, 3_600_000, N)
    (told,) = found(table(ms=serials))
    advice = told.split("derive `")[1].split("`, or")[0]
    (expression,) = parse_derived(advice, {"ms": "number"}).values()
    made = Expression(expression)({"ms": serials.astype(float)}).astype(np.float32)
    assert len(np.unique(made)) == len(np.unique(serials))


def test_numbers_beyond_float32_are_told_with_another_unit() -> None:
    (told,) = found(table(huge=draw().normal(size=N) * 1e300))
    assert "'huge' has 80 different numbers, some of them beyond 3.4e+38" in told
    assert "derive `huge_0 = huge / 1e+300`" in told


def test_numbers_that_float32_does_tell_apart_are_left_in_peace() -> None:
    assert (
        found(table(z=draw().normal(size=N), big=draw().integers(10**8, 10**9, N), money=draw().normal(1e6, 1e5, N)))
        == []
    )


# --- ids that repeat


@pytest.mark.parametrize("name", ["customer_id", "patient", "userID", "Kunden-Nr."])
def test_an_id_that_repeats_is_told_with_the_split_that_keeps_it_together(name: str) -> None:
    frame = table(**{name: [f"c{i % 25}" for i in range(N)]})
    (told,) = found(frame)
    assert f"The column {name!r} looks like an id that repeats, 3 rows each on average" in told
    assert f"split=group, split_column={name}" in told
    assert found(frame, split="group", split_column=name) == []


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("town", [f"c{i % 25}" for i in range(N)]),
        ("shop_id", [f"c{i % 5}" for i in range(N)]),
        ("number of rooms", [i % 25 for i in range(N)]),
        ("rooms number", [i % 25 for i in range(N)]),
        ("humid", [f"c{i % 25}" for i in range(N)]),
        ("NO2", [i % 25 for i in range(N)]),  # the gas
    ],
)
def test_what_is_no_id_or_has_few_levels_is_left_in_peace(name: str, values: list[Any]) -> None:
    assert found(table(**{name: values})) == []
