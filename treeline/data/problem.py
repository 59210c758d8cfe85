"""The problem that a table poses: what is predicted, from which columns, as which task; settled by the data run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from treeline import UserError, nearest
from treeline.data.splits import Split
from treeline.data.target import Task
from treeline.data.values import first_non_numeric
from treeline.evaluation.comparison import Predictions
from treeline.model.estimator import TreelineClassifier, TreelineRegressor, label_codes
from treeline.model.features import Features


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
    split: str = "stratified"
    split_column: str = ""
    reasons: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def features(self) -> Features:
        """Make the transformer of this table's columns, not fitted."""
        return Features(self.kinds, self.derived)

    def estimator(self, params: Mapping[str, Any], rounds: int, cpus: int) -> TreelineClassifier | TreelineRegressor:
        """Make the estimator of this task, not fitted."""
        kind = TreelineRegressor if self.task == "regression" else TreelineClassifier
        return kind(self.features(), params, rounds, cpus)

    def folds(self, frame: pd.DataFrame, n_folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Cut training rows into folds as the split cut the table: positions that train and that are scored."""
        y = self.truth(frame)
        return Split(self.split, self.split_column).folds(frame, y, bool(self.classes), n_folds, seed)

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Take the raw columns that the model reads."""
        return frame[list(self.kinds)]

    def truth(self, frame: pd.DataFrame) -> np.ndarray:
        """Give the target as class codes, or numbers for regression; shape (n_rows,).

        Raises:
            UserError: a label is none of the classes, or a number is none.
        """
        y = frame[self.target]
        if self.task == "regression":
            try:
                return y.to_numpy(dtype=np.float64)
            except (ValueError, TypeError, OverflowError):
                raise UserError(f"The target {self.target!r} holds {first_non_numeric(y)!r}, not a number.") from None
        codes = label_codes(y, self.classes)
        if (codes < 0).any():
            strange = y[codes < 0].iloc[0]
            hint = nearest(str(strange), map(str, self.classes))
            raise UserError(
                f"The target {self.target!r} holds the label {strange!r}, which the model does not know.{hint} It "
                f"knows {', '.join(map(repr, self.classes[:20]))}."
            )
        return codes

    def predictions(self, estimator: TreelineClassifier | TreelineRegressor, frame: pd.DataFrame) -> Predictions:
        """Let a fitted estimator predict labelled rows."""
        y = self.truth(frame)
        if isinstance(estimator, TreelineRegressor):
            return Predictions(self.task, y, estimator.predict(self.rows(frame)), np.empty((len(y), 0)))
        probabilities = estimator.predict_proba(self.rows(frame))
        return Predictions(self.task, y, probabilities.argmax(axis=1), probabilities)
