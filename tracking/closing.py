"""Runs that nobody would close: their processes are gone, which a heartbeat tells of while they live."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import mlflow
from loguru import logger
from mlflow.entities import LifecycleStage, Run, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy import make_url

from tracking import owners
from tracking.owners import Owner
from treeline import StoreError

HEARTBEAT = f"{owners.PREFIX}heartbeat"  # tag of a process's outermost run: when it was last heard of, in Unix time
LAST_BEAT_SECONDS = 10.0  # how long a run that ends waits for a heartbeat that is on its way


@contextmanager
def heartbeat(run_id: str) -> Iterator[None]:
    """Say every minute on a run that its process lives, as long as the block runs.

    One run of a process is enough: `close_abandoned_runs` takes what it hears of the process for all its runs.
    """
    client, ended = mlflow.MlflowClient(), threading.Event()

    def beat() -> None:
        while not ended.wait(owners.BEAT_SECONDS):
            try:
                client.set_tag(run_id, HEARTBEAT, f"{time.time():.0f}")
            except Exception as error:  # no reason to end the work: whoever looks hears nothing until the next beat
                logger.debug(f"no heartbeat: {error}")

    beats = threading.Thread(target=beat, name="heartbeat", daemon=True)
    beats.start()
    try:
        yield
    finally:
        ended.set()
        beats.join(LAST_BEAT_SECONDS)


def close(run: Run, why: str, end_seconds: float | None = None) -> None:
    """Close a run as KILLED.

    Args:
        run: an open one.
        why: it was not closed by its process, in a sentence; its tag `error`.
        end_seconds: when it ended, in Unix time; None is now.
    """
    client = mlflow.MlflowClient()
    client.log_batch(run.info.run_id, tags=[RunTag("state", "KILLED"), RunTag("error", why)])
    client.set_terminated(run.info.run_id, "KILLED", None if end_seconds is None else int(end_seconds * 1000))


def close_abandoned_runs() -> None:
    """Close the runs of processes that are gone, in every experiment of the store; tell how many they were.

    A process of this machine is looked at; one of another is gone when nothing was heard of it for ten minutes. Runs
    that no process of Treeline opened stay as they are.

    Raises:
        StoreError: the store cannot be read.
    """
    if not _is_made():
        return
    try:
        running = _running()
    except MlflowException as error:
        raise StoreError(f"Cannot open the tracking store {mlflow.get_tracking_uri()}: {error.message}") from error
    owned = [(run, owner) for run in running if (owner := Owner.of_tags(run.data.tags))]
    heard: dict[Owner, float] = {}
    for run, owner in owned:
        heard[owner] = max(heard.get(owner, 0.0), _heard(run))
    now = time.time()
    gone = {owner for owner, last in heard.items() if owner.is_gone(now - last)}
    closed = sum(_close_open(run, owner, heard[owner]) for run, owner in owned if owner in gone)
    if closed:
        logger.warning(f"{closed} runs of processes that are gone were still open; they are closed as KILLED")


def _close_open(run: Run, owner: Owner, last_heard: float) -> bool:
    """Close a run unless its process, which is gone now, did so after the run was looked up; tell whether it did."""
    why = f"The {owner.told()} ended without closing this run: it was killed, or the machine stopped."
    try:
        run = mlflow.get_run(run.info.run_id)
        if run.info.status != "RUNNING" or run.info.lifecycle_stage != LifecycleStage.ACTIVE:
            return False
        close(run, why, last_heard)
    except MlflowException as error:  # such as a run of another user's: it is no reason to refuse this user's work
        logger.warning(f"the run {run.info.run_id} of a process that is gone stays open: {error.message}")
        return False
    return True


def _is_made() -> bool:
    """Tell whether there is a store; to ask MLflow would make one. A file store is none that can be used."""
    uri = mlflow.get_tracking_uri()
    database = make_url(uri).database if uri.startswith("sqlite:") else None
    return not uri.startswith(("file:", "/", "./")) and (database is None or Path(database).exists())


def _running() -> list[Run]:
    client, token = mlflow.MlflowClient(), None
    experiments, found = [each.experiment_id for each in mlflow.search_experiments()], []
    while True:
        page = client.search_runs(experiments, "attributes.status = 'RUNNING'", page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _heard(run: Run) -> float:
    """Tell when a run, or the process that it says it is of, was last heard of, in Unix time."""
    with suppress(ValueError):
        return float(run.data.tags.get(HEARTBEAT, ""))
    return float(run.info.start_time) / 1000
