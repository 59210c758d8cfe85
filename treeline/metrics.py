"""The metrics of each task: XGBoost's name, the formula, and which way is better, stated once.

The formulas are written out in NumPy because scikit-learn's functions spend 1 to 6 ms a call on checks. Tests hold each
one equal to scikit-learn's, weights included.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

MIN_PROBABILITY = 1e-16  # below which the log loss counts this much, as XGBoost's does while training

Weight = np.ndarray | None


class Formula(Protocol):
    """What a metric comes to on some rows."""

    def __call__(self, y_true: np.ndarray, y_pred: np.ndarray, y_proba: np.ndarray, weight: Weight = None, /) -> float:
        """Give the metric."""


@dataclass(frozen=True)
class Metric:
    """One metric under its own name and sign.

    Attributes:
        greater_is_better: the direction.
        xgboost: what XGBoost calls it while training, with two classes (or numbers) and with more; empty where it has
            no such metric.
        compute: from (y_true, y_pred, y_proba, weight) to a number; for classes `y_true` and `y_pred` are codes of
            shape (n_rows,) and `y_proba` has shape (n_rows, n_classes); for regression `y_true` and `y_pred` are
            numbers. `weight` has shape (n_rows,), or is None where all rows count alike. NaN where the metric does not
            exist on these rows.
    """

    greater_is_better: bool
    xgboost: tuple[str, str]
    compute: Formula


def _mean(values: np.ndarray, weight: Weight) -> float:
    return float(np.average(values, weights=weight))


def _counts(codes: np.ndarray, n_classes: int, weight: Weight) -> np.ndarray:
    return np.bincount(codes, weights=weight, minlength=n_classes).astype(np.float64)


def _accuracy(y_true: np.ndarray, y_pred: np.ndarray, _: np.ndarray, weight: Weight = None) -> float:
    return _mean(y_true == y_pred, weight)


def _error(y_true: np.ndarray, y_pred: np.ndarray, y_proba: np.ndarray, weight: Weight = None) -> float:
    return 1 - _accuracy(y_true, y_pred, y_proba, weight)


def _log_loss(y_true: np.ndarray, _: np.ndarray, y_proba: np.ndarray, weight: Weight = None) -> float:
    given = y_proba[np.arange(len(y_true)), y_true] / y_proba.sum(axis=1)
    return -_mean(np.log(np.clip(given.astype(np.float64), MIN_PROBABILITY, 1)), weight)


def _roc_auc(y_true: np.ndarray, _: np.ndarray, y_proba: np.ndarray, weight: Weight = None) -> float:
    """Area under the curve by ranks (Mann and Whitney 1947); for several classes one against the rest, weighted by how
    often each occurs, as XGBoost does it. NaN where a class is absent.
    """
    return _over_classes(_area, y_true, y_proba, weight)


def _average_precision(y_true: np.ndarray, _: np.ndarray, y_proba: np.ndarray, weight: Weight = None) -> float:
    """Average precision of the second of two classes; for several classes one against the rest, weighted by how often
    each occurs. NaN where a class is absent.
    """
    return _over_classes(_precision, y_true, y_proba, weight)


def _over_classes(
    measure: Callable[[np.ndarray, np.ndarray, np.ndarray], float],
    y_true: np.ndarray,
    y_proba: np.ndarray,
    weight: Weight,
) -> float:
    counts = _counts(y_true, y_proba.shape[1], weight)
    if (counts == 0).any():
        return float("nan")
    each = np.ones(len(y_true)) if weight is None else weight
    found = {j: measure(y_true == j, y_proba[:, j], each) for j in (range(len(counts)) if len(counts) > 2 else [1])}
    return float(np.average(list(found.values()), weights=counts[list(found)]))


def _area(positive: np.ndarray, given: np.ndarray, weight: np.ndarray) -> float:
    place = np.unique(given, return_inverse=True)[1]
    hits, misses = (np.bincount(place, weights=weight * side) for side in (positive, ~positive))
    return float(np.sum(hits * (np.cumsum(misses) - misses / 2)) / (hits.sum() * misses.sum()))


def _precision(positive: np.ndarray, given: np.ndarray, weight: np.ndarray) -> float:
    place = np.unique(-given, return_inverse=True)[1]  # the most probable first
    hits, rows = np.bincount(place, weights=weight * positive), np.bincount(place, weights=weight)
    at_least = np.cumsum(rows)
    share = np.divide(np.cumsum(hits), at_least, out=np.zeros_like(at_least), where=at_least > 0)
    return float(np.sum(hits * share) / hits.sum())


def _f1(y_true: np.ndarray, y_pred: np.ndarray, y_proba: np.ndarray, weight: Weight = None) -> float:
    """F1 of the second of two classes; for several the plain mean over the classes that occur or are predicted."""
    n_classes = y_proba.shape[1]
    true, predicted = _counts(y_true, n_classes, weight), _counts(y_pred, n_classes, weight)
    right = y_true == y_pred
    both = _counts(y_true[right], n_classes, None if weight is None else weight[right])
    met = true + predicted > 0
    scores = np.divide(2 * both, true + predicted, out=np.zeros(n_classes), where=met)
    return float(scores[1]) if n_classes == 2 else float(scores[met].mean())


def _balanced_accuracy(y_true: np.ndarray, y_pred: np.ndarray, y_proba: np.ndarray, weight: Weight = None) -> float:
    """The mean recall of the classes that occur."""
    true, right = _counts(y_true, y_proba.shape[1], weight), y_true == y_pred
    both = _counts(y_true[right], y_proba.shape[1], None if weight is None else weight[right])
    return float(np.mean(both[true > 0] / true[true > 0]))


def _rmse(y_true: np.ndarray, y_pred: np.ndarray, _: np.ndarray, weight: Weight = None) -> float:
    return float(np.sqrt(_mean((y_true - y_pred) ** 2, weight)))


def _mae(y_true: np.ndarray, y_pred: np.ndarray, _: np.ndarray, weight: Weight = None) -> float:
    return _mean(np.abs(y_true - y_pred), weight)


def _r2(y_true: np.ndarray, y_pred: np.ndarray, _: np.ndarray, weight: Weight = None) -> float:
    """The share of the variance that is explained; NaN where the truth varies by no more than its rounding."""
    spread = _mean((y_true - _mean(y_true, weight)) ** 2, weight)
    rounding = np.finfo(np.float64).eps * float(np.abs(y_true).max())
    if spread <= (4 * rounding) ** 2:
        return float("nan")
    return 1 - _mean((y_true - y_pred) ** 2, weight) / spread


def _mape(y_true: np.ndarray, y_pred: np.ndarray, _: np.ndarray, weight: Weight = None) -> float:
    """The mean error as a share of the truth; NaN where a truth is 0."""
    return _mean(np.abs((y_true - y_pred) / y_true), weight) if (y_true != 0).all() else float("nan")


def _rmsle(y_true: np.ndarray, y_pred: np.ndarray, _: np.ndarray, weight: Weight = None) -> float:
    """The RMSE of log(1 + x); a prediction below 0 counts as 0. NaN where a truth is below 0."""
    if (y_true < 0).any():
        return float("nan")
    return float(np.sqrt(_mean((np.log1p(y_true) - np.log1p(np.clip(y_pred, 0, None))) ** 2, weight)))


CLASSIFICATION: dict[str, Metric] = {
    "log_loss": Metric(False, ("logloss", "mlogloss"), _log_loss),
    "error": Metric(False, ("error", "merror"), _error),
    "roc_auc": Metric(True, ("auc", "auc"), _roc_auc),
    "accuracy": Metric(True, ("", ""), _accuracy),
    "f1": Metric(True, ("", ""), _f1),
    "average_precision": Metric(True, ("", ""), _average_precision),
    "balanced_accuracy": Metric(True, ("", ""), _balanced_accuracy),
}
REGRESSION: dict[str, Metric] = {
    "rmse": Metric(False, ("rmse", "rmse"), _rmse),
    "mae": Metric(False, ("mae", "mae"), _mae),
    "r2": Metric(True, ("", ""), _r2),
    "mape": Metric(False, ("", ""), _mape),
    "rmsle": Metric(False, ("", ""), _rmsle),
}


def metrics_of(task: str) -> dict[str, Metric]:
    """Give the metrics of a task by name; the first is the default to optimise."""
    return REGRESSION if task == "regression" else CLASSIFICATION


def curves_of(task: str) -> dict[str, str]:
    """Give the metrics that a trial records after every round: our name to XGBoost's."""
    return {
        name: metric.xgboost[task == "multiclass"] for name, metric in metrics_of(task).items() if metric.xgboost[0]
    }
