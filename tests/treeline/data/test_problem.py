"""The problem: what later stages know of the table, the same after a trip through JSON."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tables_maker import CLASSES, DERIVED, KINDS, TARGET, TASKS, make_problem, make_table

from treeline import UserError
from treeline.data.problem import Problem
from treeline.data.target import check_target
from treeline.model.boosting import Fold, boost, quantile_matrix, task_params
from treeline.model.estimator import TreelineClassifier, TreelineRegressor


@pytest.mark.parametrize("target", TASKS)
def test_a_problem_survives_json(target: str) -> None:
    problem = make_problem(target)
    again = Problem(**json.loads(json.dumps(asdict(problem))))
    assert again == problem
    assert list(again.kinds) == list(problem.kinds)
    assert [type(label) for label in again.classes] == [type(label) for label in problem.classes]


def test_the_rows_of_a_problem_are_its_raw_columns_in_order() -> None:
    problem, frame = make_problem(), make_table()
    assert list(problem.rows(frame[frame.columns[::-1]].assign(more=1)).columns) == list(KINDS)


def test_the_features_of_a_problem_are_not_fitted() -> None:
    features = make_problem().features()
    assert (features.kinds, features.derived) == (KINDS, DERIVED)
    assert not hasattr(features, "levels_")


@pytest.mark.parametrize("target", TASKS)
def test_the_estimator_of_a_problem_is_that_of_its_task(target: str) -> None:
    estimator = make_problem(target).estimator({"max_depth": 3}, 5, 2)
    assert isinstance(estimator, TreelineClassifier if CLASSES[target] else TreelineRegressor)
    assert (estimator.params, estimator.rounds, estimator.cpus) == ({"max_depth": 3}, 5, 2)


@pytest.mark.parametrize("target", TASKS)
def test_the_truth_is_class_codes_or_numbers(target: str) -> None:
    frame = make_table(target)
    truth = make_problem(target).truth(frame)
    if CLASSES[target]:
        assert truth.tolist() == [CLASSES[target].index(label) for label in frame[TARGET]]
    else:
        assert truth.dtype == np.float64
        assert truth.tolist() == frame[TARGET].tolist()


@pytest.mark.parametrize(
    ("target", "label", "complaint"),
    [
        ("binary", "Yes", r"'outcome' holds the label 'Yes', .*Did you mean 'yes'\? It knows 'no', 'yes'"),
        ("binary", None, "the label None|the label nan"),
        ("bool", "maybe", "the label 'maybe'.* It knows False, True"),
        ("integers", 4, "the label 4.* It knows 3, 5, 8"),
        ("multiclass", "small", "the label 'small'"),
        ("regression", "high", "'outcome' holds 'high', not a number"),
    ],
)
def test_a_target_that_the_model_cannot_know_is_named(target: str, label: Any, complaint: str) -> None:
    frame = make_table(target).astype({TARGET: object})
    frame.loc[5, TARGET] = label
    with pytest.raises(UserError, match=complaint):
        make_problem(target).truth(frame)


@pytest.mark.parametrize("target", TASKS)
def test_predictions_are_those_of_the_estimator(target: str) -> None:
    problem, frame = make_problem(target), make_table(target)
    estimator = problem.estimator({"max_depth": 3}, 5, 1).fit(problem.rows(frame), frame[TARGET])
    predictions = problem.predictions(estimator, frame)
    assert predictions.task == TASKS[target]
    np.testing.assert_array_equal(predictions.y, problem.truth(frame))
    spelled = estimator.predict(problem.rows(frame))
    if CLASSES[target]:
        assert [CLASSES[target][code] for code in predictions.labels] == spelled.tolist()
        np.testing.assert_array_equal(predictions.probabilities, estimator.predict_proba(problem.rows(frame)))
        assert predictions.scores()["accuracy"] == pytest.approx(estimator.score(problem.rows(frame), frame[TARGET]))
    else:
        np.testing.assert_array_equal(predictions.labels, spelled)
        assert predictions.probabilities.shape == (200, 0)
        assert predictions.scores()["r2"] == pytest.approx(estimator.score(problem.rows(frame), frame[TARGET]))


@pytest.mark.parametrize("task", ["auto", "binary", "multiclass"])
def test_two_labels_are_tuned_and_trained_with_one_objective_whatever_the_task_asked_for(task: str) -> None:
    frame, settled, reason = check_target(make_table("binary"), TARGET, task)
    problem = Problem("made", "tests", TARGET, settled, reason, CLASSES["binary"], KINDS, DERIVED, "0")
    y = problem.truth(frame)
    features = problem.features()
    fold = Fold(quantile_matrix(features, features.fit_transform(frame, y), y))
    trial = boost(task_params(problem.task, len(problem.classes)), [fold], 3, 1)[0]
    final = problem.estimator({}, 3, 1).fit(problem.rows(frame), frame[TARGET]).booster_
    assert trial.save_raw("json") == final.save_raw("json")


def test_a_number_spelled_as_text_is_not_the_one_named() -> None:
    frame = make_table("regression")
    frame[TARGET] = pd.Series(["1.5", *frame[TARGET].iloc[1:]], dtype=object)
    frame.loc[5, TARGET] = "high"
    with pytest.raises(UserError, match="holds 'high'"):
        make_problem("regression").truth(frame)
