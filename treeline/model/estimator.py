"""The estimators: features, booster and labels in one scikit-learn object that travels as the model."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xgboost as xgb
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted

from treeline.data.target import label_codes
from treeline.model.boosting import TWEEDIE, boost, booster_params, set_level, task_params
from treeline.model.conformal import HeldOut, beside_prediction, fit_width
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
        level: of a very skewed target, from the search: how many times the sum of new rows is what the sum of those
            trained on would have it; 1 leaves the booster as it is.

    Attributes:
        features_: fitted on the training rows.
        booster_: with exactly `rounds` rounds.
        booster_params_: what the booster got.
        feature_names_in_, n_features_in_: the raw columns it wants.
    """

    def __init__(
        self, features: Features, params: Mapping[str, Any], rounds: int, cpus: int = 1, level: float = 1.0
    ) -> None:
        self.features = features
        self.params = params
        self.rounds = rounds
        self.cpus = cpus
        self.level = level

    def _fit(self, X: pd.DataFrame, y: np.ndarray, weight: np.ndarray | None, task: str) -> None:
        n_classes = len(self.classes_) if task != "regression" else 0
        self.features_ = clone(self.features)
        matrix = self.features_.fit_transform(X, y)
        self.feature_names_in_ = self.features_.feature_names_in_
        self.n_features_in_ = self.features_.n_features_in_
        data = quantile_matrix(self.features_, matrix, y, weight=weight)
        cpus = 1 if data.num_row() * data.num_col() < MIN_CELLS_FOR_THREADS else self.cpus
        self.booster_params_ = booster_params({**task_params(task, n_classes), **self.params}, y)
        fold = Fold(data, columns=self.features_.columns_out)
        booster = boost(self.booster_params_, [fold], self.rounds, cpus)[0]
        if self.level != 1:
            booster = self._at_level(booster, data, np.average(y, weights=weight))
        self.booster_ = booster

    def _at_level(self, booster: xgb.Booster, data: xgb.QuantileDMatrix, mean: float) -> xgb.Booster:
        """Bring a booster to its level: what makes the sum of its training rows right, times what new rows differ."""
        weight = data.get_weight()
        fitted = float(np.average(booster.predict(data).astype(np.float64), weights=weight if len(weight) else None))
        level = self.level * mean / fitted
        if self.booster_params_["objective"] == TWEEDIE:
            return set_level(booster, level)
        return set_level(booster, 1.0, shift=(level - 1) * fitted)

    def set_threads(self, threads: int) -> None:
        """Let predictions take so many threads, from 1."""
        self.booster_.set_param({"nthread": threads})

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
        threshold_: of two labels, the probability of the second from which a row is given it; None gives each row the
            more probable one. Whoever sets it chooses it on rows that did not train the model.
    """

    threshold_: float | None = None  # of every model, those that were stored before there was a threshold too

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
        check_is_fitted(self)
        raw = self.booster_.inplace_predict(self.features_.transform(X))
        if not len(X):
            return np.empty((0, len(self.classes_)))
        return np.column_stack([1 - raw, raw]) if raw.ndim == 1 else raw

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Give the label of each row, shape (n_rows,): the most probable one, or of two what `threshold_` says."""
        places = self.decide(self.predict_proba(X))
        return self.classes_[places]

    def decide(self, probabilities: np.ndarray) -> np.ndarray:
        """Give the place among `classes_` that follows from probabilities of shape (n_rows, n_classes)."""
        if self.threshold_ is None:
            return probabilities.argmax(axis=1)
        return (probabilities[:, 1] >= self.threshold_).astype(np.intp)

    def answer(self, X: pd.DataFrame) -> pd.DataFrame:
        """Give `prediction` and one `probability_<class>` column a class, under the index of the rows."""
        probabilities = self.predict_proba(X)
        columns = {f"probability_{label}": probabilities[:, i] for i, label in enumerate(self.classes_)}
        return pd.DataFrame({"prediction": self.classes_[self.decide(probabilities)], **columns}, index=X.index)


class TreelineRegressor(RegressorMixin, _TreelineEstimator):
    """Raw columns in, numbers out.

    Attributes:
        unit_: in which the booster answers; 1 unless the target's spread is far from it.
        coverage_: the share of new rows that the intervals are to hold, between 0 and 1; 0 gives no intervals.
        half_width_: of each interval; with `spread_` in multiples of what that predicts for the row.
        spread_: predicts the logarithm of the size of a row's residual; None gives all rows the same width.
    """

    coverage_: float = 0.0  # of every model, those that were stored before there were intervals too
    half_width_: float = 0.0
    spread_: xgb.Booster | None = None

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
        check_is_fitted(self)
        return self._predict(self.features_.transform(X))

    def fit_interval(self, held: HeldOut, coverage: float) -> "TreelineRegressor":
        """Give predictions intervals that are to hold a share of new rows.

        Args:
            held: rows predicted by models that had not seen them, such as the training rows out of fold.
            coverage: between 0 and 1.

        Raises:
            UserError: there are too few rows for that coverage.
        """
        found = fit_width(self.features, held, coverage, self.cpus)
        self.coverage_, self.half_width_, self.spread_ = found.coverage, found.half, found.spread
        return self

    def predict_interval(self, X: pd.DataFrame) -> np.ndarray:
        """Give the lower and the upper end of each row's interval, float64 of shape (n_rows, 2)."""
        matrix = self.features_.transform(X)
        return self._ends(matrix, self._predict(matrix))

    def answer(self, X: pd.DataFrame) -> pd.DataFrame:
        """Give `prediction`, and with intervals `prediction_low` and `prediction_high`, under the index of the rows."""
        check_is_fitted(self)
        matrix = self.features_.transform(X)
        predictions = self._predict(matrix)
        found = pd.DataFrame({"prediction": predictions}, index=X.index)
        if self.coverage_:
            ends = self._ends(matrix, predictions)
            found["prediction_low"], found["prediction_high"] = ends[:, 0], ends[:, 1]
        return found

    def set_threads(self, threads: int) -> None:
        """Let predictions take so many threads, from 1."""
        super().set_threads(threads)
        if self.spread_ is not None:
            self.spread_.set_param({"nthread": threads})

    def _predict(self, matrix: np.ndarray) -> np.ndarray:
        return self.booster_.inplace_predict(matrix).astype(np.float64) * self.unit_

    def _ends(self, matrix: np.ndarray, predictions: np.ndarray) -> np.ndarray:
        half = np.full(len(matrix), self.half_width_)
        if self.spread_ is not None and len(matrix):
            matrix = beside_prediction(matrix, predictions)
            half *= np.exp(self.spread_.inplace_predict(matrix).astype(np.float64))
        return np.column_stack([predictions - half, predictions + half])


def make_estimator(
    problem: "Problem", params: Mapping[str, Any], rounds: int, cpus: int, level: float = 1.0
) -> TreelineClassifier | TreelineRegressor:
    """Make the estimator of a problem, not fitted.

    Args:
        problem: whose columns and task it is for.
        params: XGBoost's parameters, from the search.
        rounds: how many boosting rounds, from 1.
        cpus: the CPU budget of fitting.
        level: of a very skewed target, from the search (`treeline.tuning.out_of_fold`).
    """
    kind = TreelineRegressor if problem.task == "regression" else TreelineClassifier
    return kind(Features(problem.kinds, problem.derived, problem.readings), params, rounds, cpus, level)
