"""Whether probabilities come true as often as they say, and whether what is off is more than chance."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pandas as pd

from treeline.evaluation.intervals import ROWS
from treeline.evaluation.predictions import Predictions
from treeline.evaluation.sampling import Sampling

MAX_CALIBRATION_BINS = 10
PERFECT_MODELS = 1000  # that are drawn
MAX_ROWS_DRAWN = 20_000  # above which the sum of a bin is drawn as a normal number instead of row by row
MAX_UNITS_SIGNED = 2_000  # groups or blocks, above which the same is done with the sums of a bin
ROWS_AT_ONCE = 2_000_000  # cells of a block of draws
CONFIDENCE = 0.95
MIN_PROBABILITY = 1e-6  # nearer to 0 or 1 a probability counts as this in a logit
MAX_STEPS = 50  # of Newton's method


@dataclass(frozen=True)
class Calibration:
    """How probabilities compare with how often they came true.

    Attributes:
        table: a row a bin: `predicted`, the mean probability given, `observed`, the share that came true, `low` and
            `high`, between which 95 % of perfect models lie in every bin at once, and `rows`.
        error: the expected calibration error, from 0 to 1.
        chance: what 95 % of perfect models stay below on these very probabilities.
        p: the share of perfect models whose error is at least as large.
        slope, slope_low, slope_high: of the logistic recalibration, with its 95 % interval; 1 is perfect, below 1 the
            probabilities are too bold. NaN where there is none: one class, or classes that a probability separates.
        intercept: of the same; 0 is perfect, below 0 the probabilities are too high.
    """

    table: pd.DataFrame
    error: float
    chance: float
    p: float
    slope: float
    slope_low: float
    slope_high: float
    intercept: float

    @property
    def is_off(self) -> bool:
        """Whether a perfect model would hardly look like this."""
        return self.error > self.chance

    def values(self) -> dict[str, float]:
        """Give the numbers by the name of their metric, those that exist."""
        named = {
            "calibration_error": self.error,
            "calibration_error_chance": self.chance,
            "calibration_p": self.p,
            "calibration_slope": self.slope,
            "calibration_slope_low": self.slope_low,
            "calibration_slope_high": self.slope_high,
            "calibration_intercept": self.intercept,
        }
        return {name: value for name, value in named.items() if np.isfinite(value)}


def calibration(predictions: Predictions, sampling: Sampling = ROWS, seed: int = 0) -> Calibration:
    """Hold probabilities against how often they came true, in up to ten bins of about equally many rows.

    Of two classes it is the second one's probability, of more that of the most probable class, which comes true where
    that class is the true one. Equal probabilities are never cut. The expected calibration error is the mean distance
    of what was given and what came true, weighted by the rows (Naeini, Cooper and Hauskrecht 2015). It is above 0 for
    a perfect model too, so 1,000 perfect models are drawn, whose truth follows from these probabilities (Bröcker and
    Smith 2007). Where rows hang together, what is off by chance is so for a whole group or block: the perfect models
    then have the deviations of these, each with a sign drawn anew (the wild bootstrap, Cameron, Gelbach and Miller
    2008). Slope and intercept are those of the logistic recalibration (Cox 1958).

    Args:
        predictions: of classes, at least one row; rows count by their weights.
        sampling: how the rows hang together.
        seed: of the draws.
    """
    if predictions.task == "binary":
        given, true = predictions.y_proba[:, 1], predictions.y_true == 1
    else:
        given, true = predictions.y_proba.max(axis=1), predictions.y_true == predictions.y_proba.argmax(axis=1)
    given = np.clip(given.astype(np.float64), 0, 1)
    weight = np.ones(len(given)) if predictions.weight is None else predictions.weight.astype(np.float64)
    counted = weight > 0  # a bin of rows that count nothing has no mean
    given, true, weight = given[counted], true[counted], weight[counted]
    units = None if sampling.codes is None else sampling.take(np.flatnonzero(counted)).units(weight * (true - given))
    bins = _bins(given, weight)
    mass = np.bincount(bins, weights=weight)
    predicted = np.bincount(bins, weights=weight * given) / mass
    observed = np.bincount(bins, weights=weight * true) / mass
    rng = np.random.default_rng(seed)
    if units is None:
        perfect = _perfect(given, weight, bins, rng)
    else:
        perfect = predicted + _signed(weight * (true - given - (observed - predicted)[bins]), bins, units, rng) / mass
    errors = np.average(np.abs(perfect - predicted), axis=1, weights=mass)
    error = float(np.average(np.abs(observed - predicted), weights=mass))
    low, high = _band(perfect, predicted)
    table = pd.DataFrame(
        {"predicted": predicted, "observed": observed, "low": low, "high": high, "rows": np.bincount(bins)}
    )
    p = (1 + np.sum(errors >= error - 1e-12)) / (1 + len(errors))
    return Calibration(
        table, error, float(np.quantile(errors, CONFIDENCE)), float(p), *_recalibration(given, true, weight, units)
    )


def _bins(given: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Give the bin of each row, from 0 without a gap: equal probabilities share the one that their middle falls in."""
    place = np.unique(given, return_inverse=True)[1]
    mass = np.bincount(place, weights=weight)
    middle = (np.cumsum(mass) - mass / 2) / mass.sum()
    n_bins = min(MAX_CALIBRATION_BINS, len(given))
    bins = np.minimum((middle * n_bins).astype(int), n_bins - 1)
    return np.unique(bins, return_inverse=True)[1][place]


def _perfect(given: np.ndarray, weight: np.ndarray, bins: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the share that comes true in each bin for perfect models, shape (1000, n_bins)."""
    n, n_bins = len(given), int(bins.max()) + 1
    mass = np.bincount(bins, weights=weight)
    if n > MAX_ROWS_DRAWN:
        mean = np.bincount(bins, weights=weight * given) / mass
        spread = np.sqrt(np.bincount(bins, weights=weight**2 * given * (1 - given))) / mass
        return np.clip(mean + spread * rng.standard_normal((PERFECT_MODELS, n_bins)), 0, 1)
    order = np.argsort(bins, kind="stable")
    starts = np.searchsorted(bins[order], np.arange(n_bins))
    block = max(1, ROWS_AT_ONCE // n)
    shares = [
        np.add.reduceat((rng.random((size, n)) < given[order]) * weight[order], starts, axis=1) / mass
        for size in np.diff([*range(0, PERFECT_MODELS, block), PERFECT_MODELS])
    ]
    return np.concatenate(shares)


def _signed(parts: np.ndarray, bins: np.ndarray, units: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sum the parts of the rows of each bin, those of one unit with a sign drawn for it, shape (1000, n_bins)."""
    n_units, n_bins = int(units.max()) + 1, int(bins.max()) + 1
    sums = np.bincount(units * n_bins + bins, weights=parts, minlength=n_units * n_bins).reshape(n_units, n_bins)
    sums *= np.sqrt(n_units / max(n_units - 1, 1))
    if n_units > MAX_UNITS_SIGNED:
        return rng.multivariate_normal(np.zeros(n_bins), sums.T @ sums, PERFECT_MODELS, method="eigh")
    return np.asarray(rng.choice([-1.0, 1.0], (PERFECT_MODELS, n_units)) @ sums)


def _band(perfect: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the ends between which 95 % of perfect models lie in every bin at once, each shape (n_bins,)."""
    spread = perfect.std(axis=0)
    distance = np.divide(np.abs(perfect - predicted), spread, out=np.zeros_like(perfect), where=spread > 0)
    reach = float(np.quantile(distance.max(axis=1), CONFIDENCE)) * spread
    return np.clip(predicted - reach, 0, 1), np.clip(predicted + reach, 0, 1)


def _recalibration(
    given: np.ndarray, true: np.ndarray, weight: np.ndarray, units: np.ndarray | None
) -> tuple[float, float, float, float]:
    """Fit logit(truth) = intercept + slope * logit(given) by Newton's method; the interval is the sandwich's, of units.

    Returns:
        The slope, the ends of its 95 % interval, and the intercept; all NaN where the fit does not exist.
    """
    nothing = (float("nan"),) * 4
    p = np.clip(given, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    design = np.column_stack([np.ones(len(p)), np.log(p / (1 - p))])
    if np.ptp(design[:, 1]) < 1e-9 or true.all() or not true.any():
        return nothing
    share = weight / weight.mean()
    beta = np.array([0.0, 1.0])
    for _ in range(MAX_STEPS):
        fitted = 1 / (1 + np.exp(-np.clip(design @ beta, -500, 500)))
        bread = (design * (share * fitted * (1 - fitted))[:, None]).T @ design
        if not np.isfinite(bread).all() or np.linalg.cond(bread) > 1e12:
            return nothing
        step = np.linalg.solve(bread, design.T @ (share * (true - fitted)))
        size = float(np.abs(step).max())
        beta = beta + step * min(1.0, 5 / size) if size > 0 else beta
        if size < 1e-8:
            break
    else:
        return nothing
    scores = design * (share * (true - fitted))[:, None]
    if units is not None:
        scores = np.column_stack([np.bincount(units, weights=each) for each in scores.T])
    inverse = np.linalg.inv(bread)
    error = float(np.sqrt((inverse @ (scores.T @ scores) @ inverse)[1, 1]))
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * error
    return float(beta[1]), float(beta[1] - reach), float(beta[1] + reach), float(beta[0])
