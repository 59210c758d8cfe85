"""The store of runs and models: where it is, whether it can be used, and the lock of its registry."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import mlflow
from mlflow.exceptions import MlflowException
from sqlalchemy import make_url

from treeline import UserError

EXPERIMENT = "treeline"


def choose_experiment() -> None:
    """Make the experiment of this process the one that the environment names, or else `treeline`.

    Raises:
        UserError: the store cannot be opened: an old file store, a deleted experiment, a server that does not answer.
    """
    if mlflow.get_tracking_uri().startswith(("file:", "/", "./")):
        raise UserError(
            f"The tracking store {mlflow.get_tracking_uri()} is a file store, which MLflow no longer writes. "
            "Convert it "
            "with `mlflow migrate-filestore`, or move the folder mlruns away."
        )
    if "MLFLOW_EXPERIMENT_ID" in os.environ:
        return
    try:
        mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT))
    except MlflowException as error:
        raise UserError(f"Cannot open the tracking store {mlflow.get_tracking_uri()}: {error.message}") from error


def check_store() -> None:
    """Refuse a folder whose store MLflow would look for elsewhere: its default URI says %20 for a blank, and SQLAlchemy
    before 2.1, the last for Python 3.10, takes that for the folder's name.

    Raises:
        UserError: it is such a folder.
    """
    uri = mlflow.get_tracking_uri()
    if uri.startswith("sqlite:///") and "%" in uri and make_url(uri).database == uri.removeprefix("sqlite:///"):
        raise UserError(
            f"MLflow cannot find its store in {str(store_folder())!r}, for a character in the folder's name: set "
            "MLFLOW_TRACKING_URI=sqlite:///mlflow.db for every command, rename the folder, or use Python 3.11 or later."
        )


@contextmanager
def registry_lock() -> Iterator[None]:
    """Let one process at a time change the registry, of those that share the folder of a store: they lock the folder
    itself, which leaves no file behind and is undone by the system when a process is killed.
    """
    folder = os.open(store_folder(), os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def store_folder() -> Path:
    """Give the folder of the SQLite store, or this one where the store is a server's."""
    uri = mlflow.get_tracking_uri()
    return (
        Path(unquote(uri.removeprefix("sqlite:///"))).absolute().parent if uri.startswith("sqlite:///") else Path.cwd()
    )
