"""The one trainer of trials and final fit: boosters side by side within the CPU budget, measured round by round."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost as xgb

from treeline.interruption import stop_if_wished, wished
from treeline.model.constraints import over_features
from treeline.model.matrices import Fold

SQUARED_ERROR, ABSOLUTE_ERROR, TWEEDIE = "reg:squarederror", "reg:absoluteerror", "reg:tweedie"
TURN_SECONDS = 0.02  # how long a fold trains before the next one's turn


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


def task_params(task: str, n_classes: int) -> dict[str, Any]:
    """XGBoost's parameters that follow from the task rather than from the search.

    XGBoost keeps its random state by thread: seeded anew for every round, rows and columns are drawn alike whatever
    was trained on that thread before.
    """
    objective = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": SQUARED_ERROR}[task]
    classes = {"num_class": n_classes} if task == "multiclass" else {}
    fixed = {"tree_method": "hist", "max_bin": 256, "seed_per_iteration": True, "verbosity": 1}
    return {"objective": objective, **classes, **fixed}


def booster_params(params: Mapping[str, Any], y: np.ndarray) -> dict[str, Any]:
    """Give the parameters that boosters get for those of a search.

    They are the same but for `reg_alpha` of a squared error, which a search counts in standard deviations of the
    target, so that it means the same whatever the target's unit. The gradients of the other objectives have none.

    Args:
        params: of `task_params` and the search.
        y: all training targets, in the unit that the booster learns; shape (n_rows,). XGBoost keeps them as float32.
    """
    if params["objective"] != SQUARED_ERROR or not params.get("reg_alpha"):
        return dict(params)
    return {**params, "reg_alpha": params["reg_alpha"] * float(np.std(y.astype(np.float32).astype(np.float64)))}


def set_level(booster: xgb.Booster, level: float, shift: float = 0.0) -> xgb.Booster:
    """Multiply all that a booster of a log link answers, or shift all that another one does, by what it begins with:
    its trees and their shares of a prediction stay what they are, and whoever loads it gets the level with it.

    Args:
        booster: of a regression; it is left as it is.
        level: above 0, for a log link.
        shift: for any other. Of level 1 and shift 0 the booster itself is given.
    """
    if level == 1 and shift == 0:
        return booster
    model = json.loads(booster.save_raw("json"))
    learned = model["learner"]["learner_model_param"]
    begins = json.loads(learned["base_score"])  # a list of one, or that number before XGBoost 3
    only = begins[0] if isinstance(begins, list) else begins
    moved = f"{only * level + shift:.8E}"  # all digits of a float32, for XGBoost 2 takes a number of more for 0.5
    learned["base_score"] = f"[{moved}]" if isinstance(begins, list) else moved
    scaled = xgb.Booster({"nthread": json.loads(booster.save_config())["learner"]["generic_param"]["nthread"]})
    scaled.load_model(bytearray(json.dumps(model).encode()))
    return scaled


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

    Raises:
        KeyboardInterrupt: the process is to stop; every booster has ended its round.
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
                    stop_if_wished()
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
        if turn.stop.is_set() or wished() or time.perf_counter() > end:
            break
    return values
