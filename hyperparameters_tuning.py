"""Stage 2: the Optuna study, one nested MLflow run a trial.

Reads: train.parquet and problem.json of a data run; never the test rows.
Writes: a run with the best parameters, score and round count (best.json), pictures and a table of the study, and
under it one run a trial with its parameters, its score and the curve of every metric by boosting round.
Parameters: `python hyperparameters_tuning.py --help`.
Run: mlflow run . -e hyperparameters-tuning -P n-trials=20
"""

import sys
import time
from collections.abc import Sequence

import mlflow
import numpy as np
import optuna
from loguru import logger
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from config import TuningSettings
from tracking.runs import find_run, load_problem, load_split, log_input, stage_run, store_folder
from tracking.trial_log import TrialLog, gather_runs
from treeline import UserError
from treeline.cpus import cpu_budget
from treeline.data.problem import Problem
from treeline.metrics import curves_of, metrics_of
from treeline.model.boosting import make_folds, target_unit, task_params
from treeline.reporting.study_plots import study_pictures
from treeline.tuning.search_space import known_points, read_space
from treeline.tuning.study import (
    STARTUP_TRIALS,
    counted,
    enqueue_lower_learning_rate,
    fail_stale_trials,
    open_storage,
    open_study,
)
from treeline.tuning.trial import Objective, rewrite, run_trial
from utils import command

MAX_FAILURES_IN_A_ROW = 3  # trials in a row that may raise before the study stops
MIN_TRIALS_FOR_EARLY = 20  # trials of a study that can spend one early on a lower learning rate


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
        most = np.bincount(y).max()
        raise UserError(f"--folds {folds} is more than any class has training rows ({most} at most): use fewer.")


def run_study(search: Objective, study: optuna.Study, log: TrialLog, settings: TuningSettings) -> None:
    """Run trials up to the study's total or the deadline; at least one, so that there always is a best.

    Raises:
        UserError: three trials in a row failed.
    """
    done = counted(study)
    with tqdm(total=settings.n_trials, initial=len(done), desc="tuning", unit="trial", disable=None) as progress:
        while len(done) < settings.n_trials and (time.monotonic() < search.deadline or not has_best(done)):
            run_next(search, study, log, settings)
            done = counted(study)
            if len(done) >= MAX_FAILURES_IN_A_ROW and all(
                trial.state == TrialState.FAIL for trial in done[-MAX_FAILURES_IN_A_ROW:]
            ):
                reason = done[-1].user_attrs["error"]
                raise UserError(
                    f"{MAX_FAILURES_IN_A_ROW} trials in a row failed, the last with {reason}. Mend that, then run "
                    "again."
                )
            pruned = sum(trial.state == TrialState.PRUNED for trial in done)
            progress.update()
            if has_best(done):
                progress.set_postfix({search.metric: f"{study.best_value:.4g}", "pruned": pruned})


def run_next(search: Objective, study: optuna.Study, log: TrialLog, settings: TuningSettings) -> None:
    """Run one trial: where it is time for that, the best so far at a lower learning rate."""
    done = len(counted(study))
    late = is_late(done, settings, search.deadline)
    if late:
        enqueue_lower_learning_rate(study, search.space, search.rounds, by=2)
    elif is_early(done, settings):
        enqueue_lower_learning_rate(study, search.space, search.rounds, by=4)
    run_trial(search, study, log, settings.seed, late)


def is_early(done: int, settings: TuningSettings) -> bool:
    """Tell whether a study has just tried its known points, and has trials enough to spend one on the best of them at
    a lower learning rate: a good model soon, whatever the rest finds. Where seconds count, that waits for the end.
    """
    return done == STARTUP_TRIALS and settings.n_trials >= MIN_TRIALS_FOR_EARLY and not settings.timeout


def is_late(done: int, settings: TuningSettings, deadline: float) -> bool:
    """Tell whether a study is in its last tenth of trials, at least one, or in the last two fifths of its seconds: it
    then tries the best it has at lower learning rates, which is dear and nearly sure to help.
    """
    last = max(1, settings.n_trials // 10)
    return done >= settings.n_trials - last or time.monotonic() > deadline - 0.4 * settings.timeout


def has_best(trials: Sequence[FrozenTrial]) -> bool:
    """Tell whether a trial went to its end."""
    return any(trial.state == TrialState.COMPLETE for trial in trials)


def log_study(study: optuna.Study, search: Objective, start: float, cpu_start: float) -> None:
    """Log what the study found, its pictures and its table, and how the CPU budget was spent."""
    best, trials = study.best_trial, counted(study)
    params = {**search.params, **best.params}
    rounds = best.user_attrs["rounds"]
    found = {"params": params, "rounds": rounds, "metric": search.metric, "score": best.value, "trial": best.number}
    mlflow.log_dict(found, "best.json")
    at_once = min(search.cpus, len(search.folds))
    spent = {"cpus": search.cpus, "folds_at_once": at_once, "threads_a_fold": max(1, search.cpus // len(search.folds))}
    mlflow.log_params({**best.params, "rounds": rounds, **spent})
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    counts = {
        state.name.lower(): sum(trial.state == state for trial in trials) for state in TrialState if state.is_finished()
    }
    mlflow.log_metrics(
        {"best_score": best.value, "best_trial": best.number, "trials": len(trials)}
        | {f"trials_{state}": count for state, count in counts.items()}
        | {"study_seconds": wall, "cpu_seconds": cpu, "cpu_utilisation": cpu / (wall * search.cpus)}
    )
    table = study.trials_dataframe()
    mlflow.log_text(table[table["state"] != "WAITING"].to_csv(index=False), "trials.csv")  # queued, but not tried
    for name, figure in study_pictures(study, search.metric).items():
        mlflow.log_figure(figure, f"{name}.png")
    logger.info(
        f"{len(trials)} trials, {counts['pruned']} pruned; the best, trial-{best.number:03d}, has {search.metric} "
        f"{best.value:.5g} over {len(search.folds)} folds after {rounds} rounds"
    )


def run(settings: TuningSettings) -> str:
    """Run the stage; return its run id."""
    with stage_run("hyperparameters-tuning", settings, system_metrics=True) as active:
        start, cpu_start, clock = time.perf_counter(), time.process_time(), time.monotonic()
        space, fixed = read_space(settings.search_space)
        data_run = find_run("data-preprocessing", settings.data_run_id)
        problem = load_problem(data_run)
        metric = choose_metric(settings.metric, problem.task)
        frame = load_split(data_run.info.run_id, "train")
        y = problem.truth(frame)
        check_folds(problem, y, settings.folds)
        parts = problem.folds(frame, settings.folds, settings.seed)
        name = settings.study_name or f"{problem.table}-{active.info.run_id[:8]}"
        storage = open_storage(settings.storage, name, store_folder())
        facts = {
            "data": problem.digest,
            "metric": metric,
            "folds": settings.folds,
            "seed": settings.seed,
            "fixed": fixed,
        }
        maximize = metrics_of(problem.task)[metric].greater_is_better
        study = open_study(storage, name, maximize, space, facts, known_points(problem.task, space))
        lineage = {"data_run_id": data_run.info.run_id, "data_digest": problem.digest}
        mlflow.set_tags({**lineage, "metric": metric, "study": name})
        log_input(problem, frame, "train", "tuning")

        unit = 1.0 if problem.classes else target_unit(y)
        folds = make_folds(problem.features(), problem.rows(frame), y / unit if unit != 1 else y, parts)
        params = {**task_params(problem.task, len(problem.classes), y), **fixed, "seed": settings.seed}
        deadline = clock + (settings.timeout or float("inf"))
        search = Objective(problem, folds, space, params, metric, cpu_budget(), deadline, unit=unit)
        log = TrialLog(active.info.experiment_id, active.info.run_id, {"study": name})
        try:
            finished = counted(study)
            unwritten = gather_runs(name, finished[-1].number if finished else None)
            if unwritten is not None:
                rewrite(search, finished[-1], log, unwritten)
            fail_stale_trials(study)
            run_study(search, study, log, settings)
        finally:
            log.finish()
        log_study(study, search, start, cpu_start)
        return str(active.info.run_id)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return command(TuningSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
