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
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
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
from tracking.study_owner import PLACE, lock_journal, own_study, refuse_elsewhere, study_place
from tracking.trial_log import RunLog
from treeline.cpus import cpu_budget
from treeline.data.leaks import near_perfect
from treeline.data.names import file_name
from treeline.data.problem import Problem
from treeline.evaluation.predictions import dummy_predictions
from treeline.interruption import stop_if_wished
from treeline.reporting.study_plots import study_pictures
from treeline.tuning.finalists import Winner, choose_winner, told_of_finals
from treeline.tuning.losses import told_of_losses
from treeline.tuning.objective import Objective, gaps_of_folds, make_objective
from treeline.tuning.out_of_fold import predict_out_of_fold
from treeline.tuning.records import records
from treeline.tuning.replay import Recording, recorded_trials, replay
from treeline.tuning.schedule import SearchSettings
from treeline.tuning.search_space import known_points
from treeline.tuning.storage import journal_path, open_storage, storage_errors
from treeline.tuning.study import counted, fail_stale_trials, load_study, settle_study, study_id
from treeline.tuning.trial import has_best, measure_finalists, rewrite_trials, run_study
from utils import command


@dataclass(frozen=True)
class Stopwatch:
    """When a study began, by three clocks."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)
    clock: float = field(default_factory=time.monotonic)


@contextmanager
def tuning_study(
    problem: Problem, objective: Objective, settings: TuningSettings, name: str, replayed: bool
) -> Iterator[tuple[optuna.Study, Callable[[], None]]]:
    """Create the study of a tuning run, or open it again to go on with it, as its owner until the block ends.

    Args:
        problem: that the table poses.
        objective: what the trials share.
        settings: of the stage.
        name: of the study.
        replayed: whether its trials are those of an earlier study; else the known points are tried first.

    Yields:
        The study, and what raises where another process took it over.

    Raises:
        UserError: the storage cannot be, another process works on the study, or it is one of other data, metric,
            folds, seed or space, or it lies elsewhere.
        StoreError: the storage is out of reach.
    """
    facts = {
        "data": problem.digest,
        "metric": objective.metric,
        "folds": settings.folds,
        "seed": settings.seed,
        "fixed": objective.fixed,
        "space": objective.space,
    }
    journal = journal_path(store_folder(), name)
    if settings.study_name and not settings.storage:
        refuse_elsewhere(name, journal)
    with ExitStack() as held, storage_errors(name):
        if not settings.storage:
            held.enter_context(lock_journal(journal))
        study = load_study(open_storage(settings.storage, journal), name, objective.maximize)
        still_own = held.enter_context(own_study(study, locked=not settings.storage))
        settle_study(study, facts, [] if replayed else known_points(problem.task, objective.space))
        opened = held.pop_all()
    with opened:
        mlflow.set_tags(tags_of_study(study) | {PLACE: study_place(settings.storage, journal)})
        yield study, still_own


def tags_of_study(study: optuna.Study) -> dict[str, str]:
    """Give the tags by which the runs of a study are known."""
    return {"study": study.study_name} | ({"study_id": study_id(study)} if study_id(study) else {})


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


def search(
    objective: Objective, study: optuna.Study, log: RunLog, settings: SearchSettings, still_own: Callable[[], None]
) -> None:
    """Go on with a study to its end."""
    with progress_bar(objective, study, settings.n_trials) as show:

        def on_trial(trials: Sequence[FrozenTrial]) -> None:
            show(trials)
            still_own()

        run_study(objective, study, log, settings, on_trial)


def mend(objective: Objective, study: optuna.Study, log: RunLog, digest: str) -> None:
    """Mend what kills and full disks left of a study: trials that run no more, and runs that were not written whole."""
    with storage_errors(study.study_name):
        fail_stale_trials(study)
        wanted = records(objective, study)
    unwritten = log.gather(wanted, digest)
    if unwritten:
        logger.info(f"writing the runs of {len(unwritten)} trials that an interruption left unwritten")
    rewrite_trials(objective, study, log, unwritten)


def search_again(objective: Objective, study: optuna.Study, log: RunLog, recording: Recording) -> None:
    """Train the trials of an earlier study again, and measure its finalists again."""
    replay(objective, study, log, recorded_trials(recording.trials, objective.space))
    measure_finalists(objective, study, log, recording.finals)


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
        lineage = Lineage(data_run_id=data_run.info.run_id, data_digest=problem.digest)
        mlflow.set_tags({**lineage.tags(), "metric": objective.metric})
        log_input(problem, frame, "train", "tuning")
        with tuning_study(problem, objective, settings, name, recording is not None) as (study, still_own):
            log = RunLog(active.info, tags_of_study(study))
            try:
                if recording:
                    search_again(objective, study, log, recording)
                else:
                    mend(objective, study, log, problem.digest)
                    search(objective, study, log, plan, still_own)
            finally:
                log.finish()
            winner = choose_winner(objective, study)
            level = log_out_of_fold(objective, winner, problem.classes)
            stop_if_wished()
            log_winner(objective, winner, level)
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
