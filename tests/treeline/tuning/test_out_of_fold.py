"""Out-of-fold predictions: each row by the booster that did not see it, equal to the folds' boosters trained alone."""

import numpy as np
import pandas as pd
import pytest
import xgboost as xgb
from tables_maker import CLASSES, TARGET, make_problem, make_table

from treeline.metrics import metrics_of
from treeline.model.estimator import make_estimator
from treeline.tuning.objective import Objective, make_objective
from treeline.tuning.out_of_fold import predict_out_of_fold
from treeline.tuning.schedule import SearchSettings
from treeline.tuning.search_space import known_points


def objective_of(target: str, frame: pd.DataFrame, metric: str = "auto") -> tuple[Objective, dict[str, object]]:
    objective = make_objective(make_problem(target), frame, SearchSettings(folds=3, metric=metric), 2)  # type: ignore[arg-type]
    return objective, known_points(objective.measure.task, objective.space)[-1]


@pytest.mark.parametrize("target", ["binary", "multiclass", "regression"])
def test_each_row_is_predicted_once_by_a_booster_that_did_not_see_it(target: str) -> None:
    frame = make_table(target, n=90)
    objective, point = objective_of(target, frame)
    found = predict_out_of_fold(objective, point, 7)
    np.testing.assert_array_equal(found.rows, np.arange(90))
    assert found.level == 1
    parts = make_problem(target).folds(frame, 3, 0)
    for fold, (_, held) in zip(objective.folds, parts, strict=True):
        alone = xgb.train({**objective.booster_params(point), "nthread": 1}, fold.train, 7).predict(fold.valid)
        ours = found.predictions[held]
        np.testing.assert_allclose(ours[:, 1] if target == "binary" else ours, alone, rtol=1e-6)
    if target != "regression":
        np.testing.assert_allclose(found.predictions.sum(axis=1), 1, rtol=1e-5)


def test_the_frame_names_the_classes_in_their_order() -> None:
    frame = make_table("multiclass", n=90)
    objective, point = objective_of("multiclass", frame)
    table = predict_out_of_fold(objective, point, 3).frame(CLASSES["multiclass"])
    assert list(table.columns) == ["row", *(f"probability_{label}" for label in CLASSES["multiclass"])]
    numbers = objective_of("regression", make_table("regression", n=90))
    assert list(predict_out_of_fold(*numbers, 3).frame([]).columns) == ["row", "prediction"]


@pytest.mark.parametrize("loss", ["reg:tweedie", "reg:squarederror"])
def test_the_sum_of_a_very_skewed_target_is_that_of_the_truth(loss: str) -> None:
    frame = make_table("regression", n=300)
    y = np.exp(2 * frame[TARGET].to_numpy() / frame[TARGET].std())
    problem, frame = make_problem("regression"), frame.assign(**{TARGET: y})
    objective = make_objective(problem, frame, SearchSettings(folds=3), 1)
    drawn = {**known_points("regression", objective.space)[0], "objective": loss}
    found = predict_out_of_fold(objective, drawn, 9)
    assert found.level != 1
    assert found.predictions.sum() == pytest.approx(y.sum(), rel=1e-6)
    params = {**objective.params, **drawn}
    level = make_estimator(problem, params, 9, 1, found.level).fit(problem.rows(frame), frame[TARGET])
    plain = make_estimator(problem, params, 9, 1).fit(problem.rows(frame), frame[TARGET])
    rows = problem.rows(frame)
    assert level.predict(rows).sum() == pytest.approx(found.level * y.sum(), rel=1e-5)
    gap = level.predict(rows) - plain.predict(rows)
    assert (np.ptp(gap) > 1) == (loss == "reg:tweedie")  # the one multiplies, the other adds


def test_a_target_that_is_not_skewed_keeps_the_level_of_its_booster() -> None:
    objective, point = objective_of("regression", make_table("regression", n=90))
    assert predict_out_of_fold(objective, point, 3).level == 1


def test_rows_that_come_before_every_fold_of_time_are_absent() -> None:
    frame = make_table("regression", n=90).assign(day=np.arange(90))
    problem = make_problem("regression")
    problem = type(problem)(**{**vars(problem), "split": "time", "split_column": "day"})
    objective = make_objective(problem, frame, SearchSettings(folds=3), 1)
    found = predict_out_of_fold(objective, known_points("regression", objective.space)[0], 2)
    expected = np.sort(np.concatenate([held for _, held in problem.folds(frame, 3, 0)]))
    np.testing.assert_array_equal(found.rows, expected)
    assert 0 < len(found.rows) < 90


@pytest.mark.parametrize(
    ("target", "metric"),
    [
        ("binary", "f1"),
        ("multiclass", "average_precision"),
        ("multiclass", "balanced_accuracy"),
        ("regression", "mape"),
        ("regression", "mae"),
    ],
)
def test_a_trials_value_is_the_metric_of_its_out_of_fold_predictions_at_the_best_round(
    target: str, metric: str
) -> None:
    frame = make_table(target, n=90)
    objective, point = objective_of(target, frame, metric)
    asked: list[float] = []
    trained = objective.cross_validate(
        point, lambda step, values: None, lambda step, value: bool(asked.append(value)), 60
    )
    assert bool(asked) is objective.measure.by_round  # what XGBoost does not measure by round prunes nothing
    curve = np.array(trained.mean[objective.measure.loss])
    assert trained.rounds == curve.argmin() + 1
    found = predict_out_of_fold(objective, point, trained.rounds)
    problem, values = make_problem(target), []
    y = problem.truth(frame)
    for _, held in problem.folds(frame, 3, 0):
        given = found.predictions[held]
        codes = given if target == "regression" else given.argmax(axis=1)
        values.append(metrics_of(objective.measure.task)[metric].compute(y[held], codes, given))
    assert trained.value == pytest.approx(np.mean(values), rel=1e-5)


def test_folds_count_by_the_weights_of_the_rows_that_measure_them() -> None:
    frame = make_table("regression", n=90)
    weights = np.where(np.arange(90) < 45, 1.0, 5.0)
    problem = make_problem("regression")
    weighed = type(problem)(**{**vars(problem), "weight": "w"})
    rows = frame.assign(w=weights)
    objective = make_objective(weighed, rows, SearchSettings(folds=3), 1)
    point = known_points("regression", objective.space)[0]
    trained = objective.cross_validate(point, lambda step, values: None, lambda step, value: False, 5)
    boosters = predict_out_of_fold(objective, point, trained.rounds)
    y, each, sums = frame[TARGET].to_numpy(), [], []
    for _, held in weighed.folds(rows, 3, 0):
        errors = (boosters.predictions[held] - y[held]) ** 2
        each.append(np.sqrt(np.average(errors, weights=weights[held])))
        sums.append(weights[held].sum())
    assert len(set(sums)) > 1
    assert trained.value == pytest.approx(np.average(each, weights=sums), rel=1e-5)
    assert trained.value != pytest.approx(np.mean(each), rel=1e-5)
