"""What is suspicious about a table: leaks, repeated rows, rare classes, drift; each a sentence with what to do."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from treeline.data.drift import drift
from treeline.data.leaks import inspect_leaks, power_where_known, predictive_power
from treeline.data.problem import Problem
from treeline.data.sentences import spell
from treeline.data.tables import hash_rows, tells_rows_apart

MAX_ROWS_JUDGED = 5_000  # by which a column is judged
MAX_CELLS_JUDGED = 250_000  # by which columns are judged one by one, so that hundreds take seconds
MAX_DRIFTS_TOLD = 10  # columns that drift, each in a sentence
MIN_CLASS_ROWS = 10  # rows of a class below which nothing can be said about it


@dataclass(frozen=True)
class Inspection:
    """What was seen of a table.

    Attributes:
        warnings: what is suspicious, in sentences.
        power: how much of the target each column tells by itself, from 0 to 1.
        drift: of the test rows against the training rows, as `treeline.data.drift.drift` gives it, the target among the
            columns; without rows where the split is not by time.
    """

    warnings: list[str]
    power: dict[str, float]
    drift: pd.DataFrame


def inspect_table(problem: Problem, train: pd.DataFrame, test: pd.DataFrame, seed: int) -> Inspection:
    """Find what is suspicious about a table that has been split.

    Args:
        problem: that the table poses.
        train: the side to train on.
        test: the other.
        seed: of the sample of training rows that columns are judged by.
    """
    most = max(500, min(MAX_ROWS_JUDGED, MAX_CELLS_JUDGED // len(problem.kinds)))
    judged = train.sample(min(len(train), most), random_state=seed)
    y, classes = problem.truth(judged), bool(problem.classes)
    power = {name: predictive_power(judged[name], kind, y, classes) for name, kind in problem.kinds.items()}
    partly = {name: power_where_known(judged[name], kind, y, classes) for name, kind in problem.kinds.items()}
    in_time = problem.split == "time"
    found = drift_of_sides(train, test, problem.kinds if in_time else {}, problem.target if in_time else "")
    warnings = [
        *inspect_rows(train, problem.kinds, problem.truth(train), problem.classes),
        *inspect_leaks(power, len(judged), {name: each for name, each in partly.items() if each}),
        *inspect_split(train, test, problem.kinds, problem.target, problem.classes),
        *inspect_drift(found, problem.target),
    ]
    return Inspection(warnings, power, found)


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


def drift_of_sides(train: pd.DataFrame, test: pd.DataFrame, kinds: Mapping[str, str], target: str) -> pd.DataFrame:
    """Compare the columns, and the target where one is named, of the two sides of a split by time."""
    if not target:
        return drift(train, test, kinds)
    numeric = pd.api.types.is_numeric_dtype(train[target]) and train[target].nunique() > 20
    return drift(train, test, {**kinds, target: "number" if numeric else "category"})


def inspect_drift(found: pd.DataFrame, target: str) -> list[str]:
    """Tell the columns, and the target, that drift between the two sides of a split by time.

    Args:
        found: as `drift_of_sides` gives it.
        target: its name.
    """
    drifting = found[found["drifts"]]
    told = drifting[(drifting["column"] == target) | (np.arange(len(drifting)) < MAX_DRIFTS_TOLD)]
    sentences = [
        f"The {'target' if row.column == target else f'column {row.column!r}'} drifts from the earlier rows to the "
        f"later ones: {row.what}. Ask what changed; the model will see the new values."
        for row in told.itertuples()
    ]
    left_out = len(drifting) - len(told)
    return sentences + ([f"{left_out} more columns drift; drift.csv and drift.png show them."] if left_out else [])


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
