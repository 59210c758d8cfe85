"""What an evaluation finds beyond the headline, held against scikit-learn and plain counting."""

import itertools
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn import metrics
from tables_maker import TARGET, make_problem, make_table

from treeline.data.problem import Problem
from treeline.evaluation.criteria import parse_costs
from treeline.evaluation.diagnostics import (
    calibration,
    class_table,
    confusion,
    gaps_of_classes,
    raw_importance,
    slices,
    thresholds,
    worst_rows,
)
from treeline.evaluation.predictions import Predictions, losses, predict
from treeline.model.estimator import make_estimator


def predicted(seed: int = 0, n: int = 400, skill: float = 2.0) -> Predictions:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    p = 1 / (1 + np.exp(-(skill * (y - 0.5) + rng.normal(size=n))))
    return Predictions("binary", y, (p >= 0.5).astype(int), np.column_stack([1 - p, p]))


def test_thresholds_are_scikit_learns_at_each() -> None:
    found = predicted()
    table = thresholds(found, {})
    assert len(table) == 99
    for _, row in table.iloc[9::20].iterrows():
        said = found.y_proba[:, 1] >= row["threshold"]
        assert row["precision"] == pytest.approx(metrics.precision_score(found.y_true, said))
        assert row["recall"] == pytest.approx(metrics.recall_score(found.y_true, said))
        assert row["f1"] == pytest.approx(metrics.f1_score(found.y_true, said))


def test_the_cost_is_the_mean_over_the_cells() -> None:
    found = predicted()
    table = thresholds(found, parse_costs("fp=1, fn=5"))
    said = found.y_proba[:, 1] >= 0.5
    _, fp, fn, _ = metrics.confusion_matrix(found.y_true, said).ravel()
    assert table["cost"][49] == pytest.approx((fp + 5 * fn) / 400)
    assert table["threshold"][table["cost"].argmin()] < 0.5  # a miss costs five times as much


def test_classes_and_confusion_are_scikit_learns() -> None:
    found = predicted()
    table = class_table(found, ["no", "yes"]).set_index("class")
    assert table.loc["yes", "precision"] == pytest.approx(metrics.precision_score(found.y_true, found.y_pred))
    assert table.loc["no", "recall"] == pytest.approx(metrics.recall_score(found.y_true, found.y_pred, pos_label=0))
    assert table["rows"].sum() == 400
    np.testing.assert_array_equal(
        confusion(found, ["no", "yes"]).to_numpy(), metrics.confusion_matrix(found.y_true, found.y_pred)
    )


def test_honest_probabilities_are_calibrated_and_bold_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    y = (rng.random(20_000) < p).astype(int)
    bold = np.where(p > 0.5, 0.99, 0.01)
    errors = [
        calibration(Predictions("binary", y, (q > 0.5).astype(int), np.column_stack([1 - q, q])))[1] for q in (p, bold)
    ]
    assert errors[0] < 0.02
    assert errors[1] == pytest.approx(0.24, abs=0.02)


@pytest.mark.parametrize("target", ["binary", "regression"])
def test_slices_are_measured_alone_and_the_worst_stand_first(target: str) -> None:
    frame, problem = make_table(target, n=600), make_problem(target)
    estimator = make_estimator(problem, {"seed": 0}, 20, 1).fit(problem.rows(frame), frame[TARGET])
    found, metric = predict(problem, estimator, frame), "rmse" if target == "regression" else "accuracy"
    table = slices(problem, frame, found, metric)
    assert set(table["column"]) == set(problem.kinds)
    worst_first = table[metric] if metric == "accuracy" else -table[metric]
    assert worst_first.is_monotonic_increasing
    row = table[(table["column"] == "town") & (table["slice"] == "Köln")].iloc[0]
    part = found.take(np.flatnonzero(frame["town"] == "Köln"))
    assert row["rows"] == len(part.y_true)
    assert row[metric] == pytest.approx(part.metrics()[metric])


def test_too_few_rows_for_a_slice_are_no_slices() -> None:
    frame, problem = make_table(n=25), make_problem()
    estimator = make_estimator(problem, {"seed": 0}, 2, 1).fit(problem.rows(frame), frame[TARGET])
    assert slices(problem, frame, predict(problem, estimator, frame), "accuracy").empty


def test_the_worst_rows_are_those_with_the_largest_loss() -> None:
    frame, problem = make_table(n=300), make_problem()
    estimator = make_estimator(problem, {"seed": 0}, 5, 1).fit(problem.rows(frame), frame[TARGET])
    found = predict(problem, estimator, frame)
    table = worst_rows(problem, frame, found)
    assert len(table) == 20
    np.testing.assert_allclose(table["loss"], np.sort(losses(found))[::-1][:20])
    first = losses(found).argmax()
    assert table.iloc[0][f"true {TARGET}"] == frame[TARGET].iloc[first]
    assert np.mean(losses(found)) == pytest.approx(found.metrics()["log_loss"])


def test_a_column_that_decides_matters_and_one_of_noise_does_not() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=1000) for name in ("length", "width [mm]", "count")})
    frame = frame.assign(checked=False, town="a", **{TARGET: np.where(frame["length"] > 0, "yes", "no")})
    problem = make_problem()
    estimator = make_estimator(problem, {"seed": 0}, 20, 1).fit(problem.rows(frame), frame[TARGET])
    shares = raw_importance(problem, estimator, frame, "accuracy")
    assert shares.index[0] == "length"
    assert shares["length"] == pytest.approx(0.5, abs=0.1)
    assert shares.drop("length").abs().max() < 0.02


TIMES = 30  # how often each value stands in the table, so that every slice has rows enough


def slices_of(values: list[float | None], kind: str = "number") -> pd.DataFrame:
    """Slice a column of values, each repeated; the error of each row is the place of its value."""
    column = pd.Series(values * TIMES, dtype="float64" if kind == "number" else object)
    y = np.arange(len(column)) % len(values)
    frame = pd.DataFrame({"x": column, "y": 0.0})
    problem = Problem("t", "tests", "y", "regression", "made so", [], {"x": kind}, {}, "0")
    return slices(problem, frame, Predictions("regression", y * 0.0, y * 1.0, np.empty((len(y), 0))), "mae")


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


def test_classes_without_a_metric_are_named() -> None:
    y, said = np.array([0, 0, 2, 2]), np.array([0, 0, 0, 0])
    found = Predictions("multiclass", y, said, np.full((4, 3), 1 / 3))
    absent, never = gaps_of_classes(found, ["a", "b", "c"])
    assert absent.startswith("The evaluated rows lack the class 'b'")
    assert never.startswith("The model takes no row to be of the class 'c'")
    assert gaps_of_classes(predicted(), ["no", "yes"]) == []
    assert gaps_of_classes(Predictions("regression", y * 1.0, y * 1.0, np.empty((4, 0))), []) == []


def test_the_worst_rows_of_a_wide_table_fragment_nothing() -> None:
    y = np.array([0, 1] * 10)
    columns = {f"x{i}": np.where(y == 1, None, "a").astype(object) if i % 2 else y * 1.0 for i in range(300)}
    frame = pd.concat([pd.Series(values, name=name) for name, values in columns.items()], axis=1)
    frame = pd.concat([frame, pd.Series(np.where(y == 1, "yes", "no"), name=TARGET)], axis=1)
    problem = replace(make_problem("binary"), kinds=dict.fromkeys(columns, "category"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = worst_rows(problem, frame, Predictions("binary", y, y, np.column_stack([1 - y, y]) * 0.8 + 0.1))
    assert list(table.columns[:3]) == [f"true {TARGET}", "predicted", "loss"]
    assert table.shape == (20, 303)
