"""How long our study, with early stopping and pruning, takes to reach the final value of the bare loop.

The bare loop trains every trial for all rounds, with the same kind of sampler, the same space and folds; ours is a
study of as many trials, which starts from nothing, stops as soon as its best value is at least as good, and goes on
beyond its last trial until it is. Each repeat draws from a seed of its own: a value that one seed reached by luck says
little.

Run: make bench-pruning
"""

import argparse
import statistics
import time
from dataclasses import dataclass, replace

import mlflow
import optuna
from common import FOLDS, SEED, Labelled, bare_loop, fresh_store, our_problem, quiet, table

from tracking.trial_log import RunLog
from treeline.cpus import cpu_budget
from treeline.tuning.objective import make_objective
from treeline.tuning.schedule import SearchSettings
from treeline.tuning.search_space import known_points
from treeline.tuning.study import HopelessPruner, counted
from treeline.tuning.trial import run_next


@dataclass(frozen=True)
class Reached:
    """What our study came to: its seconds, its best value and its trials."""

    seconds: float
    value: float
    trials: int


def ours_until(rows: Labelled, value: float, n_trials: int, seed: int) -> Reached:
    """Run our study, tracked, until it is as good as a value, or three times its total is spent."""
    start = time.perf_counter()
    problem, train = our_problem(rows)
    settings = SearchSettings(n_trials=n_trials, folds=FOLDS, seed=SEED)
    objective = make_objective(problem, train, settings, cpu_budget())  # the folds are always the same
    objective = replace(objective, params={**objective.params, "seed": seed})
    study = optuna.create_study(pruner=HopelessPruner())
    for point in known_points("binary", objective.space):
        study.enqueue_trial(point)
    with mlflow.start_run() as run:
        log = RunLog(run.info, {})
        while len(counted(study)) < 3 * n_trials:
            run_next(objective, study, log, replace(settings, seed=seed))
            if study.best_value <= value:
                break
        log.finish()
    return Reached(time.perf_counter() - start, study.best_value, len(counted(study)))


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
        made = table(rows)
        fresh_store()
        ratios = []
        work = f"bare loop of {options.trials} trials, {options.rounds} rounds each"
        print(f"{made[0].shape[0]} x {made[0].shape[1]}, {work}", flush=True)
        for seed in range(options.repeats):
            start = time.perf_counter()
            value = bare_loop(made, [], options.rounds, options.trials, seed)
            bare = time.perf_counter() - start
            ours = ours_until(made, value, options.trials, seed)
            print(
                f"  bare loop {bare:7.1f} s to {value:.5f}; ours {ours.seconds:7.1f} s to {ours.value:.5f}, "
                f"{ours.trials} trials",
                flush=True,
            )
            ratios.append(ours.seconds / bare)
        print(
            f"  ours / bare loop: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", flush=True
        )


if __name__ == "__main__":
    main()
