"""What is wrong with a target, or with rows that a model is to score, in sentences; and what the task is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from treeline import UserError
from treeline.data.values import (
    first_non_numeric,
    is_boolean,
    is_numeric,
    is_text,
    share_numeric,
    spell,
    spells_numbers,
    to_numeric,
    whole_numbers,
)

Task = Literal["binary", "multiclass", "regression"]
MAX_INTEGER_CLASSES = 20


@dataclass(frozen=True)
class Target:
    """A target, settled.

    Attributes:
        rows: the rows of the table that have one.
        task: what is to be predicted.
        reason: why it is that task, a few words.
    """

    rows: pd.DataFrame
    task: Task
    reason: str


def guess_task(target: pd.Series) -> tuple[Task, str]:
    """Guess the task from a target without missing values, and say why.

    Text and booleans are classes; so are two values of any kind, and up to 20 different whole numbers. The rest are
    numbers to predict.
    """
    different = target.nunique()
    if different <= 2:
        return "binary", f"the target has {different} different values"
    if not is_numeric(target) or pd.api.types.is_bool_dtype(target):
        return "multiclass", f"the target has {different} different labels"
    if different <= MAX_INTEGER_CLASSES and whole_numbers(target):
        return "multiclass", f"the target has {different} different whole numbers, at most {MAX_INTEGER_CLASSES}"
    return "regression", f"the target is a number with {different} different values"


def settle_target(frame: pd.DataFrame, target: str, task: str) -> Target:
    """Leave out the rows without a target and settle the task.

    Args:
        frame: the whole table.
        target: name of the target column.
        task: `auto`, or the task that the user wants.

    Raises:
        UserError: no target value is present, there is one class, a class has one row, a binary task has more than
            two labels, labels mix types, or a regression target is not made of finite numbers.
    """
    rows = _labelled(frame, target, task)
    y = rows[target]
    guess, reason = guess_task(y)
    if task == "regression" or (task == "auto" and guess == "regression"):
        _check_numbers(y, target)
        return Target(rows, "regression", reason if task == "auto" else f"asked for by task={task}")
    if is_numeric(y) and pd.api.types.is_float_dtype(y) and whole_numbers(y):  # a gap had turned whole labels to floats
        y = y.astype("int64")
        rows = rows.assign(**{target: y})
    counts = y.value_counts()
    _check_classes(counts, target, task)
    chosen: Task = "binary" if len(counts) == 2 else "multiclass"
    asked = f"asked for by task={task}; the target has {len(counts)} labels"
    return Target(rows, chosen, reason if task == "auto" else asked)


def label_codes(y: pd.Series, classes: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Turn labels into their places among the classes, shape (n_rows,); -1 for a label that is none of them."""
    return pd.Index(list(classes)).get_indexer(pd.Index(y))


def check_columns(frame: pd.DataFrame, kinds: Mapping[str, str], what: str) -> None:
    """Hold a table against the raw columns that a model was trained on.

    Raises:
        UserError: columns are missing, or a column of numbers holds text.
    """
    check_present(frame, kinds, what)
    for name, kind in kinds.items():
        if kind in ("number", "boolean"):
            try:
                to_numeric(frame[name])
            except (ValueError, TypeError, OverflowError):
                strange = spell(first_non_numeric(frame[name]))
                raise UserError(f"The column {name!r} of {what} holds {strange}; the model wants a {kind}.") from None


def check_present(frame: pd.DataFrame, kinds: Mapping[str, str], what: str) -> None:
    """Make sure that the raw columns that a model was trained on are there.

    Raises:
        UserError: columns are missing.
    """
    missing = [name for name in kinds if name not in frame.columns]
    if missing:
        raise UserError(
            f"{what} lacks {len(missing)} of the model's columns: {', '.join(map(repr, missing[:10]))}. Add them "
            "under these names."
        )


def _labelled(frame: pd.DataFrame, target: str, task: str) -> pd.DataFrame:
    """Give the rows that have a target, two different values of it at least."""
    rows = frame if frame[target].notna().all() else frame[frame[target].notna()]
    if not rows.empty and is_text(rows[target]) and rows[target].nunique() > MAX_INTEGER_CLASSES:
        rows = _read_numbers(rows, target, task)
    if rows.empty:
        raise UserError(f"Every value of the target {target!r} is missing: there is nothing to learn from.")
    if isinstance(rows[target].dtype, pd.CategoricalDtype):
        rows = rows.assign(**{target: rows[target].astype(rows[target].cat.categories.dtype)})
    _check_labels(rows[target], target)
    if rows[target].nunique() < 2:
        raise UserError(
            f"The target {target!r} has one value only, {spell(rows[target].iloc[0])}: a model needs two classes or "
            "more to tell apart."
        )
    return rows


def _read_numbers(rows: pd.DataFrame, target: str, task: str) -> pd.DataFrame:
    """Read a target of text that spells numbers as numbers; rows whose number is blank are left out.

    Raises:
        UserError: most values are numbers, but not all.
    """
    y = rows[target]
    if task in ("binary", "multiclass"):
        return rows
    if spells_numbers(y):
        rows = rows.assign(**{target: to_numeric(y)})
        return rows[rows[target].notna()]
    if share_numeric(y) > 0.5:
        raise UserError(
            f"The target {target!r} holds text where numbers were meant, such as {spell(first_non_numeric(y))}: mend "
            "or leave out those rows, or use task=multiclass if they are labels."
        )
    return rows


def _check_labels(y: pd.Series, target: str) -> None:
    """Refuse a target of anything but text, booleans and numbers, or of text among the others."""
    if is_numeric(y) or is_text(y) or is_boolean(y):
        return
    if {type(value) for value in y} <= {str, bool, int, float}:
        if str not in {type(value) for value in y}:
            return
        raise UserError(
            f"The target {target!r} mixes text with other values, such as {spell(y.iloc[0])}: give every label one "
            "type."
        )
    raise UserError(
        f"The target {target!r} holds {spell(y.iloc[0])}, which is no label: turn it into text, whole numbers or "
        "booleans."
    )


def _check_classes(counts: pd.Series, target: str, task: str) -> None:
    """Refuse more than two labels where two are wanted, and a class of one row."""
    if task == "binary" and len(counts) > 2:
        raise UserError(
            f"The target {target!r} has {len(counts)} different values; task=binary needs two. Use task=multiclass."
        )
    if counts.iloc[-1] < 2:
        raise UserError(
            f"The class {spell(counts.index[-1])} of the target {target!r} has one row, too rare to split: it needs "
            "one row at least on each side. Leave that row out or merge the class with another."
            + (" Use task=regression if the target is a number." if pd.api.types.is_numeric_dtype(counts.index) else "")
        )


def _check_numbers(y: pd.Series, target: str) -> None:
    if not is_numeric(y):
        raise UserError(
            f"The target {target!r} holds {spell(y.iloc[0])}, not a number: task=regression needs numbers. "
            "Use task=multiclass."
        )
    if not np.isfinite(y.to_numpy(dtype=np.float64)).all():
        raise UserError(f"The target {target!r} holds an infinite value: leave those rows out or cap them.")
