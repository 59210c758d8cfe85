"""The Optuna study: where it lives, how it goes on after a kill, which trials count, when one is hopeless."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from treeline import UserError

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
# As many as there are known points at most; after them the sampler learns and trials are pruned.
STARTUP_TRIALS = 5
WARMUP_CHECKPOINTS = 3  # the first checkpoint at which a trial may be pruned: before it, what learns fast looks best
MAX_NAME_BYTES = 200  # of a study that is kept in a file
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


def check_storage(url: str, name: str) -> None:
    """Refuse a storage and a name of a study that cannot be, without opening or making anything.

    Args:
        url: of the storage; empty keeps the study in a file of its name.
        name: of the study; empty is not looked at.

    Raises:
        UserError: the URL is none, its database or its driver cannot be reached, or the name cannot be a file's.
    """
    if not url:
        if name and not (re.fullmatch(r"[\w. -]+", name) and len(name.encode()) <= MAX_NAME_BYTES):
            raise UserError(
                f"study_name {name[:60]!r} cannot name a file: use letters, digits, '.', '-' and '_', "
                f"{MAX_NAME_BYTES} bytes at most."
            )
        return
    try:
        place = make_url(url)
        engine = create_engine(place)
        if place.get_backend_name() != "sqlite":
            with engine.connect():
                pass
            engine.dispose()
    except (ImportError, ValueError, SQLAlchemyError) as error:
        raise UserError(f"Cannot open storage {url!r}: {str(error).splitlines()[0]}") from error
    folder = Path(place.database or ".").absolute().parent
    if place.get_backend_name() == "sqlite" and not folder.is_dir():  # its file would be made, not looked for
        raise UserError(f"Cannot open storage {url!r}: there is no folder {str(folder)!r}; make it first.")


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
            raise UserError(f"Cannot open storage {url!r}: {str(error).splitlines()[0]}") from error
    check_storage("", name)
    path = folder / "studies" / f"{name}.log"
    path.parent.mkdir(exist_ok=True)
    if path.exists():
        whole = path.read_bytes()
        if not whole.endswith(b"\n"):
            path.write_bytes(whole[: whole.rfind(b"\n") + 1])
    return JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path), grace_period=LOCK_SECONDS)))


def open_study(
    storage: BaseStorage | None,
    name: str,
    maximize: bool,
    facts: Mapping[str, Any],
    points: Sequence[Mapping[str, Any]],
) -> optuna.Study:
    """Create a study, or open it again to go on with it.

    Args:
        storage: where it lives; None keeps it in memory.
        name: of the study.
        maximize: the direction of its metric.
        facts: what must not change between two visits, such as the data's digest, the seed and the space; JSON values,
            or what a trial may draw.
        points: what a new study tries first.

    Raises:
        UserError: the study exists and was made of other facts or another space.
    """
    facts = json.loads(json.dumps(facts, default=lambda drawn: json.loads(distribution_to_json(drawn))))
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
            study.enqueue_trial(dict(point))
    elif known != facts:
        other = ", ".join(key for key in facts if known.get(key) != facts[key])
        raise UserError(f"The study {name!r} exists and has another {other}: choose another study_name to start anew.")
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
