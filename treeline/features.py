"""Columns of a frame to one matrix: the scikit-learn transformer that travels inside the model."""

import re
from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_object_dtype, is_string_dtype
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from treeline import UserError
from treeline.checks import first_strange, is_numeric
from treeline.expressions import Expression


class Features(TransformerMixin, BaseEstimator):
    """Fill one float32 matrix column by column: numbers, booleans as 0 and 1, categories as codes, derived columns.

    A missing value, an infinite one and a category not seen in fitting are NaN, which XGBoost sends down the branch
    that it learned for missing values. Columns are taken by name: their order does not matter, further ones are
    ignored.

    Args:
        kinds: the kind of each raw column, `number`, `boolean` or `category`, in the order of the matrix.
        derived: name and expression of each derived column; they follow the raw ones.

    Attributes:
        levels_: the sorted levels of each category column; a level's code is its place.
        feature_names_in_: the raw columns it wants, shape (n_raw,).
        n_features_in_: how many those are.
    """

    def __init__(self, kinds: Mapping[str, str], derived: Mapping[str, str] | None = None) -> None:
        self.kinds = kinds
        self.derived = derived

    def fit(self, X: pd.DataFrame, y: object = None) -> "Features":
        """Learn the levels of the category columns; nothing else is learned."""
        self.levels_ = {
            name: sorted(map(str, X[name].dropna().unique())) for name, kind in self.kinds.items() if kind == "category"
        }
        self.feature_names_in_ = np.array(list(self.kinds), dtype=object)
        self.n_features_in_ = len(self.kinds)
        return self

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """Turn raw rows into a float32 matrix of shape (n_rows, n_raw + n_derived); zero rows are fine.

        Raises:
            UserError: a column is missing, or a number column holds what is not a number.
        """
        check_is_fitted(self)
        missing = [name for name in self.kinds if name not in X.columns]
        if missing:
            raise UserError(
                f"Missing columns: {', '.join(map(repr, missing))}. The model wants {', '.join(map(repr, self.kinds))}."
            )
        derived = self.derived or {}
        matrix = np.empty((len(X), len(self.kinds) + len(derived)), dtype=np.float32)
        expressions = [Expression(text) for text in derived.values()]
        read = {column for expression in expressions for column in expression.columns}
        numbers: dict[str, np.ndarray] = {}
        with np.errstate(over="ignore"):  # a number beyond float32 becomes infinite, and infinite becomes NaN below
            for j, (name, kind) in enumerate(self.kinds.items()):
                if kind == "category":
                    matrix[:, j] = self._codes(name, X[name])
                    continue
                values = _numbers(name, X[name])
                matrix[:, j] = values
                if name in read:
                    numbers[name] = values
            for j, expression in enumerate(expressions, start=len(self.kinds)):
                matrix[:, j] = expression(numbers)
        matrix[np.isinf(matrix)] = np.nan
        return matrix

    def get_feature_names_out(self, input_features: object = None) -> np.ndarray:
        """Name the columns of the matrix, shape (n_features,): the raw and derived names, unique, and without the
        signs `[`, `]` and `<`, which XGBoost does not allow.
        """
        names: list[str] = []
        for name in [*self.kinds, *(self.derived or {})]:
            plain = re.sub(r"[\[\]<]", "_", name)
            while plain in names:
                plain += "_"
            names.append(plain)
        return np.array(names, dtype=object)

    @property
    def feature_types(self) -> list[str]:
        """XGBoost's type of each column of the matrix: `c` for a category, `q` for a quantity."""
        kinds = [*self.kinds.values(), *("number" for _ in self.derived or {})]
        return ["c" if kind == "category" else "q" for kind in kinds]

    def _codes(self, name: str, column: pd.Series) -> np.ndarray:
        codes = {level: float(code) for code, level in enumerate(self.levels_[name])}
        values = column.to_numpy(dtype=object, na_value=np.nan)
        seen = (codes.get(value, np.nan) if isinstance(value, str) else np.nan for value in values)
        return np.fromiter(seen, dtype=np.float32, count=len(column))


def _numbers(name: str, column: pd.Series) -> np.ndarray:
    if column.isna().all():
        return np.full(len(column), np.nan)
    if not any(accepts(column) for accepts in (is_numeric, is_bool_dtype, is_object_dtype, is_string_dtype)):
        raise UserError(f"The column {name!r} wants numbers, got {column.dropna().iloc[0]!r}.")
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError, OverflowError):
        raise UserError(f"The column {name!r} wants numbers, got {first_strange(column)!r}.") from None
