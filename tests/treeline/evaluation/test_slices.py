"""Slices: cut without overlap, measured alone, and called surely worse where they are, not where chance has it."""

import itertools
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tables_maker import TARGET, make_problem, make_table

from treeline.data.problem import Problem
from treeline.evaluation.intervals import interval
from treeline.evaluation.predictions import Predictions, predict
from treeline.evaluation.sampling import Sampling
from treeline.evaluation.slices import Judged, slice_table
from treeline.model.estimator import make_estimator


def numbers_problem(task: str, columns: list[str]) -> Problem:
    classes = [] if task == "regression" else [0, 1]
    return Problem("t", "tests", "y", task, "made so", classes, dict.fromkeys(columns, "number"), {}, "0")  # type: ignore[arg-type]


def honest(rng: np.random.Generator, n: int, worse: np.ndarray | None = None) -> Predictions:
    """A perfect model's predictions; those of the rows that are `worse` say nothing."""
    p = 1 / (1 + np.exp(-2 * rng.normal(size=n)))
    y = (rng.random(n) < p).astype(int)
    if worse is not None:
        y = np.where(worse, rng.integers(0, 2, n), y)
    return Predictions("binary", y, (p >= 0.5).astype(int), np.column_stack([1 - p, p]))


@pytest.mark.parametrize("target", ["binary", "regression"])
def test_slices_are_measured_alone_and_the_worst_stand_first(target: str) -> None:
    frame, problem = make_table(target, n=600), make_problem(target)
    estimator = make_estimator(problem, {"seed": 0}, 20, 1).fit(problem.rows(frame), frame[TARGET])
    found, metric = predict(problem, estimator, frame), "rmse" if target == "regression" else "accuracy"
    table, left_out = slice_table(problem, frame, Judged(found, metric), list(problem.kinds))
    assert left_out == []
    assert set(table["column"]) == set(problem.kinds)
    for _, part in table.groupby("surely_worse"):
        assert (part[metric] if metric == "accuracy" else -part[metric]).is_monotonic_increasing
    assert table["surely_worse"].is_monotonic_decreasing
    row = table[(table["column"] == "town") & (table["slice"] == "Köln")].iloc[0]
    part_ = found.take(np.flatnonzero(frame["town"] == "Köln"))
    around = interval(part_, metric)
    assert row["rows"] == len(part_.y_true)
    assert row[[metric, "low", "high"]].tolist() == pytest.approx([part_.metric(metric), around.low, around.high])


def test_too_few_rows_for_a_slice_are_no_slices() -> None:
    frame, problem = make_table(n=25), make_problem()
    estimator = make_estimator(problem, {"seed": 0}, 2, 1).fit(problem.rows(frame), frame[TARGET])
    judged = Judged(predict(problem, estimator, frame), "accuracy")
    assert slice_table(problem, frame, judged, list(problem.kinds))[0].empty


@pytest.mark.parametrize("metric", ["log_loss", "error", "roc_auc", "f1"])
def test_a_slice_that_is_worse_by_a_lot_is_named_and_no_other(metric: str) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(800, 4)), columns=list("abcd"))
    judged = Judged(honest(rng, 800, worse=(frame["a"] > frame["a"].quantile(0.75)).to_numpy()), metric)
    table, _ = slice_table(numbers_problem("binary", list("abcd")), frame, judged, list("abcd"))
    named = table[table["surely_worse"]]
    assert named["column"].tolist() == ["a"]
    assert named["slice"].iloc[0].endswith(f"to {frame['a'].max()}")


def test_chance_names_no_slice() -> None:
    named = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(rng.normal(size=(300, 10)), columns=list("abcdefghij"))
        judged = Judged(honest(rng, 300), "log_loss")
        named += slice_table(numbers_problem("binary", list(frame)), frame, judged, list(frame))[0][
            "surely_worse"
        ].any()
    assert named <= 4  # 4 % of the tables, and here 40


def test_a_slice_of_a_few_groups_is_not_surely_worse() -> None:
    """Each group is a little better or worse as a whole; by rows the slice that the worst groups lie in stands out."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(24), 50)
    frame = pd.DataFrame({"x": rng.normal(size=24)[groups]})
    y = rng.normal(size=1200) + 1.5 * rng.normal(size=24)[groups]
    found = Predictions("regression", y, np.zeros(1200), np.empty((1200, 0)))
    problem = numbers_problem("regression", ["x"])
    by_rows, by_groups = (
        slice_table(problem, frame, Judged(found, "rmse", sampling), ["x"])[0]["surely_worse"].any()
        for sampling in (Sampling(), Sampling("groups", groups))
    )
    assert (by_rows, by_groups) == (True, False)


def test_weights_count_in_the_metric_and_in_the_verdict() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=600)})
    worse = (frame["a"] > frame["a"].quantile(0.75)).to_numpy()
    found = honest(rng, 600, worse)
    light = replace(found, weight=np.where(worse & (found.y_true != found.y_pred), 0.01, 1))
    problem = numbers_problem("binary", ["a"])
    plain, weighted = (slice_table(problem, frame, Judged(each, "error"), ["a"])[0] for each in (found, light))
    top = plain.loc[0, "slice"]
    assert plain["surely_worse"].tolist() == [True, False, False, False]
    assert not weighted.set_index("slice").loc[top, "surely_worse"]
    assert weighted.set_index("slice").loc[top, "error"] < 0.02


def test_columns_that_no_time_is_left_for_are_named() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(300, 3)), columns=list("abc"))
    judged, problem = Judged(honest(rng, 300), "log_loss"), numbers_problem("binary", list("abc"))
    table, left_out = slice_table(problem, frame, judged, ["b", "a", "c"], deadline=time.monotonic() - 1)
    assert (len(table), left_out) == (0, ["b", "a", "c"])


TIMES = 30  # how often each value stands in the table, so that every slice has rows enough


def slices_of(values: list[float | None], kind: str = "number") -> pd.DataFrame:
    """Slice a column of values, each repeated; the error of each row is the place of its value."""
    column = pd.Series(values * TIMES, dtype="float64" if kind == "number" else object)
    y = np.arange(len(column)) % len(values)
    frame = pd.DataFrame({"x": column, "y": 0.0})
    problem = Problem("t", "tests", "y", "regression", "made so", [], {"x": kind}, {}, "0")
    found = Predictions("regression", y * 0.0, y * 1.0, np.empty((len(y), 0)))
    return slice_table(problem, frame, Judged(found, "mae"), ["x"])[0]


NUMBERS = st.one_of(
    st.integers(-20, 20).map(float),
    st.integers(-(2**53), 2**53).map(float),
    st.floats(-1e6, 1e6),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300),
    st.sampled_from([None, np.inf, -np.inf, 0.1 + 0.2, 0.3, 1e-300, -0.0, 0.0]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=40))
@example([1.0, 2.0, 3.0, 4.0])
@example([1.0, 2.0, 3.0, 4.0, 5.0])
@example([0.0] * 30 + [1.0, 2.0, 3.0, 4.0])
@example([1.0 + i * 1e-13 for i in range(12)])
@example([1_700_000_000_000.0 + i for i in range(12)])
@example([None, np.inf, -np.inf])
@example([None, None])
def test_the_slices_of_a_number_are_named_by_values_of_the_table_and_never_overlap(values: list[float | None]) -> None:
    table = slices_of(values)
    assert table["slice"].is_unique
    if table.empty:  # all rows are one slice, which is none
        return
    there = sorted({value for value in values if value is not None and np.isfinite(value)})
    gaps = sum(value is None or not np.isfinite(value) for value in values)
    rows = dict(zip(table["slice"], table["rows"], strict=True))
    assert rows.pop("(missing)", 0) == gaps * TIMES
    ends = sorted((float(name.partition(" to ")[0]), float(name.rpartition(" to ")[2]), name) for name in rows)
    assert len(ends) <= 4
    assert {end for low, high, _ in ends for end in (low, high)} <= set(there)
    assert all(low <= high for low, high, _ in ends)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(ends))
    for low, high, name in ends:
        assert rows[name] == TIMES * sum(value is not None and low <= value <= high for value in values)
    assert sum(rows.values()) == TIMES * (len(values) - gaps)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([3, 1, 2], ["1", "2", "3"]),
        ([0.5, 7, None], ["(missing)", "0.5", "7"]),
        ([1, 2, 3, 4, 5, 6, 7, 8], ["1 to 2", "3 to 4", "5 to 6", "7 to 8"]),
        ([0.1, 0.2, 0.3, 0.4, 0.5], ["0.1 to 0.2", "0.3", "0.4", "0.5"]),
        ([1700000000000, 1700000000001], ["1700000000000", "1700000000001"]),
        ([1e16, -0.25], ["-0.25", "1e+16"]),
    ],
    ids=str,
)
def test_the_slices_of_a_number_are_spelled_as_the_table_spells_it(
    values: list[float | None], names: list[str]
) -> None:
    assert sorted(slices_of(values)["slice"]) == names


def test_a_slice_is_measured_on_its_own_rows() -> None:
    table = slices_of([10.0, 20.0, 30.0]).set_index("slice")
    assert table["mae"].to_dict() == {"30": 2.0, "20": 1.0, "10": 0.0}  # the worst first


def test_the_categories_of_a_column_are_slices_and_free_text_is_none() -> None:
    assert sorted(slices_of(["a", 3, 3.0, None], "category")["slice"]) == ["(missing)", "3", "a"]  # type: ignore[list-item]
    assert slices_of(["some words"] * 3, "text").empty  # type: ignore[list-item]
