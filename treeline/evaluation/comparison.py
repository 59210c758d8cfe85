"""Who earns the alias: scores with intervals, the dummy baseline, thresholds, the champion on the same rows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor

from treeline import UserError, nearest
from treeline.metrics import metrics_of


@dataclass(frozen=True)
class Predictions:
    """What a model said about rows whose truth is known.

    Attributes:
        task: `binary`, `multiclass` or `regression`.
        y: the truth, class codes or numbers, shape (n_rows,).
        labels: the predicted class codes or numbers, shape (n_rows,).
        probabilities: of each class, shape (n_rows, n_classes); (n_rows, 0) for regression.
    """

    task: str
    y: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray

    def scores(self) -> dict[str, float]:
        """Every metric of the task, each with its own sign."""
        return {
            name: metric.score(self.y, self.labels, self.probabilities)
            for name, metric in metrics_of(self.task).items()
        }

    def take(self, rows: np.ndarray) -> "Predictions":
        """The predictions of some rows, by position; a row may be taken more than once."""
        return Predictions(self.task, self.y[rows], self.labels[rows], self.probabilities[rows])


@dataclass(frozen=True)
class Comparison:
    """A challenger against a champion on the same rows.

    Attributes:
        rows: that count.
        gain: how much better the challenger's score is, in the metric's own direction.
        low, high: the 95 % interval of the gain.
    """

    rows: int
    gain: float
    low: float
    high: float


def compare(challenger: Predictions, champion: Predictions, metric: str, seed: int) -> Comparison:
    """Bootstrap the gain of a challenger over a champion, paired: both are scored on the same rows drawn.

    There are 1,000 resamples, or 200 where there are more than 100,000 rows; percentile method, as in `intervals`.

    Args:
        challenger: its predictions.
        champion: the other's, for the same rows in the same order.
        metric: that decides.
        seed: of the draws.
    """
    known = metrics_of(challenger.task)[metric]
    sign = 1 if known.greater_is_better else -1

    def gain(rows: np.ndarray) -> float:
        ours, theirs = (
            known.score(each.y[rows], each.labels[rows], each.probabilities[rows]) for each in (challenger, champion)
        )
        return sign * (ours - theirs)

    n = len(challenger.y)
    rng = np.random.default_rng(seed)
    gains = np.array([gain(rng.integers(0, n, n)) for _ in range(1000 if n <= 100_000 else 200)])
    gains = gains[np.isfinite(gains)]
    low, high = np.percentile(gains, [2.5, 97.5]) if len(gains) else (np.nan, np.nan)
    return Comparison(n, gain(np.arange(n)), float(low), float(high))


def intervals(predictions: Predictions, seed: int) -> dict[str, tuple[float, float]]:
    """Bootstrap the 95 % interval of every metric (percentile method, Efron 1979): rows drawn with replacement.

    There are 1,000 resamples, or 200 where there are more than 100,000 rows. One in which a metric does not exist (a
    class is absent) does not count for it; where it never exists, both ends are NaN.
    """
    rng = np.random.default_rng(seed)
    n = len(predictions.y)
    resamples = 1000 if n <= 100_000 else 200
    draws = [predictions.take(rng.integers(0, n, n)).scores() for _ in range(resamples)]
    ends: dict[str, tuple[float, float]] = {}
    for name in metrics_of(predictions.task):
        values = np.array([draw[name] for draw in draws])
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (np.nan, np.nan)
        ends[name] = (float(low), float(high))
    return ends


def dummy_predictions(task: str, y_train: np.ndarray, y: np.ndarray, n_classes: int) -> Predictions:
    """What a model says that knows the training targets and no column: the class frequencies, or the mean."""
    blank_train, blank = np.zeros((len(y_train), 1)), np.zeros((len(y), 1))
    if task == "regression":
        return Predictions(task, y, DummyRegressor().fit(blank_train, y_train).predict(blank), np.empty((len(y), 0)))
    dummy = DummyClassifier(strategy="prior").fit(blank_train, y_train)
    probabilities = np.zeros((len(y), n_classes))
    probabilities[:, dummy.classes_] = dummy.predict_proba(blank)
    return Predictions(task, y, dummy.predict(blank), probabilities)


def parse_thresholds(text: str) -> dict[str, float]:
    """Read `accuracy=0.9,log_loss=0.3` into a mapping; the metric's direction says which side is good.

    Raises:
        UserError: a part is no `metric=number`.
    """
    thresholds = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        try:
            thresholds[name.strip()] = _number(value)
        except ValueError:
            raise UserError(
                f"Cannot read the threshold {part!r} of --min-score: write metric=number, such as accuracy=0.9."
            ) from None
    return thresholds


def check_thresholds(thresholds: Mapping[str, float], task: str) -> None:
    """Refuse a threshold on a metric that the task does not have.

    Raises:
        UserError: names the metric and those that exist.
    """
    known = metrics_of(task)
    for name in thresholds:
        if name not in known:
            raise UserError(
                f"Unknown metric {name!r} in --min-score for a {task} task.{nearest(name, known)} Use "
                f"{', '.join(known)}."
            )


def better(task: str, metric: str, score: float, other: float) -> bool:
    """Tell whether a score is strictly better than another in the metric's own direction."""
    return score > other if metrics_of(task)[metric].greater_is_better else score < other


def _number(text: str) -> float:
    """Read a number; NaN is none, for every score and no score would hold it."""
    value = float(text)
    if math.isnan(value):
        raise ValueError(text)
    return value
