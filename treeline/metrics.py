"""The metrics of each task: XGBoost's name, the formula, and which way is better, stated once.

The formulas are written out in NumPy because the bootstrap evaluates them a thousand times: scikit-learn's functions
spend 1 to 6 ms a call on checks. Tests hold each one equal to scikit-learn's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata


@dataclass(frozen=True)
class Metric:
    """One metric under its own name and sign.

    Attributes:
        greater_is_better: the direction.
        xgboost: what XGBoost calls it while training, with two classes (or numbers) and with more; empty where it has
            no such metric.
        compute: from (y_true, y_pred, y_proba) to a number; for classes `y_true` and `y_pred` are codes of shape
            (n_rows,) and `y_proba` has shape (n_rows, n_classes); for regression `y_true` and `y_pred` are numbers.
    """

    greater_is_better: bool
    xgboost: tuple[str, str]
    compute: Callable[[np.ndarray, np.ndarray, np.ndarray], float]


def _accuracy(y_true: np.ndarray, y_pred: np.ndarray, _: np.ndarray) -> float:
    return float(np.mean(y_true == y_pred))


def _log_loss(y_true: np.ndarray, _: np.ndarray, y_proba: np.ndarray) -> float:
    given = y_proba[np.arange(len(y_true)), y_true] / y_proba.sum(axis=1)
    return float(-np.mean(np.log(np.clip(given, np.finfo(y_proba.dtype).eps, 1))))


def _roc_auc(y_true: np.ndarray, _: np.ndarray, y_proba: np.ndarray) -> float:
    """Area under the curve by ranks (Mann and Whitney 1947); for several classes one against the rest, weighted by how
    often each occurs, as XGBoost does it. NaN where a class is absent.
    """
    counts = np.bincount(y_true, minlength=y_proba.shape[1])
    if (counts == 0).any():
        return float("nan")
    areas = {j: _area(y_true == j, y_proba[:, j]) for j in (range(len(counts)) if len(counts) > 2 else [1])}
    return float(np.average(list(areas.values()), weights=counts[list(areas)]))


def _area(positive: np.ndarray, given: np.ndarray) -> float:
    n = positive.sum()
    return float((rankdata(given)[positive].sum() - n * (n + 1) / 2) / (n * (len(given) - n)))


def _rmse(y_true: np.ndarray, y_pred: np.ndarray, _: np.ndarray) -> float:
    return float(np.sqrt(np.mean((y_true - y_pred) ** 2)))


def _mae(y_true: np.ndarray, y_pred: np.ndarray, _: np.ndarray) -> float:
    return float(np.mean(np.abs(y_true - y_pred)))


def _r2(y_true: np.ndarray, y_pred: np.ndarray, _: np.ndarray) -> float:
    spread = float(np.sum((y_true - y_true.mean()) ** 2))
    return 1 - float(np.sum((y_true - y_pred) ** 2)) / spread if spread > 0 else float("nan")


CLASSIFICATION: dict[str, Metric] = {
    "log_loss": Metric(False, ("logloss", "mlogloss"), _log_loss),
    "error": Metric(False, ("error", "merror"), lambda y_true, y_pred, p: 1 - _accuracy(y_true, y_pred, p)),
    "roc_auc": Metric(True, ("auc", "auc"), _roc_auc),
    "accuracy": Metric(True, ("", ""), _accuracy),
}
REGRESSION: dict[str, Metric] = {
    "rmse": Metric(False, ("rmse", "rmse"), _rmse),
    "mae": Metric(False, ("mae", "mae"), _mae),
    "r2": Metric(True, ("", ""), _r2),
}


def metrics_of(task: str) -> dict[str, Metric]:
    """Give the metrics of a task by name; the first is the default to optimise."""
    return REGRESSION if task == "regression" else CLASSIFICATION


def curves_of(task: str) -> dict[str, str]:
    """Give the metrics that a trial records after every round: our name to XGBoost's."""
    return {
        name: metric.xgboost[task == "multiclass"] for name, metric in metrics_of(task).items() if metric.xgboost[0]
    }
