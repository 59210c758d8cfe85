"""What a store's errors are told as: those of disks, databases and servers in a sentence, a defect not at all."""

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import mlflow
import mlflow.sklearn  # not loaded by name alone
import pandas as pd
import pytest
import requests
from conftest import Store
from mlflow.exceptions import MlflowException
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import IntegrityError, OperationalError

import batch_inference
from tracking import bundle, promotion
from tracking.findings import Findings
from tracking.golden_requests import replay_golden_requests
from tracking.out_of_fold import load_out_of_fold
from tracking.store_errors import shown, store_error
from treeline import StoreError

pytestmark = pytest.mark.store

FULL = sqlite3.OperationalError("database or disk is full")
SERVER = "http://me:secret@tracking.test:5000/base?signature=abc"


def of_mlflow(error: Exception) -> MlflowException:
    """As MLflow tells what a database raised."""
    wrapped = MlflowException(error)
    wrapped.__cause__ = error
    return wrapped


def during(outer: Exception, inner: Exception) -> Exception:
    outer.__context__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space", "/a/b"), "/a/b is on a full disk"),
        (OSError(errno.EDQUOT, "Quota", "/a/b"), "/a/b is on a full disk"),
        (PermissionError(errno.EACCES, "Denied", "/a/b"), "/a/b may not be written"),
        (OSError(errno.EROFS, "Read-only", "/a/b"), "/a/b may not be written"),
        (NotADirectoryError(errno.ENOTDIR, "No folder", "/a/b"), "/a/b is a file"),
        (OSError(errno.ENOSPC, "No space"), "mlflow.db is on a full disk"),
        (FULL, "mlflow.db is on a full disk"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "mlflow.db may not be written"),
        (sqlite3.OperationalError("database is locked"), "locked by another process"),
        (sqlite3.OperationalError("unable to open database file"), "cannot be opened"),
        (sqlite3.DatabaseError("file is not a database"), "no SQLite database"),
        (sqlite3.DatabaseError("database disk image is malformed"), "damaged"),
        (sqlite3.OperationalError("whatever else"), "whatever else"),
        (of_mlflow(OperationalError("INSERT", {}, FULL)), "mlflow.db is on a full disk"),
        (MlflowException("(sqlite3.DatabaseError) database disk image is malformed\n[SQL: SELECT]"), "damaged"),
        (during(MlflowException("cannot close the run"), StoreError("the cause")), "the cause"),
    ],
)
def test_errors_of_a_disk_are_told(store: Store, error: Exception, words: str) -> None:
    told = store_error(error)
    assert told is not None
    assert words in str(told)
    assert "[SQL" not in str(told)


def test_the_storage_of_a_study_is_told_as_what_it_is(store: Store) -> None:
    error = StorageInternalError("during the commit")
    error.__cause__ = OperationalError("INSERT", {}, FULL)
    assert str(store_error(error)).startswith("The storage of the study is on a full disk")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MlflowException("API request to x failed with exception ... Connection refused"), "refuses the connection"),
        (MlflowException("API request to x failed with timeout exception"), "does not answer"),
        (MlflowException("API request to endpoint x failed with error code 401 != 200. Response body: 'no'"), "login"),
        (MlflowException("API request to endpoint x failed with error code 403 != 200. Response body: 'no'"), "403"),
        (MlflowException("API request to endpoint x failed with error code 502 != 200. Response body: 'no'"), "502"),
        (MlflowException("(sqlite3.OperationalError) database or disk is full"), "is on a full disk"),
        (requests.ConnectionError("Failed to resolve 'x' ([Errno -2] Name or service not known)"), "no host"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "refuses the connection"),
    ],
)
def test_errors_of_a_server_are_told_without_its_secrets(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    told = str(store_error(error))
    assert words in told
    assert "http://tracking.test:5000/base " in told
    assert "secret" not in told


@pytest.mark.parametrize(
    "error",
    [
        KeyError("a"),
        FileNotFoundError(errno.ENOENT, "No file", "/a/b"),
        MlflowException("Run 'x' not found"),
        MlflowException("API request to x failed with exception y"),  # no server is this store's
        IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE constraint failed")),
        requests.ConnectionError("of a table's URL"),
        during(KeyError("a defect"), OSError(errno.ENOSPC, "met on the way")),
    ],
)
def test_a_defect_is_none(store: Store, error: Exception) -> None:
    assert store_error(error) is None


def test_what_was_told_already_goes_before_what_was_made_of_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    error = during(MlflowException("API request to x failed with exception the cause"), StoreError("the cause"))
    assert str(store_error(error)) == "the cause"


def test_a_store_is_named_without_secrets() -> None:
    assert shown(SERVER) == "http://tracking.test:5000/base"
    assert shown("postgresql://me:secret@db/name") == "postgresql://db/name"
    assert shown("sqlite:////a/mlflow.db") == "/a/mlflow.db"


@pytest.mark.parametrize(
    "reads",
    [
        lambda: promotion.load_pipeline("M", "1"),
        lambda: promotion.faults_of_forms(dict.fromkeys(("", "Booster", "Service"), "models:/M/1"), {}),
        lambda: promotion.golden_requests_of("0" * 32),
        lambda: replay_golden_requests("models:/M/1", {}),
        lambda: batch_inference.load("runs:/1/model"),
        lambda: bundle._fetch("models:/M/1", Path("files"), "M version 1"),
        lambda: Findings().attempt("picture", full_disk),
        lambda: load_out_of_fold(pd.DataFrame(), "0" * 32),
    ],
)
def test_a_full_disk_is_nobodys_fault_but_the_disks(
    store: Store, monkeypatch: pytest.MonkeyPatch, reads: Callable[[], object]
) -> None:
    for place, name in [(mlflow.sklearn, "load_model"), (mlflow.pyfunc, "load_model"), (mlflow, "get_run")]:
        monkeypatch.setattr(place, name, full_disk)
    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", full_disk)
    with pytest.raises(StoreError, match=r"full disk: make room"):
        reads()


def full_disk(*given: object, **named: object) -> None:
    """Fail as MLflow does when it copies files to a disk without room."""
    raise MlflowException(f"The following failures occurred: [Errno 28] {os.strerror(errno.ENOSPC)}")
