"""Stage 2: the Optuna study, one nested MLflow run a trial.

Reads: train.parquet and problem.json of a data run; never the test rows.
Writes: a run with the best parameters, their cross-validated metric and round count (best.json), what they predict of
rows that they were not trained on (out_of_fold.parquet), pictures and a table of the study, and under it one run a
trial with its parameters, its metric and the curve of every metric by round.
Parameters: `python hyperparameters_tuning.py --help`.
Run: mlflow run . -e hyperparameters-tuning -P n-trials=20
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import mlflow
import optuna
from loguru import logger
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from config import TuningSettings
from tracking.datasets import load_problem, load_split, log_input, log_parquet
from tracking.out_of_fold import OUT_OF_FOLD
from tracking.runs import Lineage, find_run, stage_run
from tracking.store import store_folder
from tracking.trial_log import RunLog, gather_runs
from treeline.cpus import cpu_budget
from treeline.data.leaks import near_perfect
from treeline.data.names import file_name
from treeline.data.problem import Problem
from treeline.evaluation.predictions import dummy_predictions
from treeline.reporting.study_plots import study_pictures
from treeline.tuning.finalists import Winner, choose_winner, told_of_finals
from treeline.tuning.losses import told_of_losses
from treeline.tuning.objective import Objective, gaps_of_folds, make_objective
from treeline.tuning.out_of_fold import predict_out_of_fold
from treeline.tuning.replay import Recording, recorded_trials, replay
from treeline.tuning.schedule import SearchSettings
from treeline.tuning.search_space import known_points
from treeline.tuning.study import counted, fail_stale_trials, open_storage, open_study
from treeline.tuning.trial import has_best, measure_finalists, rewrite_trial, run_study
from utils import command


@dataclass(frozen=True)
class Stopwatch:
    """When a study began, by three clocks."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)
    clock: float = field(default_factory=time.monotonic)


def open_tuning_study(
    problem: Problem,
    objective: Objective,
    settings: TuningSettings,
    name: str,
    points: Sequence[Mapping[str, Any]],
) -> optuna.Study:
    """Create the study of a tuning run, which tries some points first, or open it again to go on with it.

    Raises:
        UserError: the storage cannot be opened, or the study is one of other data, metric, folds, seed or space.
    """
    storage = open_storage(settings.storage, name, store_folder())
    facts = {
        "data": problem.digest,
        "metric": objective.metric,
        "folds": settings.folds,
        "seed": settings.seed,
        "fixed": objective.fixed,
        "space": objective.space,
    }
    return open_study(storage, name, objective.maximize, facts, points)


@contextmanager
def progress_bar(objective: Objective, study: optuna.Study, total: int) -> Iterator[tqdm]:
    """Show how many trials count so far; give what updates it."""
    with tqdm(total=total, initial=len(counted(study)), desc="tuning", unit="trial", disable=None) as bar:

        def update(trials: Sequence[FrozenTrial]) -> None:
            bar.update()
            if has_best(trials):
                pruned = sum(trial.state == TrialState.PRUNED for trial in trials)
                bar.set_postfix({objective.metric: f"{study.best_value:.4g}", "pruned": pruned})

        yield update


def search(objective: Objective, study: optuna.Study, log: RunLog, settings: SearchSettings) -> None:
    """Go on with a study to its end, having mended what a kill left of it."""
    try:
        finished = counted(study)
        unwritten = gather_runs(study.study_name, finished[-1].number if finished else None)
        if unwritten is not None:
            rewrite_trial(objective, finished[-1], log, unwritten)
        fail_stale_trials(study)
        with progress_bar(objective, study, settings.n_trials) as on_trial:
            run_study(objective, study, log, settings, on_trial)
    finally:
        log.finish()


def search_again(objective: Objective, study: optuna.Study, log: RunLog, recording: Recording) -> None:
    """Train the trials of an earlier study again, and measure its finalists again."""
    try:
        replay(objective, study, log, recorded_trials(recording.trials, objective.space))
        measure_finalists(objective, study, log, recording.finals)
    finally:
        log.finish()


def log_out_of_fold(objective: Objective, winner: Winner, classes: Sequence[Any]) -> float:
    """Log what the chosen parameters predict of the rows that they were not trained on; give the level of it."""
    found = predict_out_of_fold(objective, winner.trial.params, winner.trial.user_attrs["rounds"])
    log_parquet(found.frame(classes), OUT_OF_FOLD)
    return found.level


def log_winner(objective: Objective, winner: Winner, level: float) -> None:
    """Log the trial that the study chose, and how the CPU budget was spent on its folds."""
    best, rounds, folds = winner.trial, winner.trial.user_attrs["rounds"], len(objective.folds)
    params = {**objective.params, **best.params}
    found = {"params": params, "rounds": rounds, "metric": objective.metric, "value": winner.value}
    found |= {"search_value": winner.search_value, "trial": best.number, "level": level}
    found["final_rounds"] = objective.final_rounds(rounds)
    found["finals"] = {"finalists": len(winner.finalists), "cuts": winner.cuts}
    mlflow.log_dict(found, "best.json")
    chosen = objective.searched_params(best.params)
    if objective.measure.task == "regression":
        chosen["objective"] = params["objective"]
    spent = {
        "cpus": objective.cpus,
        "folds_at_once": min(objective.cpus, folds),
        "threads_a_fold": max(1, objective.cpus // folds),
    }
    mlflow.log_params({**chosen, "rounds": rounds, **spent})
    values = {f"cv_{objective.metric}": winner.value, f"search_{objective.metric}": winner.search_value}
    mlflow.log_metrics(values | {"best_trial": best.number})


def log_study(objective: Objective, study: optuna.Study, winner: Winner, watch: Stopwatch) -> None:
    """Log how many trials there were, their pictures and their table, and what they cost."""
    trials = counted(study)
    wall, cpu = time.perf_counter() - watch.wall, time.process_time() - watch.cpu
    states = [state for state in TrialState if state.is_finished()]
    counts = {state.name.lower(): sum(trial.state == state for trial in trials) for state in states}
    counts["repeated"] = winner.cuts * len(winner.finalists)
    mlflow.log_metrics(
        {"trials": len(trials) + counts["repeated"]}
        | {f"trials_{state}": count for state, count in counts.items()}
        | {"study_seconds": wall, "cpu_seconds": cpu, "cpu_utilisation": cpu / (wall * objective.cpus)}
    )
    table = study.trials_dataframe()
    mlflow.log_text(table[table["state"] != "WAITING"].to_csv(index=False), "trials.csv")  # queued, but not tried
    for name, figure in study_pictures(study, objective.metric).items():
        mlflow.log_figure(figure, f"{name}.png")
    logger.info(
        f"{len(trials)} trials, {counts['pruned']} pruned; the best, trial-{winner.trial.number:03d}, has "
        f"{objective.metric} {winner.value:.5g} over {len(objective.folds)} folds after "
        f"{winner.trial.user_attrs['rounds']} rounds"
    )
    for sentence in (told_of_finals(objective, study, winner), told_of_losses(objective.measure, trials)):
        if sentence:
            logger.info(sentence)


def run(settings: TuningSettings, recording: Recording | None = None) -> str:
    """Run the stage; return its run id.

    Args:
        settings: of the stage.
        recording: what an earlier run did, to be done again; None searches.
    """
    with stage_run("hyperparameters-tuning", settings, system_metrics=True) as active:
        watch = Stopwatch()
        data_run = find_run("data-preprocessing", settings.data_run_id)
        problem, frame = load_problem(data_run), load_split(data_run.info.run_id, "train")

        settings.check_for(problem)
        plan = settings.search()
        objective = make_objective(problem, frame, plan, cpu_budget())
        if warning := gaps_of_folds(objective, problem.classes):
            logger.warning(warning)
        objective = replace(objective, deadline=watch.clock + (settings.timeout or float("inf")))
        name = settings.study_name or f"{file_name(problem.table)}-{active.info.run_id[:8]}"
        points = [] if recording else known_points(problem.task, objective.space)
        study = open_tuning_study(problem, objective, settings, name, points)

        lineage = Lineage(data_run_id=data_run.info.run_id, data_digest=problem.digest)
        mlflow.set_tags({**lineage.tags(), "metric": objective.metric, "study": name})
        log_input(problem, frame, "train", "tuning")
        log = RunLog(active.info.experiment_id, active.info.run_id, {"study": name})
        if recording:
            search_again(objective, study, log, recording)
        else:
            search(objective, study, log, plan)
        winner = choose_winner(objective, study)
        log_winner(objective, winner, log_out_of_fold(objective, winner, problem.classes))
        log_study(objective, study, winner, watch)
        guessed = dummy_predictions(problem, frame, frame, objective.metric).metric(objective.metric)
        if warning := near_perfect(objective.metric, winner.value, guessed):
            logger.warning(warning)
            mlflow.set_tag("warnings", warning)
        return str(active.info.run_id)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage from the command line."""
    return command(TuningSettings, __file__, run, argv)


if __name__ == "__main__":
    sys.exit(main())
