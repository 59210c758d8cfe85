"""What the benchmarks share: seeded tables, the bare loop, our study, and the interleaved measurement."""

import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import pandas as pd
import xgboost as xgb
from optuna.trial import TrialState
from sklearn.datasets import load_breast_cancer, make_classification
from sklearn.model_selection import StratifiedKFold

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tracking.trial_log import RunLog
from treeline.cpus import cpu_budget
from treeline.data.problem import Problem
from treeline.metrics import curves_of
from treeline.model.boosting import task_params
from treeline.tuning.objective import make_objective
from treeline.tuning.records import NoLog, TrialLog
from treeline.tuning.schedule import SearchSettings, ask_next
from treeline.tuning.search_space import SPACE
from treeline.tuning.trial import run_trial

FOLDS, ROUNDS, SEED = 5, 100, 0

Labelled = tuple[pd.DataFrame, np.ndarray]  # columns and labels


def table(rows: int, columns: int = 30) -> Labelled:
    """Make a seeded binary table of float32 columns; 0 rows gives breast cancer."""
    if not rows:
        return load_breast_cancer(return_X_y=True, as_frame=True)
    X, y = make_classification(
        rows, columns, n_informative=columns // 3, n_redundant=columns // 5, flip_y=0.1, random_state=SEED
    )
    return pd.DataFrame(X.astype(np.float32), columns=[f"x{i}" for i in range(columns)]), y


def drawn(trials: int) -> list[dict[str, Any]]:
    """Draw the parameters of the trials, the same for every contestant."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=SEED))
    return [study.ask(dict(SPACE)).params for _ in range(trials)]


def bare_loop(
    rows: Labelled, points: Sequence[Mapping[str, Any]], rounds: int = ROUNDS, trials: int = 0, seed: int = SEED
) -> float:
    """Optuna and `xgb.cv` with XGBoost's default threads, and nothing else; return the best value.

    Args:
        rows: the columns and the labels.
        points: tried first.
        rounds: of every trial.
        trials: how many there are; 0 for as many as there are points.
        seed: of the sampler and of XGBoost; the folds are always the same.
    """
    X, y = rows
    data = xgb.DMatrix(X, y)
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=SEED).split(X, y))
    metrics = list(curves_of("binary").values())
    fixed = {**task_params("binary", 2), "seed": seed}

    def objective(trial: optuna.Trial) -> float:
        params = {name: trial._suggest(name, distribution) for name, distribution in SPACE.items()}
        result = xgb.cv({**fixed, **params}, data, rounds, folds=folds, metrics=metrics)
        return float(result["test-logloss-mean"].min())

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    for point in points:
        study.enqueue_trial(dict(point))
    study.optimize(objective, n_trials=trials or len(points))
    return study.best_value


def our_problem(rows: Labelled) -> tuple[Problem, pd.DataFrame]:
    """Pose the problem of a binary table; give it and the training rows."""
    X, y = rows
    kinds = dict.fromkeys(X.columns, "number")
    return Problem("benchmark", "", "y", "binary", "", [0, 1], kinds, {}, ""), X.assign(y=y)


def our_loop(rows: Labelled, points: Sequence[Mapping[str, Any]], tracked: bool, rounds: int = ROUNDS) -> float:
    """Our study over the same parameters, folds and rounds, no pruning, no early stopping; return the best value."""
    study = optuna.create_study(pruner=optuna.pruners.NopPruner())
    for point in points:
        study.enqueue_trial(dict(point))
    if not tracked:
        _our_trials(rows, study, NoLog(), rounds)
        return study.best_value
    with mlflow.start_run(log_system_metrics=True) as run:
        log = RunLog(run.info, {})
        _our_trials(rows, study, log, rounds)
        log.finish()
    return study.best_value


def _our_trials(rows: Labelled, study: optuna.Study, log: TrialLog, rounds: int) -> None:
    problem, train = our_problem(rows)
    objective = make_objective(problem, train, SearchSettings(folds=FOLDS, seed=SEED), cpu_budget())
    objective = replace(objective, max_rounds=rounds, early_stopping=False)
    while any(trial.state == TrialState.WAITING for trial in study.get_trials(deepcopy=False)):
        run_trial(objective, study, log, ask_next(study, objective.space, SEED, late=False))


def quiet() -> None:
    """Let libraries be silent, so that the measurements can be read."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def fresh_store() -> None:
    """Point MLflow at a new SQLite store, made before the clock starts."""
    folder = tempfile.mkdtemp()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("benchmark", artifact_location=f"{folder}/artifacts")
    mlflow.set_experiment("benchmark")


def interleave(contestants: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Time each contestant in turn, `repeats` times round; print what each gave, for they must do like work."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, work in contestants.items():
            start = time.perf_counter()
            result = work()
            seconds[name].append(time.perf_counter() - start)
            print(f"  {name: <22} {seconds[name][-1]:8.2f} s   {result if result is not None else ''}", flush=True)
    return seconds


def ratio(of: Sequence[float], to: Sequence[float]) -> str:
    """Give the median of the ratios of the repeats, and their spread."""
    ratios = [a / b for a, b in zip(of, to, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
