"""Columns of a frame to one matrix: the scikit-learn transformer that travels inside the model."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from treeline import UserError
from treeline.data.cells import settle_cells
from treeline.data.sentences import refusal
from treeline.data.values import Reading, read_booleans, read_column, read_numbers
from treeline.model.encoders import ENCODERS
from treeline.model.expressions import Expression


class Features(TransformerMixin, BaseEstimator):
    """Fill one float32 matrix column by column: numbers as they are, booleans as 0 and 1, derived columns, and the rest
    as the encoder of its kind makes it.

    A missing value, an infinite one and a category not seen in fitting are NaN, which XGBoost sends down the branch
    that it learned for missing values. Columns are taken by name: their order does not matter, further ones are
    ignored.

    `fit_transform` is not `fit` and then `transform`: a category of many levels is encoded by the target, and the
    training rows by cross-fitting (see `treeline.model.encoders.TargetMeanEncoder`). Train on what
    `fit_transform` gives.

    Args:
        kinds: the kind of each raw column, as in `treeline.data.columns.Columns`.
        derived: name and expression of each derived column; they follow the raw ones.
        readings: how the text of each column is read, as in `treeline.data.columns.Columns`; None settles it on the
            rows that are fitted.

    Attributes:
        readings_: of the columns whose text is not read by default.
        encoders_: the fitted encoder of each column that is no plain number.
        feature_names_in_: the raw columns it wants, shape (n_raw,).
        n_features_in_: how many those are.
    """

    def __init__(
        self,
        kinds: Mapping[str, str],
        derived: Mapping[str, str] | None = None,
        readings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.kinds = kinds
        self.derived = derived
        self.readings = readings

    def fit(self, X: pd.DataFrame, y: np.ndarray | None = None) -> "Features":
        """Fit the encoders on training rows, as `fit_transform` does."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: pd.DataFrame, y: np.ndarray | None = None) -> np.ndarray:
        """Fit the encoders on training rows, and give the matrix to train on, shape (n_rows, n_features).

        Args:
            X: raw rows, shape (n_rows, n_raw).
            y: class codes, or floats for regression, shape (n_rows,); may be None where no column is
                `high_cardinality`.

        Raises:
            UserError: a column is missing, or holds what is not of its kind.
        """
        X = self._check(X)
        kept = self.readings if self.readings is not None else settle_cells(X[list(self.kinds)]).readings
        self.readings_ = {name: dict(each) for name, each in kept.items() if name in self.kinds}
        self.encoders_ = {name: ENCODERS[kind]() for name, kind in self.kinds.items() if kind in ENCODERS}
        self.feature_names_in_ = np.array(list(self.kinds), dtype=object)
        self.n_features_in_ = len(self.kinds)
        cells = self._read(X)
        return self._fill(X, cells, {name: each.fit_transform(cells[name], y) for name, each in self.encoders_.items()})

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """Turn raw rows into a float32 matrix of shape (n_rows, n_features); zero rows are fine.

        Raises:
            UserError: a column is missing, or holds what is not of its kind.
        """
        check_is_fitted(self)
        X = self._check(X)
        cells = self._read(X)
        return self._fill(X, cells, {name: each.transform(cells[name]) for name, each in self.encoders_.items()})

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Name the columns of the matrix, shape (n_features,): the raw and derived names, unique, and without the
        signs `[`, `]` and `<`, which XGBoost does not allow.
        """
        made = [self.encoders_[name].names(name) if name in self.encoders_ else [name] for name in self.kinds]
        names: dict[str, None] = {}
        for name in [*(each for names_ in made for each in names_), *(self.derived or {})]:
            plain = re.sub(r"[\[\]<]", "_", name)
            while plain in names:
                plain += "_"
            names[plain] = None
        return np.array(list(names), dtype=object)

    def places(self) -> dict[str, list[int]]:
        """Give the columns of the matrix that hang on each raw column: its own, and the derived ones that read it."""
        check_is_fitted(self)
        derived = self.derived or {}
        found: dict[str, list[int]] = {name: [] for name in self.kinds}
        for place, column in enumerate(self.columns_out):
            for name in [column] if column in found else Expression(derived[column]).columns:
                found[name].append(place)
        return found

    @property
    def columns_out(self) -> list[str]:
        """The raw or derived column that each column of the matrix is made of."""
        counts = {name: len(self.encoders_[name].names(name)) if name in self.encoders_ else 1 for name in self.kinds}
        return [name for name, count in counts.items() for _ in range(count)] + list(self.derived or {})

    @property
    def feature_types(self) -> list[str]:
        """XGBoost's type of each column of the matrix: `c` for a category, `q` for a quantity."""
        types = [
            ["c"]
            if kind == "category"
            else ["q"] * (len(self.encoders_[name].names("")) if name in self.encoders_ else 1)
            for name, kind in self.kinds.items()
        ]
        return [each for types_ in types for each in types_] + ["q"] * len(self.derived or {})

    def _check(self, X: pd.DataFrame) -> pd.DataFrame:
        """Give rows whose columns are named by text, as the model wants them.

        Raises:
            UserError: X is no frame, or lacks columns.
        """
        if not isinstance(X, pd.DataFrame):
            raise UserError(f"The rows are a {type(X).__name__}: give a pandas DataFrame with the raw columns.")
        missing = [name for name in self.kinds if name not in X.columns]
        if missing and not all(isinstance(each, str) for each in X.columns):
            X = X.set_axis(X.columns.map(str), axis=1)
            missing = [name for name in self.kinds if name not in X.columns]
        if missing:
            raise UserError(
                f"Missing columns: {', '.join(map(repr, missing))}. The model wants {', '.join(map(repr, self.kinds))}."
            )
        return X

    def _fill(self, X: pd.DataFrame, cells: dict[str, Any], made: dict[str, np.ndarray]) -> np.ndarray:
        """Put numbers, what the encoders made, and derived columns side by side."""
        matrix = np.empty((len(X), len(self.feature_types)), dtype=np.float32)
        expressions = [Expression(text) for text in (self.derived or {}).values()]
        read = {column for expression in expressions for column in expression.columns}
        numbers: dict[str, np.ndarray] = {}
        j = 0
        with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, and infinite becomes NaN below
            for name in self.kinds:
                if name in made:
                    width = made[name].shape[1]
                    matrix[:, j : j + width] = made[name]
                    j += width
                    continue
                values = cells[name]
                matrix[:, j] = values
                j += 1
                if name in read:
                    numbers[name] = values
            for expression in expressions:
                matrix[:, j] = expression(numbers)
                j += 1
        matrix[np.isinf(matrix)] = np.nan
        return matrix

    def _read(self, X: pd.DataFrame) -> dict[str, Any]:
        """Read each column, in order: numbers and booleans as float64, the rest as its encoder wants it.

        Raises:
            UserError: names the first column that holds what is not of its kind.
        """
        cells: dict[str, Any] = {}
        for name, kind in self.kinds.items():
            column = X[name]
            if kind in ("number", "boolean") and isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
                cells[name] = column.to_numpy(dtype=np.float64)  # at once, for one row is asked most often
                continue
            reading = Reading.from_dict(self.readings_.get(name))
            if kind == "number":
                cells[name], strange = read_numbers(column, reading)
            elif kind == "boolean":
                cells[name], strange = read_booleans(column, reading)
            else:
                cells[name], strange = read_column(column, kind, reading)
            if strange.any():
                raise UserError(refusal(name, kind, column[strange].iloc[0]))
        return cells
