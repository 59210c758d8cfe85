"""How far two samples lie apart and how likely chance alone is to put them there: sizes and tests, without a threshold.

A size tells whether a change matters, a test whether it is one: of many rows a test finds differences that matter to
nobody, of few rows a size is large by chance.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import chi2, fisher_exact, ks_2samp

MIN_ROWS_EXPECTED = 5  # of either side in a bin, where the chi-square distribution begins to hold
MAX_PAIRS_EXACT = 10_000  # of rows, up to which the chance of a distance is counted out
DECILES = np.arange(1, 10) / 10


@dataclass(frozen=True)
class Shift:
    """How two samples of values differ.

    Attributes:
        distance: from 0, alike, to 1, nothing in common; NaN where a side holds no value.
        psi: the population stability index, from 0; by custom below 0.1 is little and above 0.25 much. NaN likewise.
        chance: of a difference as large between two samples of one distribution; 1 where a side holds no value.
    """

    distance: float = float("nan")
    psi: float = float("nan")
    chance: float = 1.0


def shift_of_numbers(reference: np.ndarray, current: np.ndarray) -> Shift:
    """Compare numbers by the distance of Kolmogorov and Smirnov, their test, and an index over the reference's deciles.

    Args:
        reference: finite numbers, shape (n_reference,).
        current: finite numbers, shape (n_current,).
    """
    if not (len(reference) and len(current)):
        return Shift()
    few = len(reference) * len(current) <= MAX_PAIRS_EXACT
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "ks_2samp: Exact calculation unsuccessful", RuntimeWarning
        )  # ties; it goes on
        found = ks_2samp(reference, current, method="exact" if few else "asymp")
    edges = np.unique(np.quantile(reference, DECILES, method="inverted_cdf"))
    # An edge is a cell of its own, for it may hold most of the rows, as 0 often does.
    cells = [np.searchsorted(edges, x, "left") + np.searchsorted(edges, x, "right") for x in (reference, current)]
    counts = np.stack([np.bincount(each, minlength=2 * len(edges) + 1) for each in cells])
    return Shift(float(found.statistic), stability_index(pool_cells(counts)), float(found.pvalue))


def shift_of_levels(counts: np.ndarray) -> Shift:
    """Compare categories by the total variation distance, Pearson's chi-square test, and the index, over the levels.

    Args:
        counts: rows of each level, shape (2, n_levels): of the reference and of the current side. Levels as common as
            each other keep their order, which must know nothing of the sides.
    """
    if not counts.sum(axis=1).all():
        return Shift()
    commonest_first = np.argsort(-counts.sum(axis=0), kind="stable")
    bins = pool_cells(counts[:, commonest_first])
    rows = bins.sum(axis=1, keepdims=True)
    expected = rows * bins.sum(axis=0) / bins.sum()
    statistic = float(((bins - expected) ** 2 / expected).sum())
    chance = float(chi2.sf(statistic, bins.shape[1] - 1)) if bins.shape[1] > 1 else 1.0
    shares = bins / rows
    return Shift(float(np.abs(shares[0] - shares[1]).sum() / 2), stability_index(bins), chance)


def pool_cells(counts: np.ndarray) -> np.ndarray:
    """Merge neighbouring cells until each is expected to hold `MIN_ROWS_EXPECTED` rows of either side.

    By the counts of both sides together, so that the tests given them stay what they are.

    Args:
        counts: shape (2, n_cells), each side with a row at least.

    Returns:
        Counts of shape (2, n_bins), n_bins from 1.
    """
    both = counts.sum(axis=0)
    fewest = MIN_ROWS_EXPECTED * both.sum() / counts.sum(axis=1).min()
    starts, held = [0], 0
    for cell, rows in enumerate(both.tolist()):
        if held >= fewest:
            starts.append(cell)
            held = 0
        held += rows
    if held < fewest and len(starts) > 1:
        starts.pop()
    return np.add.reduceat(counts, starts, axis=1)


def stability_index(counts: np.ndarray) -> float:
    """Give the population stability index of two sides, less what chance alone makes of it.

    Chance makes (n_bins - 1) (1 / n_reference + 1 / n_current) in the mean (Yurdakul & Naranjo 2020, Statistical
    properties of the population stability index); half a row is added to each bin, for a logarithm needs one.

    Args:
        counts: shape (2, n_bins).
    """
    rows, n_bins = counts.sum(axis=1), counts.shape[1]
    shares = (counts + 0.5) / (rows + 0.5 * n_bins)[:, None]
    raw = float(((shares[0] - shares[1]) * np.log(shares[0] / shares[1])).sum())
    return max(0.0, raw - (n_bins - 1) * float((1 / rows).sum()))


def chance_of_shares(counts: np.ndarray, rows: np.ndarray) -> float:
    """Give the chance of two shares as far apart, as of missing values: Fisher's exact test, shape (2,) each."""
    return float(fisher_exact(np.stack([counts, rows - counts])).pvalue)


def expected_new(pooled: np.ndarray, rows: np.ndarray) -> float:
    """Give how many current rows are expected to hold levels that the reference lacks, where nothing changed.

    Of identifiers, each of which stands once, all current rows do; of ten levels none.

    Args:
        pooled: rows of each level on both sides, shape (n_levels,).
        rows: of the reference and of the current side, shape (2,).
    """
    return float((pooled * (rows[1] / rows.sum()) ** pooled).sum())


def chance_of_new(found: float, pooled: np.ndarray, rows: np.ndarray) -> float:
    """Bound the chance that so many current rows hold levels that the reference lacks, where nothing changed.

    Where the rows are shuffled over the two sides, all c rows of a level fall on the current side with a chance of at
    most share^c, and levels hinder each other in it: Chernoff's bound holds, which is never below the chance.

    Args:
        found: current rows of levels that the reference lacks.
        pooled: as for `expected_new`.
        rows: likewise.
    """
    each, times = np.unique(pooled, return_counts=True)
    log_share = np.log(rows[1] / rows.sum())
    log_all = each * log_share
    log_rest = np.log1p(-np.exp(log_all))

    def bound(t: float) -> float:
        return float((times * np.logaddexp(log_rest, log_all + t * each)).sum() - t * found)

    best = minimize_scalar(bound, bounds=(0, 10 - log_share), method="bounded")
    return float(np.exp(min(0.0, best.fun)))
