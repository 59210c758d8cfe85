"""How far from its prediction a number may lie: intervals from the residuals that cross-validation left.

Split conformal prediction (Papadopoulos et al. 2002; Lei et al. 2018) with the residuals of all folds in place of one
held-out part, around the one model that was fitted on all rows: the cross-validated form of what Barber, Candès, Ramdas
and Tibshirani 2021, "Predictive inference with the jackknife+", compare with their CV+. CV+ asks every fold's model
about every new row, which here would make six boosters of one; `benchmarks/honesty_conformal.py` holds the coverage and
the width of both side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn.base import clone
from sklearn.model_selection import KFold

from treeline import UserError
from treeline.model.boosting import boost
from treeline.model.features import Features
from treeline.model.matrices import Fold

MIN_ROWS_OF_SPREAD = 200  # residuals from which a model of their size is tried
SPREAD_FOLDS = 5
SPREAD_ROUNDS = 80
# Small trees of many rows each: the size of a residual is known far less well than the target.
SPREAD_PARAMS: Mapping[str, Any] = {
    "objective": "reg:squarederror",
    "learning_rate": 0.05,
    "max_depth": 2,
    "min_child_weight": 30,
    "subsample": 0.7,
    "reg_lambda": 5.0,
    "tree_method": "hist",
    "seed_per_iteration": True,
    "seed": 0,
}
RESAMPLES = 200


@dataclass(frozen=True)
class HeldOut:
    """Rows with predictions by models that had not seen them.

    Attributes:
        X: raw rows, shape (n_rows, n_raw).
        y: their targets, shape (n_rows,).
        predictions: of the same shape.
        weight: how much each row counts, of the same shape; None counts all alike.
    """

    X: pd.DataFrame
    y: np.ndarray
    predictions: np.ndarray
    weight: np.ndarray | None = None


@dataclass(frozen=True)
class Width:
    """How wide intervals are.

    Attributes:
        coverage: the share of new rows whose target they are to hold, between 0 and 1.
        half: the half width of each; or, with a spread model, in multiples of what that predicts for the row.
        spread: predicts the logarithm of the size of a row's residual, from what `beside_prediction` gives; None where
            all rows get the same width.
    """

    coverage: float
    half: float
    spread: xgb.Booster | None = None


def fit_width(features: Features, held: HeldOut, coverage: float, cpus: int) -> Width:
    """Settle how wide the intervals must be to hold a share of new rows.

    Where a model of the size of the residuals makes them surely narrower (on 95 % of bootstrap resamples of the rows,
    at the same coverage), each row gets a width of its own.

    Args:
        features: not fitted; a copy reads the rows.
        held: rows predicted by models that had not seen them.
        coverage: wanted, between 0 and 1.
        cpus: the CPU budget.

    Raises:
        UserError: there are too few rows for that coverage.
    """
    sizes = np.abs(held.y - held.predictions)
    least = int(np.ceil(coverage / (1 - coverage) - 1e-9))
    if (found := _evenly(len(sizes), held.weight)) < least - 1e-9:
        got = f"{len(sizes)}" + ("" if held.weight is None else f", whose weights leave {found:.0f}")
        raise UserError(f"interval={coverage:g} needs {least} rows predicted out of fold, got {got}: ask for less.")
    half = conformal_quantile(sizes, coverage, held.weight)
    if len(sizes) < MIN_ROWS_OF_SPREAD or not sizes.any():
        return Width(coverage, half)
    fitted = clone(features)
    matrix = beside_prediction(fitted.fit_transform(held.X, held.y), held.predictions)
    rows = _Rows(matrix, [*fitted.feature_types, "q"], _log_sizes(sizes), held.weight)
    expected = np.exp(_cross_fitted(rows, cpus))
    if not _surely_narrower(sizes, expected, coverage, held.weight):
        return Width(coverage, half)
    whole = boost(SPREAD_PARAMS, [Fold(rows.binned(np.arange(len(sizes))))], SPREAD_ROUNDS, cpus)[0]
    return Width(coverage, conformal_quantile(sizes / expected, coverage, held.weight), whole)


def beside_prediction(matrix: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Put predictions beside a matrix of features: what is large is often uncertain. Shape (n_rows, n_features + 1)."""
    with np.errstate(over="ignore"):
        return np.column_stack([matrix, predictions.astype(np.float32)])


def conformal_quantile(sizes: np.ndarray, coverage: float, weight: np.ndarray | None = None) -> float:
    """Give the size that a new residual exceeds with a chance of at most 1 - coverage: the ceil((n + 1) coverage)-th
    smallest of n.

    Args:
        sizes: of residuals, shape (n_rows,).
        coverage: between 0 and 1.
        weight: how much each row counts, shape (n_rows,); None counts all alike. n is then how many rows of one weight
            they are worth: few heavy rows promise as little as few rows do.
    """
    order = np.argsort(sizes, kind="stable")
    share = np.full(len(sizes), 1 / len(sizes)) if weight is None else weight[order] / weight.sum()
    reached = np.cumsum(share) >= coverage * (1 + 1 / _evenly(len(sizes), weight)) - 1e-9
    return float(sizes[order][reached.argmax() if reached.any() else -1])


def _evenly(n: int, weight: np.ndarray | None) -> float:
    """Give how many rows of one weight tell as much as n of these (Kish 1965)."""
    return n if weight is None else float(weight.sum() ** 2 / (weight @ weight))


@dataclass(frozen=True)
class _Rows:
    """Rows as the spread model reads them."""

    matrix: np.ndarray
    types: list[str]
    log_sizes: np.ndarray
    weight: np.ndarray | None

    def binned(self, places: np.ndarray) -> xgb.QuantileDMatrix:
        weight = None if self.weight is None else self.weight[places]
        return xgb.QuantileDMatrix(
            self.matrix[places],
            self.log_sizes[places],
            weight=weight,
            feature_types=self.types,
            enable_categorical=True,
        )


def _log_sizes(sizes: np.ndarray) -> np.ndarray:
    """Give the logarithm of sizes, those near 0 counted as a tenth of the median: a hit by luck says little."""
    positive = sizes[sizes > 0]
    return np.log(np.maximum(sizes, 0.1 * np.median(positive)))


def _cross_fitted(rows: _Rows, cpus: int) -> np.ndarray:
    parts = list(KFold(SPREAD_FOLDS, shuffle=True, random_state=0).split(rows.matrix))
    boosters = boost(SPREAD_PARAMS, [Fold(rows.binned(train)) for train, _ in parts], SPREAD_ROUNDS, cpus)
    found = np.empty(len(rows.matrix))
    for booster, (_, valid) in zip(boosters, parts, strict=True):
        found[valid] = booster.inplace_predict(rows.matrix[valid])
    return found


def _surely_narrower(sizes: np.ndarray, expected: np.ndarray, coverage: float, weight: np.ndarray | None) -> bool:
    """Tell whether widths in proportion to the expected sizes are narrower on the mean, on 95 % of resamples."""
    rng, n = np.random.default_rng(0), len(sizes)
    narrower = 0
    for _ in range(RESAMPLES):
        rows = rng.integers(0, n, n)
        drawn = None if weight is None else weight[rows]
        scaled = conformal_quantile(sizes[rows] / expected[rows], coverage, drawn)
        mean = float(np.average(expected[rows], weights=drawn))
        narrower += scaled * mean < conformal_quantile(sizes[rows], coverage, drawn)
    return narrower >= 0.95 * RESAMPLES
