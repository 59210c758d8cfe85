"""How much each row moves a metric: the one thing that an interval, and the comparison of two models, are made of.

The influence of a row is the slope of the metric in the weight of that row (Hampel 1974), times the number of rows. Its
mean is 0, and the metric on other rows of the same kind differs from this one by about the mean of their influences;
so the spread of the influences, summed by whatever the rows hang together by, is the spread of the metric.
"""

from collections.abc import Callable

import numpy as np

from treeline.evaluation.predictions import Predictions, losses


def influence(predictions: Predictions, metric: str) -> np.ndarray:
    """Give how much each row moves a metric.

    Args:
        predictions: beside the truth; a row's weight is part of its influence.
        metric: of the task, which must exist on these rows.

    Returns:
        Shape (n_rows,), in the unit of the metric, their mean 0.
    """
    weight = predictions.weight
    share = np.ones(len(predictions.y_true)) if weight is None else weight / weight.mean()
    return share * INFLUENCES[metric](predictions, share)


def _centred(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    return values - np.average(values, weights=share)


def _log_loss(predictions: Predictions, share: np.ndarray) -> np.ndarray:
    return _centred(losses(predictions), share)


def _accuracy(predictions: Predictions, share: np.ndarray) -> np.ndarray:
    return _centred((predictions.y_true == predictions.y_pred).astype(np.float64), share)


def _error(predictions: Predictions, share: np.ndarray) -> np.ndarray:
    return -_accuracy(predictions, share)


def _f1(predictions: Predictions, share: np.ndarray) -> np.ndarray:
    n, n_classes = predictions.y_proba.shape
    true, predicted, right = _places(predictions)
    met = _frequencies(true, share, n_classes) + _frequencies(predicted, share, n_classes)
    both = _frequencies(true[right], share[right], n_classes) * right.sum() / n
    scores, each = _ratio(2 * both, met), _ratio(np.ones(n_classes), met)
    if n_classes == 2:
        return each[1] * ((2 * right - scores[1]) * (true == 1) - scores[1] * (predicted == 1))
    moved = 2 * right * each[true] - scores[true] * each[true] - scores[predicted] * each[predicted]
    return np.asarray(moved / np.count_nonzero(met))


def _balanced_accuracy(predictions: Predictions, share: np.ndarray) -> np.ndarray:
    n_classes = predictions.y_proba.shape[1]
    true, _, right = _places(predictions)
    often = _frequencies(true, share, n_classes)
    recall = _ratio(np.bincount(true, share * right, n_classes) / len(true), often)
    return np.asarray((right - recall[true]) / often[true] / np.count_nonzero(often))


def _places(predictions: Predictions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    true, predicted = predictions.y_true.astype(int), predictions.y_pred.astype(int)
    return true, predicted, true == predicted


def _frequencies(codes: np.ndarray, share: np.ndarray, n_classes: int) -> np.ndarray:
    return np.bincount(codes, share, n_classes) / max(len(codes), 1)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros(len(below)), where=below > 0)


def _roc_auc(predictions: Predictions, share: np.ndarray) -> np.ndarray:
    return _over_classes(_area, predictions, share)


def _average_precision(predictions: Predictions, share: np.ndarray) -> np.ndarray:
    return _over_classes(_precision, predictions, share)


def _over_classes(
    measure: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[float, np.ndarray]],
    predictions: Predictions,
    share: np.ndarray,
) -> np.ndarray:
    """Give the influence on the second class's figure, or of several on the mean of theirs by how often each occurs."""
    y_true, y_proba = predictions.y_true.astype(int), predictions.y_proba
    n_classes = y_proba.shape[1]
    if n_classes == 2:
        return measure(y_true == 1, y_proba[:, 1], share)[1]
    often, values, moved = _frequencies(y_true, share, n_classes), np.zeros(n_classes), np.zeros(len(y_true))
    for j in range(n_classes):
        values[j], each = measure(y_true == j, y_proba[:, j], share)
        moved += often[j] * each
    return np.asarray(moved + values[y_true] - often @ values)


def _area(positive: np.ndarray, given: np.ndarray, share: np.ndarray) -> tuple[float, np.ndarray]:
    """Give the area under the curve and the influences, from the structural components of DeLong et al. 1988."""
    place = np.unique(given, return_inverse=True)[1]
    hits, misses = (np.bincount(place, share * side) for side in (positive, ~positive))
    below = (np.cumsum(misses) - misses / 2) / misses.sum()  # misses that a row of this place stands above
    above = 1 - (np.cumsum(hits) - hits / 2) / hits.sum()  # hits that it stands below
    area = float(hits @ below / hits.sum())
    often = hits.sum() / len(given)
    return area, np.where(positive, (below[place] - area) / often, (above[place] - area) / (1 - often))


def _precision(positive: np.ndarray, given: np.ndarray, share: np.ndarray) -> tuple[float, np.ndarray]:
    """Give the average precision and the influences: a row moves its own hit, and the precision at lower places."""
    n, place = len(given), np.unique(-given, return_inverse=True)[1]
    hits, rows = np.bincount(place, share * positive) / n, np.bincount(place, share) / n
    at_least = np.cumsum(rows)
    precision = _ratio(np.cumsum(hits), at_least)
    often, slope = hits.sum(), _ratio(hits, at_least)
    total = float(hits @ precision)
    later, lost = (np.cumsum(each[::-1])[::-1] for each in (slope, slope * precision))
    moved = positive * precision[place] + positive * later[place] - lost[place] - positive * total / often
    return total / often, moved / often


def _mae(predictions: Predictions, share: np.ndarray) -> np.ndarray:
    return _centred(losses(predictions), share)


def _mape(predictions: Predictions, share: np.ndarray) -> np.ndarray:
    return _centred(losses(predictions) / np.abs(predictions.y_true), share)


def _rmse(predictions: Predictions, share: np.ndarray) -> np.ndarray:
    return _root(losses(predictions) ** 2, share)


def _rmsle(predictions: Predictions, share: np.ndarray) -> np.ndarray:
    y_pred = np.clip(predictions.y_pred, 0, None)
    return _root((np.log1p(predictions.y_true) - np.log1p(y_pred)) ** 2, share)


def _root(squares: np.ndarray, share: np.ndarray) -> np.ndarray:
    root = np.sqrt(np.average(squares, weights=share))
    return np.asarray(_centred(squares, share) / (2 * root)) if root > 0 else np.zeros(len(squares))


def _r2(predictions: Predictions, share: np.ndarray) -> np.ndarray:
    squares, around = losses(predictions) ** 2, _centred(predictions.y_true, share) ** 2
    spread = np.average(around, weights=share)
    return np.asarray((np.average(squares, weights=share) / spread * around - squares) / spread)


INFLUENCES: dict[str, Callable[[Predictions, np.ndarray], np.ndarray]] = {
    "log_loss": _log_loss,
    "error": _error,
    "roc_auc": _roc_auc,
    "accuracy": _accuracy,
    "f1": _f1,
    "average_precision": _average_precision,
    "balanced_accuracy": _balanced_accuracy,
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
    "mape": _mape,
    "rmsle": _rmsle,
}
