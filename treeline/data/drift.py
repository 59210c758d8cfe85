"""Which columns of the rows of today differ from those that a model was trained on: by enough to matter, and surely."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from treeline.data.dtypes import missing
from treeline.data.sentences import figure, spell
from treeline.data.shifts import (
    Shift,
    chance_of_new,
    chance_of_shares,
    expected_new,
    shift_of_levels,
    shift_of_numbers,
)
from treeline.data.values import as_categories, to_numeric

MAX_ROWS_COMPARED = 20_000  # rows of each side that are compared
MIN_PSI = 0.1  # population stability index from which a distribution has changed by enough to matter
MIN_MISSING_CHANGE = 0.05  # of the share of missing values
MIN_NEW_SHARE = 0.01  # of the values present that are new, beyond what chance makes
MAX_FALSE_SHARE = 0.01  # of the columns told that drift by chance alone
TESTS_OF_A_COLUMN = 3  # its values, what is new among them, and what is missing
MAX_LEVELS_NAMED = 3
NOT_COMPARED = ("text", "pair", "datetime")  # kinds of which the gaps alone are compared
COLUMNS = ["column", "kind", "distance", "psi", "new", "missing_reference", "missing_current", "p_value", "drifts"]


@dataclass(frozen=True)
class _Change:
    """A change that is large enough to matter: how likely chance makes it, and what happened, in words."""

    chance: float
    what: str


@dataclass
class _Found:
    """What was found of the values that are present in a column.

    Attributes:
        shift: of their distribution.
        new: share of the current ones that the reference lacks.
        changes: those that are large enough.
    """

    shift: Shift = field(default_factory=Shift)
    new: float = float("nan")
    changes: list[_Change] = field(default_factory=list)


def drift(reference: pd.DataFrame, current: pd.DataFrame, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Compare the distribution of each column.

    A column drifts where it changed by enough to matter and surely. Enough is a population stability index of 0.1, 1 %
    of the values that are new, or 5 points more or fewer of them missing; of numbers, those are new that lie outside
    the reference's range and are repeated. Sure is what chance alone does not make: the test of Kolmogorov and Smirnov
    for numbers, Pearson's for categories, Fisher's for missing values, all of them on the values present, three tests a
    column (Bonferroni) and over the columns with a false discovery rate of 1 % (Benjamini & Hochberg 1995).

    Args:
        reference: the rows to compare with, such as training rows.
        current: the rows of today.
        kinds: of the columns to compare, as in `treeline.data.columns.Columns`; of free text, pairs and moments, which
            hardly ever repeat, only the gaps are compared.

    Returns:
        One row a column, those that drift first and among them the farthest: `column`, `kind`, `distance` (from 0,
        alike, to 1, nothing in common; NaN where a side holds no value), `psi` (likewise), `new` (share of the current
        values that the reference lacks), `missing_reference`, `missing_current` (shares), `p_value` (adjusted over the
        columns; 1 where no change is large enough), `drifts`, and `what` happened, in words, empty where nothing did.
    """
    sides = [
        side.sample(MAX_ROWS_COMPARED, random_state=0) if len(side) > MAX_ROWS_COMPARED else side
        for side in (reference, current)
    ]
    compared = [_compare(name, kind, sides[0][name], sides[1][name]) for name, kind in kinds.items()]
    found = pd.DataFrame([row for row, _ in compared], columns=COLUMNS[:-2])
    chances = [min(1.0, TESTS_OF_A_COLUMN * min([1.0, *(each.chance for each in made)])) for _, made in compared]
    found["p_value"] = false_discovery_control(chances) if chances else np.empty(0)
    found["drifts"] = found["p_value"] <= MAX_FALSE_SHARE
    found["what"] = [
        "; ".join(each.what for each in made if drifts and TESTS_OF_A_COLUMN * each.chance <= MAX_FALSE_SHARE)
        for drifts, (_, made) in zip(found["drifts"], compared, strict=True)
    ]
    return found.sort_values(["drifts", "psi"], ascending=False, ignore_index=True, kind="stable")


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


def values_compared(column: pd.Series, kind: str) -> np.ndarray:
    """Give a column as it is compared: float64 with NaN for numbers, strings with NaN for anything else.

    Args:
        column: raw values, shape (n_rows,).
        kind: any but those whose gaps alone are compared.
    """
    if kind == "number":
        numbers = to_numeric(column)
        return np.where(np.isfinite(numbers), numbers, np.nan)
    if kind == "boolean":
        truth = to_numeric(column)
        return np.where(np.isnan(truth), np.array(np.nan, dtype=object), np.where(truth > 0, "true", "false"))
    return as_categories(column)


def _compare(name: str, kind: str, *sides: pd.Series) -> tuple[dict[str, Any], list[_Change]]:
    """Compare a column of the reference and of today: its row of the table, and what changed by enough to matter."""
    rows = np.array([len(side) for side in sides])
    row: dict[str, Any] = {"column": name, "kind": kind, "distance": np.nan}
    if not rows.all():
        return row, []
    found = _Found()
    if kind in NOT_COMPARED:
        gaps = [missing(side) for side in sides]
    else:
        values = [values_compared(side, kind) for side in sides]
        gaps = [pd.isna(each) for each in values]
        present = [each[~gap] for each, gap in zip(values, gaps, strict=True)]
        if all(map(len, present)):
            found = _compare_numbers(*present) if kind == "number" else _compare_levels(*present)
    counts = np.array([gap.sum() for gap in gaps])
    before, now = counts / rows
    if abs(now - before) >= MIN_MISSING_CHANGE:
        what = f"its share of missing values went from {_percent(before)} to {_percent(now)}"
        found.changes.append(_Change(chance_of_shares(counts, rows), what))
    row |= {"distance": found.shift.distance, "psi": found.shift.psi, "new": found.new}
    return row | {"missing_reference": before, "missing_current": now}, found.changes


def _compare_numbers(reference: np.ndarray, current: np.ndarray) -> _Found:
    shift, changes = shift_of_numbers(reference, current), []
    if shift.psi >= MIN_PSI:
        changes.append(_Change(shift.chance, f"its median went from {_middle(reference)} to {_middle(current)}"))
    low, high, fewest = reference.min(), reference.max(), max(2.0, MIN_NEW_SHARE * len(current))
    values, counts = np.unique(current[(current < low) | (current > high)], return_counts=True)
    new = pd.Series(counts, index=values)[counts >= fewest]
    if len(new):
        pooled = np.unique(np.concatenate([reference, current]), return_counts=True)[1]
        changes += _new(new, pooled[pooled >= fewest], np.array([len(reference), len(current)]))
    return _Found(shift, float(new.sum()) / len(current), changes)


def _compare_levels(reference: np.ndarray, current: np.ndarray) -> _Found:
    codes, levels = pd.factorize(np.concatenate([reference, current]))
    sides = np.split(codes, [len(reference)])
    order = np.argsort(pd.util.hash_array(levels))  # for rare levels are merged with what stands beside them
    levels, counts = levels[order], np.stack([np.bincount(side, minlength=len(levels)) for side in sides])[:, order]
    rows = counts.sum(axis=1)
    new = pd.Series(counts[1], index=levels)[counts[0] == 0]
    shift, changes = shift_of_levels(counts), _new(new, counts.sum(axis=0), rows)
    if shift.psi >= MIN_PSI:
        shares = counts / rows[:, None]
        known = np.abs(shares[0] - shares[1]) * (counts[0] > 0)
        told = [
            f"that of {spell(levels[i])} from {_percent(shares[0, i])} to {_percent(shares[1, i])}"
            for i in np.argsort(-known, kind="stable")[:MAX_LEVELS_NAMED]
            if counts[0, i]
        ]
        changes.append(_Change(shift.chance, f"the shares of its levels changed, {', '.join(told)}"))
    return _Found(shift, float(new.sum()) / rows[1], changes)


def _new(new: pd.Series, pooled: np.ndarray, rows: np.ndarray) -> list[_Change]:
    """Judge values that the reference lacks.

    Args:
        new: current rows of each, by value.
        pooled: rows of every value on both sides.
        rows: of either side.
    """
    found = float(new.sum())
    if found - expected_new(pooled, rows) < MIN_NEW_SHARE * rows[1]:
        return []
    named = ", ".join(map(spell, new.sort_values(ascending=False, kind="stable").index[:MAX_LEVELS_NAMED]))
    more = f" and {len(new) - MAX_LEVELS_NAMED} more" if len(new) > MAX_LEVELS_NAMED else ""
    what = f"{_percent(found / rows[1])} of its values are new: {named}{more}"
    return [_Change(chance_of_new(found, pooled, rows), what)]


def _middle(values: np.ndarray) -> str:
    """Spell the median, and the quartiles around it."""
    low, median, high = np.percentile(values, [25, 50, 75])
    return f"{figure(median)} (middle half {figure(low)} to {figure(high)})"


def _percent(share: float) -> str:
    """Spell a share so that few are told from none, and most from all."""
    return f"{share:.0%}" if 0.095 <= share <= 0.905 or share in (0, 1) else f"{share:.1%}"
