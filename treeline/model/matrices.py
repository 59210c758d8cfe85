"""What a booster reads: rows binned once for every trial, in folds or whole, and a target in a unit that it learns."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xgboost as xgb
from scipy.stats import skew
from sklearn.base import clone

from treeline.interruption import stop_if_wished
from treeline.model.features import Features

MIN_TARGET_SPREAD, MAX_TARGET_SPREAD = 0.01, 10_000.0  # between which a target is fitted as it is
MIN_SKEWNESS = 3.0  # above which a target is very skewed


@dataclass(frozen=True)
class Fold:
    """One booster's data.

    Attributes:
        train: what it trains on.
        valid: what its rounds are measured on; None for the final fit.
        rows: the positions of the rows of `valid` in the training frame, shape (n_valid,); empty without it.
        columns: the column that each feature is made of; empty where they are the columns themselves.
    """

    train: xgb.QuantileDMatrix
    valid: xgb.QuantileDMatrix | None = None
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    columns: Sequence[str] = ()


def quantile_matrix(
    features: Features,
    matrix: np.ndarray,
    y: np.ndarray,
    ref: xgb.QuantileDMatrix | None = None,
    weight: np.ndarray | None = None,
) -> xgb.QuantileDMatrix:
    """Bin rows once for every booster that will train on them.

    Args:
        features: that made the matrix.
        matrix: float32, shape (n_rows, n_features).
        y: class codes or numbers, shape (n_rows,).
        ref: for rows that are only predicted, the training rows whose bins they take.
        weight: how much each row counts, shape (n_rows,); None counts all alike.
    """
    return xgb.QuantileDMatrix(
        matrix,
        y,
        weight=weight,
        feature_names=list(features.get_feature_names_out()),
        feature_types=features.feature_types,
        enable_categorical=True,
        ref=ref,
    )


def make_folds(
    features: Features,
    X: pd.DataFrame,
    y: np.ndarray,
    parts: Sequence[tuple[np.ndarray, np.ndarray]],
    weight: np.ndarray | None = None,
) -> list[Fold]:
    """Bin the folds; the features of each are fitted on its training part.

    Args:
        features: not fitted; each fold fits a copy.
        X: raw training rows, shape (n_rows, n_raw).
        y: class codes, or floats for regression, shape (n_rows,).
        parts: the rows that train and those that are predicted, a pair of positions a fold.
        weight: how much each row counts, shape (n_rows,); None counts all alike.
    """
    folds = []
    for train, valid in parts:
        stop_if_wished()
        fitted = clone(features)
        ours, theirs = (None if weight is None else weight[rows] for rows in (train, valid))
        binned = quantile_matrix(fitted, fitted.fit_transform(X.iloc[train], y[train]), y[train], weight=ours)
        held = fitted.transform(X.iloc[valid])
        bins = quantile_matrix(fitted, held, y[valid], ref=binned, weight=theirs)
        folds.append(Fold(binned, bins, valid, fitted.columns_out))
    return folds


def is_skewed(y: np.ndarray) -> bool:
    """Tell whether numbers, none of them negative, are very skewed and their logarithms much less so."""
    if y.min() < 0 or y.max() == y.min():
        return False
    logs = np.log1p(y / np.mean(y))
    return bool(skew(y) > MIN_SKEWNESS and abs(skew(logs)) < skew(y) / 2)


def target_unit(y: np.ndarray) -> float:
    """Give the unit in which numbers are fitted, a power of ten: 1 unless their spread is far from it.

    XGBoost makes no split that gains less than 1e-6, so a target of millionths would not be learned at all; and the
    deviance of a skewed one is steady near 1.
    """
    size = float(np.mean(y)) if is_skewed(y) else float(np.std(y))
    if not np.isfinite(size) or size == 0 or (MIN_TARGET_SPREAD <= size <= MAX_TARGET_SPREAD and not is_skewed(y)):
        return 1.0
    return float(10.0 ** np.round(np.log10(size)))
