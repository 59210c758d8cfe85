"""The Optuna study: where it lives, how it goes on after a kill, what it draws next, when a trial is hopeless."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from treeline import UserError

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
STARTUP = 5  # trials, the known points and one drawn at random, after which the sampler learns and trials are pruned
WARMUP = 2  # the first checkpoint at which a trial may be pruned: before it, what learns fast looks best
LOCK_SECONDS = 3  # after which the lock of a killed process is broken


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
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=WARMUP),
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


def bury_the_dead(study: optuna.Study) -> None:
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


def draw(study: optuna.Study, space: Mapping[str, BaseDistribution], seed: int) -> optuna.Trial:
    """Ask for the next trial; what it is follows from the seed and the trials that count, so a resumed study goes on
    as if it had never stopped, and never draws a point twice.
    """
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=STARTUP, seed=seed + len(counted(study)))
    return study.ask(dict(space))


def checkpoint(learning_rate: float, round_: int) -> int | None:
    """Say at which checkpoint a trial stands after a round, or None between two.

    Trials are compared when they have learned equally much, that is at equal sums of their learning rate over the
    rounds (0.5, 1, 2, 4, ...): at equal rounds a slow learner would always look hopeless.
    """
    now, before = (math.floor(math.log2(max(learning_rate * i, 1e-12) / 0.5)) for i in (round_, round_ - 1))
    return now if now > before and now >= 0 else None
