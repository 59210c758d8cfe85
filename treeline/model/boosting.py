"""The one trainer of trials and final fit: boosters side by side within the CPU budget, scored round by round."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xgboost as xgb
from scipy.stats import skew

from treeline.metrics import curves_of, metrics_of
from treeline.model.features import Features

TURN_SECONDS = 0.02  # how long a fold trains before the next one's turn
MIN_TARGET_SPREAD, MAX_TARGET_SPREAD = 0.01, 10_000.0  # spread of a target that is fitted as it is
MIN_SKEWNESS = 3.0  # skewness above which a target is very skewed


@dataclass(frozen=True)
class Fold:
    """One booster's data: what it trains on, and what its rounds are scored on (None for the final fit)."""

    train: xgb.QuantileDMatrix
    valid: xgb.QuantileDMatrix | None = None


@dataclass(frozen=True)
class CrossValidation:
    """What a set of parameters is worth.

    Attributes:
        score: the mean over the folds of the metric to optimise, at its best round.
        rounds: how many rounds that takes, from 1.
        mean: each metric after each round, averaged over the folds; n_rounds values.
        std: its standard deviation over the folds; n_rounds values.
        seconds: wall time.
    """

    score: float
    rounds: int
    mean: Mapping[str, Sequence[float]]
    std: Mapping[str, Sequence[float]]
    seconds: float


def task_params(task: str, n_classes: int, y: np.ndarray | None = None) -> dict[str, Any]:
    """XGBoost's parameters that follow from the task rather than from the search.

    A target of numbers that are never negative and very skewed is fitted on a log link, by Tweedie's deviance: squared
    error would see little but the few largest. It predicts the mean, as squared error does.

    XGBoost keeps its random state by thread: seeded anew for every round, rows and columns are drawn alike whatever
    was trained on that thread before.
    """
    objective = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}[task]
    if task == "regression" and y is not None and is_skewed(y):
        objective = "reg:tweedie"
    classes = {"num_class": n_classes} if task == "multiclass" else {}
    fixed = {"tree_method": "hist", "max_bin": 256, "seed_per_iteration": True, "verbosity": 1}
    return {"objective": objective, **classes, **fixed}


def is_skewed(y: np.ndarray) -> bool:
    """Tell whether numbers, none of them negative, are very skewed and their logarithms much less so."""
    if y.min() < 0 or y.max() == y.min():
        return False
    logs = np.log1p(y / np.mean(y))
    return bool(skew(y) > MIN_SKEWNESS and abs(skew(logs)) < skew(y) / 2)


def target_unit(y: np.ndarray) -> float:
    """Give the unit in which numbers are fitted, a power of ten: 1 unless their spread is far from it.

    XGBoost makes no split that gains less than 1e-6, so a target of millionths would not be learned at all; and the
    deviance of a skewed one is steady near 1.
    """
    size = float(np.mean(y)) if is_skewed(y) else float(np.std(y))
    if not np.isfinite(size) or size == 0 or (MIN_TARGET_SPREAD <= size <= MAX_TARGET_SPREAD and not is_skewed(y)):
        return 1.0
    return float(10.0 ** np.round(np.log10(size)))


def quantile_matrix(
    features: Features, matrix: np.ndarray, y: np.ndarray, ref: xgb.QuantileDMatrix | None = None
) -> xgb.QuantileDMatrix:
    """Bin rows once for every booster that will train on them.

    Args:
        features: that made the matrix.
        matrix: float32, shape (n_rows, n_features).
        y: class codes or numbers, shape (n_rows,).
        ref: for rows that are only scored, the training rows whose bins they take.
    """
    return xgb.QuantileDMatrix(
        matrix,
        y,
        feature_names=list(features.get_feature_names_out()),
        feature_types=features.feature_types,
        enable_categorical=True,
        ref=ref,
    )


def make_folds(
    features: Features, X: pd.DataFrame, y: np.ndarray, parts: Sequence[tuple[np.ndarray, np.ndarray]]
) -> list[Fold]:
    """Bin the folds; the features of each are fitted on its training part.

    Args:
        features: not fitted; each fold fits a copy.
        X: raw training rows, shape (n_rows, n_raw).
        y: class codes, or floats for regression, shape (n_rows,).
        parts: the rows that train and those that are scored, a pair of positions a fold.
    """
    folds = []
    for train, valid in parts:
        fitted = Features(features.kinds, features.derived)
        binned = quantile_matrix(fitted, fitted.fit_transform(X.iloc[train], y[train]), y[train])
        scored = fitted.transform(X.iloc[valid])
        folds.append(Fold(binned, quantile_matrix(fitted, scored, y[valid], ref=binned)))
    return folds


def boost(
    params: Mapping[str, Any],
    folds: Sequence[Fold],
    rounds: int,
    cpus: int,
    on_round: Callable[[int, np.ndarray], bool] | None = None,
) -> list[xgb.Booster]:
    """Train one booster a fold, side by side within the CPU budget: the one trainer of trials and final fit.

    The folds take turns of a few rounds, the one that is furthest behind first, so every CPU is busy to the end
    whatever the number of folds; one more than there are CPUs is at work, so that none waits while turns change hands.
    Training releases Python's lock, so threads suffice. Each booster keeps to a thread of its own: XGBoost caches its
    predictions by thread, and on another it would predict again what it has trained. How the turns fall changes no
    result: a booster's rounds depend on its own data and parameters only.

    Args:
        params: for XGBoost; `nthread` is set here, and `reg_alpha` of a squared error is counted in standard
            deviations of the target, so that it means the same whatever the target's unit.
        folds: at least one.
        rounds: how many to train, from 1.
        cpus: how many CPUs to keep busy, from 1.
        on_round: called in this thread, in order, once all folds have finished a round, with the round (from 0) and
            the scores, shape (n_folds, n_metrics) in the order of `eval_metric`. True ends the training; a booster
            may then hold a few rounds more than were reported.

    Returns:
        The boosters, in the order of the folds.
    """
    settings = {**params, "nthread": max(1, cpus // len(folds))}
    boosters = [
        xgb.Booster(_to_scale(settings, fold.train), [data for data in (fold.train, fold.valid) if data])
        for fold in folds
    ]
    histories: list[list[list[float]]] = [[] for _ in folds]
    idle, running = list(range(len(folds))), dict[Future[list[list[float]]], int]()
    stop, reported = threading.Event(), 0
    with ExitStack() as stack:
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in folds]
        try:
            while idle or running:
                idle.sort(key=lambda i: len(histories[i]))
                while idle and len(running) < min(cpus + 1, len(folds)):
                    i = idle.pop(0)
                    first = len(histories[i])
                    running[threads[i].submit(_turn, boosters[i], folds[i], first, rounds, stop)] = i
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    i = running.pop(future)
                    histories[i] += future.result()
                    if len(histories[i]) < rounds and not stop.is_set():
                        idle.append(i)
                while on_round and not stop.is_set() and reported < min(map(len, histories)):
                    if on_round(reported, np.array([history[reported] for history in histories])):
                        stop.set()
                        idle.clear()
                    reported += 1
        finally:
            stop.set()
    return boosters


def cross_validate(
    params: Mapping[str, Any],
    folds: Sequence[Fold],
    task: str,
    metric: str,
    rounds: int,
    patience: int,
    cpus: int,
    watch: Callable[[int, Mapping[str, float], Mapping[str, float]], bool] | None = None,
    unit: float = 1.0,
) -> CrossValidation:
    """Score parameters on the folds, stopping when the mean over the folds has not improved for `patience` rounds.

    Args:
        params: for XGBoost, with `task_params`.
        folds: each with rows to score.
        task: `binary`, `multiclass` or `regression`.
        metric: what is optimised, one of `curves_of(task)`.
        rounds: the most to train.
        patience: rounds without improvement of the mean before training stops.
        cpus: the CPU budget.
        watch: called after each round, from 1, with the mean and the standard deviation over the folds of each metric;
            True ends the training.
        unit: of the folds' target, by which the metrics of a regression are multiplied.

    Raises:
        ValueError: the metric exists in no fold.
    """
    start = time.perf_counter()
    curves = curves_of(task)
    sign = 1 if metrics_of(task)[metric].greater_is_better else -1
    mean: dict[str, list[float]] = {name: [] for name in curves}
    std: dict[str, list[float]] = {name: [] for name in curves}
    best, best_round = -np.inf, 1

    def on_round(i: int, scores: np.ndarray) -> bool:
        nonlocal best, best_round
        means, spreads = (dict(zip(curves, values.tolist(), strict=True)) for values in _mean_and_std(scores * unit))
        for name in curves:
            mean[name].append(means[name])
            std[name].append(spreads[name])
        if sign * means[metric] > best:
            best, best_round = sign * means[metric], i + 1
        stopped = watch is not None and watch(i + 1, means, spreads)
        return stopped or i + 1 - best_round >= patience

    boost({**params, "eval_metric": list(curves.values())}, folds, rounds, cpus, on_round)
    if best == -np.inf:
        raise ValueError(f"{metric} exists in no fold: each lacks a class; use another metric or fewer folds")
    return CrossValidation(float(sign * best), best_round, mean, std, time.perf_counter() - start)


def _to_scale(params: Mapping[str, Any], data: xgb.QuantileDMatrix) -> dict[str, Any]:
    if params["objective"] != "reg:squarederror" or not params.get("reg_alpha"):
        return dict(params)
    return {**params, "reg_alpha": params["reg_alpha"] * float(np.std(data.get_label().astype(np.float64)))}


def _mean_and_std(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average over the folds, shape (n_folds, n_metrics), those aside in which a metric does not exist (an AUC where a
    class is absent is NaN); NaN where it exists in none.
    """
    exists = np.isfinite(scores)
    counts = np.where(exists.any(axis=0), exists.sum(axis=0), np.nan)
    mean = np.where(exists, scores, 0).sum(axis=0) / counts
    return mean, np.sqrt((np.where(exists, scores - mean, 0) ** 2).sum(axis=0) / counts)


def _turn(booster: xgb.Booster, fold: Fold, first: int, rounds: int, stop: threading.Event) -> list[list[float]]:
    """Train a few rounds of one booster and return the scores of each; at least one round."""
    end = time.perf_counter() + TURN_SECONDS
    scores: list[list[float]] = []
    for i in range(first, rounds):
        booster.update(fold.train, i)
        message = booster.eval_set([(fold.valid, "valid")], i) if fold.valid else ""
        scores.append([float(part.rpartition(":")[2]) for part in message.split("\t")[1:]])
        if stop.is_set() or time.perf_counter() > end:
            break
    return scores
