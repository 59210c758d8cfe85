"""Permutation importance: of the raw columns, by gain, with its spread, and within its time."""

import time

import numpy as np
import pandas as pd
import pytest
from tables_maker import TARGET, make_problem, make_table, make_zoo

import treeline
from treeline.evaluation import importance
from treeline.evaluation.importance import REPEATS, gains, permutation_importance
from treeline.evaluation.predictions import predict
from treeline.model.estimator import make_estimator


@pytest.fixture
def decided() -> tuple:
    """A table whose first column decides; the others are noise."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.normal(size=1000) for name in ("length", "width [mm]", "count")})
    frame = frame.assign(checked=False, town="a", **{TARGET: np.where(frame["length"] > 0, "yes", "no")})
    problem = make_problem()
    return problem, make_estimator(problem, {"seed": 0}, 20, 1).fit(problem.rows(frame), frame[TARGET]), frame


def test_a_column_that_decides_matters_and_one_of_noise_does_not(decided: tuple) -> None:
    table = permutation_importance(*decided, "accuracy").table.set_index("column")
    assert table.index[0] == "length"
    assert table.loc["length", "loss"] == pytest.approx(0.5, abs=0.1)
    assert table["loss"].drop("length").abs().max() < 0.02
    assert table.loc["length", "surely"]
    assert 0 < table.loc["length", "std"] < 0.1


def test_a_column_that_is_not_read_is_0_without_being_permuted(decided: tuple) -> None:
    table = permutation_importance(*decided, "accuracy").table.set_index("column")
    assert table.loc["town", ["loss", "std", "repeats", "surely"]].tolist() == [0, 0, 0, False]
    assert table.loc["length", "repeats"] == REPEATS


@pytest.mark.parametrize("target", ["binary", "regression"])
def test_what_is_permuted_in_the_matrix_is_what_permuted_raw_rows_give(target: str) -> None:
    """Derived columns follow the columns that they read."""
    frame, problem = make_table(target, n=300), make_problem(target)
    estimator = make_estimator(problem, {"seed": 0}, 15, 1).fit(problem.rows(frame), frame[TARGET])
    metric = "rmse" if target == "regression" else "log_loss"
    model = importance._Permuted(problem, estimator, frame, metric)
    order = np.random.default_rng(0).permutation(len(frame))
    intact = predict(problem, estimator, frame).metric(metric)
    for name in problem.kinds:
        permuted = frame.assign(**{name: frame[name].iloc[order].set_axis(frame.index)})
        expected = predict(problem, estimator, permuted).metric(metric) - intact
        assert model.loss(name, order) == pytest.approx(expected, abs=1e-9), name
        assert predict(problem, model.on_made, frame).metric(metric) == pytest.approx(intact)  # all is put back


def test_every_kind_of_column_has_its_places_in_the_matrix() -> None:
    frame = make_zoo()
    estimator = treeline.fit(frame, TARGET, n_trials=1, folds=2)
    problem = estimator.problem_
    model = importance._Permuted(problem, estimator, frame, "log_loss")
    order = np.random.default_rng(0).permutation(len(frame))
    for name in problem.kinds:
        permuted = frame.assign(**{name: frame[name].iloc[order].set_axis(frame.index)})
        matrix = estimator.features_.transform(problem.rows(permuted))
        changed = (model.made.matrix != matrix) & ~(np.isnan(model.made.matrix) & np.isnan(matrix))
        assert set(np.flatnonzero(changed.any(axis=0))) <= set(model.places[name]), name
        assert changed.any(), name


def test_the_gain_of_a_derived_column_is_that_of_those_it_reads() -> None:
    frame, problem = make_table(n=300), make_problem()
    estimator = make_estimator(problem, {"seed": 0}, 15, 1).fit(problem.rows(frame), frame[TARGET])
    shares = gains(estimator)
    scores = estimator.booster_.get_score(importance_type="total_gain")
    assert shares.is_monotonic_decreasing
    ratio = scores["ratio _1>"]
    assert shares["width [mm]"] == pytest.approx((scores["width _mm_"] + ratio) / sum(scores.values()), rel=1e-6)


def test_a_noise_column_that_the_model_reads_is_surely_above_0_as_rarely_as_said() -> None:
    """Trained on noise, judged on other rows: the order of the column is one more permutation."""
    problem, surely, permuted = make_problem(), 0, 0
    for seed in range(12):
        both = make_table(n=300, seed=seed)
        both[TARGET] = np.random.default_rng(seed).permutation(both[TARGET])
        estimator = make_estimator(problem, {"seed": 0}, 10, 1).fit(problem.rows(both[:150]), both[TARGET][:150])
        table = permutation_importance(problem, estimator, both[150:].reset_index(drop=True), "log_loss").table
        surely, permuted = surely + int(table["surely"].sum()), permuted + int((table["repeats"] > 0).sum())
    assert surely / permuted <= 0.15


def test_where_time_ends_the_columns_of_least_gain_are_named(decided: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    problem, estimator, frame = decided
    assert permutation_importance(problem, estimator, frame, "accuracy", time.monotonic() - 1).left_out == list(
        gains(estimator).index[gains(estimator) > 0]
    )
    clock = iter(range(10**6))
    monkeypatch.setattr(importance.time, "monotonic", lambda: next(clock))
    read = int((gains(estimator) > 0).sum())
    found = permutation_importance(problem, estimator, frame, "accuracy", deadline=read + 0.5)
    assert found.left_out == []
    assert sorted(found.table["repeats"][found.table["repeats"] > 0], reverse=True) == [2] + [1] * (read - 1)
    assert not found.table["surely"][found.table["repeats"] == 1].any()
