"""The estimators: features, booster and labels in one scikit-learn object that travels as the model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted

from treeline.data.target import label_codes
from treeline.model.boosting import boost, booster_params, task_params
from treeline.model.features import Features
from treeline.model.matrices import Fold, quantile_matrix, target_unit

if TYPE_CHECKING:  # a model that is served brings no reader of tables, and what that needs is not installed for it
    from treeline.data.problem import Problem

MIN_CELLS_FOR_THREADS = 500_000  # cells of a matrix below which a second thread costs more than it gives


class _TreelineEstimator(BaseEstimator):
    """Features and a booster of fixed rounds; what the classifier and the regressor share.

    Args:
        features: turns raw columns into the matrix.
        params: XGBoost's parameters from the search.
        rounds: how many boosting rounds, from 1.
        cpus: the CPU budget of fitting.

    Attributes:
        features_: fitted on the training rows.
        booster_: with exactly `rounds` rounds.
        booster_params_: what the booster got.
        feature_names_in_, n_features_in_: the raw columns it wants.
    """

    def __init__(self, features: Features, params: Mapping[str, Any], rounds: int, cpus: int = 1) -> None:
        self.features = features
        self.params = params
        self.rounds = rounds
        self.cpus = cpus

    def _fit(self, X: pd.DataFrame, y: np.ndarray, weight: np.ndarray | None, task: str) -> None:
        n_classes = len(self.classes_) if task != "regression" else 0
        self.features_ = clone(self.features)
        matrix = self.features_.fit_transform(X, y)
        self.feature_names_in_ = self.features_.feature_names_in_
        self.n_features_in_ = self.features_.n_features_in_
        data = quantile_matrix(self.features_, matrix, y, weight=weight)
        cpus = 1 if data.num_row() * data.num_col() < MIN_CELLS_FOR_THREADS else self.cpus
        self.booster_params_ = booster_params({**task_params(task, n_classes), **self.params}, y)
        self.booster_ = boost(
            self.booster_params_, [Fold(data, columns=self.features_.columns_out)], self.rounds, cpus
        )[0]

    def _raw_predictions(self, X: pd.DataFrame) -> np.ndarray:
        check_is_fitted(self)
        return self.booster_.inplace_predict(self.features_.transform(X))

    def feature_frame(self, X: pd.DataFrame) -> pd.DataFrame:
        """Turn raw rows into the matrix that the booster reads, as a float64 frame with its feature names."""
        check_is_fitted(self)
        return pd.DataFrame(
            self.features_.transform(X), columns=self.features_.get_feature_names_out(), index=X.index, dtype="float64"
        )


class TreelineClassifier(ClassifierMixin, _TreelineEstimator):
    """Raw columns in, labels and probabilities out; labels are given back as they stood in the table.

    Attributes:
        classes_: the labels, sorted; of two, the second is the positive one.
    """

    def fit(self, X: pd.DataFrame, y: pd.Series, sample_weight: np.ndarray | None = None) -> "TreelineClassifier":
        """Fit features and booster on raw rows.

        Args:
            X: raw rows, shape (n_rows, n_raw).
            y: two labels or more, none missing.
            sample_weight: how much each row counts, shape (n_rows,), from 0; None counts all alike.
        """
        self.classes_ = np.array(sorted(y.unique()))
        task = "binary" if len(self.classes_) == 2 else "multiclass"
        self._fit(X, label_codes(y, self.classes_), sample_weight, task)
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Give the probability of each class in the order of `classes_`, shape (n_rows, n_classes)."""
        raw = self._raw_predictions(X)
        if not len(X):
            return np.empty((0, len(self.classes_)))
        return np.column_stack([1 - raw, raw]) if raw.ndim == 1 else raw

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Give the most probable label of each row, shape (n_rows,)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def answer(self, X: pd.DataFrame) -> pd.DataFrame:
        """Give `prediction` and one `probability_<class>` column a class, under the index of the rows."""
        probabilities = self.predict_proba(X)
        columns = {f"probability_{label}": probabilities[:, i] for i, label in enumerate(self.classes_)}
        return pd.DataFrame({"prediction": self.classes_[probabilities.argmax(axis=1)], **columns}, index=X.index)


class TreelineRegressor(RegressorMixin, _TreelineEstimator):
    """Raw columns in, numbers out.

    Attributes:
        unit_: in which the booster answers; 1 unless the target's spread is far from it.
    """

    def fit(self, X: pd.DataFrame, y: pd.Series, sample_weight: np.ndarray | None = None) -> "TreelineRegressor":
        """Fit features and booster on raw rows.

        Args:
            X: raw rows, shape (n_rows, n_raw).
            y: finite numbers.
            sample_weight: how much each row counts, shape (n_rows,), from 0; None counts all alike.
        """
        numbers = y.to_numpy(dtype=np.float64)
        self.unit_ = target_unit(numbers)
        self._fit(X, numbers / self.unit_, sample_weight, "regression")
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Give the prediction of each row, float64 of shape (n_rows,)."""
        return self._raw_predictions(X).astype(np.float64) * self.unit_

    def answer(self, X: pd.DataFrame) -> pd.DataFrame:
        """Give `prediction`, under the index of the rows."""
        return pd.DataFrame({"prediction": self.predict(X)}, index=X.index)


def make_estimator(
    problem: "Problem", params: Mapping[str, Any], rounds: int, cpus: int
) -> TreelineClassifier | TreelineRegressor:
    """Make the estimator of a problem, not fitted.

    Args:
        problem: whose columns and task it is for.
        params: XGBoost's parameters, from the search.
        rounds: how many boosting rounds, from 1.
        cpus: the CPU budget of fitting.
    """
    kind = TreelineRegressor if problem.task == "regression" else TreelineClassifier
    return kind(Features(problem.kinds, problem.derived, problem.readings), params, rounds, cpus)
