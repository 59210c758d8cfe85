"""The Optuna study: how it goes on after a kill, which trials count, when one is hopeless."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from treeline import UserError

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
# As many as there are known points at most; after them the sampler learns and trials are pruned.
STARTUP_TRIALS = 5
WARMUP_CHECKPOINTS = 3  # the first checkpoint at which a trial may be pruned: before it, what learns fast looks best


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


def open_study(
    storage: BaseStorage | None,
    name: str,
    maximize: bool,
    facts: Mapping[str, Any],
    points: Sequence[Mapping[str, Any]],
) -> optuna.Study:
    """Create a study, or open it again to go on with it: `load_study` and `settle_study` in one.

    Raises:
        UserError: the study exists and was made of other facts or another space.
    """
    study = load_study(storage, name, maximize)
    settle_study(study, facts, points)
    return study


def load_study(storage: BaseStorage | None, name: str, maximize: bool) -> optuna.Study:
    """Open a study, or create it with nothing in it.

    Args:
        storage: where it lives; None keeps it in memory.
        name: of the study.
        maximize: the direction of its metric.
    """
    return optuna.create_study(
        storage=storage,
        study_name=name,
        direction="maximize" if maximize else "minimize",
        load_if_exists=True,
        pruner=HopelessPruner(),
    )


def settle_study(study: optuna.Study, facts: Mapping[str, Any], points: Sequence[Mapping[str, Any]]) -> None:
    """Give a new study what it is made of, an id of its own, and what it tries first; check one that exists.

    Args:
        study: whose writer is alone with it.
        facts: what must not change between two visits, such as the data's digest, the seed and the space; JSON values,
            or what a trial may draw.
        points: what a new study tries first.

    Raises:
        UserError: the study exists and was made of other facts or another space.
    """
    facts = json.loads(json.dumps(facts, default=lambda drawn: json.loads(distribution_to_json(drawn))))
    known = study.user_attrs.get("facts")
    if known is None:  # they come last: a kill before them leaves a study that is settled again
        for point in points[len(study.get_trials(deepcopy=False)) :]:
            study.enqueue_trial(dict(point))
        study.set_user_attr("id", uuid.uuid4().hex)
        study.set_user_attr("facts", facts)
    elif known != facts:
        other = ", ".join(key for key in facts if known.get(key) != facts[key])
        raise UserError(
            f"The study {study.study_name!r} exists and has another {other}: choose another study_name to start anew."
        )


def study_id(study: optuna.Study) -> str:
    """Give the id by which the records of a study are told from those of another one of its name; empty of a study that
    was made before there were ids.
    """
    return str(study.user_attrs.get("id", ""))


def fail_stale_trials(study: optuna.Study) -> None:
    """Hand back the trials that a killed process left running."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        hand_back(study, trial)


def hand_back(study: optuna.Study, trial: FrozenTrial) -> None:
    """Fail a trial that did not come to its end; a known point is queued again.

    A point that the sampler drew is drawn again of itself, for it follows from the seed and the finished trials. One
    that failed of itself, and was stopped before it was told, counts, and is not tried again.
    """
    point = trial.system_attrs.get("fixed_params")
    if point is not None and "error" not in trial.user_attrs:
        waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        if all(each.system_attrs.get("fixed_params") != point for each in waiting):  # a kill came between these two
            study.enqueue_trial(point)
    study.tell(trial.number, state=TrialState.FAIL)


def counted(study: optuna.Study) -> list[FrozenTrial]:
    """Give the trials that count towards the total: finished, pruned, or failed of themselves; not the killed."""
    trials = study.get_trials(deepcopy=False)  # asked for at every trial, and only read
    return [trial for trial in trials if trial.state in FINISHED or "error" in trial.user_attrs]
