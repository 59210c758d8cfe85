"""The gate: intervals around every score, the dummy baseline, thresholds, and which score is better."""

import warnings

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor

from treeline import UserError
from treeline.evaluation.comparison import (
    Predictions,
    better,
    check_thresholds,
    dummy_predictions,
    intervals,
    parse_thresholds,
)
from treeline.metrics import metrics_of


def predicted(task: str, n: int = 200, seed: int = 0) -> Predictions:
    """Draw predictions that are better than chance."""
    rng = np.random.default_rng(seed)
    if task == "regression":
        y = rng.normal(size=n)
        return Predictions(task, y, y + rng.normal(0, 0.5, n), np.empty((n, 0)))
    classes = 2 if task == "binary" else 3
    y = rng.permutation(np.arange(n) % classes)
    odds = rng.random((n, classes)) + 0.5 * np.eye(classes)[y]
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    return Predictions(task, y, probabilities.argmax(axis=1), probabilities)


TASKS = ["binary", "multiclass", "regression"]


@pytest.mark.parametrize("task", TASKS)
def test_predictions_score_every_metric_of_their_task(task: str) -> None:
    predictions = predicted(task)
    assert list(predictions.scores()) == list(metrics_of(task))
    assert np.isfinite(list(predictions.scores().values())).all()


@pytest.mark.parametrize("task", TASKS)
def test_rows_may_be_taken_more_than_once(task: str) -> None:
    predictions, rows = predicted(task), np.array([5, 5, 0])
    taken = predictions.take(rows)
    for name in ("y", "labels", "probabilities"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(predictions, name)[rows])
    assert predictions.take(np.repeat(np.arange(200), 2)).scores() == pytest.approx(predictions.scores())


@pytest.mark.parametrize("task", TASKS)
def test_an_interval_holds_its_score(task: str) -> None:
    predictions = predicted(task, 100)
    ends = intervals(predictions, seed=0)
    assert list(ends) == list(metrics_of(task))
    for name, score in predictions.scores().items():
        low, high = ends[name]
        assert low < score < high


def test_an_interval_narrows_with_the_rows() -> None:
    few, many = intervals(predicted("regression", 60), seed=0), intervals(predicted("regression", 1000), seed=0)
    for name in metrics_of("regression"):
        assert np.diff(many[name]) < 0.5 * np.diff(few[name])


def test_an_interval_is_as_wide_as_the_binomial_one() -> None:
    predictions = predicted("binary", 1000)
    low, high = intervals(predictions, seed=0)["accuracy"]
    share = predictions.scores()["accuracy"]
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(share * (1 - share) / 1000), rel=0.1)


def test_an_interval_follows_from_the_seed() -> None:
    predictions = predicted("regression", 50)
    assert intervals(predictions, seed=1) == intervals(predictions, seed=1)
    assert intervals(predictions, seed=1) != intervals(predictions, seed=2)


def test_resamples_in_which_a_metric_does_not_exist_do_not_count() -> None:
    y = np.array([0] * 9 + [1])
    probabilities = np.column_stack([1 - np.linspace(0, 1, 10), np.linspace(0, 1, 10)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ends = intervals(Predictions("binary", y, probabilities.argmax(axis=1), probabilities), seed=0)
    assert ends["roc_auc"] == (1.0, 1.0)


def test_a_metric_that_never_exists_has_no_interval() -> None:
    probabilities = np.full((5, 2), 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ends = intervals(Predictions("binary", np.zeros(5, int), np.zeros(5, int), probabilities), seed=0)
    assert np.isnan(ends["roc_auc"]).all()
    assert ends["accuracy"] == (1.0, 1.0)


@pytest.mark.parametrize("y_train", [[0, 1, 1, 2, 2, 2], [2, 0, 0, 0], [1, 1], [0, 1, 2]])
def test_the_dummy_classifier_is_scikit_learn_s(y_train: list[int]) -> None:
    y = np.array([2, 1, 0, 0])
    given = dummy_predictions("multiclass", np.array(y_train), y, 3)
    theirs = DummyClassifier(strategy="prior").fit(np.zeros((len(y_train), 1)), y_train)
    expected = np.zeros((4, 3))
    expected[:, theirs.classes_] = theirs.predict_proba(np.zeros((4, 1)))
    np.testing.assert_array_equal(given.probabilities, expected)
    np.testing.assert_array_equal(given.labels, theirs.predict(np.zeros((4, 1))))
    np.testing.assert_array_equal(given.y, y)
    assert given.scores()["accuracy"] == np.mean(y == given.labels)


def test_the_dummy_classifier_scores_rows_without_one_of_the_classes() -> None:
    scores = dummy_predictions("multiclass", np.array([0, 1, 2, 2]), np.array([2, 2, 1]), 3).scores()
    assert scores["log_loss"] == pytest.approx(-np.log([0.5, 0.5, 0.25]).mean())
    assert np.isnan(scores["roc_auc"])


def test_the_dummy_classifier_ranks_nothing() -> None:
    assert dummy_predictions("binary", np.array([0, 1, 1]), np.array([0, 1]), 2).scores()["roc_auc"] == 0.5


def test_the_dummy_regressor_is_scikit_learn_s() -> None:
    y_train, y = np.array([1.0, 2.0, 6.0]), np.array([3.0, 4.0])
    given = dummy_predictions("regression", y_train, y, 0)
    theirs = DummyRegressor().fit(np.zeros((3, 1)), y_train).predict(np.zeros((2, 1)))
    np.testing.assert_array_equal(given.labels, theirs)
    assert given.probabilities.shape == (2, 0)
    assert given.scores()["mae"] == 0.5


@pytest.mark.parametrize(
    ("text", "thresholds"),
    [
        ("", {}),
        (" , ", {}),
        ("accuracy=0.9", {"accuracy": 0.9}),
        (" accuracy = 0.9 , log_loss=3e-1,", {"accuracy": 0.9, "log_loss": 0.3}),
        ("r2=-1", {"r2": -1.0}),
    ],
)
def test_thresholds_are_read(text: str, thresholds: dict[str, float]) -> None:
    assert parse_thresholds(text) == thresholds


@pytest.mark.parametrize("part", ["accuracy", "accuracy=", "accuracy=high", "0.9", "accuracy:0.9", "a=0.9=1"])
def test_a_threshold_that_is_none_is_named(part: str) -> None:
    with pytest.raises(UserError, match=f"Cannot read the threshold '{part}' of --min-score: write metric=number"):
        parse_thresholds(f"log_loss=0.3,{part}")


def test_a_threshold_that_every_score_holds_is_refused() -> None:
    with pytest.raises(UserError, match="accuracy=nan"):
        parse_thresholds("accuracy=nan")


@pytest.mark.parametrize("task", TASKS)
def test_a_threshold_on_any_metric_of_the_task_is_fine(task: str) -> None:
    check_thresholds(dict.fromkeys(metrics_of(task), 0.5), task)


@pytest.mark.parametrize(
    ("name", "task", "complaint"),
    [
        ("acuracy", "binary", r"'acuracy' in --min-score for a binary task\. Did you mean 'accuracy'\? Use log_loss"),
        ("rmse", "multiclass", "'rmse' in --min-score for a multiclass task"),
        ("accuracy", "regression", "'accuracy' in --min-score for a regression task.* Use rmse, mae, r2"),
        ("", "binary", "Unknown metric ''"),
    ],
)
def test_a_threshold_on_another_metric_is_named(name: str, task: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        check_thresholds({"log_loss" if task != "regression" else "mae": 0.3, name: 0.9}, task)


@pytest.mark.parametrize("task", TASKS)
def test_better_follows_the_direction_and_is_strict(task: str) -> None:
    for name, metric in metrics_of(task).items():
        assert better(task, name, 0.6, 0.5) is metric.greater_is_better
        assert better(task, name, 0.5, 0.6) is not metric.greater_is_better
        assert not better(task, name, 0.5, 0.5)


@pytest.mark.parametrize(("score", "other"), [(np.nan, 0.5), (0.5, np.nan), (np.nan, np.nan)])
def test_a_score_that_does_not_exist_beats_nothing_and_is_beaten_by_nothing(score: float, other: float) -> None:
    assert not better("binary", "roc_auc", score, other)
    assert not better("binary", "log_loss", score, other)
