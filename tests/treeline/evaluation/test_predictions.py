"""Predictions beside the truth: every metric of the task, those of an estimator, and those of a dummy."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from tables_maker import CLASSES, TARGET, make_problem, make_table
from tables_maker import TASKS as TARGETS

from treeline import UserError
from treeline.data.problem import Problem
from treeline.evaluation.predictions import Predictions, dummy_predictions, losses, predict
from treeline.metrics import MIN_PROBABILITY, metrics_of
from treeline.model.estimator import make_estimator

TASKS = ["binary", "multiclass", "regression"]


def posed(task: str, classes: int) -> Problem:
    return replace(make_problem(), task=task, classes=list(range(classes)))  # type: ignore[arg-type]


def labelled(y: object) -> pd.DataFrame:
    return pd.DataFrame({TARGET: np.asarray(y)})


def predicted(task: str, n: int = 200, seed: int = 0) -> Predictions:
    """Draw predictions that are better than chance."""
    rng = np.random.default_rng(seed)
    if task == "regression":
        y = rng.normal(5, 1, n)
        return Predictions(task, y, y + rng.normal(0, 0.5, n), np.empty((n, 0)))
    classes = 2 if task == "binary" else 3
    y = rng.permutation(np.arange(n) % classes)
    odds = rng.random((n, classes)) + 0.5 * np.eye(classes)[y]
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    return Predictions(task, y, probabilities.argmax(axis=1), probabilities)


@pytest.mark.parametrize("task", TASKS)
def test_predictions_have_every_metric_of_their_task(task: str) -> None:
    predictions = predicted(task)
    assert list(predictions.metrics()) == list(metrics_of(task))
    assert np.isfinite(list(predictions.metrics().values())).all()


@pytest.mark.parametrize("task", TASKS)
def test_rows_may_be_taken_more_than_once(task: str) -> None:
    predictions, rows = predicted(task), np.array([5, 5, 0])
    taken = predictions.take(rows)
    for name in ("y_true", "y_pred", "y_proba"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(predictions, name)[rows])
    assert predictions.take(np.repeat(np.arange(200), 2)).metrics() == pytest.approx(predictions.metrics())


@pytest.mark.parametrize("task", TASKS)
def test_a_row_that_counts_twice_is_two_rows(task: str) -> None:
    predictions, twice = predicted(task), np.repeat(np.arange(200), np.arange(200) % 3)
    weighted = replace(predictions, weight=np.arange(200.0) % 3)
    assert weighted.metrics() == pytest.approx(predictions.take(twice).metrics())
    assert weighted.take(np.arange(50)).metrics() == pytest.approx(predictions.take(twice[twice < 50]).metrics())


@pytest.mark.parametrize("y_train", [[0, 1, 1, 2, 2, 2], [2, 0, 0, 0], [1, 1], [0, 1, 2]])
def test_the_dummy_classifier_is_scikit_learn_s(y_train: list[int]) -> None:
    y = np.array([2, 1, 0, 0])
    given = dummy_predictions(posed("multiclass", 3), labelled(y_train), labelled(y), "log_loss")
    theirs = DummyClassifier(strategy="prior").fit(np.zeros((len(y_train), 1)), y_train)
    expected = np.zeros((4, 3))
    expected[:, theirs.classes_] = theirs.predict_proba(np.zeros((4, 1)))
    np.testing.assert_array_equal(given.y_proba, expected)
    np.testing.assert_array_equal(given.y_pred, theirs.predict(np.zeros((4, 1))))
    np.testing.assert_array_equal(given.y_true, y)
    assert given.metrics()["accuracy"] == np.mean(y == given.y_pred)


def test_the_dummy_classifier_is_measured_on_rows_without_one_of_the_classes() -> None:
    found = dummy_predictions(posed("multiclass", 3), labelled([0, 1, 2, 2]), labelled([2, 2, 1]), "error").metrics()
    assert found["log_loss"] == pytest.approx(-np.log([0.5, 0.5, 0.25]).mean())
    assert np.isnan(found["roc_auc"])


def test_the_dummy_classifier_ranks_nothing() -> None:
    assert (
        dummy_predictions(posed("binary", 2), labelled([0, 1, 1]), labelled([0, 1]), "roc_auc").metric("roc_auc") == 0.5
    )


def test_the_dummy_regressor_is_scikit_learn_s() -> None:
    y_train, y = np.array([1.0, 2.0, 6.0]), np.array([3.0, 4.0])
    given = dummy_predictions(posed("regression", 0), labelled(y_train), labelled(y), "rmse")
    theirs = DummyRegressor().fit(np.zeros((3, 1)), y_train).predict(np.zeros((2, 1)))
    np.testing.assert_array_equal(given.y_pred, theirs)
    assert given.y_proba.shape == (2, 0)
    assert given.metrics()["mae"] == 0.5


def test_a_dummy_counts_rows_by_their_weight() -> None:
    train, rows = pd.DataFrame({TARGET: [0, 1, 1], "w": [6.0, 1.0, 1.0]}), pd.DataFrame({TARGET: [1, 0], "w": [3, 1]})
    given = dummy_predictions(replace(posed("binary", 2), weight="w"), train, rows, "accuracy")
    np.testing.assert_allclose(given.y_proba, [[0.75, 0.25]] * 2)
    assert given.metric("accuracy") == 0.25
    number = dummy_predictions(replace(posed("regression", 0), weight="w"), train, rows, "r2")
    np.testing.assert_allclose(number.y_pred, 0.25)
    half = dummy_predictions(replace(posed("regression", 0), weight="w"), train, rows, "mae")
    np.testing.assert_array_equal(half.y_pred, 0)


@pytest.mark.parametrize("metric", metrics_of("regression"))
def test_no_other_constant_beats_the_dummy_regressor(metric: str) -> None:
    """By its own metric, on the rows that it learned from."""
    train = labelled(np.exp(1.5 * np.random.default_rng(0).normal(size=301)))
    given = dummy_predictions(posed("regression", 0), train, train, metric)
    sign = 1 if metrics_of("regression")[metric].greater_is_better else -1
    for times in (0.1, 0.5, 0.9, 0.99, 1.01, 1.1, 2, 10):
        other = replace(given, y_pred=given.y_pred * times)
        assert sign * (given.metric(metric) - other.metric(metric)) > 0


def test_no_labels_that_know_nothing_beat_the_dummy_classifier() -> None:
    """By F1, whatever share of the rows they call what."""
    rng = np.random.default_rng(0)
    for classes, shares in ((2, [0.7, 0.3]), (3, [0.6, 0.3, 0.1])):
        train, rows = (labelled(rng.choice(classes, n, p=shares)) for n in (2000, 20_000))
        problem = posed("binary" if classes == 2 else "multiclass", classes)
        given = dummy_predictions(problem, train, rows, "f1")
        for often in ([0.9, 0.1, 0], [0.5, 0.5, 0], [0.6, 0.2, 0.2], [0.34, 0.33, 0.33]):
            drawn = rng.choice(classes, 20_000, p=np.array(often[:classes]) / sum(often[:classes]))
            assert replace(given, y_pred=drawn).metric("f1") < given.metric("f1") + 0.015


def test_the_dummy_classifier_ranks_by_lot_for_average_precision() -> None:
    """A tie of all has the share of the class; ranks that know nothing have more, the fewer rows the more."""
    rng, gains = np.random.default_rng(0), []
    for _ in range(200):
        rows = labelled(rng.permutation(np.arange(200) % 10 // 9))
        lot = dummy_predictions(posed("binary", 2), rows, rows, "average_precision")
        np.testing.assert_allclose(lot.y_proba, [[0.9, 0.1]] * 200, atol=1e-8)
        noise = replace(lot, y_proba=rng.random((200, 2)))
        gains.append(noise.metric("average_precision") - lot.metric("average_precision"))
    assert abs(np.mean(gains)) < 0.01  # against a tie of all it is 0.027


@pytest.mark.parametrize("task", TASKS)
def test_one_metric_is_that_of_all_of_them(task: str) -> None:
    predictions = predicted(task)
    assert {name: predictions.metric(name) for name in metrics_of(task)} == predictions.metrics()


@pytest.mark.parametrize("target", TARGETS)
def test_predictions_are_those_of_the_estimator(target: str) -> None:
    problem, frame = make_problem(target), make_table(target)
    estimator = make_estimator(problem, {"max_depth": 3}, 5, 1).fit(problem.rows(frame), frame[TARGET])
    predictions = predict(problem, estimator, frame)
    assert predictions.task == TARGETS[target]
    np.testing.assert_array_equal(predictions.y_true, problem.truth(frame))
    spelled = estimator.predict(problem.rows(frame))
    if CLASSES[target]:
        assert [CLASSES[target][code] for code in predictions.y_pred] == spelled.tolist()
        np.testing.assert_array_equal(predictions.y_proba, estimator.predict_proba(problem.rows(frame)))
        assert predictions.metrics()["accuracy"] == pytest.approx(estimator.score(problem.rows(frame), frame[TARGET]))
    else:
        np.testing.assert_array_equal(predictions.y_pred, spelled)
        assert predictions.y_proba.shape == (200, 0)
        assert predictions.metrics()["r2"] == pytest.approx(estimator.score(problem.rows(frame), frame[TARGET]))


def test_a_label_that_the_model_does_not_know_cannot_be_judged() -> None:
    problem, frame = make_problem(), make_table()
    estimator = make_estimator(problem, {}, 1, 1).fit(problem.rows(frame), frame[TARGET])
    with pytest.raises(UserError, match="holds the label 'maybe'"):
        predict(problem, estimator, frame.assign(**{TARGET: "maybe"}))


@pytest.mark.parametrize("task", TASKS)
def test_the_losses_are_of_each_row_and_average_to_the_metric(task: str) -> None:
    predictions = predicted(task)
    assert losses(predictions).shape == (200,)
    assert losses(predictions).mean() == pytest.approx(
        predictions.metric("mae" if task == "regression" else "log_loss")
    )


def test_the_loss_of_what_was_held_impossible_is_finite() -> None:
    sure = Predictions("binary", np.array([0, 1]), np.array([1, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert losses(sure).tolist() == pytest.approx([-np.log(MIN_PROBABILITY), 0])


def test_the_dummy_regressor_bears_targets_of_nothing_but_zero() -> None:
    for metric in metrics_of("regression"):
        found = dummy_predictions(posed("regression", 0), labelled([0.0] * 5), labelled([0.0, 1.0]), metric)
        np.testing.assert_array_equal(found.y_pred, [0, 0])


def test_a_lucky_lot_is_not_the_dummy_s() -> None:
    """Of few rows a single lot lies far from the middle of all; the one taken does not."""
    rng, found = np.random.default_rng(0), []
    for _ in range(50):
        rows = labelled(rng.permutation(np.arange(30) % 2))
        found.append(dummy_predictions(posed("binary", 2), rows, rows, "average_precision").metric("average_precision"))
    assert np.std(found) < 0.03
