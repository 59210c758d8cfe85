"""Which trial is next: what it may draw, when the best is tried at a lower learning rate, when trials are compared."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal, get_args

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from treeline import UserError
from treeline.tuning.search_space import HELD_LEARNING_RATE, SPACE
from treeline.tuning.study import STARTUP_TRIALS, counted

MIN_TRIALS_FOR_EARLY = 20  # of a study that can spend one early on a lower learning rate
MAX_SEED = 2**31 - 1  # that XGBoost takes
MAX_TRIALS = 1_000_000  # of a study; drawing the next takes longer with each
MAX_TIMEOUT = 31_622_400  # seconds, a year
MIN_ROUNDS_SHARE = 0.75  # a trial at 1/n of the best one's rate must be allowed this times n times its rounds

AskedMetric = Literal[
    "auto",
    "log_loss",
    "error",
    "roc_auc",
    "f1",
    "average_precision",
    "balanced_accuracy",
    "rmse",
    "mae",
    "mape",
    "rmsle",
]


@dataclass(frozen=True)
class SearchSettings:
    """What a person asks of a search.

    Attributes:
        n_trials: of the study, from 1 to `MAX_TRIALS`.
        timeout: seconds after which it ends, from 0 to `MAX_TIMEOUT`; 0 sets no limit.
        metric: to optimise; `auto` is log_loss, or rmse for regression. Rounds are counted by a loss where XGBoost does
            not measure the metric itself (`treeline.model.cross_validation.Measure.loss`).
        folds: of the cross-validation, from 2.
        search_space: what narrows, fixes or widens the built-in space, as `treeline.tuning.search_space.settle_space`
            takes it; empty keeps it.
        seed: of every random choice, from 0 to 2**31 - 1.
    """

    n_trials: int = 50
    timeout: float = 0.0
    metric: AskedMetric = "auto"
    folds: int = 5
    search_space: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is of another type, or outside its range.

        Raises:
            UserError: names the setting and what it may be.
        """
        for name, least, most in (("n_trials", 1, MAX_TRIALS), ("folds", 2, math.inf), ("seed", 0, MAX_SEED)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value <= most:
                ends = f"from {least}" + (f" to {most}" if most < math.inf else "")
                raise UserError(f"{name} got {value!r}: it must be a whole number {ends}.")
        if not isinstance(self.timeout, Real) or isinstance(self.timeout, bool) or not 0 <= self.timeout <= MAX_TIMEOUT:
            raise UserError(
                f"timeout got {self.timeout!r}: it must be seconds from 0 to {MAX_TIMEOUT}; 0 sets no limit."
            )
        if self.metric not in get_args(AskedMetric):
            raise UserError(f"metric got {self.metric!r}: use {', '.join(get_args(AskedMetric))}.")
        if not isinstance(self.search_space, Mapping):
            raise UserError(
                f"search_space got {self.search_space!r}: map parameters to values, such as "
                "{'max_depth': {'low': 3, 'high': 8}}."
            )


def ask_next(study: optuna.Study, space: Mapping[str, BaseDistribution], seed: int, late: bool) -> optuna.Trial:
    """Ask for the next trial; what it is follows from the seed and the trials that count, so a resumed study goes on
    as if it had never stopped, and never draws a point twice.

    Args:
        study: to go on with.
        space: what a trial may draw.
        seed: of the study.
        late: whether the learning rate is drawn from all of its range; before, it is held (`hold_learning_rate`).
    """
    queued = any(trial.state == TrialState.WAITING for trial in study.get_trials(deepcopy=False))
    if not late and not queued:
        space = hold_learning_rate(space)
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP_TRIALS, seed=seed + len(counted(study)))
    return study.ask(dict(space))


def hold_learning_rate(space: Mapping[str, BaseDistribution]) -> dict[str, BaseDistribution]:
    """Hold the built-in learning rate where trials are quick, and what else they draw can be told apart: a lower rate
    is dear, and nearly always a little better, whatever the rest.

    A range that a person gave stays, and so does the built-in one with no other real number beside it, for a study
    would draw the same point twice.
    """
    rates = SPACE["learning_rate"]
    others = any(isinstance(drawn, FloatDistribution) for name, drawn in space.items() if name != "learning_rate")
    held = {"learning_rate": FloatDistribution(HELD_LEARNING_RATE, HELD_LEARNING_RATE, log=True)}
    return {**space, **held} if others and space.get("learning_rate") == rates else dict(space)


def is_early(done: int, settings: SearchSettings) -> bool:
    """Tell whether a study has just tried its known points, and has trials enough to spend one on the best of them at
    a lower learning rate: a good model soon, whatever the rest finds. Where seconds count, that waits for the end.
    """
    return done == STARTUP_TRIALS and settings.n_trials >= MIN_TRIALS_FOR_EARLY and not settings.timeout


def is_late(done: int, settings: SearchSettings, deadline: float) -> bool:
    """Tell whether a study is in its last tenth of trials, at least one, or in the last two fifths of its seconds: it
    then tries the best it has at lower learning rates, which is dear and nearly sure to help.

    Args:
        done: trials that count so far.
        settings: the total, and the seconds.
        deadline: when training ends, on the clock of `time.monotonic`.
    """
    last = max(1, settings.n_trials // 10)
    return done >= settings.n_trials - last or time.monotonic() > deadline - 0.4 * settings.timeout


def enqueue_lower_learning_rate(
    study: optuna.Study, space: Mapping[str, BaseDistribution], max_rounds: int, divisor: int
) -> None:
    """Queue the best trial's parameters at a lower learning rate, which is nearly always a little better, unless that
    was tried, other points are queued, or the space or the rounds leave no room.

    Where the best trial's rate was lowered before, and another has since been better than those parameters were at
    their first rate, it is that one's turn.

    Args:
        study: to go on with.
        space: what a trial may draw.
        max_rounds: that a trial may train.
        divisor: of the rate.
    """
    rates = space.get("learning_rate")
    trials = study.get_trials(deepcopy=False)
    if not isinstance(rates, FloatDistribution) or any(trial.state == TrialState.WAITING for trial in trials):
        return
    maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    ranked = sorted(complete, key=lambda trial: trial.values[0], reverse=maximize)  # the best first
    if not ranked:
        return
    highest = max(_rate(trial) for trial in _at_any_rate(ranked[0], ranked))
    leader = next(trial for trial in ranked if _rate(trial) >= highest)
    tried = _at_any_rate(leader, ranked)
    slowest = min(tried, key=_rate)
    rate = _rate(slowest) / divisor
    rounds = MIN_ROUNDS_SHARE * divisor * slowest.user_attrs["rounds"]
    if slowest is tried[0] and rate >= rates.low and rounds <= max_rounds:
        study.enqueue_trial({**slowest.params, "learning_rate": rate}, skip_if_exists=True)


def checkpoint(learning_rate: float, round_: int) -> int | None:
    """Say at which checkpoint a trial stands after a round, or None between two.

    Trials are compared when they have learned equally much, that is at equal sums of their learning rate over the
    rounds (0.5, 1, 2, 4, ...): at equal rounds a slow learner would always look hopeless.
    """
    now, before = (math.floor(math.log2(max(learning_rate * i, 1e-12) / 0.5)) for i in (round_, round_ - 1))
    return now if now > before and now >= 0 else None


def _rate(trial: FrozenTrial) -> float:
    return float(trial.params["learning_rate"])


def _at_any_rate(like: FrozenTrial, trials: list[FrozenTrial]) -> list[FrozenTrial]:
    others = like.params | {"learning_rate": None}
    return [trial for trial in trials if trial.params | {"learning_rate": None} == others]
