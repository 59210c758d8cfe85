"""The store of runs and models: where it is, opened before anything is asked of it, and the lock of its registry."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow.exceptions import MlflowException
from sqlalchemy import make_url

from tracking.server_store import PATIENCE_SECONDS, be_patient, reach_database, reach_server
from tracking.sqlite_files import check_lock, folder_lock, sqlite_file
from tracking.sqlite_store import settle
from tracking.store_errors import shown, store_error
from treeline import StoreError, UserError

EXPERIMENT = "treeline"
MIN_FREE_BYTES = 10_000_000  # the main job on a small table writes 6 MB
WAIT = "TREELINE_STORE_WAIT"  # seconds to wait for a store: at the start none, in the middle of a run two minutes


def choose_experiment() -> None:
    """Make the experiment of this process the one that the environment names, or else `treeline`; make the store where
    there is none.

    Raises:
        UserError: the store cannot be opened: an old file store, a deleted experiment, a server that does not answer.
    """
    uri = mlflow.get_tracking_uri()
    if uri.startswith(("file:", "/", "./")):
        raise UserError(
            f"The tracking store {uri} is a file store, which MLflow no longer writes. Convert it with `mlflow "
            "migrate-filestore`, or move the folder mlruns away."
        )
    _settle(make=True)
    if "MLFLOW_EXPERIMENT_ID" in os.environ:
        return
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    try:
        make_experiment(name)
        mlflow.set_experiment(name)
    except MlflowException as error:
        told = store_error(error) or UserError(f"Cannot open the tracking store {shown(uri)}: {error.message}")
        raise told from error


def make_experiment(name: str) -> str:
    """Give the id of an experiment, made where there is none.

    Another process may make it at the same moment, which MLflow's `set_experiment` answers by choosing none.
    """
    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)
    return str(found.experiment_id)


def open_store() -> None:
    """Look at the store before a command uses it: one that is out of reach is told in seconds, one that was half made
    or is an older MLflow's is brought to this one's state. It makes none: `choose_experiment` does.

    Raises:
        UserError: it lies in a folder where MLflow does not find it, or a setting of it is wrong.
        StoreError: it cannot be reached, read or written, or a newer MLflow wrote it.
    """
    uri, wait = mlflow.get_tracking_uri(), _wait_seconds()
    try:
        urlsplit(uri)
    except ValueError as error:
        raise UserError(f"MLFLOW_TRACKING_URI got {uri!r}, which is no address: {error}.") from None
    if uri.startswith(("http://", "https://")):
        reach_server(uri, wait or 0)
        be_patient(uri, PATIENCE_SECONDS if wait is None else wait)
    elif uri.startswith(("postgresql", "mysql", "mssql")):
        reach_database(uri, wait or 0)
    _refuse_literal_quotes(uri)
    _settle(make=False)


def check_room() -> None:
    """Refuse to begin on a disk that is as good as full: a run that cannot be written to its end helps nobody.

    Raises:
        StoreError: less than `MIN_FREE_BYTES` are free in the folder of a SQLite store.
    """
    path = sqlite_file(mlflow.get_tracking_uri())
    if path is None or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        return
    free = shutil.disk_usage(path.parent).free
    if free < MIN_FREE_BYTES:
        raise StoreError(
            f"Only {free / 1e6:.1f} MB are free in {path.parent}, which holds the store, and "
            f"{MIN_FREE_BYTES / 1e6:.0f} MB are the least to begin with: make room, then start the command again."
        )


def _settle(make: bool) -> None:
    """Bring a SQLite store to the state that MLflow opens.

    Raises:
        StoreError: it cannot be read or written, or a newer MLflow wrote it.
    """
    uri = mlflow.get_tracking_uri()
    path = sqlite_file(uri)
    if path is None:
        return
    try:
        if make:
            path.parent.mkdir(parents=True, exist_ok=True)  # as MLflow does
        settle(uri, path, make)
        if path.exists():
            check_lock(path, _wait_seconds() or 0)
    except Exception as error:
        told = store_error(error)
        if told is None or told is error:
            raise
        raise told from error


def _wait_seconds() -> float | None:
    """Read how long the user wants to wait for a store; None where nothing is said.

    Raises:
        UserError: it is no number of seconds.
    """
    text = os.environ.get(WAIT, "")
    try:
        seconds = float(text) if text else None
    except ValueError:
        seconds = -1.0
    if seconds is not None and not 0 <= seconds < float("inf"):
        raise UserError(f"{WAIT} got {text!r}: it must be a number of seconds from 0 on.")
    return seconds


def _refuse_literal_quotes(uri: str) -> None:
    """Refuse a folder whose store MLflow would look for elsewhere: its default URI says %20 for a blank, and SQLAlchemy
    before 2.1, the last for Python 3.10, takes that for the folder's name.

    Raises:
        UserError: it is such a folder.
    """
    if uri.startswith("sqlite:///") and "%" in uri and make_url(uri).database == uri.removeprefix("sqlite:///"):
        raise UserError(
            f"MLflow cannot find its store in {str(store_folder())!r}, for a character in the folder's name: set "
            "MLFLOW_TRACKING_URI=sqlite:///mlflow.db for every command, rename the folder, or use Python 3.11 or later."
        )


@contextmanager
def registry_lock() -> Iterator[None]:
    """Let one process at a time change the registry, of those that share the folder of a store."""
    with folder_lock(store_folder()):
        yield


def store_folder() -> Path:
    """Give the folder of the SQLite store, or this one where the store is a server's."""
    uri = mlflow.get_tracking_uri()
    return (
        Path(unquote(uri.removeprefix("sqlite:///"))).absolute().parent if uri.startswith("sqlite:///") else Path.cwd()
    )
