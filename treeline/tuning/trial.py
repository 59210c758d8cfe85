"""One trial: drawn, trained, logged; and written again where a kill left it unwritten."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from treeline.data.problem import Problem
from treeline.model.boosting import CrossValidation, Fold, cross_validate
from treeline.tuning.study import ask_next, checkpoint

MAX_ROUNDS = 1000  # the most that a trial may train


class TrialLog(Protocol):
    """Where trials are written, one at a time and in order."""

    def start(self, number: int, params: Mapping[str, Any], run_id: str = "") -> None:
        """Open the record of a trial, or take up the one of this id, which a kill left open."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each of some curves."""

    def end(self, state: str, scores: Mapping[str, float], tags: Mapping[str, str], status: str = "FINISHED") -> None:
        """Close the record of a trial."""


@dataclass(frozen=True)
class Objective:
    """What every trial of a study shares.

    Attributes:
        problem: the table's.
        folds: built once.
        space: what a trial draws.
        params: what it does not: the task's parameters, the fixed ones of the space, the seed.
        metric: what is optimised.
        cpus: the CPU budget.
        deadline: when training ends, on the clock of `time.monotonic`.
        rounds: the most that a trial may train.
        early: whether a trial stops when its mean has not improved for a while; else it trains all rounds.
        unit: of the folds' target.
    """

    problem: Problem
    folds: Sequence[Fold]
    space: Mapping[str, BaseDistribution]
    params: Mapping[str, Any]
    metric: str
    cpus: int
    deadline: float
    rounds: int = MAX_ROUNDS
    early: bool = True
    unit: float = 1.0

    def score(
        self, drawn: Mapping[str, Any], log: TrialLog, hopeless: Callable[[int, float], bool], rounds: int
    ) -> CrossValidation:
        """Cross-validate parameters and log their curves, until they stop getting better, the deadline, or `hopeless`.

        Args:
            drawn: the parameters of the trial.
            log: where its run is open.
            hopeless: asked at each checkpoint, with its number and the mean of the metric; True ends the training.
            rounds: the most to train.
        """
        params = {**self.params, **drawn}
        rate = float(params["learning_rate"])

        def watch(round_: int, mean: Mapping[str, float], std: Mapping[str, float]) -> bool:
            points = {f"cv_{name}": value for name, value in mean.items()}
            log.add(round_, points | {f"cv_{name}_std": value for name, value in std.items()})
            step = checkpoint(rate, round_)
            if step is not None and hopeless(step, mean[self.metric]):
                return True
            return time.monotonic() > self.deadline

        task, most = self.problem.task, patience(rate) if self.early else rounds
        return cross_validate(params, self.folds, task, self.metric, rounds, most, self.cpus, watch, self.unit)


def run_trial(search: Objective, study: optuna.Study, log: TrialLog, seed: int, late: bool = False) -> None:
    """Draw, train and log one trial, whose learning rate is its own late in a study; one that raises is failed, not
    fatal.
    """
    trial = ask_next(study, search.space, seed, late)
    log.start(trial.number, trial.params)
    pruned = False

    def hopeless(step: int, value: float) -> bool:
        nonlocal pruned
        trial.report(value, step)
        pruned = trial.should_prune()
        return pruned

    try:
        result = search.score(trial.params, log, hopeless, search.rounds)
    except KeyboardInterrupt:
        log.end("KILLED", {}, {}, status="KILLED")
        raise
    except Exception as error:  # whatever a trial raises, the study goes on; three in a row stop it
        reason = f"{type(error).__name__}: {error}"[:2000]
        trial.set_user_attr("error", reason)
        study.tell(trial, state=TrialState.FAIL)
        log.end("FAIL", {}, {"error": reason}, status="FAILED")
        return
    trial.set_user_attr("rounds", result.rounds)
    trial.set_user_attr("trained", len(result.mean[search.metric]))
    trial.set_user_attr("score", result.score)
    if pruned:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, result.score)
    log.end("PRUNED" if pruned else "COMPLETE", scores(result.score, result.rounds, result.seconds), {})


def rewrite(search: Objective, trial: FrozenTrial, log: TrialLog, run_id: str) -> None:
    """Write the run of a finished trial that a kill left unwritten; training it again gives the same curves."""
    log.start(trial.number, trial.params, run_id)
    if "error" in trial.user_attrs:
        log.end("FAIL", {}, {"error": trial.user_attrs["error"]}, status="FAILED")
        return
    result = search.score(trial.params, log, lambda step, value: False, trial.user_attrs["trained"])
    values = scores(trial.user_attrs["score"], trial.user_attrs["rounds"], result.seconds)
    log.end(trial.state.name, values, {})


def scores(score: float, rounds: int, seconds: float) -> dict[str, float]:
    """Name the single values of a trial."""
    return {"score": score, "rounds": float(rounds), "seconds": seconds}


def patience(learning_rate: float) -> int:
    """Give the rounds without a better mean after which a trial stops: more for a slow learner, from 20 to 200."""
    return int(np.clip(3 / learning_rate, 20, 200))
