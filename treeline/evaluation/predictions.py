"""What a model, or a dummy, says about rows whose truth is known."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier, DummyRegressor

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


def dummy_predictions(problem: Problem, train: pd.DataFrame, frame: pd.DataFrame) -> Predictions:
    """What a model says that knows the training targets and no column: the class frequencies, or the mean.

    Args:
        problem: for its task, its classes and its weights.
        train: the training rows.
        frame: the labelled rows to predict.
    """
    y_train, y_true = problem.truth(train), problem.truth(frame)
    blank_train, blank = np.zeros((len(y_train), 1)), np.zeros((len(y_true), 1))
    known, weight = problem.weights(train), problem.weights(frame)
    if problem.task == "regression":
        mean = DummyRegressor().fit(blank_train, y_train, known).predict(blank)
        return Predictions(problem.task, y_true, mean, np.empty((len(y_true), 0)), weight)
    dummy = DummyClassifier(strategy="prior").fit(blank_train, y_train, known)
    probabilities = np.zeros((len(y_true), len(problem.classes)))
    probabilities[:, dummy.classes_] = dummy.predict_proba(blank)
    return Predictions(problem.task, y_true, dummy.predict(blank), probabilities, weight)


def losses(predictions: Predictions) -> np.ndarray:
    """Give how wrong each prediction is, shape (n_rows,): minus the log of the true class's probability, or the size of
    the residual.
    """
    if predictions.task == "regression":
        return np.abs(predictions.y_true - predictions.y_pred)
    given = predictions.y_proba[np.arange(len(predictions.y_true)), predictions.y_true]
    return -np.log(np.clip(given.astype(np.float64), MIN_PROBABILITY, 1))
