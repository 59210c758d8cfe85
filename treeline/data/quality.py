"""What is suspicious about a table: leaks, repeated rows, rare classes, drift; each a sentence with what to do."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from treeline.data.drift import drift
from treeline.data.problem import Problem
from treeline.data.sentences import spell
from treeline.data.tables import hash_rows, tells_rows_apart
from treeline.data.values import as_categories, to_datetimes, to_numeric

MAX_ROWS_JUDGED = 5_000  # by which a column is judged
MAX_CELLS_JUDGED = 250_000  # by which columns are judged one by one, so that hundreds take seconds
MIN_LEAK_POWER = 0.995  # share of what there is to know about the target that one column may tell
MAX_LEAKS_TOLD = 3  # columns that predict the target alone, each in a sentence; more are told in one
MIN_CLASS_ROWS = 10  # rows of a class below which nothing can be said about it
MIN_ROWS_JUDGED = 50  # rows, below which a single column may predict the target by chance


def inspect_table(
    problem: Problem, train: pd.DataFrame, test: pd.DataFrame, seed: int
) -> tuple[list[str], dict[str, float]]:
    """Find what is suspicious about a table that has been split.

    Args:
        problem: that the table poses.
        train: the side to train on.
        test: the other.
        seed: of the sample of training rows that columns are judged by.

    Returns:
        The warnings, and the predictive power of each column.
    """
    most = max(500, min(MAX_ROWS_JUDGED, MAX_CELLS_JUDGED // len(problem.kinds)))
    judged = train.sample(min(len(train), most), random_state=seed)
    y, classes = problem.truth(judged), bool(problem.classes)
    power = {name: predictive_power(judged[name], kind, y, classes) for name, kind in problem.kinds.items()}
    warnings = [
        *inspect_rows(train, problem.kinds, problem.truth(train), problem.classes),
        *inspect_leaks(power, len(judged)),
        *inspect_split(train, test, problem.kinds, problem.target, problem.classes),
    ]
    if problem.split == "time":
        warnings += inspect_drift(train, test, problem.kinds, problem.target)
    return warnings, power


def inspect_rows(frame: pd.DataFrame, kinds: Mapping[str, str], y: np.ndarray, classes: list[object]) -> list[str]:
    """Find what is suspicious about the rows that have a target.

    Args:
        frame: the rows.
        kinds: of the columns that the model reads.
        y: class codes, or floats for regression, shape (n_rows,).
        classes: the labels; empty for regression.
    """
    found = [*_rare(y, classes), *_infinite(frame, kinds)]
    if len(kinds) > len(frame):
        found.append(
            f"{len(kinds)} columns are more than the {len(frame)} rows: the model will find patterns that are none. "
            "Drop columns that cannot matter, or bring more rows."
        )
    if not classes and np.std(y) < 1e-5 * np.abs(np.mean(y)):
        found.append(
            f"The target varies by {np.std(y):.3g} around {np.mean(y):.6g}, less than XGBoost's 32-bit numbers can "
            "tell: subtract a constant from it."
        )
    return found


def inspect_leaks(power: Mapping[str, float], rows: int) -> list[str]:
    """Name the columns that alone predict the target almost perfectly.

    Args:
        power: of each column, as `predictive_power` gives it.
        rows: that it was judged by.
    """
    if rows < MIN_ROWS_JUDGED:
        return []
    leaks = {name: share for name, share in power.items() if share >= MIN_LEAK_POWER}
    if len(leaks) > MAX_LEAKS_TOLD:
        named = ", ".join(map(repr, list(leaks)[:MAX_LEAKS_TOLD]))
        return [
            f"{len(leaks)} columns each predict the target almost perfectly alone, such as {named}: if they are only "
            "known once the target is, be it only by where they are empty, leave them out with drop."
        ]
    return [
        f"The column {name!r} alone predicts the target almost perfectly ({share:.1%} of what there is to know): if it "
        "is only known once the target is, or is the target under another name, leave it out with drop."
        for name, share in leaks.items()
    ]


def predictive_power(column: pd.Series, kind: str, y: np.ndarray, classes: bool) -> float:
    """Judge how much of the target a column tells by itself, from 0 (nothing) to 1 (everything).

    A small decision tree on this column alone is cross-validated on at most 5,000 rows. For classes it is the share of
    the errors that guessing the commonest class makes, balanced by class, that the tree avoids; for numbers it is R²,
    or the square of Spearman's rank correlation where that is larger. Free text is not judged and gives 0.

    Args:
        column: raw values.
        kind: of the column.
        y: class codes or floats, of the same rows.
        classes: whether `y` holds class codes.
    """
    values = as_numbers(column, kind)
    if values is None or len(y) < 10:
        return 0.0
    return _power_over_classes(values, y) if classes else _power_over_numbers(values, y)


def _power_over_numbers(values: np.ndarray, y: np.ndarray) -> float:
    spread = float(np.var(y))
    if spread == 0:
        return 0.0
    x, guesses = values.reshape(-1, 1), np.empty(len(y))
    for train, test in KFold(3, shuffle=True, random_state=0).split(x):
        tree = DecisionTreeRegressor(max_leaf_nodes=512, min_samples_leaf=2, random_state=0)
        guesses[test] = tree.fit(x[train], y[train]).predict(x[test])
    there = ~np.isnan(values)
    ranks = float(spearmanr(values[there], y[there]).statistic) if len(np.unique(values[there])) > 2 else 0.0
    return max(0.0, 1 - float(np.mean((y - guesses) ** 2)) / spread, ranks**2 * float(there.mean()))


def _power_over_classes(values: np.ndarray, y: np.ndarray) -> float:
    kept = np.isin(y, np.flatnonzero(np.bincount(y) >= 3))
    x, y = values[kept].reshape(-1, 1), y[kept]
    if len(np.unique(y)) < 2:
        return 0.0
    right = np.zeros(len(y), dtype=bool)
    for train, test in StratifiedKFold(3, shuffle=True, random_state=0).split(x, y):
        tree = DecisionTreeClassifier(max_leaf_nodes=64, class_weight="balanced", random_state=0)
        right[test] = tree.fit(x[train], y[train]).predict(x[test]) == y[test]
    recalls = [right[y == each].mean() for each in np.unique(y)]
    chance = 1 / len(recalls)
    return max(0.0, (float(np.mean(recalls)) - chance) / (1 - chance))


def as_numbers(column: pd.Series, kind: str) -> np.ndarray | None:
    """Turn a column of one value a cell into float64 of shape (n_rows,): levels are numbered, moments are seconds."""
    if kind in ("text", "pair"):
        return None
    if kind in ("category", "high_cardinality"):
        return np.asarray(pd.factorize(as_categories(column), sort=False)[0], dtype=np.float64)
    if kind == "datetime":
        at = to_datetimes(column)
        return np.where(np.isnat(at), np.nan, at.astype("int64") / 1e6)
    values = to_numeric(column).astype(np.float64)
    return np.clip(np.where(np.isinf(values), np.nan, values), -1e30, 1e30)


def inspect_split(
    train: pd.DataFrame, test: pd.DataFrame, kinds: Mapping[str, str], target: str, classes: list[object]
) -> list[str]:
    """Find what is suspicious about the split: rows that stand on both sides, and classes that the test lacks."""
    found = []
    both = int(np.isin(hash_rows(test, kinds, target), hash_rows(train, kinds, target)).sum())
    if both and tells_rows_apart(train, [*kinds, target]):
        found.append(
            f"{both} of {len(test)} test rows stand in the training rows too, value for value: the test flatters the "
            "model. Leave repeated rows out, or keep what belongs together on one side with split=group."
        )
    met = set(test[target])
    absent = [each for each in classes if each not in met]
    if absent:
        found.append(
            f"The test rows lack {len(absent)} of {len(classes)} classes, such as {spell(absent[0])}: nothing is "
            "measured about them. Choose a larger test_size or another split."
        )
    return found


def inspect_drift(train: pd.DataFrame, test: pd.DataFrame, kinds: Mapping[str, str], target: str) -> list[str]:
    """Name the columns, and the target, whose distribution differs between the two sides of a split by time."""
    numeric = pd.api.types.is_numeric_dtype(train[target]) and train[target].nunique() > 20
    found = drift(train, test, {**kinds, target: "number" if numeric else "category"})
    found = found[found["drifts"] & found["kind"].isin(["number", "boolean", "category"])]
    return [
        f"The {'target' if row.column == target else f'column {row.column!r}'} drifts: {_how(row)}. Ask what changed; "
        "the model will see the new values."
        for row in found.itertuples()
    ]


def _how(row: Any) -> str:
    """Say how the later values of a column differ from the earlier ones."""
    before, after = row.missing_reference, row.missing_current
    if not row.distance > abs(after - before):  # NaN where a side holds no value
        return f"{before:.0%} of its earlier values are missing, and {after:.0%} of its later ones"
    return (
        f"its later values differ from the earlier ones ({row.distance:.2f}), where 0 is alike and 1 is nothing in "
        "common"
    )


def _rare(y: np.ndarray, classes: list[object]) -> list[str]:
    if not classes:
        return []
    counts = np.bincount(y, minlength=len(classes))
    rare = [f"{spell(classes[k])} ({count} rows)" for k, count in enumerate(counts) if count < MIN_CLASS_ROWS]
    if not rare or len(y) < MIN_CLASS_ROWS * len(classes):
        return []
    return [
        f"Rare classes: {', '.join(rare[:10])}. Little can be learned or measured about fewer than {MIN_CLASS_ROWS} "
        "rows: merge them with another class, or leave them out."
    ]


def _infinite(frame: pd.DataFrame, kinds: Mapping[str, str]) -> list[str]:
    found = []
    for name, kind in kinds.items():
        if kind == "number" and pd.api.types.is_float_dtype(frame[name]):
            count = int(np.isinf(frame[name].to_numpy(dtype=np.float64, na_value=np.nan)).sum())
            if count:
                are = "1 infinite value, which is" if count == 1 else f"{count} infinite values, which are"
                found.append(f"The column {name!r} holds {are} read as missing.")
    return found
