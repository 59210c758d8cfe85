"""How long our study, with early stopping and pruning, takes to reach the final score of the bare loop.

The bare loop trains every trial for all rounds, with the same kind of sampler, the same space and folds; ours is a
study of as many trials, which starts from nothing, stops as soon as its best score is at least as good, and goes on
beyond its last trial until it is. Each repeat draws from a seed of its own: a score that one seed reached by luck says
little.

Run: make bench-pruning
"""

import argparse
import statistics
import time

import mlflow
import numpy as np
import optuna
import pandas as pd
from common import FOLDS, SEED, bare_loop, fresh_store, quiet, table

from config import TuningSettings
from hyperparameters_tuning import run_next
from tracking.trial_log import TrialLog
from treeline.cpus import cpu_budget
from treeline.data.problem import Problem
from treeline.data.splits import Split
from treeline.model.boosting import make_folds, task_params
from treeline.tuning.search_space import SPACE, known_points
from treeline.tuning.study import HopelessPruner, counted
from treeline.tuning.trial import Objective


def ours_until(X: pd.DataFrame, y: np.ndarray, score: float, n_trials: int, seed: int) -> tuple[float, float, int]:
    """Run our study, tracked, until it is as good as a score, or three times its total is spent; give the seconds, the
    score reached and the trials.
    """
    start = time.perf_counter()
    problem = Problem("benchmark", "", "y", "binary", "", [0, 1], dict.fromkeys(X.columns, "number"), {}, "")
    study = optuna.create_study(pruner=HopelessPruner())
    for point in known_points("binary", SPACE):
        study.enqueue_trial(point)
    with mlflow.start_run() as run:
        log = TrialLog(run.info.experiment_id, run.info.run_id, {})
        folds = make_folds(problem.features(), X, y, Split().folds(X, y, True, FOLDS, SEED))
        params = {**task_params("binary", 2), "seed": seed}
        search = Objective(problem, folds, SPACE, params, "log_loss", cpu_budget(), float("inf"))
        settings = TuningSettings(n_trials=n_trials, seed=seed)
        while len(counted(study)) < 3 * n_trials:
            run_next(search, study, log, settings)
            if study.best_value <= score:
                break
        log.finish()
    return time.perf_counter() - start, study.best_value, len(counted(study))


def main() -> None:
    """Measure and print the ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[0, 10_000], help="0 is breast cancer")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    quiet()
    for rows in options.rows:
        X, y = table(rows)
        fresh_store()
        ratios = []
        work = f"bare loop of {options.trials} trials, {options.rounds} rounds each"
        print(f"{X.shape[0]} x {X.shape[1]}, {work}", flush=True)
        for seed in range(options.repeats):
            start = time.perf_counter()
            score = bare_loop(X, y, [], options.rounds, options.trials, seed)
            bare = time.perf_counter() - start
            seconds, reached, trials = ours_until(X, y, score, options.trials, seed)
            print(
                f"  bare loop {bare:7.1f} s to {score:.5f}; ours {seconds:7.1f} s to {reached:.5f}, {trials} trials",
                flush=True,
            )
            ratios.append(seconds / bare)
        print(
            f"  ours / bare loop: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True
        )


if __name__ == "__main__":
    main()
