"""How sure a metric is: its 95 % interval, by what the rows hang together by, or the reason why there is none.

Shares (accuracy, error) have Wilson's interval (1927) and metrics of classes a logit one (of an AUC that of DeLong et
al. 1988). All others have the wider of Student's and that of Hall (1992), who undoes the skew of a mean as the
bootstrap-t does, but in closed form: no seed, no resamples, and ends as far out as one likes. Where rows hang together
by groups or in time, the spread is that of whole groups or of blocks, and the quantiles are Student's for their number.
Where these, or the weights of rows, are uneven, a large one hides its own part of the spread: each is measured against
the others (the jackknife, MacKinnon, Nielsen and Webb 2023), and they count as many as even ones would (Kish 1965).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from treeline.evaluation.influence import influence
from treeline.evaluation.predictions import Predictions
from treeline.evaluation.sampling import MIN_EVEN, MIN_UNITS, Sampling, evenly
from treeline.metrics import metrics_of

ROWS = Sampling()  # that know nothing of each other
ALPHA = 0.05  # how often a true value may lie outside
SHARES = ("accuracy", "error")
OF_CLASSES = ("roc_auc", "average_precision", "f1", "balanced_accuracy")  # which need rows of every class
ROOTS = ("rmse", "rmsle")  # of a mean, which is what has an interval
MIN_CLASS_ROWS = 10
TAIL, MAX_TAIL = 0.01, 0.5  # where this share of the rows makes more than this share of the error, it has heavy tails


@dataclass(frozen=True)
class Interval:
    """The 95 % interval of a metric.

    Attributes:
        low, high: its ends; NaN where there is none.
        why: there is none; empty where there is one.
        note: what to know about it: what stands behind it, and how far it can be trusted.
    """

    low: float = float("nan")
    high: float = float("nan")
    why: str = ""
    note: str = ""

    def told(self, spell: Callable[[float], str]) -> str:
        """Say it: both ends, spelled by a function, or why there are none."""
        return f"none: {self.why}" if self.why else f"{spell(self.low)} to {spell(self.high)}"


@dataclass(frozen=True)
class Spread:
    """How much a figure varies from sample to sample.

    Attributes:
        error: its standard error.
        skew: the skewness of the figure itself, that of one unit over the root of their number.
        units: rows, groups or blocks that it was seen in.
        even: how many of one size, or weight, they are worth.
    """

    error: float
    skew: float
    units: int
    even: float

    @classmethod
    def of(cls, influences: np.ndarray, sampling: Sampling, weight: np.ndarray | None) -> "Spread":
        """Measure it from the influence and the weight of each row, shape (n_rows,) each; None weighs all alike."""
        n, place = len(influences), sampling.units(influences)
        sizes = np.bincount(place, weights=np.ones(n) if weight is None else weight)
        units, even = int(np.count_nonzero(sizes)), evenly(sizes)
        if units < 2:
            return cls(0.0, 0.0, units, even)
        apart = np.bincount(place, weights=influences) / (1 - sizes / sizes.sum())
        squares = float(apart @ apart)
        if squares <= 0:
            return cls(0.0, 0.0, units, even)
        skew = float(np.sum(apart**3) / squares**1.5)
        return cls(float(np.sqrt(squares * (units - 1) / units)) / n, skew, units, even)

    def too_little(self, sampling: Sampling) -> str:
        """Say why the units are too few for anything sure; empty where they are not."""
        if self.units < MIN_UNITS:
            return f"{sampling.told(self.units)} are fewer than {MIN_UNITS}"
        if self.even < MIN_EVEN:
            differ = "size" if sampling.kind == "groups" else "weight"
            return (
                f"{sampling.told(self.units)} of very different {differ} say no more than {self.even:.1f} even ones, "
                f"fewer than {MIN_EVEN}"
            )
        return ""

    def quantile(self, alpha: float) -> float:
        """Give Student's quantile that is passed with a chance of alpha / 2 on each side."""
        return float(stats.t.isf(alpha / 2, max(self.even - 1, 1)))

    def around(self, value: float, alpha: float) -> tuple[float, float]:
        """Give the ends of an interval: on each side the farther of Student's and Hall's."""
        t = self.quantile(alpha)
        return value - self.error * max(t, self._unskewed(t)), value - self.error * min(-t, self._unskewed(-t))

    def _unskewed(self, t: float) -> float:
        """Give the quantile of the studentised figure as Hall 1992 undoes its skew."""
        if abs(self.skew) < 1e-6:
            return t
        return float(3 / self.skew * (np.cbrt(1 + self.skew * (t - self.skew / 6)) - 1))


def intervals(predictions: Predictions, sampling: Sampling = ROWS) -> dict[str, Interval]:
    """Give the 95 % interval of every metric of the task."""
    return {name: interval(predictions, name, sampling) for name in metrics_of(predictions.task)}


def interval(predictions: Predictions, metric: str, sampling: Sampling = ROWS) -> Interval:
    """Give the 95 % interval of a metric, or the reason why there is none.

    Args:
        predictions: beside the truth.
        metric: of the task.
        sampling: how their rows hang together.
    """
    if why := too_little(predictions, metric, sampling):
        return Interval(why=why)
    value, influences = predictions.metric(metric), influence(predictions, metric)
    spread = Spread.of(influences, sampling, predictions.weight)
    if why := spread.too_little(sampling):
        return Interval(why=why)
    note = "" if sampling.codes is None else f"by {sampling.told(spread.units)}"
    if metric in SHARES:
        return Interval(*_wilson(value, spread, predictions, sampling), note=note)
    if not spread.error > 1e-12 * abs(value):
        return Interval(why="no row moves it, so nothing tells how it varies")
    if metric in OF_CLASSES:
        return Interval(*_logit(value, spread), note=note)
    tail = _tail(predictions, metric, influences)
    return Interval(*_skewed(value, metric, spread), note="; ".join(filter(None, (note, tail))))


def too_little(predictions: Predictions, metric: str, sampling: Sampling = ROWS) -> str:
    """Say why the rows are too few, or of too few classes, for anything sure about a metric; empty where they are not.

    Where rows come in groups, it is groups with rows of a class that count. Rows without a weight do not.
    """
    counted = np.ones(len(predictions.y_true), dtype=bool) if predictions.weight is None else predictions.weight > 0
    n = int(counted.sum())
    if n < MIN_UNITS:
        return f"{n} rows are fewer than {MIN_UNITS}"
    if metric in OF_CLASSES:
        codes = sampling.codes if sampling.kind == "groups" and sampling.codes is not None else np.arange(len(counted))
        classes = range(predictions.y_proba.shape[1])
        held = [len(np.unique(codes[counted & (predictions.y_true == k)])) for k in classes]
        if min(held) < MIN_CLASS_ROWS:
            return f"a class has {sampling.told(min(held))}, fewer than {MIN_CLASS_ROWS}"
    if not np.isfinite(predictions.metric(metric)):
        return "it does not exist on these rows"
    return ""


def _wilson(value: float, spread: Spread, predictions: Predictions, sampling: Sampling) -> tuple[float, float]:
    """Give Wilson's interval of a share, for as many rows as weights (Kish 1965) and groups leave of them."""
    weight = predictions.weight
    n = len(predictions.y_true) if weight is None else evenly(weight)
    z = float(stats.norm.isf(ALPHA / 2)) if sampling.codes is None else spread.quantile(ALPHA)
    if spread.error > 0:
        n = min(n, value * (1 - value) / spread.error**2 * (1 if sampling.codes is not None else np.inf))
    elif sampling.codes is not None:
        n = min(n, spread.even)  # all rows alike: no more is known than that these groups are
    middle, half = value + z**2 / (2 * n), z * np.sqrt(value * (1 - value) / n + (z / (2 * n)) ** 2)
    low, high = (float(end / (1 + z**2 / n)) for end in (middle - half, middle + half))
    return (0.0 if value == 0 else low), (1.0 if value == 1 else high)


def _logit(value: float, spread: Spread) -> tuple[float, float]:
    odds, half = np.log(value / (1 - value)), spread.quantile(ALPHA) * spread.error / (value * (1 - value))
    low, high = (float(1 / (1 + np.exp(-end))) for end in (odds - half, odds + half))
    return low, high


def _skewed(value: float, metric: str, spread: Spread) -> tuple[float, float]:
    """Give the interval of a mean, or of the root of one."""
    if metric not in ROOTS:
        low, high = spread.around(value, ALPHA)
        return (low, high) if metric == "r2" else (max(low, 0.0), high)
    squares = replace(spread, error=2 * value * spread.error)
    low, high = np.sqrt(np.clip(squares.around(value**2, ALPHA), 0, None)).tolist()
    return low, high


def _tail(predictions: Predictions, metric: str, influences: np.ndarray) -> str:
    """Say where a few rows make most of an error."""
    worse = np.clip(-influences if metrics_of(predictions.task)[metric].greater_is_better else influences, 0, None)
    count = max(1, round(TAIL * len(worse)))
    largest = float(np.sort(worse)[-count:].sum() / worse.sum())
    if largest <= MAX_TAIL:
        return ""
    rows = "the row most wrong makes" if count == 1 else f"the {count} rows most wrong make"
    return f"{rows} {largest:.0%} of what is above its mean, so another sample may well lie outside"
