"""What is wrong with a table, in sentences; and what kind its columns and its task are."""

from typing import Literal

import numpy as np
import pandas as pd

from treeline import UserError

Task = Literal["binary", "multiclass", "regression"]
MOST_LEVELS = 256
MOST_INTEGER_CLASSES = 20


def is_text(column: pd.Series) -> bool:
    """Tell whether every value present is a string."""
    return pd.api.types.infer_dtype(column, skipna=True) in ("string", "empty") and not _is_numeric(column)


def column_kinds(frame: pd.DataFrame) -> dict[str, str]:
    """Give each raw column its kind: `number`, `boolean` or `category`.

    Args:
        frame: raw columns without the target; missing values may stand anywhere.

    Raises:
        UserError: a column holds what is not supported: dates, lists, values of mixed types, or text with more than
            256 levels (free text or an id).
    """
    return {str(name): _kind(str(name), frame[name]) for name in frame.columns}


def guess_task(target: pd.Series) -> tuple[Task, str]:
    """Guess the task from a target without missing values, and say why.

    Text and booleans are classes; so are two values of any kind, and up to 20 different whole numbers. The rest are
    numbers to predict.
    """
    levels = target.nunique()
    if levels <= 2:
        return "binary", f"the target has {levels} different values"
    if not _is_numeric(target) or pd.api.types.is_bool_dtype(target):
        return "multiclass", f"the target has {levels} different labels"
    if levels <= MOST_INTEGER_CLASSES and (target % 1 == 0).all():
        return "multiclass", f"the target has {levels} different whole numbers, at most {MOST_INTEGER_CLASSES}"
    return "regression", f"the target is a number with {levels} different values"


def check_target(frame: pd.DataFrame, target: str, task: str) -> tuple[pd.DataFrame, Task, str]:
    """Leave out the rows without a target and settle the task.

    Args:
        frame: the whole table.
        target: name of the target column.
        task: `auto`, or the task that the user wants.

    Returns:
        The rows with a target, the task, and the reason for it.

    Raises:
        UserError: no target value is present, there is one class, two rows of a class are missing, a binary task has
            more than two labels, or a regression target is not made of finite numbers.
    """
    rows = frame[frame[target].notna()]
    if rows.empty:
        raise UserError(f"Every value of the target {target!r} is missing: there is nothing to learn from.")
    y = rows[target]
    guess, reason = guess_task(y)
    chosen: Task = guess if task == "auto" else task  # type: ignore[assignment]  # settings allow no other value
    if task != "auto":
        reason = "asked for by --task"
    if y.nunique() < 2:
        raise UserError(
            f"The target {target!r} has one value only, {y.iloc[0]!r}: a model needs two classes or more to tell apart."
        )
    if chosen == "regression":
        _check_numbers(y, target)
        return rows, chosen, reason
    if pd.api.types.infer_dtype(y) in ("mixed", "mixed-integer"):
        raise UserError(
            f"The target {target!r} mixes text with other values, such as {y.iloc[0]!r}: give every label one type."
        )
    if _is_numeric(y) and not pd.api.types.is_bool_dtype(y) and (y % 1 == 0).all():
        rows = rows.assign(**{target: y.astype("int64")})  # a missing value had turned whole labels into floats
    counts = y.value_counts()
    if chosen == "binary" and len(counts) > 2:
        raise UserError(
            f"The target {target!r} has {len(counts)} different values; --task binary needs two. Use --task multiclass."
        )
    if counts.iloc[-1] < 2:
        raise UserError(
            f"The class {counts.index[-1]!r} of the target {target!r} has one row, too rare to split: it needs one row "
            "at least on each side. Leave that row out or merge the class with another."
            + (" Use --task regression if the target is a number." if _is_numeric(y) else "")
        )
    return rows, chosen, reason


def check_columns(frame: pd.DataFrame, kinds: dict[str, str], what: str) -> None:
    """Hold a table against the raw columns that a model was trained on.

    Raises:
        UserError: columns are missing, or a column of numbers holds text.
    """
    missing = [name for name in kinds if name not in frame.columns]
    if missing:
        raise UserError(
            f"{what} lacks {len(missing)} of the model's columns: {', '.join(map(repr, missing[:10]))}. Add them "
            "under these names."
        )
    for name, kind in kinds.items():
        if kind != "category" and is_text(frame[name]) and frame[name].notna().any():
            raise UserError(
                f"The column {name!r} of {what} holds text, such as {frame[name].dropna().iloc[0]!r}; the model "
                f"wants a {kind}."
            )


def _check_numbers(y: pd.Series, target: str) -> None:
    if not _is_numeric(y):
        raise UserError(
            f"The target {target!r} holds {y.iloc[0]!r}, not a number: --task regression needs numbers. Use "
            "--task multiclass."
        )
    if not np.isfinite(y.to_numpy(dtype=np.float64)).all():
        raise UserError(f"The target {target!r} holds an infinite value: leave those rows out or cap them.")


def _kind(name: str, column: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(column) or pd.api.types.infer_dtype(column, skipna=True) == "boolean":
        return "boolean"
    if _is_numeric(column) or column.isna().all():
        return "number"
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.categories.inferred_type == "string":
        column = column.astype("str")
    if not is_text(column):
        kind = pd.api.types.infer_dtype(column, skipna=True)
        raise UserError(
            f"The column {name!r} holds {kind} values, such as {column.dropna().iloc[0]!r}, which are not "
            "supported yet: leave it out with --drop."
        )
    levels = column.nunique()
    if levels > MOST_LEVELS:
        raise UserError(
            f"The column {name!r} holds text with {levels} different values, more than {MOST_LEVELS}: free text "
            "and ids are not supported yet; leave it out with --drop."
        )
    return "category"


def _is_numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_complex_dtype(column)
