"""A trial drawn, trained and logged, and as many as a study runs."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState

from treeline import StoreError, UserError
from treeline.data.problem import Problem
from treeline.interruption import stop_if_wished
from treeline.tuning.finalists import SHARE, Finals, choose_winner, plan_finals, run_finals, values_on_cuts
from treeline.tuning.objective import Objective, make_objective
from treeline.tuning.out_of_fold import OutOfFold, predict_out_of_fold
from treeline.tuning.records import CurveLog, TrialLog, note_name, trial_values
from treeline.tuning.schedule import SearchSettings, ask_next, enqueue_lower_learning_rate, is_early, is_late
from treeline.tuning.search_space import known_points
from treeline.tuning.storage import storage_errors
from treeline.tuning.study import counted, hand_back, open_study

MAX_FAILURES_IN_A_ROW = 3  # trials that may raise before the study stops


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
        trials: a row a trial that counts: `trial`, `state`, `value` (the metric in cross-validation), `rounds`, and its
            parameters.
        params: the best ones, for `treeline.model.estimator.make_estimator`.
        rounds: how many boosting rounds they take on the folds.
        final_rounds: how many on all rows; more, where the folds in time have fewer rows.
        metric: that was optimised.
        value: of the best trial, the mean over the folds; on few rows, of other cuts than those it was found on.
        search_value: the best of any trial on the folds that all share, and so a little too good.
        cv_values: the metric of the best trial after each round, averaged over the folds; where XGBoost does not
            measure it by round, the loss by which rounds were counted.
        out_of_fold: what the best parameters predict of rows that they were not trained on.
    """

    trials: pd.DataFrame
    params: dict[str, Any]
    rounds: int
    final_rounds: int
    metric: str
    value: float
    search_value: float
    cv_values: list[float]
    out_of_fold: OutOfFold


def search(problem: Problem, train: pd.DataFrame, settings: SearchSettings, cpus: int) -> Search:
    """Run a study in memory.

    Args:
        problem: that the table poses.
        train: the training rows, with the target.
        settings: of the search.
        cpus: the CPU budget.

    Raises:
        UserError: the rows or the settings do not allow it, or three trials in a row failed.
    """
    deadline = time.monotonic() + (settings.timeout or float("inf"))
    objective = replace(make_objective(problem, train, settings, cpus), deadline=deadline)
    log = CurveLog(objective.measure.loss)
    with _quiet_optuna():
        study = open_study(None, "search", objective.maximize, {}, known_points(problem.task, objective.space))
        run_study(objective, study, log, settings)
    winner, trials = choose_winner(objective, study), counted(study)
    rows = [
        {"trial": each.number, "state": each.state.name, "value": each.user_attrs.get("value")}
        | {"rounds": each.user_attrs.get("rounds"), **each.params}
        for each in trials
    ]
    best = winner.trial
    rounds = best.user_attrs["rounds"]
    return Search(
        trials=pd.DataFrame(rows),
        params={**objective.params, **best.params},
        rounds=rounds,
        final_rounds=objective.final_rounds(rounds),
        metric=objective.metric,
        value=winner.value,
        search_value=winner.search_value,
        cv_values=log.curves[best.number],
        out_of_fold=predict_out_of_fold(objective, best.params, rounds),
    )


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Keep Optuna from telling on stderr of each study that it makes."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def run_study(
    objective: Objective,
    study: optuna.Study,
    log: TrialLog,
    settings: SearchSettings,
    on_trial: Callable[[Sequence[FrozenTrial]], None] = lambda trials: None,
) -> None:
    """Run trials up to the study's total or the deadline, at least one, so that there always is a best; the last of
    them measure the finalists again, where rows are few (`treeline.tuning.finalists`).

    Args:
        objective: what the trials share.
        study: to go on with.
        log: where each is written.
        settings: the total, the seconds and the seed.
        on_trial: told after each trial, and each time that one is measured again, which trials count so far.

    Raises:
        UserError: three trials in a row failed, or none went to its end.
    """
    finals = plan_finals(objective, settings)
    spared = SHARE * settings.timeout if finals.total else 0.0
    trials = replace(settings, n_trials=settings.n_trials - finals.total, timeout=settings.timeout - spared)
    _run_trials(replace(objective, deadline=objective.deadline - spared), study, log, trials, on_trial)

    measure_finalists(objective, study, log, finals, on_trial)


def measure_finalists(
    objective: Objective,
    study: optuna.Study,
    log: TrialLog,
    finals: Finals,
    on_trial: Callable[[Sequence[FrozenTrial]], None] = lambda trials: None,
) -> None:
    """Measure the best trials of a study again on other cuts, and note each value beside its trial.

    Args:
        objective: what the trials share.
        study: whose trials are looked at.
        log: where each is written.
        finals: how many finalists and cuts; 0 of both does nothing.
        on_trial: told after each time that one is measured which trials count.
    """

    def on_value(number: int, cut: int, value: float) -> None:
        log.note(number, {note_name(objective.metric, cut): value})
        on_trial(counted(study))

    if finals.total:
        with storage_errors(study.study_name):
            run_finals(objective, study, finals, on_value)


def _run_trials(
    objective: Objective,
    study: optuna.Study,
    log: TrialLog,
    settings: SearchSettings,
    on_trial: Callable[[Sequence[FrozenTrial]], None],
) -> None:
    done = counted(study)
    while len(done) < settings.n_trials and (time.monotonic() < objective.deadline or not has_best(done)):
        stop_if_wished()
        run_next(objective, study, log, settings)
        done = counted(study)
        last = done[-MAX_FAILURES_IN_A_ROW:]
        if len(last) == MAX_FAILURES_IN_A_ROW and all(trial.state == TrialState.FAIL for trial in last):
            raise UserError(
                f"{MAX_FAILURES_IN_A_ROW} trials in a row failed, the last with {last[-1].user_attrs['error']}. Mend "
                "that, then run again."
            )
        on_trial(done)
    if not has_best(done):
        error = done[-1].user_attrs.get("error", "none went to its end")
        raise UserError(f"No trial of {len(done)} can be used, the last: {error}. Mend that, then run again.")


def run_next(objective: Objective, study: optuna.Study, log: TrialLog, settings: SearchSettings) -> None:
    """Run one trial: where it is time for that, the best so far at a lower learning rate."""
    with storage_errors(study.study_name):
        done = len(counted(study))
        late = is_late(done, settings, objective.deadline)
        if late:
            enqueue_lower_learning_rate(study, objective.space, objective.max_rounds, divisor=2)
        elif is_early(done, settings):
            enqueue_lower_learning_rate(study, objective.space, objective.max_rounds, divisor=4)
        trial = ask_next(study, objective.space, settings.seed, late)
    run_trial(objective, study, log, trial)


def has_best(trials: Sequence[FrozenTrial]) -> bool:
    """Tell whether a trial went to its end."""
    return any(trial.state == TrialState.COMPLETE for trial in trials)


def run_trial(objective: Objective, study: optuna.Study, log: TrialLog, trial: optuna.Trial) -> None:
    """Train and log one trial; one that raises is failed, not fatal.

    Raises:
        KeyboardInterrupt: the process is to stop; the trial is handed back to the study.
        StoreError: the study cannot be written; nothing more is, for what comes after half a line cannot be read.
    """
    log.start(trial.number, objective.searched_params(trial.params))
    pruned = False

    def should_prune(step: int, value: float) -> bool:
        nonlocal pruned
        with storage_errors(study.study_name):
            trial.report(value, step)
            pruned = trial.should_prune()
        return pruned

    try:
        result = objective.cross_validate(trial.params, log.add, should_prune, objective.max_rounds)
    except KeyboardInterrupt:
        with storage_errors(study.study_name):
            hand_back(study, next(each for each in study.get_trials(deepcopy=False) if each.number == trial.number))
        log.end("KILLED", {}, {}, status="KILLED")
        raise
    except StoreError:
        raise
    except Exception as error:  # whatever a trial raises, the study goes on; three in a row stop it
        reason = f"{type(error).__name__}: {error}"[:2000]
        with storage_errors(study.study_name):
            trial.set_user_attr("error", reason)
            study.tell(trial, state=TrialState.FAIL)
        log.end("FAIL", {}, {"error": reason}, status="FAILED")
        return
    with storage_errors(study.study_name):
        trial.set_user_attr("rounds", result.rounds)
        trial.set_user_attr("trained", len(result.mean[objective.measure.loss]))
        trial.set_user_attr("value", result.value)
        if pruned:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, result.value)
    log.end("PRUNED" if pruned else "COMPLETE", trial_values(objective.metric, trial.user_attrs, result.seconds), {})


def rewrite_trials(objective: Objective, study: optuna.Study, log: TrialLog, unwritten: Mapping[int, str]) -> None:
    """Write the records of trials that count and were not written to their end.

    Training a trial again gives the same curves; what is mended takes as long as it takes, whatever the deadline.

    Args:
        objective: what the trials share.
        study: that knows them.
        log: where each is written.
        unwritten: the record begun of each, by its number; empty where there is none.

    Raises:
        KeyboardInterrupt: the process is to stop; the rest is for the next time.
    """
    trials, attrs = {trial.number: trial for trial in counted(study)}, study.user_attrs
    for number, run_id in unwritten.items():
        stop_if_wished()
        rewrite_trial(replace(objective, deadline=float("inf")), trials[number], log, run_id)
        cuts = values_on_cuts(attrs, number)
        if cuts:
            log.note(number, {note_name(objective.metric, cut): value for cut, value in cuts.items()})


def rewrite_trial(objective: Objective, trial: FrozenTrial, log: TrialLog, run_id: str) -> None:
    """Write the record of a trial that counts; training it again gives the same curves."""
    log.start(trial.number, objective.searched_params(trial.params), run_id)
    if "error" in trial.user_attrs:
        log.end("FAIL", {}, {"error": trial.user_attrs["error"]}, status="FAILED")
        return
    try:
        result = objective.cross_validate(trial.params, log.add, lambda step, value: False, trial.user_attrs["trained"])
    except KeyboardInterrupt:
        log.end("KILLED", {}, {}, status="KILLED")
        raise
    log.end(trial.state.name, trial_values(objective.metric, trial.user_attrs, result.seconds), {})
