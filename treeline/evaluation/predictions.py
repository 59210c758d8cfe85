"""What a model, or a dummy, says about rows whose truth is known."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from treeline.data.problem import Problem
from treeline.metrics import MIN_PROBABILITY, metrics_of
from treeline.model.estimator import TreelineClassifier, TreelineRegressor


@dataclass(frozen=True)
class Predictions:
    """Predictions beside the truth.

    Attributes:
        task: `binary`, `multiclass` or `regression`.
        y_true: the truth, class codes or numbers, shape (n_rows,).
        y_pred: the predicted class codes or numbers, shape (n_rows,).
        y_proba: the probability of each class, shape (n_rows, n_classes); (n_rows, 0) for regression.
        weight: how much each row counts, shape (n_rows,); None where all count alike.
    """

    task: str
    y_true: np.ndarray
    y_pred: np.ndarray
    y_proba: np.ndarray
    weight: np.ndarray | None = None

    def metrics(self) -> dict[str, float]:
        """Every metric of the task, each with its own sign."""
        return {name: self.metric(name) for name in metrics_of(self.task)}

    def metric(self, name: str) -> float:
        """One metric of the task."""
        return metrics_of(self.task)[name].compute(self.y_true, self.y_pred, self.y_proba, self.weight)

    def take(self, rows: np.ndarray) -> "Predictions":
        """The predictions of some rows, by position; a row may be taken more than once."""
        weight = None if self.weight is None else self.weight[rows]
        return Predictions(self.task, self.y_true[rows], self.y_pred[rows], self.y_proba[rows], weight)


def predict(problem: Problem, estimator: TreelineClassifier | TreelineRegressor, frame: pd.DataFrame) -> Predictions:
    """Let a fitted estimator predict labelled rows.

    Raises:
        UserError: a label is none of the problem's classes, or a number is none.
    """
    y = problem.truth(frame)
    weight = problem.weights(frame)
    if isinstance(estimator, TreelineRegressor):
        return Predictions(problem.task, y, estimator.predict(problem.rows(frame)), np.empty((len(y), 0)), weight)
    probabilities = estimator.predict_proba(problem.rows(frame))
    return Predictions(problem.task, y, estimator.decide(probabilities), probabilities, weight)


def as_predictions(problem: Problem, frame: pd.DataFrame, answers: np.ndarray) -> Predictions:
    """Put answers beside the truth.

    Args:
        problem: that they answer.
        frame: the labelled rows.
        answers: numbers of shape (n_rows,), or probabilities of shape (n_rows, n_classes), the most probable of which
            is the prediction.
    """
    y, weight = problem.truth(frame), problem.weights(frame)
    if problem.task == "regression":
        return Predictions(problem.task, y, answers, np.empty((len(y), 0)), weight)
    return Predictions(problem.task, y, answers.argmax(axis=1), answers, weight)


def dummy_predictions(problem: Problem, train: pd.DataFrame, frame: pd.DataFrame, metric: str) -> Predictions:
    """What the best dummy by a metric says, one that knows the training targets and no column.

    Which one that is depends on the metric. A model that learned nothing but the target's level would else surely beat
    it: the median has a lower absolute error than the mean, and whoever calls rows positive at random a larger F1 than
    whoever calls none so.

    Args:
        problem: for its task, its classes and its weights.
        train: the training rows.
        frame: the labelled rows to predict.
        metric: of the task.

    Returns:
        For numbers the constant of the least training loss. For classes their frequencies as probabilities; as label
        the most frequent class, but for F1 the second of two classes, and of several one drawn by the frequencies, for
        which the mean F1 is at most 1 / n_classes and no other draw has more.
    """
    y_train, y_true = problem.truth(train), problem.truth(frame)
    known, weight, n = problem.weights(train), problem.weights(frame), len(y_true)
    if problem.task == "regression":
        number = np.full(n, _best_constant(y_train.astype(np.float64), known, metric))
        return Predictions(problem.task, y_true, number, np.empty((n, 0)), weight)
    counts = np.bincount(y_train, weights=known, minlength=len(problem.classes))
    frequencies = counts / counts.sum()
    labels = np.full(n, frequencies.argmax())
    if metric == "f1" and problem.task == "binary":
        labels = np.ones_like(labels)
    elif metric == "f1":
        labels = np.random.default_rng(0).choice(len(frequencies), n, p=frequencies)
    return Predictions(problem.task, y_true, labels, np.tile(frequencies, (n, 1)), weight)


def _best_constant(y: np.ndarray, weight: np.ndarray | None, metric: str) -> float:
    """Give the number that has the best metric on targets: their mean, or where errors count by their size the median,
    by their share of the target the median weighted by its inverse, on the log scale the mean there.
    """
    each = np.ones(len(y)) if weight is None else weight
    if metric == "rmsle":
        return float(np.expm1(np.average(np.log1p(np.clip(y, 0, None)), weights=each)))
    if metric == "mape":
        y, each = y[y != 0], each[y != 0] / np.abs(y[y != 0])
    if metric in ("mae", "mape") and each.sum() > 0:
        order = np.argsort(y, kind="stable")
        reached = np.cumsum(each[order])
        return float(y[order][np.searchsorted(reached, reached[-1] / 2)])
    return float(np.average(y, weights=each)) if len(y) else 0.0


def losses(predictions: Predictions) -> np.ndarray:
    """Give how wrong each prediction is, shape (n_rows,): minus the log of the true class's probability, or the size of
    the residual.
    """
    if predictions.task == "regression":
        return np.abs(predictions.y_true - predictions.y_pred)
    given = predictions.y_proba[np.arange(len(predictions.y_true)), predictions.y_true]
    return -np.log(np.clip(given.astype(np.float64), MIN_PROBABILITY, 1))
