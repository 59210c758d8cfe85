"""What a model, or a dummy, says about rows whose truth is known."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from treeline.data.problem import Problem
from treeline.metrics import MIN_PROBABILITY, metrics_of
from treeline.model.estimator import TreelineClassifier, TreelineRegressor

LOTS = 25  # that a dummy draws
MAX_ROWS_OF_LOTS = 10_000  # above which one lot is as good as another


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
    """What a model says that knows the training targets and no column, as it does best by a metric.

    A dummy that is made for another metric is beaten by noise. So it says the class frequencies and the commonest
    class; for F1 the second of two classes, or labels drawn by those frequencies; for average precision it ranks the
    rows by lot, for so a few of many stand higher than in a tie of all. Of few rows many lots are drawn, and the median
    one is taken, for a lucky one would say little. Of numbers it says the mean; for an absolute
    error the median, for one in shares of the truth that of rows weighted so, for one of logarithms their mean.

    Args:
        problem: for its task, its classes and its weights.
        train: the training rows.
        frame: the labelled rows to predict.
        metric: of the task.
    """
    y_train, y_true = problem.truth(train), problem.truth(frame)
    known, weight = problem.weights(train), problem.weights(frame)
    n, each = len(y_true), np.ones(len(y_train)) if known is None else known
    if problem.task == "regression":
        return Predictions(problem.task, y_true, np.full(n, _constant(y_train, each, metric)), np.empty((n, 0)), weight)
    shares = np.bincount(y_train, weights=each, minlength=len(problem.classes)) / each.sum()
    plain = Predictions(problem.task, y_true, np.full(n, shares.argmax()), np.tile(shares, (n, 1)), weight)
    if metric == "f1" and len(shares) == 2:
        return replace(plain, y_pred=np.ones(n, dtype=int))
    if metric not in ("f1", "average_precision"):
        return plain
    rng, drawn = np.random.default_rng(0), []
    for _ in range(LOTS if n <= MAX_ROWS_OF_LOTS else 1):
        labels, ranks = rng.choice(len(shares), n, p=shares), plain.y_proba + 1e-9 * rng.random((n, len(shares)))
        drawn.append(replace(plain, y_pred=labels) if metric == "f1" else replace(plain, y_proba=ranks))
    return sorted(drawn, key=lambda each: each.metric(metric))[len(drawn) // 2]


def _constant(y: np.ndarray, weight: np.ndarray, metric: str) -> float:
    """Give the one number that is nearest to all others as a metric measures it."""
    if metric == "rmsle":
        return float(np.expm1(np.average(np.log1p(np.clip(y, 0, None)), weights=weight)))
    if metric not in ("mae", "mape"):
        return float(np.average(y, weights=weight))
    if metric == "mape" and y.any():
        y, weight = y[y != 0], weight[y != 0] / np.abs(y[y != 0])
    order = np.argsort(y, kind="stable")
    mass = np.cumsum(weight[order])
    return float(y[order][np.searchsorted(mass, mass[-1] / 2)])


def losses(predictions: Predictions) -> np.ndarray:
    """Give how wrong each prediction is, shape (n_rows,): minus the log of the true class's probability, or the size of
    the residual.
    """
    if predictions.task == "regression":
        return np.abs(predictions.y_true - predictions.y_pred)
    given = predictions.y_proba[np.arange(len(predictions.y_true)), predictions.y_true]
    return -np.log(np.clip(given.astype(np.float64), MIN_PROBABILITY, 1))
