"""What a study optimises: the folds, built once, and the cross-validation of a trial's parameters on them.

The stage, its dry run, `treeline.fit` and the benchmarks all build it by `make_objective`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution

from treeline import UserError
from treeline.data.problem import Problem
from treeline.data.sentences import spell
from treeline.metrics import metrics_of
from treeline.model.boosting import TWEEDIE, boost, booster_params, task_params
from treeline.model.constraints import MONOTONE, check_constraints
from treeline.model.cross_validation import (
    CrossValidation,
    Limits,
    Measure,
    cross_validate,
    mean_over_folds,
    predict_held_out,
)
from treeline.model.features import Features
from treeline.model.matrices import Fold, make_folds, target_unit
from treeline.tuning.losses import check_losses, check_metric, losses_of
from treeline.tuning.schedule import MAX_SEED, AskedMetric, SearchSettings, checkpoint
from treeline.tuning.search_space import settle_space

MAX_ROUNDS = 1000  # of a trial
MAX_ROWS_TO_RECUT = 500  # training rows below which the luck of a cut is larger than what tells good trials apart
ROUNDS_TIMED = 20  # by which the seconds of a round are measured


@dataclass(frozen=True)
class Objective:
    """What every trial of a study shares; made by `make_objective`.

    Attributes:
        measure: the task, the metric to optimise, and the unit of the folds' target.
        folds: built once.
        space: what a trial draws.
        fixed: what a person fixed instead.
        params: what a trial does not draw: the task's parameters, the fixed ones, the seed.
        y: the training targets in their unit, shape (n_rows,).
        cpus: the CPU budget.
        deadline: when training ends, on the clock of `time.monotonic`.
        max_rounds: that a trial may train.
        growth: how many times the rows of the last fold all training rows are, for a split by time; else 1.
        early_stopping: whether a trial stops when its mean has not improved for a while; else it trains all rounds.
        recut: gives other folds of the same rows, by a number from 1; None where rows are many, or have one cut only,
            as in time.
    """

    measure: Measure
    folds: Sequence[Fold]
    space: Mapping[str, BaseDistribution]
    fixed: Mapping[str, Any]
    params: Mapping[str, Any]
    y: np.ndarray
    cpus: int
    deadline: float = float("inf")
    max_rounds: int = MAX_ROUNDS
    early_stopping: bool = True
    growth: float = 1.0
    recut: Callable[[int], Sequence[Fold]] | None = None

    @property
    def metric(self) -> str:
        """The metric to optimise."""
        return self.measure.metric

    @property
    def maximize(self) -> bool:
        """Whether more of the metric is better."""
        return self.measure.sign > 0

    def final_rounds(self, rounds: int) -> int:
        """Give the rounds of the final fit for those that the folds counted: as many times more as it has rows more
        than the last fold in time; else as many. A fold by fold cut lacks rows too, but each lacks other ones.
        """
        return round(rounds * self.growth)

    def booster_params(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Give what the boosters of a trial get."""
        return booster_params({**self.params, **drawn}, self.y)

    def searched_params(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """Give what the boosters get of what a trial drew and a person fixed."""
        got = self.booster_params(drawn)
        return {name: got[name] for name in [*drawn, *self.fixed]}

    def cross_validate(
        self,
        drawn: Mapping[str, Any],
        record: Callable[[int, Mapping[str, float]], None],
        should_prune: Callable[[int, float], bool],
        max_rounds: int,
    ) -> CrossValidation:
        """Cross-validate parameters until they get no better, the deadline, or `should_prune`.

        Nothing is pruned where XGBoost does not measure the metric by round: a trial that is hopeless by its loss may
        be the best by the metric, as trees too sure of themselves have a poor log loss and a good F1.

        Args:
            drawn: the parameters of the trial.
            record: told after each round, from 1, the mean of each metric, and its spread as `<metric>_std`.
            should_prune: asked at each checkpoint, with its number and the mean of the metric; True ends the training.
            max_rounds: to train.
        """
        rate = float({**self.params, **drawn}["learning_rate"])

        def watch(round_: int, mean: Mapping[str, float], std: Mapping[str, float]) -> bool:
            record(round_, {**mean, **{f"{name}_std": value for name, value in std.items()}})
            step = checkpoint(rate, round_)
            if step is not None and self.measure.by_round and should_prune(step, mean[self.metric]):
                return True
            return time.monotonic() > self.deadline

        limits = Limits(max_rounds, patience(rate) if self.early_stopping else max_rounds, self.cpus)
        return cross_validate(self.booster_params(drawn), self.folds, self.measure, limits, watch)

    def measure_on(self, folds: Sequence[Fold], drawn: Mapping[str, Any], rounds: int) -> float:
        """Give the metric of parameters on other folds, after a number of rounds."""
        predictions, _ = predict_held_out(self.booster_params(drawn), folds, self.measure, rounds, self.cpus)
        return mean_over_folds(self.measure, folds, predictions)

    def round_seconds(self) -> float:
        """Measure what a boosting round of one fold costs on one CPU."""
        start = time.perf_counter()
        boost(self.booster_params({}), [replace(self.folds[0], valid=None)], rounds=ROUNDS_TIMED, cpus=1)
        return (time.perf_counter() - start) / ROUNDS_TIMED


def make_objective(
    problem: Problem, train: pd.DataFrame, settings: SearchSettings, cpus: int, max_rows: int | None = None
) -> Objective:
    """Build what the trials share: the folds, binned once, and all that is not drawn.

    Args:
        problem: that the table poses.
        train: the training rows, with the target.
        settings: metric, folds, search space and seed.
        cpus: the CPU budget.
        max_rows: of a fold's training part, where a rough measurement will do; None takes all.

    Raises:
        UserError: the task does not have the metric, the rows do not allow the folds, or the space is not legal.
    """
    metric = choose_metric(settings.metric, problem.task)
    y = problem.truth(train)
    check_metric(metric, y)
    space, fixed = settle_space(settings.search_space)
    check_constraints(fixed, problem)
    asked = getattr(space.get("objective"), "choices", [fixed["objective"]] if "objective" in fixed else [])
    check_losses(asked, y, bool(problem.classes), MONOTONE in fixed)
    losses = [] if problem.classes or asked else losses_of(metric, y, MONOTONE in fixed)
    if len(losses) > 1:
        space["objective"] = CategoricalDistribution(losses)
    _check_folds(problem, y, settings.folds)
    parts = problem.folds(train, settings.folds, settings.seed)
    if max_rows is not None:
        rng = np.random.default_rng(settings.seed)
        parts = [(rng.permutation(rows)[:max_rows], held[:max_rows]) for rows, held in parts]
    unit = 1.0 if problem.classes else target_unit(y)
    params = {**task_params(problem.task, len(problem.classes)), **fixed, "seed": settings.seed}
    y = y / unit if unit != 1 else y
    features = Features(problem.kinds, problem.derived, problem.readings)
    rows, weight = problem.rows(train), problem.weights(train)
    folds = make_folds(features, rows, y, parts, weight)
    objective = Objective(
        Measure(problem.task, metric, unit, TWEEDIE in (losses or asked)), folds, space, fixed, params, y, cpus
    )
    if problem.split == "time":
        return replace(objective, growth=len(y) / folds[-1].train.num_row())
    if len(y) >= MAX_ROWS_TO_RECUT:
        return objective

    def recut(number: int) -> Sequence[Fold]:
        seed = (settings.seed + number) % (MAX_SEED + 1)
        return make_folds(features, rows, y, problem.folds(train, settings.folds, seed), weight)

    return replace(objective, recut=recut)


def gaps_of_folds(objective: Objective, classes: Sequence[Any]) -> str:
    """Say which folds lack a class in the rows that measure them; empty where none does, or where there are none.

    Args:
        objective: whose folds are looked at.
        classes: the labels; empty for regression.
    """
    measured = [set(fold.valid.get_label().astype(int)) if fold.valid else set() for fold in objective.folds]
    lacking = [met for met in measured if len(met) < len(classes)]
    if not lacking:
        return ""
    absent = [each for code, each in enumerate(classes) if any(code not in met for met in lacking)]
    return (
        f"{len(lacking)} of {len(measured)} folds lack a class in the rows that measure them, such as "
        f"{spell(absent[0])}: their ROC AUC does not count. Use fewer folds, or bring more rows of it."
    )


def choose_metric(metric: str, task: str) -> str:
    """Settle the metric to optimise.

    Raises:
        UserError: the task does not have it.
    """
    known = [name for name in metrics_of(task) if name in get_args(AskedMetric)]
    if metric == "auto":
        return known[0]
    if metric not in known:
        raise UserError(f"metric={metric} does not fit a {task} task: use {', '.join(known)}.")
    return metric


def patience(learning_rate: float) -> int:
    """Give the rounds without a better mean after which a trial stops: more for a slow learner, from 20 to 200."""
    return int(np.clip(3 / learning_rate, 20, 200))


def _check_folds(problem: Problem, y: np.ndarray, folds: int) -> None:
    """Refuse more folds than the training rows allow.

    Raises:
        UserError: a fold would have no row, or no class could be in every fold.
    """
    if len(y) < folds:
        raise UserError(f"folds={folds} is more than the {len(y)} training rows: use fewer.")
    if problem.classes and np.bincount(y).max() < folds:
        most = np.bincount(y).max()
        raise UserError(f"folds={folds} is more than any class has training rows ({most} at most): use fewer.")
