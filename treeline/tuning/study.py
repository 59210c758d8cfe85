"""The Optuna study: where it lives, how it goes on after a kill, what it draws next, when a trial is hopeless."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, distribution_to_json
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from treeline import UserError
from treeline.tuning.search_space import hold_learning_rate

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
STARTUP_TRIALS = (
    5  # trials, as many as there are known points at most, after which the sampler learns and trials are pruned
)
WARMUP_CHECKPOINTS = 3  # the first checkpoint at which a trial may be pruned: before it, what learns fast looks best
ROUNDS_MARGIN = 0.75  # a trial at 1/n of the best one's rate must be allowed this times n times its rounds
LOCK_SECONDS = 3  # after which the lock of a killed process is broken


class HopelessPruner(optuna.pruners.MedianPruner):
    """Prunes a trial that is behind the median of the others, and would be behind the best if it gained as much again
    as it did since the checkpoint before.

    Either alone is wrong about some tables: the median prunes shallow trees, which learn slowly and may end best
    (Friedman 1), the outlook prunes what begins slowly and speeds up (Gaussian quantiles).
    """

    def __init__(self) -> None:
        super().__init__(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_CHECKPOINTS)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Judge a trial by its last checkpoint; Optuna's method."""
        if not super().prune(study, trial):
            return False
        values, step = trial.intermediate_values, max(trial.intermediate_values)
        outlook = values[step] + (values[step] - values[step - 1])
        maximize = study.direction == optuna.study.StudyDirection.MAXIMIZE
        return outlook < study.best_value if maximize else outlook > study.best_value


def open_storage(url: str, name: str, folder: Path) -> BaseStorage:
    """Open the storage of a study: any Optuna storage URL, or else a journal file `studies/<name>.log` in a folder.

    A journal that a kill left with half a line is cut back to its last whole one.

    Raises:
        UserError: the URL leads nowhere, or the name cannot be a file's.
    """
    if url:
        try:
            return optuna.storages.get_storage(url)
        except (ImportError, ValueError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            raise UserError(f"Cannot open --storage {url!r}: {str(error).splitlines()[0]}") from error
    if not re.fullmatch(r"[\w. -]+", name):
        raise UserError(f"--study-name {name!r} cannot name a file: use letters, digits, '.', '-' and '_'.")
    path = folder / "studies" / f"{name}.log"
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        whole = path.read_bytes()
        if not whole.endswith(b"\n"):
            path.write_bytes(whole[: whole.rfind(b"\n") + 1])
    return JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path), grace_period=LOCK_SECONDS)))


def open_study(
    storage: BaseStorage,
    name: str,
    maximize: bool,
    space: Mapping[str, BaseDistribution],
    facts: Mapping[str, Any],
    points: list[dict[str, Any]],
) -> optuna.Study:
    """Create a study, or open it again to go on with it.

    Args:
        storage: where it lives.
        name: of the study.
        maximize: the direction of its metric.
        space: what a trial may draw.
        facts: what must not change between two visits, such as the data's digest and the seed; JSON values.
        points: what a new study tries first.

    Raises:
        UserError: the study exists and was made of other facts or another space.
    """
    facts = {**facts, "space": {key: json.loads(distribution_to_json(value)) for key, value in space.items()}}
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize" if maximize else "minimize",
        load_if_exists=True,
        pruner=HopelessPruner(),
    )
    known = study.user_attrs.get("facts")
    if known is None:
        study.set_user_attr("facts", facts)
        for point in points:
            study.enqueue_trial(point)
    elif known != json.loads(json.dumps(facts)):
        other = ", ".join(key for key in facts if known.get(key) != json.loads(json.dumps(facts[key])))
        raise UserError(
            f"The study {name!r} exists and has another {other}: choose another --study-name to start anew."
        )
    return study


def fail_stale_trials(study: optuna.Study) -> None:
    """Fail the trials that a killed process left running; a known point among them is queued again.

    A point that the sampler drew is drawn again of itself, for it follows from the seed and the finished trials.
    """
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if "fixed_params" in trial.system_attrs:
            study.enqueue_trial(trial.system_attrs["fixed_params"])


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """Give the trials that count towards the total: finished, pruned, or failed of themselves; not the killed."""
    trials = study.get_trials(deepcopy=False)  # asked for at every trial, and only read
    return [trial for trial in trials if trial.state in FINISHED or "error" in trial.user_attrs]


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


def enqueue_lower_learning_rate(
    study: optuna.Study, space: Mapping[str, BaseDistribution], rounds: int, by: int
) -> None:
    """Queue the best trial's parameters at a lower learning rate, which is nearly always a little better, unless that
    was tried, other points are queued, or the space or the rounds leave no room.

    Where the best trial's rate was lowered before, and another has since been better than those parameters were at
    their first rate, it is that one's turn.

    Args:
        study: to go on with.
        space: what a trial may draw.
        rounds: the most that a trial may train.
        by: what the rate is divided by.
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
    rate = _rate(slowest) / by
    if slowest is tried[0] and rate >= rates.low and ROUNDS_MARGIN * by * slowest.user_attrs["rounds"] <= rounds:
        study.enqueue_trial({**slowest.params, "learning_rate": rate}, skip_if_exists=True)


def _rate(trial: FrozenTrial) -> float:
    return float(trial.params["learning_rate"])


def _at_any_rate(like: FrozenTrial, trials: list[FrozenTrial]) -> list[FrozenTrial]:
    others = like.params | {"learning_rate": None}
    return [trial for trial in trials if trial.params | {"learning_rate": None} == others]


def checkpoint(learning_rate: float, round_: int) -> int | None:
    """Say at which checkpoint a trial stands after a round, or None between two.

    Trials are compared when they have learned equally much, that is at equal sums of their learning rate over the
    rounds (0.5, 1, 2, 4, ...): at equal rounds a slow learner would always look hopeless.
    """
    now, before = (math.floor(math.log2(max(learning_rate * i, 1e-12) / 0.5)) for i in (round_, round_ - 1))
    return now if now > before and now >= 0 else None
