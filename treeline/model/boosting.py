"""The one trainer of trials and final fit: boosters side by side within the CPU budget, measured round by round."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost as xgb

from treeline.metrics import curves_of, metrics_of
from treeline.model.constraints import over_features
from treeline.model.matrices import Fold, is_skewed

TURN_SECONDS = 0.02  # how long a fold trains before the next one's turn


@dataclass(frozen=True)
class Measure:
    """What the rounds of a cross-validation are measured by.

    Attributes:
        task: `binary`, `multiclass` or `regression`.
        metric: what is optimised, one of `curves_of(task)`.
        unit: of the folds' target, by which the metrics of a regression are multiplied.
    """

    task: str
    metric: str
    unit: float = 1.0


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
class Turn:
    """What a booster does before another one's turn.

    Attributes:
        first: round, from 0.
        rounds: at which training ends.
        metrics: XGBoost's names, measured after each round.
        stop: set where training ends early; at least one round is trained.
    """

    first: int
    rounds: int
    metrics: Sequence[str]
    stop: threading.Event


@dataclass(frozen=True)
class CrossValidation:
    """What a set of parameters is worth.

    Attributes:
        value: the mean over the folds of the metric to optimise, at its best round.
        rounds: how many rounds that takes, from 1.
        mean: each metric after each round, averaged over the folds; n_rounds values.
        std: its standard deviation over the folds; n_rounds values.
        seconds: wall time.
    """

    value: float
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


def booster_params(params: Mapping[str, Any], y: np.ndarray) -> dict[str, Any]:
    """Give the parameters that boosters get for those of a search.

    They are the same but for `reg_alpha` of a squared error, which a search counts in standard deviations of the
    target, so that it means the same whatever the target's unit.

    Args:
        params: of `task_params` and the search.
        y: all training targets, in the unit that the booster learns; shape (n_rows,). XGBoost keeps them as float32.
    """
    if params["objective"] != "reg:squarederror" or not params.get("reg_alpha"):
        return dict(params)
    return {**params, "reg_alpha": params["reg_alpha"] * float(np.std(y.astype(np.float32).astype(np.float64)))}


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
        params: for XGBoost, as `booster_params` gives them, constraints by column names; `nthread` is set here.
        folds: at least one.
        rounds: how many to train, from 1.
        cpus: how many CPUs to keep busy, from 1.
        on_round: called in this thread, in order, once all folds have finished a round, with the round (from 0) and
            the metrics, shape (n_folds, n_metrics) in the order of `eval_metric`. True ends the training; a booster
            may then hold a few rounds more than were reported.

    Returns:
        The boosters, in the order of the folds.
    """
    settings = {**params, "nthread": max(1, cpus // len(folds))}
    metrics = list(params.get("eval_metric", []))
    boosters = [
        xgb.Booster(
            {**settings, **_constraints(params, fold), "eval_metric": _measurable(metrics, params, fold)},
            [data for data in (fold.train, fold.valid) if data],
        )
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
                    turn = Turn(first, rounds, metrics, stop)
                    running[threads[i].submit(_turn, boosters[i], folds[i], turn)] = i
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
    curves, metric = curves_of(measure.task), measure.metric
    sign = 1 if metrics_of(measure.task)[metric].greater_is_better else -1
    mean: dict[str, list[float]] = {name: [] for name in curves}
    std: dict[str, list[float]] = {name: [] for name in curves}
    best, best_round = -np.inf, 1

    def on_round(i: int, values: np.ndarray) -> bool:
        nonlocal best, best_round
        average, spread = _mean_and_std(values * measure.unit)
        means, spreads = (dict(zip(curves, each.tolist(), strict=True)) for each in (average, spread))
        for name in curves:
            mean[name].append(means[name])
            std[name].append(spreads[name])
        if sign * means[metric] > best:
            best, best_round = sign * means[metric], i + 1
        stopped = watch is not None and watch(i + 1, means, spreads)
        return stopped or i + 1 - best_round >= limits.patience

    boost({**params, "eval_metric": list(curves.values())}, folds, limits.rounds, limits.cpus, on_round)
    if best == -np.inf:
        raise ValueError(f"{metric} exists in no fold: each lacks a class; use another metric or fewer folds")
    return CrossValidation(float(sign * best), best_round, mean, std, time.perf_counter() - start)


def _mean_and_std(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average over the folds, shape (n_folds, n_metrics), those aside in which a metric does not exist (an AUC where a
    class is absent is NaN); NaN where it exists in none.
    """
    exists = np.isfinite(values)
    counts = np.where(exists.any(axis=0), exists.sum(axis=0), np.nan)
    mean = np.where(exists, values, 0).sum(axis=0) / counts
    return mean, np.sqrt((np.where(exists, values - mean, 0) ** 2).sum(axis=0) / counts)


def _constraints(params: Mapping[str, Any], fold: Fold) -> dict[str, Any]:
    """Give the constraints over columns as those over the features of a fold."""
    names = fold.train.feature_names or []
    return over_features(params, names, fold.columns or names)


def _measurable(metrics: Sequence[str], params: Mapping[str, Any], fold: Fold) -> list[str]:
    """Give the metrics that exist on a fold: an AUC does not where a class is absent, and XGBoost warns every round."""
    if "auc" not in metrics or fold.valid is None:
        return list(metrics)
    whole = len(np.unique(fold.valid.get_label())) == params.get("num_class", 2)
    return [name for name in metrics if whole or name != "auc"]


def _turn(booster: xgb.Booster, fold: Fold, turn: Turn) -> list[list[float]]:
    """Train a few rounds of one booster and return the metrics of each, NaN where one does not exist on the fold."""
    end = time.perf_counter() + TURN_SECONDS
    values: list[list[float]] = []
    for i in range(turn.first, turn.rounds):
        booster.update(fold.train, i)
        if fold.valid:
            message = booster.eval_set([(fold.valid, "valid")], i)
            found = dict(part.removeprefix("valid-").rsplit(":", 1) for part in message.split("\t")[1:])
            values.append([float(found.get(name, "nan")) for name in turn.metrics or found])
        else:
            values.append([])
        if turn.stop.is_set() or time.perf_counter() > end:
            break
    return values
