"""What an evaluation finds beyond the headline, held against scikit-learn and plain counting."""

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics
from tables_maker import TARGET, make_problem, make_table

from treeline import UserError
from treeline.evaluation.comparison import Predictions, compare
from treeline.evaluation.diagnostics import (
    calibration,
    class_table,
    confusion,
    losses,
    parse_costs,
    raw_importance,
    slices,
    thresholds,
    worst_rows,
)


def predicted(seed: int = 0, n: int = 400, skill: float = 2.0) -> Predictions:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    p = 1 / (1 + np.exp(-(skill * (y - 0.5) + rng.normal(size=n))))
    return Predictions("binary", y, (p >= 0.5).astype(int), np.column_stack([1 - p, p]))


def test_thresholds_are_scikit_learns_scores_at_each() -> None:
    found = predicted()
    table = thresholds(found, {})
    assert len(table) == 99
    for _, row in table.iloc[9::20].iterrows():
        said = found.probabilities[:, 1] >= row["threshold"]
        assert row["precision"] == pytest.approx(metrics.precision_score(found.y, said))
        assert row["recall"] == pytest.approx(metrics.recall_score(found.y, said))
        assert row["f1"] == pytest.approx(metrics.f1_score(found.y, said))


def test_the_cost_is_the_mean_over_the_cells() -> None:
    found = predicted()
    table = thresholds(found, parse_costs("fp=1, fn=5"))
    said = found.probabilities[:, 1] >= 0.5
    _, fp, fn, _ = metrics.confusion_matrix(found.y, said).ravel()
    assert table["cost"][49] == pytest.approx((fp + 5 * fn) / 400)
    assert table["threshold"][table["cost"].argmin()] < 0.5  # a miss costs five times as much


@pytest.mark.parametrize("text", ["fp", "fp=", "xp=1", "fp=one", "fp=nan"])
def test_a_cost_that_is_none_is_named(text: str) -> None:
    with pytest.raises(UserError, match="Cannot read the cost"):
        parse_costs(text)


def test_no_costs_are_none() -> None:
    assert parse_costs(" ") == {}


def test_classes_and_confusion_are_scikit_learns() -> None:
    found = predicted()
    table = class_table(found, ["no", "yes"]).set_index("class")
    assert table.loc["yes", "precision"] == pytest.approx(metrics.precision_score(found.y, found.labels))
    assert table.loc["no", "recall"] == pytest.approx(metrics.recall_score(found.y, found.labels, pos_label=0))
    assert table["rows"].sum() == 400
    np.testing.assert_array_equal(
        confusion(found, ["no", "yes"]).to_numpy(), metrics.confusion_matrix(found.y, found.labels)
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
def test_slices_are_scored_alone_and_the_worst_stand_first(target: str) -> None:
    frame, problem = make_table(target, n=600), make_problem(target)
    estimator = problem.estimator({"seed": 0}, 20, 1).fit(problem.rows(frame), frame[TARGET])
    found, metric = problem.predictions(estimator, frame), "rmse" if target == "regression" else "accuracy"
    table = slices(problem, frame, found, metric)
    assert set(table["column"]) == set(problem.kinds)
    worst_first = table[metric] if metric == "accuracy" else -table[metric]
    assert worst_first.is_monotonic_increasing
    row = table[(table["column"] == "town") & (table["slice"] == "Köln")].iloc[0]
    part = found.take(np.flatnonzero(frame["town"] == "Köln"))
    assert row["rows"] == len(part.y)
    assert row[metric] == pytest.approx(part.scores()[metric])


def test_too_few_rows_for_a_slice_are_no_slices() -> None:
    frame, problem = make_table(n=25), make_problem()
    estimator = problem.estimator({"seed": 0}, 2, 1).fit(problem.rows(frame), frame[TARGET])
    assert slices(problem, frame, problem.predictions(estimator, frame), "accuracy").empty


def test_the_worst_rows_are_those_with_the_largest_loss() -> None:
    frame, problem = make_table(n=300), make_problem()
    estimator = problem.estimator({"seed": 0}, 5, 1).fit(problem.rows(frame), frame[TARGET])
    found = problem.predictions(estimator, frame)
    table = worst_rows(problem, frame, found)
    assert len(table) == 20
    np.testing.assert_allclose(table["loss"], np.sort(losses(found))[::-1][:20])
    first = losses(found).argmax()
    assert table.iloc[0][f"true {TARGET}"] == frame[TARGET].iloc[first]
    assert np.mean(losses(found)) == pytest.approx(found.scores()["log_loss"])


def test_a_column_that_decides_matters_and_one_of_noise_does_not() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=1000) for name in ("length", "width [mm]", "count")})
    frame = frame.assign(checked=False, town="a", **{TARGET: np.where(frame["length"] > 0, "yes", "no")})
    problem = make_problem()
    estimator = problem.estimator({"seed": 0}, 20, 1).fit(problem.rows(frame), frame[TARGET])
    shares = raw_importance(problem, estimator, frame, "accuracy")
    assert shares.index[0] == "length"
    assert shares["length"] == pytest.approx(0.5, abs=0.1)
    assert shares.drop("length").abs().max() < 0.02


def test_a_better_model_gains_surely_and_an_equal_one_does_not() -> None:
    good, poor = predicted(skill=4.0), predicted(skill=1.0)
    assert (good.y == poor.y).all()
    for metric in ("log_loss", "accuracy", "roc_auc"):
        gained = compare(good, poor, metric, seed=0)
        assert gained.rows == 400
        assert 0 < gained.low < gained.gain < gained.high
        lost = compare(poor, good, metric, seed=0)
        assert (lost.gain, lost.low, lost.high) == pytest.approx((-gained.gain, -gained.high, -gained.low))
        same = compare(good, good, metric, seed=0)
        assert (same.gain, same.low, same.high) == (0, 0, 0)


def test_noise_between_two_models_is_no_gain() -> None:
    surely = 0
    for seed in range(20):
        one = predicted(seed=seed)
        rng = np.random.default_rng(seed + 100)
        shift = rng.normal(scale=0.3, size=(2, 400))
        sides = []
        for each in shift:
            odds = np.log(one.probabilities[:, 1] / one.probabilities[:, 0]) + each
            p = 1 / (1 + np.exp(-odds))
            sides.append(Predictions("binary", one.y, (p >= 0.5).astype(int), np.column_stack([1 - p, p])))
        surely += compare(sides[0], sides[1], "log_loss", seed=0).low > 0
    assert surely <= 2
