"""How far the rows of today differ from the rows that a model was trained on, column by column."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from treeline.data.values import as_categories, to_numeric

MIN_DRIFT_DISTANCE = 0.25  # distance of two distributions, from 0 to 1, that a person should hear of
MAX_ROWS_COMPARED = 20_000  # rows of each side that are compared
CRITICAL_DISTANCE = 1.95  # the distance that chance makes once in a thousand times, in units of sqrt(1 / n + 1 / m)


def drift(reference: pd.DataFrame, current: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Compare the distribution of each column.

    The distance is that of Kolmogorov and Smirnov for numbers and the total variation for categories; missing values
    count as a level of a category and are counted apart for numbers. A column drifts where its distance, or the change
    of its share of missing values, is above `MIN_DRIFT_DISTANCE` and above what chance makes of so few rows:
    Kolmogorov's critical value at one in a thousand, and for a category of k levels the mean distance of two samples,
    at most sqrt(k (1 / n + 1 / m)) / 2, on top of it.

    Args:
        reference: the rows to compare with, such as training rows.
        current: the rows of today.
        kinds: of the columns to compare, as in `treeline.data.columns.Columns`; free text and moments are left out.

    Returns:
        One row a column, the farthest first: `column`, `kind`, `distance` (from 0, alike, to 1, nothing in common; NaN
        where a side holds no value), `missing_reference`, `missing_current` (shares), `drifts`.
    """
    rows = [
        _row(name, kind, reference[name], current[name])
        for name, kind in kinds.items()
        if kind not in ("text", "pair", "datetime")
    ]
    columns = ["column", "kind", "distance", "missing_reference", "missing_current", "drifts"]
    return pd.DataFrame(rows, columns=columns).sort_values("distance", ascending=False, ignore_index=True)


def sample_rows(frames: Iterable[pd.DataFrame], seed: int = 0) -> pd.DataFrame:
    """Draw at most `MAX_ROWS_COMPARED` rows from the chunks of a table, each with the same chance, in one pass."""
    rng = np.random.default_rng(seed)
    kept, keys = pd.DataFrame(), np.empty(0)
    for frame in frames:
        drawn = rng.random(len(frame))
        few = np.argsort(drawn)[:MAX_ROWS_COMPARED]
        keys = np.concatenate([keys, drawn[few]])
        kept = pd.concat([kept, frame.iloc[few]], ignore_index=True) if len(kept) else frame.iloc[few]
        least = np.argsort(keys)[:MAX_ROWS_COMPARED]
        keys, kept = keys[least], kept.iloc[least].reset_index(drop=True)
    return kept


def _row(name: str, kind: str, reference: pd.Series, current: pd.Series) -> dict[str, Any]:
    sides = [column.sample(min(len(column), MAX_ROWS_COMPARED), random_state=0) for column in (reference, current)]
    row = {"column": name, "kind": kind, "distance": np.nan, "drifts": False}
    if not all(len(side) for side in sides):
        return row
    critical = CRITICAL_DISTANCE * np.sqrt(1 / len(sides[0]) + 1 / len(sides[1]))
    if kind in ("number", "boolean"):
        values = [to_numeric(side) for side in sides]
        gaps = [float(np.mean(~np.isfinite(each))) for each in values]
        present = [each[np.isfinite(each)] for each in values]
        distance = float(ks_2samp(*present, method="asymp").statistic) if min(map(len, present)) else np.nan
    else:
        text = [pd.Series(as_categories(side)) for side in sides]
        gaps = [float(each.isna().mean()) for each in text]
        shares = [each.fillna("").value_counts(normalize=True) for each in text]
        apart = shares[0].sub(shares[1], fill_value=0).abs()
        distance = float(apart.sum() / 2)
        critical += np.sqrt(len(apart)) / 2 * critical / CRITICAL_DISTANCE
    farthest = np.nanmax([distance, abs(gaps[0] - gaps[1])])
    drifts = bool(farthest > max(MIN_DRIFT_DISTANCE, critical))
    return row | {
        "distance": distance,
        "missing_reference": gaps[0],
        "missing_current": gaps[1],
        "drifts": drifts,
    }
