"""Stage 2: the Optuna study, one nested MLflow run a trial.

Reads: train.parquet and problem.json of a data run; never the test rows.
Writes: a run with the best parameters, score and round count (best.json), and under it one run a trial with its
parameters, its score and the curve of every metric by boosting round.
Parameters: `python hyperparameters_tuning.py --help`.
Run: mlflow run . -e hyperparameters-tuning -P n-trials=20
"""

import sys
import time
from collections.abc import Sequence
from typing import Any

import mlflow
import numpy as np
import optuna
from loguru import logger
from mlflow.entities import Metric, Param, RunTag
from tqdm import tqdm

from config import TuningSettings
from treeline import UserError
from treeline.budget import cpu_budget
from treeline.metrics import curves_of, metrics_of
from treeline.problem import Problem
from treeline.search import SPACE, known_points
from treeline.trainer import CrossValidation, cross_validate, make_folds, task_params
from utils import command, find_run, load_problem, load_split, log_input, stage_run

ROUNDS = 1000  # the most that a trial may train
PATIENCE = 50  # rounds without a better mean over the folds, after which it stops
BATCH = 1000  # the most metrics that MLflow takes in one call


def choose_metric(metric: str, task: str) -> str:
    """Settle the metric to optimise.

    Raises:
        UserError: the task does not have it.
    """
    known = curves_of(task)
    if metric == "auto":
        return next(iter(known))
    if metric not in known:
        raise UserError(f"--metric {metric} does not fit a {task} task: use {', '.join(known)}.")
    return metric


def check_folds(problem: Problem, y: np.ndarray, folds: int) -> None:
    """Refuse more folds than the training rows allow.

    Raises:
        UserError: a fold would have no row, or no class could be in every fold.
    """
    if len(y) < folds:
        raise UserError(f"--folds {folds} is more than the {len(y)} training rows: use fewer.")
    if problem.classes and np.bincount(y).max() < folds:
        raise UserError(
            f"--folds {folds} is more than any class has training rows ({np.bincount(y).max()} at most): use fewer."
        )


def log_trial(client: mlflow.MlflowClient, run_id: str, params: dict[str, Any], result: CrossValidation) -> None:
    """Write a finished trial in batches: parameters, score, and every metric of every round, mean and spread."""
    now = int(time.time() * 1000)
    curves = {f"cv_{name}": values for name, values in result.mean.items()}
    curves |= {f"cv_{name}_std": values for name, values in result.std.items()}
    points = [
        Metric(name, float(value), now, step) for name, values in curves.items() for step, value in enumerate(values, 1)
    ]
    points += [
        Metric("score", result.score, now, 0),
        Metric("rounds", result.rounds, now, 0),
        Metric("seconds", result.seconds, now, 0),
    ]
    logged = [Param(name, str(value)) for name, value in {**params, "rounds": result.rounds}.items()]
    client.log_batch(run_id, points[:BATCH], logged, [RunTag("state", "COMPLETE")])
    for start in range(BATCH, len(points), BATCH):
        client.log_batch(run_id, points[start : start + BATCH])
    client.set_terminated(run_id)


def run(settings: TuningSettings) -> str:
    """Run the stage; return its run id."""
    with stage_run("hyperparameters-tuning", settings, system_metrics=True) as active:
        data_run = find_run("data-preprocessing", settings.data_run_id)
        problem = load_problem(data_run)
        metric = choose_metric(settings.metric, problem.task)
        mlflow.set_tags({"data_run_id": data_run.info.run_id, "data_digest": problem.digest, "metric": metric})
        frame = load_split(data_run.info.run_id, "train")
        y = problem.truth(frame)
        check_folds(problem, y, settings.folds)
        log_input(problem, frame, "train", "tuning", f"{data_run.info.artifact_uri}/train.parquet")

        cpus = cpu_budget()
        folds = make_folds(problem.features(), problem.rows(frame), y, problem.task, settings.folds, settings.seed)
        fixed = {**task_params(problem.task, len(problem.classes)), "seed": settings.seed}
        client = mlflow.MlflowClient()
        study = optuna.create_study(
            direction="maximize" if metrics_of(problem.task)[metric].greater_is_better else "minimize",
            sampler=optuna.samplers.TPESampler(seed=settings.seed),
        )
        for point in known_points(problem.task):
            study.enqueue_trial(point)

        def objective(trial: optuna.Trial) -> float:
            params = {name: trial._suggest(name, distribution) for name, distribution in SPACE.items()}
            tags = {
                "mlflow.parentRunId": active.info.run_id,
                "stage": "trial",
                "trial": str(trial.number),
                "state": "RUNNING",
            }
            child = client.create_run(active.info.experiment_id, run_name=f"trial-{trial.number:03d}", tags=tags)
            result = cross_validate({**fixed, **params}, folds, problem.task, metric, ROUNDS, PATIENCE, cpus)
            log_trial(client, child.info.run_id, params, result)
            trial.set_user_attr("rounds", result.rounds)
            progress.update()
            return result.score

        with tqdm(total=settings.n_trials, desc="tuning", unit="trial", disable=None) as progress:
            study.optimize(objective, n_trials=settings.n_trials, timeout=settings.timeout or None)
        best = study.best_trial
        found = {**best.params, "seed": settings.seed}
        rounds = best.user_attrs["rounds"]
        mlflow.log_params({**best.params, "rounds": rounds, "cpus": cpus})
        mlflow.log_metrics({"best_score": study.best_value, "best_trial": best.number, "trials": len(study.trials)})
        mlflow.log_dict(
            {"params": found, "rounds": rounds, "metric": metric, "score": study.best_value, "trial": best.number},
            "best.json",
        )
        logger.info(
            f"{len(study.trials)} trials; the best, trial-{best.number:03d}, has {metric} {study.best_value:.5g} "
            f"over {settings.folds} folds after {rounds} rounds"
        )
        return str(active.info.run_id)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return command(TuningSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
