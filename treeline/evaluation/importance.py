"""How much a model needs each raw column: how much worse the metric gets when it is permuted, and how surely."""

import time
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t

from treeline.data.problem import Problem
from treeline.evaluation.predictions import predict
from treeline.interruption import stop_if_wished
from treeline.metrics import metrics_of
from treeline.model.estimator import TreelineClassifier, TreelineRegressor

MAX_ROWS_PERMUTED = 2_000
REPEATS = 10
MIN_REPEATS = 2  # of a column, below which there is no spread
CONFIDENCE = 0.95

Estimator = TreelineClassifier | TreelineRegressor


@dataclass(frozen=True)
class Importance:
    """What permuting found.

    Attributes:
        table: a row a column, the most important first: `column`, `loss` (how much worse the metric gets, mean of the
            repeats), `std` of the repeats, NaN of one alone, `repeats`, and `surely`, whether it is above 0 by more
            than chance. A column that the booster does not read has a loss of 0 and no repeats: to permute it changes
            nothing.
        left_out: columns that the booster reads and for which no time was left, in the order of their gain.
    """

    table: pd.DataFrame
    left_out: list[str]


def gains(estimator: Estimator) -> pd.Series:
    """Give the share of the booster's gain that each raw column brings, in descending order; 0 where it is not read.

    What a derived column brings counts for each column that it is made of.
    """
    features = estimator.features_
    scores = estimator.booster_.get_score(importance_type="total_gain")
    gained = np.array([float(scores.get(name, 0.0)) for name in features.get_feature_names_out()])
    total = gained.sum() or 1.0
    shares = {name: gained[places].sum() / total for name, places in features.places().items()}
    return pd.Series(shares, name="gain", dtype="float64").sort_values(ascending=False, kind="stable")


def permutation_importance(
    problem: Problem, estimator: Estimator, frame: pd.DataFrame, metric: str, deadline: float = float("inf")
) -> Importance:
    """Give how much worse the metric gets when a raw column is permuted (Breiman 2001), and its spread.

    If a column meant nothing, its own order would be one more permutation: it matters surely where that order is better
    than the others are with a chance of 95 % (Student's, one-sided).

    At most 2,000 rows are permuted, ten times each column that the booster reads, those of most gain first. The repeats
    go round: where time ends, every column has had as many as another or one more, or the last ones had none.

    Args:
        problem: that the model solves.
        estimator: the model.
        frame: rows with the target.
        metric: of the task.
        deadline: on the clock of `time.monotonic`.
    """
    rows = frame.sample(min(len(frame), MAX_ROWS_PERMUTED), random_state=0)
    permuted = _Permuted(problem, estimator, rows, metric)
    shares = gains(estimator)
    read = list(shares.index[shares > 0])
    losses: dict[str, list[float]] = {name: [] for name in read}
    rng = np.random.default_rng(0)
    for name in [name for _ in range(REPEATS) for name in read]:
        stop_if_wished()
        if time.monotonic() > deadline:
            break
        losses[name].append(permuted.loss(name, rng.permutation(len(rows))))
    return _gathered(losses, list(shares.index))


def _gathered(losses: dict[str, list[float]], columns: Sequence[str]) -> Importance:
    found = []
    for name in columns:
        repeats = losses.get(name, [0.0])
        if not repeats:
            continue
        mean, n = float(np.mean(repeats)), len(losses.get(name, []))
        std = float(np.std(repeats, ddof=1)) if n >= MIN_REPEATS else np.nan if n else 0.0
        reach = t.ppf(CONFIDENCE, n - 1) * std * np.sqrt(1 + 1 / n) if n >= MIN_REPEATS else np.inf
        found.append([name, mean, std, n, bool(mean - reach > 0)])
    table = pd.DataFrame(found, columns=["column", "loss", "std", "repeats", "surely"])
    table = table.sort_values("loss", ascending=False, kind="stable", ignore_index=True)
    return Importance(table, [name for name, repeats in losses.items() if not repeats])


class _Made:
    """Features that are made already: whatever the rows, they give one matrix."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def transform(self, _: pd.DataFrame) -> np.ndarray:
        return self.matrix


class _Permuted:
    """A model asked again with one raw column permuted.

    The matrix is made once, and what a raw column becomes in it is permuted there. Only a column that derived ones
    read is permuted in the raw rows, for the derived ones must follow it.
    """

    def __init__(self, problem: Problem, estimator: Estimator, rows: pd.DataFrame, metric: str) -> None:
        self.problem, self.estimator, self.rows, self.metric = problem, estimator, rows, metric
        self.places = estimator.features_.places()
        self.made = _Made(estimator.features_.transform(problem.rows(rows)))
        self.n_plain = self.made.matrix.shape[1] - len(problem.derived)
        self.on_made = copy(estimator)
        self.on_made.features_ = self.made
        self.sign = 1 if metrics_of(problem.task)[metric].greater_is_better else -1
        self.intact = predict(problem, self.on_made, rows).metric(metric)

    def loss(self, name: str, order: np.ndarray) -> float:
        """Give how much worse the metric gets when the rows of a column are in another order."""
        places = self.places[name]
        if max(places) >= self.n_plain:
            column = self.rows[name].iloc[order].set_axis(self.rows.index)
            found = predict(self.problem, self.estimator, self.rows.assign(**{name: column}))
        else:
            kept = self.made.matrix[:, places]
            self.made.matrix[:, places] = kept[order]
            found = predict(self.problem, self.on_made, self.rows)
            self.made.matrix[:, places] = kept
        return self.sign * (self.intact - found.metric(self.metric))
