"""The problem that a table poses: what is predicted, from which columns, as which task; settled by the data run."""

from collections.abc import Collection
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from treeline import UserError, nearest
from treeline.data.cells import settle_cells
from treeline.data.columns import KINDS_BY_SETTING, Columns, settle_columns
from treeline.data.dtypes import is_missing, missing, replaced
from treeline.data.names import read_names
from treeline.data.sentences import examples, refusal, spell
from treeline.data.splits import Split, SplitKind
from treeline.data.tables import Table, digest
from treeline.data.target import Task, check_present, label_codes, read_labels, settle_target
from treeline.data.values import Reading, as_categories, read_column, read_numbers
from treeline.data.weights import read_weights

AskedTask = Literal["auto", "binary", "multiclass", "regression"]


@dataclass(frozen=True)
class TableSettings:
    """How a table is to be read; lists of columns are separated by commas.

    Attributes:
        task: `auto`, `binary`, `multiclass` or `regression`.
        drop: columns to leave out.
        derive: columns to add inside the model: `name = expression`, separated by semicolons.
        numeric, categorical, datetime, text: columns to read as of this kind.
        split: `stratified`, `random`, `group` (no group on both sides) or `time` (train before test).
        split_column: that holds the groups or the times.
        sample_weight: column of how much each row counts, in training and in every metric; empty counts all alike.
    """

    task: AskedTask = "auto"
    drop: str = ""
    derive: str = ""
    numeric: str = ""
    categorical: str = ""
    datetime: str = ""
    text: str = ""
    split: SplitKind = "stratified"
    split_column: str = ""
    sample_weight: str = ""

    def __post_init__(self) -> None:
        """Refuse what is no text, and a task or a split that is none.

        Raises:
            UserError: names the setting and what it may be.
        """
        for each in fields(self):
            if not isinstance(getattr(self, each.name), str):
                raise UserError(f"{each.name} got {getattr(self, each.name)!r}: give text; commas separate columns.")
        for name, known in (("task", get_args(AskedTask)), ("split", get_args(SplitKind))):
            if getattr(self, name) not in known:
                raise UserError(f"{name} got {getattr(self, name)!r}: use {', '.join(known)}.")


@dataclass(frozen=True)
class Problem:
    """Everything that the stages after the first need to know about the table.

    Attributes:
        table: its name.
        source: where it was read from.
        target: the column to predict.
        task: `binary`, `multiclass` or `regression`, and `reason` says why.
        classes: the labels, sorted; empty for regression.
        kinds: the kind of each raw column that the model reads.
        derived: name and expression of each derived column.
        digest: of all rows and columns.
        split, split_column: how rows are kept apart, in the test and in the folds.
        reasons: why each column is of its kind.
        left_out: why each other column is not read.
        warnings: what is suspicious about the table, in sentences.
        readings: how the text of each column and of the target is read, as `treeline.data.values.Reading.to_dict` gives
            it, where that is not the default.
        notes: how its file was read, in sentences.
        weight: the column of how much each row counts; empty where all count alike.
    """

    table: str
    source: str
    target: str
    task: Task
    reason: str
    classes: list[Any]
    kinds: dict[str, str]
    derived: dict[str, str]
    digest: str
    split: SplitKind = "stratified"
    split_column: str = ""
    reasons: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    readings: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    weight: str = ""

    def folds(self, frame: pd.DataFrame, n_folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Cut training rows into folds as the split cut the table: positions that train and that are scored."""
        y = self.truth(frame)
        return Split(self.split, self.split_column).folds(frame, y, bool(self.classes), n_folds, seed)

    def labelled(self, frame: pd.DataFrame, what: str) -> pd.DataFrame:
        """Take the rows of another table that have a target, its labels typed as the classes are.

        Raises:
            UserError: the table, called `what`, lacks the target, or every value of it is missing.
        """
        if self.target not in frame.columns:
            raise UserError(f"{what} lacks the target {self.target!r}: rows without labels cannot be judged.")
        y, reading = frame[self.target], self.reading(self.target)
        gaps = missing(y)
        if not (self.classes and isinstance(self.classes[0], str)):  # words are labels, whatever they say
            gaps |= np.array([isinstance(each, str) and reading.is_gap(each) for each in y])
        rows = frame[~gaps].reset_index(drop=True)
        if rows.empty:
            raise UserError(
                f"Every value of the target {self.target!r} in {what} is missing: there is nothing to judge by."
            )
        return rows.assign(**{self.target: read_labels(rows[self.target], self.classes, reading)})

    def reading(self, name: str) -> Reading:
        """Give how the text of a column is read."""
        return Reading.from_dict(self.readings.get(name))

    def read(self, frame: pd.DataFrame, what: str) -> pd.DataFrame:
        """Read the model's columns of another table as those of the table that was trained on.

        Args:
            frame: raw columns, the model's among them; others stay as they are.
            what: the table is called.

        Raises:
            UserError: columns are missing, or one holds what is not of its kind.
        """
        check_present(frame, self.kinds, what)
        made = {}
        for name, kind in self.kinds.items():
            made[name], strange = read_column(frame[name], kind, self.reading(name))
            if strange.any():
                raise UserError(f"{what}: {refusal(name, kind, frame[name][strange].iloc[0])}")
        return frame.assign(**made)

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Take the raw columns that the model reads."""
        return frame[list(self.kinds)]

    def judged(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Take the columns that rows are judged by: those that the model reads, the target and the weights."""
        return frame[[*self.kinds, self.target, *([self.weight] if self.weight else [])]]

    def weights(self, frame: pd.DataFrame) -> np.ndarray | None:
        """Give how much each row counts, float64 of shape (n_rows,); None where all count alike.

        Raises:
            UserError: the table has no such column, or one that holds what is no weight.
        """
        if not self.weight:
            return None
        if self.weight not in frame.columns:
            raise UserError(
                f"The rows lack the column {self.weight!r}, which says how much each one counts: add it; where all "
                "count alike, fill it with 1."
            )
        return read_weights(frame[self.weight], self.reading(self.weight))

    def truth(self, frame: pd.DataFrame) -> np.ndarray:
        """Give the target as class codes, or numbers for regression; shape (n_rows,).

        Raises:
            UserError: a label is none of the classes, or a number is none.
        """
        y = frame[self.target]
        if self.task == "regression":
            numbers, unread = read_numbers(y, self.reading(self.target))
            if unread.any():
                raise UserError(f"The target {self.target!r} holds {examples(y[unread])}, not numbers.")
            return numbers
        codes = label_codes(y, self.classes)
        if (codes < 0).any():
            strange = y[codes < 0].iloc[0]
            label = spell(strange) if is_missing(strange) else f"the label {spell(strange)}"
            hint = nearest(str(strange), map(str, self.classes))
            raise UserError(
                f"The target {self.target!r} holds {label}, which the model does not know."
                f"{hint} It knows {', '.join(map(spell, self.classes[:20]))}."
            )
        return codes


def settle_problem(table: Table, settings: TableSettings) -> tuple[Problem, pd.DataFrame]:
    """Settle the task and the columns of a table.

    Args:
        table: as it was read.
        settings: what the user asks for; derived columns are added by `treeline.model.expressions.add_derived`.

    Returns:
        The problem, and the rows that have a target, in the columns that are needed to train, to judge and to split.

    Raises:
        UserError: whatever is wrong with the target, a column, or a setting that names columns.
    """
    target = settle_target(table.frame, table.target, settings.task)
    beside = [str(name) for name in target.rows.columns if name != table.target]
    check_split_column(settings, beside)
    check_weight_column(settings, beside)
    dropped = read_names(settings.drop, beside, "drop")
    asked = _asked_kinds(settings, [name for name in beside if name not in dropped])
    split_column = settings.split_column
    weight = settings.sample_weight
    kept_beside = {split_column, weight} - {""}
    rows, order = target.rows, [name for name in target.rows.columns if name not in dropped or name in kept_beside]
    not_features = {split_column: "it holds the groups"} if settings.split == "group" else {}
    not_features |= {weight: "it holds the weights of the rows"} if weight else {}
    unread = {table.target, *dropped, *not_features}
    beside_it = {name: rows[name] for name in order if name not in unread}
    rows = rows[[name for name in order if name in unread]]
    # Nothing here holds the text of the others any more, where the caller does not: it goes as it is read.
    table, target = replace(table, frame=pd.DataFrame()), replace(target, rows=rows)
    columns = settle_columns(beside_it, asked)
    if split_column in rows.columns and settings.split == "time":
        rows = replaced(rows, settle_cells(rows[[split_column]]).frame)
    if weight:
        try:
            cells = settle_cells(rows[[weight]], {weight: "number"})
        except UserError:  # which speaks of `numeric`
            read_weights(rows[weight], Reading())
            raise
        columns.readings.update(cells.readings)
        rows = rows.assign(**{weight: read_weights(rows[weight], Reading.from_dict(cells.readings.get(weight)))})
    rows = pd.DataFrame({**columns.frame, **rows}, columns=order, copy=False)
    left_out = columns.left_out | not_features
    _check_any_left(columns, left_out)
    problem = Problem(
        table=table.name,
        source=table.source,
        target=table.target,
        task=target.task,
        reason=target.reason,
        classes=[] if target.task == "regression" else sorted(rows[table.target].unique().tolist()),
        kinds=columns.kinds,
        derived={},
        digest=digest(rows),
        split=settings.split,
        split_column=split_column,
        reasons=columns.reasons,
        left_out=left_out,
        readings={name: each for name, each in columns.readings.items() if name in columns.kinds or name == weight}
        | ({table.target: target.reading.to_dict()} if target.reading.to_dict() else {}),
        notes=list(table.notes),
        weight=weight,
    )
    kept = dict.fromkeys([*columns.kinds, table.target, *filter(None, (split_column, weight))])
    return problem, storable(rows if list(kept) == list(rows.columns) else rows[list(kept)])


def check_split_column(settings: TableSettings, beside: Collection[str] | None = None) -> None:
    """Refuse a split by groups or by time without its column, and a column without such a split.

    Args:
        settings: the split and its column.
        beside: the columns beside the target, where they are known.

    Raises:
        UserError: names both settings.
    """
    needed, column = settings.split in ("group", "time"), settings.split_column
    if needed and (not column or (beside is not None and column not in beside)):
        raise UserError(
            f"split={settings.split} needs split_column, one of the columns beside the target; got "
            f"{column!r}.{nearest(column, beside or ())}"
        )
    if column and not needed:
        raise UserError(f"split_column goes with split=group or split=time, got split={settings.split}.")


def check_weight_column(settings: TableSettings, beside: Collection[str]) -> None:
    """Refuse a column of weights that is not there, or that holds the groups or the times.

    Args:
        settings: the column, and that of the split.
        beside: the columns beside the target.

    Raises:
        UserError: names the column.
    """
    column = settings.sample_weight
    if column and column not in beside:
        raise UserError(
            f"sample_weight got {column!r}: it must be one of the columns beside the target.{nearest(column, beside)}"
        )
    if column and column == settings.split_column:
        raise UserError(f"sample_weight and split_column both name {column!r}: a column is one or the other.")


def storable(frame: pd.DataFrame) -> pd.DataFrame:
    """Spell out columns whose values are of mixed types, which Parquet does not hold."""
    mixed = [name for name in frame.columns if pd.api.types.infer_dtype(frame[name], skipna=True).startswith("mixed")]
    spelled = {name: pd.Series(as_categories(frame[name]), index=frame.index, dtype="str") for name in mixed}
    return frame.assign(**spelled) if mixed else frame


def _asked_kinds(settings: TableSettings, names: list[str]) -> dict[str, str]:
    """Give the kind of each column that the user has named.

    Raises:
        UserError: a name is unknown, or stands in the lists of two kinds.
    """
    asked: dict[str, str] = {}
    for setting, kind in KINDS_BY_SETTING.items():
        for name in read_names(getattr(settings, setting), names, setting):
            if name in asked:
                other = next(each for each, known in KINDS_BY_SETTING.items() if known == asked[name])
                raise UserError(f"{other} and {setting} both name {name!r}: name it in one of them.")
            asked[name] = kind
    return asked


def _check_any_left(columns: Columns, left_out: dict[str, str]) -> None:
    if not columns.kinds:
        why = "; ".join(f"{name!r}: {reason}" for name, reason in left_out.items())
        raise UserError(f"No column is left beside the target: drop fewer. {why}".strip())
