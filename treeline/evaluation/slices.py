"""Where a model errs more than elsewhere: slices of the rows by the values of a column, and which are surely worse."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, pearson3, t

from treeline.data.problem import Problem
from treeline.data.sentences import spell
from treeline.data.values import as_categories, to_numeric
from treeline.evaluation.intervals import ROWS, interval
from treeline.evaluation.predictions import Predictions, losses
from treeline.evaluation.sampling import MIN_UNITS, Sampling
from treeline.metrics import metrics_of

MIN_SLICE_ROWS = 30  # below which the metric of a slice says little
SLICES_PER_NUMBER = 4
FALSE_DISCOVERIES = 0.04  # of the slices called surely worse; below 5 %, for the chances are approximations
DRAWS, FEW_DRAWS, MAX_ROWS_OF_MANY_DRAWS = 200, 50, 5_000  # few where a slice has more rows than this


@dataclass(frozen=True)
class Judged:
    """Predictions, and how they are judged.

    Attributes:
        predictions: for all rows.
        metric: that decides.
        sampling: how the rows hang together.
    """

    predictions: Predictions
    metric: str
    sampling: Sampling = ROWS


def slice_table(
    problem: Problem, frame: pd.DataFrame, judged: Judged, columns: Sequence[str], deadline: float = float("inf")
) -> tuple[pd.DataFrame, list[str]]:
    """Measure the rows of each category and of each quarter of each number, and tell which are surely worse.

    A slice has 30 rows or more, and not all of them. A quarter is named by the smallest and the largest value in it.
    A slice is surely worse where as many rows drawn from all would hardly be as bad: for a metric that is a mean over
    rows, and for RMSE and R2 by the squared errors, the chance follows from the exact mean, variance and skewness of
    such draws (Pearson's type III, Mielke and Berry 2007); for another from 200 draws of as many rows of each class.
    Where rows hang together, chance is never smaller than whole groups or blocks say. Over all slices the false
    discovery rate is 4 % (Benjamini and Hochberg 1995).

    Args:
        problem: for the kinds of the columns.
        frame: the rows.
        judged: what was predicted for them, and the metric.
        columns: to cut by, in this order.
        deadline: on the clock of `time.monotonic`, after which no further column is begun.

    Returns:
        A row a slice: `column`, `slice`, `rows`, `surely_worse`, `p` (the chance, adjusted for how many slices there
        are), the metric, and the ends `low` and `high` of its 95 % interval, NaN where it has none. What is surely
        worse stands first, then the rest, each by the metric, the worst first. Where the metric does not exist on a
        slice (an AUC on one class), the slice is left out. Beside it, the columns for which no time was left.
    """
    chance = _Chance(judged)
    rows: list[list[Any]] = []
    left_out: list[str] = []
    for place, column in enumerate(columns if len(frame) > MIN_SLICE_ROWS else []):
        if time.monotonic() > deadline:
            left_out = list(columns[place:])
            break
        names = _slice_names(frame[column], problem.kinds[column])
        for name, members in names.groupby(names).indices.items():
            if MIN_SLICE_ROWS <= len(members) < len(frame):
                rows.append([column, str(name), *_measured(judged, np.asarray(members), chance)])
    names_ = ["column", "slice", "rows", "surely_worse", "p", judged.metric, "low", "high"]
    numbers = {"p": "float64", judged.metric: "float64", "low": "float64", "high": "float64"}
    table = pd.DataFrame(rows, columns=names_).astype(numbers)
    table = table[np.isfinite(table[judged.metric])]
    if len(table):
        table["p"] = false_discovery_control(table["p"])
        table["surely_worse"] = table["p"] <= FALSE_DISCOVERIES
    up = metrics_of(problem.task)[judged.metric].greater_is_better
    table = table.sort_values(["surely_worse", judged.metric], ascending=[False, up], kind="stable")
    return table.reset_index(drop=True), left_out


def _measured(judged: Judged, rows: np.ndarray, chance: "_Chance") -> list[Any]:
    """Give the number of rows, a place for the verdict, the chance, the metric and its interval."""
    part, sampling = judged.predictions.take(rows), judged.sampling.take(rows)
    value = part.metric(judged.metric)
    if not np.isfinite(value):
        return [len(rows), False, 1.0, value, np.nan, np.nan]
    around = interval(part, judged.metric, sampling)
    return [len(rows), False, chance.of(rows, value), value, around.low, around.high]


class _Chance:
    """How likely as many rows, drawn from all, are as bad as those of a slice."""

    def __init__(self, judged: Judged) -> None:
        predictions = judged.predictions
        self.judged = judged
        self.excess = _row_losses(predictions, judged.metric)
        codes = np.zeros(len(predictions.y_true), int) if predictions.task == "regression" else predictions.y_true
        self.codes = codes
        self.classes = {code: np.flatnonzero(codes == code) for code in np.unique(codes)}
        self.drawn: dict[tuple[int, ...], np.ndarray] = {}  # quarters of numbers are often of one size

    def of(self, rows: np.ndarray, value: float) -> float:
        """Give the chance of a slice, whose metric is `value`."""
        if self.excess is not None:
            inflation, least = self._together(self.excess, rows)
            return max(least, _chance_of_sum(self.excess, rows, inflation))
        inflation, least = self._together(_row_losses(self.judged.predictions, "log_loss"), rows)
        sizes = tuple(int(np.sum(self.codes[rows] == code)) for code in self.classes)
        if sizes not in self.drawn:
            self.drawn[sizes] = self._draw(sizes)
        drawn = self.drawn[sizes]
        spread = float(drawn.std()) if len(drawn) > 1 else 0.0
        if spread == 0:
            return 1.0
        sign = -1 if metrics_of(self.judged.predictions.task)[self.judged.metric].greater_is_better else 1
        skewness = float(np.mean((sign * (drawn - drawn.mean()) / spread) ** 3))
        z = sign * (value - float(drawn.mean())) / spread / np.sqrt(inflation)
        return max(least, float(pearson3.sf(z, skewness)))

    def _draw(self, sizes: tuple[int, ...]) -> np.ndarray:
        rng = np.random.default_rng(0)
        values = []
        for _ in range(DRAWS if sum(sizes) <= MAX_ROWS_OF_MANY_DRAWS else FEW_DRAWS):
            classes = zip(self.classes.values(), sizes, strict=True)
            rows = np.concatenate([rng.choice(places, size, replace=False) for places, size in classes])
            values.append(self.judged.predictions.take(rows).metric(self.judged.metric))
        drawn = np.array(values)
        return drawn[np.isfinite(drawn)]

    def _together(self, excess: np.ndarray | None, rows: np.ndarray) -> tuple[float, float]:
        """Give by how much rows that hang together inflate the variance of a sum, from 1, and the chance that the
        spread of the groups or blocks alone says; 1 where the slice has fewer than ten of them.
        """
        sampling = self.judged.sampling
        if sampling.codes is None or excess is None:
            return 1.0, 0.0
        inside = np.zeros(len(excess))
        inside[rows] = 1
        parts = (inside - len(rows) / len(excess)) * excess
        sums = sampling.sums(parts - parts.mean())
        units = len(np.unique(sampling.codes[rows]))
        by_rows, by_units = float(parts @ parts), float(sums @ sums)
        if min(units, len(sums)) < MIN_UNITS or by_units == 0:
            return 1.0, 1.0
        freedom = min(units, len(sums)) - 1
        return max(1.0, by_units / by_rows), float(t.sf(parts.sum() / np.sqrt(by_units), freedom))


def _row_losses(predictions: Predictions, metric: str) -> np.ndarray | None:
    """Give how far the loss of each row is above the mean, times its weight; None where a metric is no mean of rows."""
    y, said = predictions.y_true, predictions.y_pred
    if metric in ("accuracy", "error"):
        loss = (y != said).astype(np.float64)
    elif metric in ("log_loss", "mae"):
        loss = losses(predictions)
    elif metric in ("rmse", "r2"):
        loss = (y - said) ** 2
    elif metric == "mape":
        loss = np.abs((y - said) / y)
    elif metric == "rmsle":
        loss = (np.log1p(y) - np.log1p(np.clip(said, 0, None))) ** 2
    else:
        return None
    weight = np.ones(len(loss)) if predictions.weight is None else predictions.weight
    return np.asarray(weight * (loss - np.average(loss, weights=weight)))


def _chance_of_sum(excess: np.ndarray, rows: np.ndarray, inflation: float) -> float:
    """Give the chance that as many rows, drawn without replacement, have as large a sum.

    Args:
        excess: of each row, shape (n_rows,), sum 0.
        rows: of the slice.
        inflation: of the variance, from 1.
    """
    n, k = len(excess), len(rows)
    second, third = float(np.mean(excess**2)), float(np.mean(excess**3))
    if second == 0:
        return 1.0
    variance = k * (n - k) / (n - 1) * second
    skewness = k * (n - k) * (n - 2 * k) / ((n - 1) * (n - 2)) * third / variance**1.5
    return float(pearson3.sf(float(excess[rows].sum()) / np.sqrt(variance * inflation), skewness))


def _slice_names(column: pd.Series, kind: str) -> pd.Series:
    """Name the slice of each row; nothing where a column of this kind has none."""
    if kind in ("category", "boolean"):
        return pd.Series(as_categories(column)).fillna("(missing)")
    if kind != "number":
        return pd.Series(dtype=object)
    numbers = pd.Series(to_numeric(column)).replace([np.inf, -np.inf], np.nan)
    if numbers.nunique() <= SLICES_PER_NUMBER:
        quarters = numbers
    else:
        quarters = pd.qcut(numbers, SLICES_PER_NUMBER, labels=False, duplicates="drop")
    ends = numbers.groupby(quarters).agg(["min", "max"])
    names = {
        key: spell(low) if low == high else f"{spell(low)} to {spell(high)}" for key, low, high in ends.itertuples()
    }
    return quarters.map(names).astype(object).fillna("(missing)")
