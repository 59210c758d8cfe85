"""Whose a study is: one process at a time works on it, and one that finds it elsewhere does not start it anew.

A study that many workers share has one owner too: the process that coordinates them.
"""

import fcntl
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import optuna
from loguru import logger

from tracking.owners import BEAT_SECONDS, Owner, this_process
from treeline import StoreError, UserError
from treeline.secrets import without_secrets
from treeline.tuning.storage import UNREACHABLE, read_journal

OWNER = "owner"  # what a study keeps of its owner: the tags of it, and when it was last heard of
HEARD = "heard"
SETTLE_SECONDS = 1.0  # in which two processes that claim a study at once see each other
ON_SERVER = "runs_on_server"  # what a study in a journal keeps of the server that has its runs
PLACE = "study_place"  # tag of a tuning run: where its study lies


@contextmanager
def lock_journal(path: Path) -> Iterator[None]:
    """Be alone with a journal; the system undoes that when the process ends, however it does.

    Args:
        path: of the journal, made where it is missing.

    Raises:
        UserError: another process works on its study.
        StoreError: the file cannot be opened.
    """
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise StoreError(f"Cannot open the journal {str(path)!r} of the study: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _taken(path.stem, _owner_of_journal(path)) from None
        yield
    finally:
        os.close(file)


@contextmanager
def own_study(study: optuna.Study, locked: bool) -> Iterator[Callable[[], None]]:
    """Work on a study as its owner.

    Args:
        study: that was opened.
        locked: whether `lock_journal` keeps others away; else what the study says of its owner does, and a thread
            renews it.

    Yields:
        What raises where another process took the study over meanwhile, as it may from a machine that slept.

    Raises:
        UserError: another process works on it.
    """
    me = this_process()

    def check() -> None:
        owner, silent = _owner_of(study)
        if owner and owner != me and not owner.is_gone(silent):
            raise _taken(study.study_name, owner)

    if locked:
        _claim(study, me)
        if not mlflow.get_tracking_uri().startswith("sqlite:"):
            study.set_user_attr(ON_SERVER, without_secrets(mlflow.get_tracking_uri()))
        yield lambda: None
        return
    check()
    _claim(study, me)
    time.sleep(SETTLE_SECONDS)
    check()
    done = threading.Event()
    beat = threading.Thread(target=_renew, args=(study, me, done), daemon=True)
    beat.start()
    try:
        yield check
    finally:
        done.set()
        beat.join()
        _release(study, me)


def _claim(study: optuna.Study, owner: Owner) -> None:
    study.set_user_attr(OWNER, {**owner.tags(), HEARD: time.time()})


def _renew(study: optuna.Study, owner: Owner, done: threading.Event) -> None:
    while not done.wait(BEAT_SECONDS):
        try:
            if _owner_of(study)[0] != owner:
                return
            _claim(study, owner)
        except UNREACHABLE as error:  # the next trial meets it too, and says so
            logger.warning(f"the storage of the study {study.study_name!r} does not answer: {error}")


def _release(study: optuna.Study, owner: Owner) -> None:
    try:
        if _owner_of(study)[0] == owner:
            study.set_user_attr(OWNER, {})
    except UNREACHABLE as error:  # what ended the work is told already; others wait until the owner is silent for long
        logger.warning(f"the study {study.study_name!r} could not be released: {error}")


def _owner_of(study: optuna.Study) -> tuple[Owner | None, float]:
    """Give the owner, and for how many seconds it has been silent."""
    kept = study.user_attrs.get(OWNER) or {}
    return Owner.of_tags(kept), time.time() - kept.get(HEARD, 0.0)


def _owner_of_journal(path: Path) -> Owner | None:
    storage = read_journal(path)
    studies = storage.get_all_studies()
    return Owner.of_tags(studies[0].user_attrs.get(OWNER) or {}) if studies else None


def _taken(name: str, owner: Owner | None) -> UserError:
    who = owner.told() if owner else "another process"
    return UserError(
        f"The study {name!r} belongs to {who}, which works on it: wait for it, stop it, or choose another study_name."
    )


# --- a study that lies elsewhere


def study_place(storage: str, journal: Path) -> str:
    """Say where a study lies, for people: its storage without what is secret, or the host and the path of its journal.

    Args:
        storage: its URL; empty takes the journal.
        journal: its file.
    """
    return without_secrets(storage) if storage else f"{socket.gethostname()}:{journal.absolute()}"


def is_of_server(journal: Path) -> bool:
    """Tell whether a server has the runs of the study in a journal, which may be damaged."""
    with journal.open("rb") as lines:
        return any(f'"{ON_SERVER}"'.encode() in line for line in lines)


def refuse_elsewhere(name: str, journal: Path) -> None:
    """Refuse to start a study anew whose runs are in the active run's experiment, and whose journal is not here.

    With a store on this machine the journal lies beside it, and is missing only where somebody took it away.

    Args:
        name: of the study, as it was given.
        journal: where it would be made.

    Raises:
        UserError: it lies on another machine or in another folder, or this folder is a clone that will not be there
            the next time.
    """
    if mlflow.get_tracking_uri().startswith("sqlite:"):
        return
    if _in_clone():
        raise UserError(
            f"The study {name!r} would lie in {str(Path.cwd())!r}, a clone that is made for this run alone: keep it "
            "with --storage, such as postgresql+psycopg2://host/database, or leave --study-name out."
        )
    if journal.exists():
        return
    experiment = mlflow.active_run().info.experiment_id
    query = f"tags.study = '{name}' and tags.stage = 'hyperparameters-tuning'"
    for run in mlflow.MlflowClient().search_runs([experiment], query, max_results=1):
        place = run.data.tags.get(PLACE, "another folder or machine")
        if place != study_place("", journal):
            raise UserError(
                f"The study {name!r} lies in {place}, not here in {str(journal)!r}: go on with it there, give its "
                "--storage, or choose another --study-name. A study that several machines go on with needs --storage, "
                "such as postgresql+psycopg2://host/database."
            )


def _in_clone() -> bool:
    """Tell whether `mlflow run` fetched the project into a temporary folder, and runs it there."""
    source = mlflow.get_run(mlflow.active_run().info.run_id).data.tags.get("mlflow.source.name", "")
    temporary, here = Path(tempfile.gettempdir()).resolve(), Path.cwd().resolve()
    inside = here.relative_to(temporary).parts if here.is_relative_to(temporary) else ()
    return bool(inside) and inside[0].startswith(tempfile.template) and ":" in source
