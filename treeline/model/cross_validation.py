"""Cross-validation: what parameters are worth on rows that their boosters have not seen."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xgboost as xgb

from treeline.metrics import curves_of, metrics_of
from treeline.model.boosting import ABSOLUTE_ERROR, TWEEDIE, boost
from treeline.model.matrices import Fold


@dataclass(frozen=True)
class Measure:
    """What a cross-validation measures.

    Attributes:
        task: `binary`, `multiclass` or `regression`.
        metric: what is optimised, one of `metrics_of(task)`.
        unit: of the folds' target, by which the predictions of a regression are multiplied.
        keeps_total: whether the sum of predictions is to be that of the truth, as it is of a very skewed target that
            is never negative; else the booster's own level stands.
    """

    task: str
    metric: str
    unit: float = 1.0
    keeps_total: bool = False

    @property
    def by_round(self) -> bool:
        """Whether XGBoost measures the metric after each round."""
        return self.metric in curves_of(self.task)

    @property
    def loss(self) -> str:
        """The metric by which rounds are counted: the one to optimise, or the loss nearest to it where XGBoost has no
        such metric. A share of the truth and a distance of logarithms are nearer to the absolute error, for the largest
        rows do not rule them.
        """
        if self.by_round:
            return self.metric
        return "mae" if self.task == "regression" else "log_loss"

    @property
    def sign(self) -> int:
        """1 where more of the metric is better, else -1."""
        return 1 if metrics_of(self.task)[self.metric].greater_is_better else -1

    def value(self, fold: Fold, predictions: np.ndarray) -> float:
        """Measure the predictions of a fold, as `predict_folds` gives them; NaN where the metric does not exist."""
        assert fold.valid is not None
        label, weight = fold.valid.get_label(), row_weights(fold)
        compute = metrics_of(self.task)[self.metric].compute
        if self.task == "regression":
            return compute(label.astype(np.float64) * self.unit, predictions, predictions, weight)
        return compute(label.astype(np.int64), predictions.argmax(axis=1), predictions, weight)


@dataclass(frozen=True)
class Limits:
    """How long a cross-validation trains.

    Attributes:
        rounds: the most to train, from 1.
        patience: rounds without improvement of the mean before training stops, from 1.
        cpus: the CPU budget, from 1.
    """

    rounds: int
    patience: int
    cpus: int


@dataclass(frozen=True)
class CrossValidation:
    """What a set of parameters is worth.

    Attributes:
        value: the mean over the folds of the metric to optimise, at the best round; by Tweedie's deviance, of
            predictions at their level (`held_out_level`), as the model's will be.
        rounds: the round at which the loss (`Measure.loss`) is best, from 1.
        mean: each metric after each round, averaged over the folds by the rows, or their weights, that measure them;
            n_rounds values.
        std: its standard deviation over the folds; n_rounds values.
        seconds: wall time.
    """

    value: float
    rounds: int
    mean: Mapping[str, Sequence[float]]
    std: Mapping[str, Sequence[float]]
    seconds: float


def cross_validate(
    params: Mapping[str, Any],
    folds: Sequence[Fold],
    measure: Measure,
    limits: Limits,
    watch: Callable[[int, Mapping[str, float], Mapping[str, float]], bool] | None = None,
) -> CrossValidation:
    """Measure parameters on the folds, stopping when the mean over the folds has not improved for some rounds.

    Args:
        params: for XGBoost, with `task_params`.
        folds: each with rows to predict.
        measure: what is optimised.
        limits: when training stops.
        watch: called after each round, from 1, with the mean and the standard deviation over the folds of each metric;
            True ends the training.

    Raises:
        ValueError: the metric exists in no fold.
    """
    start = time.perf_counter()
    curves, loss = curves_of(measure.task), measure.loss
    sign = 1 if metrics_of(measure.task)[loss].greater_is_better else -1
    weights = fold_weights(folds)
    mean: dict[str, list[float]] = {name: [] for name in curves}
    std: dict[str, list[float]] = {name: [] for name in curves}
    best, best_round = -np.inf, 1

    def on_round(i: int, values: np.ndarray) -> bool:
        nonlocal best, best_round
        average, spread = _mean_and_std(values * measure.unit, weights)
        means, spreads = (dict(zip(curves, each.tolist(), strict=True)) for each in (average, spread))
        for name in curves:
            mean[name].append(means[name])
            std[name].append(spreads[name])
        if sign * means[loss] > best:
            best, best_round = sign * means[loss], i + 1
        stopped = watch is not None and watch(i + 1, means, spreads)
        return stopped or i + 1 - best_round >= limits.patience

    boosters = boost({**params, "eval_metric": list(curves.values())}, folds, limits.rounds, limits.cpus, on_round)
    value = float(sign * best)
    if not measure.by_round or measure.keeps_total:
        predictions = predict_folds(boosters, folds, measure, best_round)
        level = held_out_level(params, folds, predictions, measure)
        value = mean_over_folds(measure, folds, _at_level(params, predictions, level))
    if not np.isfinite(value):
        raise ValueError(f"{measure.metric} exists in no fold: each lacks a class; use another metric or fewer folds")
    return CrossValidation(value, best_round, mean, std, time.perf_counter() - start)


def predict_held_out(
    params: Mapping[str, Any], folds: Sequence[Fold], measure: Measure, rounds: int, cpus: int
) -> tuple[list[np.ndarray], float]:
    """Train the folds' boosters for a number of rounds, and predict the rows that each has not seen.

    Returns:
        The predictions of each fold, as `predict_folds` gives them, at their level (`held_out_level`); and how many
        times the level is what it would be on the rows that the boosters were trained on. The final fit, which has more
        rows than a fold, multiplies its own level on its training rows by that.
    """
    boosters = boost(params, [replace(fold, valid=None) for fold in folds], rounds, cpus)
    predictions = predict_folds(boosters, folds, measure, rounds)
    level = held_out_level(params, folds, predictions, measure)
    if level == 1:
        return predictions, level
    trained = [replace(fold, valid=fold.train) for fold in folds]
    fitted = predict_folds(boosters, trained, measure, rounds)
    return _at_level(params, predictions, level), level / held_out_level(params, trained, fitted, measure)


def predict_folds(
    boosters: Sequence[xgb.Booster], folds: Sequence[Fold], measure: Measure, rounds: int
) -> list[np.ndarray]:
    """Predict the rows that measure each fold, by the first rounds of its booster.

    Returns:
        An array a fold: numbers of shape (n_rows,) in the target's own unit, or probabilities of shape (n_rows,
        n_classes).
    """
    raw = [
        booster.predict(fold.valid, iteration_range=(0, rounds)).astype(np.float64)
        for booster, fold in zip(boosters, folds, strict=True)
    ]
    if measure.task == "regression":
        return [each * measure.unit for each in raw]
    return [np.column_stack([1 - each, each]) if each.ndim == 1 else each for each in raw]


def held_out_level(
    params: Mapping[str, Any], folds: Sequence[Fold], predictions: Sequence[np.ndarray], measure: Measure
) -> float:
    """Give how many times the sum of held-out predictions that of the truth is; 1 where that is not looked at.

    Sums of a very skewed target come out too low: on a log link the largest rows are learned last, and a squared error
    gives them leaves of their own, which new rows seldom meet. An absolute error is not meant to keep a sum.

    Args:
        params: of the boosters.
        folds: whose rows were predicted.
        predictions: of each fold, in the target's own unit.
        measure: whose unit that is.
    """
    if not measure.keeps_total or params["objective"] == ABSOLUTE_ERROR:
        return 1.0
    truth = predicted = 0.0
    for fold, each in zip(folds, predictions, strict=True):
        assert fold.valid is not None
        weight = row_weights(fold)
        truth += float(weight @ fold.valid.get_label().astype(np.float64)) * measure.unit
        predicted += float(weight @ each)
    return truth / predicted if truth > 0 < predicted else 1.0


def _at_level(params: Mapping[str, Any], predictions: Sequence[np.ndarray], level: float) -> list[np.ndarray]:
    """Bring predictions to a level as `treeline.model.boosting.set_level` brings a booster's."""
    if params["objective"] == TWEEDIE:
        return [each * level for each in predictions]
    return [each + (level - 1) * float(np.concatenate(predictions).mean()) for each in predictions]


def mean_over_folds(measure: Measure, folds: Sequence[Fold], predictions: Sequence[np.ndarray]) -> float:
    """Give the metric to optimise of held-out predictions, averaged over the folds as its curve is."""
    values = [[measure.value(fold, each)] for fold, each in zip(folds, predictions, strict=True)]
    return float(_mean_and_std(np.array(values), fold_weights(folds))[0][0])


def row_weights(fold: Fold) -> np.ndarray:
    """Give the weight of each row that measures a fold; ones where rows have none."""
    assert fold.valid is not None
    weight = fold.valid.get_weight()
    return weight.astype(np.float64) if len(weight) else np.ones(fold.valid.num_row())


def fold_weights(folds: Sequence[Fold]) -> np.ndarray:
    """Give what each fold counts in a mean: the weights of the rows that measure it, or their number; shape (n_folds,).

    They are 1 on average, so folds of one size count as 1 each.
    """
    weights = np.array([row_weights(fold).sum() for fold in folds])
    return weights / weights.mean()


def _mean_and_std(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average over the folds, shape (n_folds, n_metrics), those aside in which a metric does not exist (an AUC where a
    class is absent is NaN); NaN where it exists in none.
    """
    exists = np.isfinite(values)
    counts = np.where(exists.any(axis=0), weights @ exists, np.nan)
    mean = weights @ np.where(exists, values, 0) / counts
    return mean, np.sqrt(weights @ (np.where(exists, values - mean, 0) ** 2) / counts)
