"""What is wrong with a target, or with rows that a model is to score, in sentences; and what the task is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from treeline import UserError
from treeline.data.cells import settle_label_cells
from treeline.data.dtypes import holds_decimals, is_boolean, is_numeric, is_text, missing, replaced, whole_numbers
from treeline.data.durations import is_duration
from treeline.data.formats import settle_moments
from treeline.data.sentences import examples
from treeline.data.signs import settle_numbers
from treeline.data.values import PAIRS, PLAIN_READING, Reading, as_categories, as_text, different_texts, read_numbers

Task = Literal["binary", "multiclass", "regression"]
MAX_INTEGER_CLASSES = 20
MAX_TARGET = 1e100  # of a number to predict; metrics square it and add up


@dataclass(frozen=True)
class Target:
    """A target, settled.

    Attributes:
        rows: the rows of the table that have one, its text read.
        task: what is to be predicted.
        reason: why it is that task, a few words.
        reading: how its text is read.
    """

    rows: pd.DataFrame
    task: Task
    reason: str
    reading: Reading = PLAIN_READING


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
    rows, reading, told = _labelled(frame, target, task)
    y = rows[target]
    guess, reason = guess_task(y)
    reason += f"; {told}" if told else ""
    if task == "regression" or (task == "auto" and guess == "regression"):
        _check_numbers(y, target)
        return Target(rows, "regression", reason if task == "auto" else f"asked for by task={task}", reading)
    if is_numeric(y) and pd.api.types.is_float_dtype(y) and whole_numbers(y):  # a gap had turned whole labels to floats
        y = y.astype("int64")
        rows = rows.assign(**{target: y})
    counts = y.value_counts()
    _check_classes(counts, target, task)
    chosen: Task = "binary" if len(counts) == 2 else "multiclass"
    asked = f"asked for by task={task}; the target has {len(counts)} labels"
    return Target(rows, chosen, reason if task == "auto" else asked, reading)


def label_codes(y: pd.Series, classes: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Turn labels into their places among the classes, shape (n_rows,); -1 for a label that is none of them."""
    return pd.Index(list(classes)).get_indexer(pd.Index(y))


def read_labels(y: pd.Series, classes: Sequence[Any], reading: Reading = PLAIN_READING) -> pd.Series:
    """Read the labels of another table as those of the table that was trained on: of their type, as they are spelled.

    Two spellings of yes and no are one pair: `true` is the class True, `YES` the class `yes`, a real boolean is either.
    A 1 is a class True nowhere, for it may be a count.

    Args:
        y: labels, however they came; none missing.
        classes: the labels that are known; empty for regression.
        reading: how text of the target is read.

    Returns:
        The labels or numbers; what is none of the classes stands as it came.
    """
    if classes and isinstance(classes[0], bool):
        words = {"true": True, "false": False}
        return y.map(lambda each: words.get(each.strip().casefold(), each) if isinstance(each, str) else each)
    if classes and isinstance(classes[0], str):
        pair = next((pair for pair in PAIRS if {each.casefold() for each in classes} == set(pair)), None)
        words = {word: each for each in classes for word in _words_of(each, pair)} if pair else {}
        spelled = pd.Series(as_categories(y), index=y.index, name=y.name, dtype=object)
        known = set(classes)
        return spelled.map(lambda each: each if each in known else words.get(str(each).strip().casefold(), each))
    numbers, strange = read_numbers(y, reading)
    if strange.any() or np.isnan(numbers).any():
        kept = y.astype(object).copy()
        fine = ~strange & ~np.isnan(numbers)
        kept[fine] = numbers[fine]
        return kept
    whole = bool(classes) and all(isinstance(each, int) for each in classes) and (np.abs(numbers) < 2**53).all()
    return pd.Series(numbers.astype("int64") if whole and (numbers % 1 == 0).all() else numbers, y.index, name=y.name)


def _words_of(label: str, pair: tuple[str, str] | None) -> set[str]:
    """Give the words in small letters that mean a label of yes or no."""
    word = label.casefold()
    return {word, PAIRS[0][pair.index(word)]} if pair else {word}


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


def _labelled(frame: pd.DataFrame, target: str, task: str) -> tuple[pd.DataFrame, Reading, str]:
    """Give the rows that have a target, two different values of it at least; how its text is read; what was seen."""
    rows = _present(frame, target)
    if not rows.empty and holds_decimals(rows[target]):
        rows = rows.assign(**{target: rows[target].astype(np.float64)})
    reading, told = PLAIN_READING, ""
    rows = _spelled(rows, target)
    if not rows.empty and is_text(rows[target]):
        many = any(some.nunique() > MAX_INTEGER_CLASSES for some in (rows[target].head(10_000), rows[target]))
        numbers = task == "regression" or (task == "auto" and many)
        y, reading, told = settle_label_cells(rows[target], numbers)
        if task in ("auto", "regression") and many and is_text(y):
            _check_text(y, target)
        if y is not rows[target]:
            rows = _present(replaced(rows, {target: y}), target)
    if rows.empty:
        raise UserError(f"Every value of the target {target!r} is missing: there is nothing to learn from.")
    if isinstance(rows[target].dtype, pd.CategoricalDtype):
        rows = rows.assign(**{target: rows[target].astype(rows[target].cat.categories.dtype)})
    _check_labels(rows[target], target)
    if rows[target].nunique() < 2:
        raise UserError(
            f"The target {target!r} has one value only, {examples(rows[target].head(1))}: a model needs two classes or "
            "more to tell apart."
        )
    return rows, reading, told


def _spelled(rows: pd.DataFrame, target: str) -> pd.DataFrame:
    """Spell a target of text and of numbers or booleans as text alone, as a CSV has it, where that text is numbers or
    booleans with a few marks.
    """
    y = rows[target]
    types = {type(value) for value in y} if y.dtype == object else set()
    if str not in types or not types & {int, float, bool} or types - {str, int, float, bool}:
        return rows
    text = pd.Series([as_text(value) for value in y], index=y.index, name=target, dtype="str")
    return rows if is_text(settle_label_cells(text, numbers=False)[0]) else rows.assign(**{target: text})


def _present(frame: pd.DataFrame, target: str) -> pd.DataFrame:
    """Give the rows that have a target; text of blanks is none."""
    gaps = missing(frame[target])
    return frame[~gaps] if gaps.any() else frame


def _check_text(y: pd.Series, target: str) -> None:
    """Refuse a target of text most of whose values are numbers.

    Raises:
        UserError: names three that are not.
    """
    texts = list(different_texts(y))
    spelled = settle_numbers(dict.fromkeys(texts, 1))
    strange = list(spelled.words) if spelled else texts
    if 0 < len(strange) < 0.5 * len(texts):  # none at all, and still text: codes such as 007
        raise UserError(
            f"The target {target!r} holds text where numbers were meant, such as {examples(strange)}: mend or "
            "leave out those rows, or use task=multiclass if they are labels."
        )


def _check_labels(y: pd.Series, target: str) -> None:
    """Refuse a target of anything but text, booleans and numbers, or of text among the others."""
    if is_numeric(y) or is_text(y) or is_boolean(y):
        return
    if {type(value) for value in y} <= {str, bool, int, float}:
        if str not in {type(value) for value in y}:
            return
        raise UserError(
            f"The target {target!r} mixes text with other values, such as {examples(y.head(1))}: give every label one "
            "type."
        )
    raise UserError(
        f"The target {target!r} holds {examples(y.head(1))}, which is no label: turn it into text, whole numbers or "
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
            f"The class {examples(counts.index[-1:])} of the target {target!r} has one row, too rare to split: it "
            "needs one row at least on each side. Leave that row out or merge the class with another."
            + (" Use task=regression if the target is a number." if pd.api.types.is_numeric_dtype(counts.index) else "")
            + (
                " A moment or a duration is predicted as a number, such as days: write it so."
                if _is_time(counts)
                else ""
            )
        )


def _is_time(counts: pd.Series) -> bool:
    """Tell whether labels are moments or durations, each as good as different."""
    texts = {str(label): 1 for label in counts.index}
    return len(texts) > MAX_INTEGER_CLASSES and (is_duration(texts) or settle_moments(texts) is not None)


def _check_numbers(y: pd.Series, target: str) -> None:
    if not is_numeric(y):
        raise UserError(
            f"The target {target!r} holds {examples(y)}, not numbers: task=regression needs numbers. "
            "Use task=multiclass."
        )
    if not np.isfinite(y.to_numpy(dtype=np.float64)).all():
        raise UserError(f"The target {target!r} holds an infinite value: leave those rows out or cap them.")
    size = float(np.abs(y.to_numpy(dtype=np.float64)).max())
    if not 1 / MAX_TARGET < size < MAX_TARGET:
        raise UserError(
            f"The target {target!r} reaches {size:.3g}, too {'large' if size > 1 else 'small'} for its errors to be "
            "squared: give it in another unit."
        )
