"""What went wrong with a store, in a sentence: whatever MLflow, SQLite, Optuna or the network raised for it.

Only errors of a disk, a database or a server are told so; any other is a defect, and keeps its traceback.
"""

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from urllib.parse import urlsplit

import mlflow
import requests
import sqlalchemy
import urllib3
from mlflow.exceptions import MlflowException
from optuna.exceptions import StorageInternalError
from sqlalchemy import make_url

from treeline import StoreError

AGAIN = "then start the command again"
FULL = "is on a full disk: make room there, " + AGAIN
DENIED = "may not be written by this user or lies on a read-only disk: change that or name another place, " + AGAIN
BROKEN = "is damaged: put a copy of it from before in its place, or move it away, " + AGAIN

# What the operating system says of a disk.
OF_DISKS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), FULL),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), DENIED),
    **dict.fromkeys((errno.EIO, errno.ESTALE), "cannot be read or written for an error of its disk: look after that"),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), "is a file where a folder is needed: move it away, " + AGAIN),
}
# What SQLite says, alone or in the words of MLflow, SQLAlchemy and Optuna.
OF_SQLITE = {
    "database or disk is full": FULL,
    "readonly database": DENIED,
    "unable to open database file": "cannot be opened: see that its folder exists and that this user may write there",
    "is locked": "is locked by another process: let that one end, " + AGAIN,
    "malformed": BROKEN,
    "not a database": "is no SQLite database: move it away or name another store with MLFLOW_TRACKING_URI, " + AGAIN,
    "disk I/O error": "cannot be read or written for an error of its disk: see that there is room and that it works",
    "no such table": BROKEN,
    "no such column": BROKEN,
}
# What MLflow says of a server: what happened, from its own sentence.
OF_SERVERS = re.compile(
    r"API request to \S+ failed|failed with error code (?P<status>\d+)|not in a valid JSON format|Max retries exceeded"
)
LOGIN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to a user who may do this"
WORKS = "see that it runs and that MLFLOW_TRACKING_URI names it, " + AGAIN


def shown(uri: str) -> str:
    """Name a store: a file by its path, a server by its address without user, password and query."""
    if uri.startswith("sqlite"):
        return make_url(uri).database or uri
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def store_error(error: BaseException) -> StoreError | None:
    """Translate an error that a stage ended with.

    Returns:
        What to tell; None where no store is to blame.
    """
    causes = list(_causes(error))
    for each in causes:
        if isinstance(each, StoreError):
            return each
    for each in causes:
        if sentence := _sentence(each):
            return StoreError(sentence)
    return None


def raise_if_of_store(error: BaseException) -> None:
    """Let nobody take a full disk or a server that is gone for a fault of what was to be read from it.

    To be called first wherever whatever goes wrong is told as something else.

    Raises:
        StoreError: a store is to blame.
    """
    if told := store_error(error):
        raise told from error


def server_error(uri: str, reason: str, remedy: str = WORKS) -> StoreError:
    """Tell that a server is out of reach, why, and what to do."""
    return StoreError(f"The tracking server {shown(uri)} {reason}: {remedy}.")


def network_reason(error: BaseException) -> str:
    """Tell what happened to a request that was not answered."""
    text = str(error)
    kinds = {
        "NameResolution|Name or service not known|Temporary failure in name": "has a name that no host is known by",
        "refused": "refuses the connection",
        "[Tt]imed? ?out": "does not answer",
        "SSL|certificate": "has no certificate that this machine trusts",
        "too many (?P<status>\\d+) error responses": "answers with errors of its own",
        "Max retries|RemoteDisconnected|reset by peer|Connection aborted": "breaks off the connection",
    }
    return next((told for words, told in kinds.items() if re.search(words, text)), f"cannot be reached ({_line(text)})")


def status_error(uri: str, status: int, body: str) -> StoreError:
    """Tell that a server answered with a status that is no answer."""
    if status == 401:
        return server_error(uri, "asks for a login (status 401)", LOGIN)
    if status == 403:
        return server_error(uri, f"refuses this request (status 403, {_line(body)[:100]!r})", LOGIN)
    if status >= 500:
        return server_error(uri, f"answers with an error of its own (status {status}, {_line(body)[:200]!r})")
    return server_error(uri, f"does not answer as MLflow does (status {status}, {_line(body)[:60]!r})")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what it was raised from; what MLflow raised while it handled another error is about that one."""
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__ or (current.__context__ if isinstance(current, MlflowException) else None)


def _sentence(error: BaseException) -> str:
    uri, text = mlflow.get_tracking_uri(), str(error)
    remote = uri.startswith(("http://", "https://"))
    if isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError | ConnectionError):
        return str(server_error(uri, network_reason(error))) if remote else ""
    if isinstance(error, OSError):
        told = OF_DISKS.get(error.errno or 0, "")
        return f"{_place(error.filename, uri)} {told}." if told else ""
    if isinstance(error, StorageInternalError):
        return f"The storage of the study {_told_of_database(error.__cause__ or error)}."
    if isinstance(error, sqlite3.OperationalError | sqlalchemy.exc.OperationalError):
        return f"The store {shown(uri)} {_told_of_database(error)}."
    if isinstance(error, sqlite3.DatabaseError | sqlalchemy.exc.DatabaseError | MlflowException):
        return _told_of_text(uri, text, remote)
    return ""


def _told_of_text(uri: str, text: str, remote: bool) -> str:
    """Recognise an error by its text, which is all that MLflow leaves of many."""
    found = OF_SERVERS.search(text) if remote else None
    if found and found["status"]:
        return str(status_error(uri, int(found["status"]), text.partition("Response body: ")[2]))
    if "OperationalError" in text or "sqlite3.DatabaseError" in text or "not a database" in text:
        return f"The store {shown(uri)} {_told_of_database(text)}."
    if "unsupported URI" in text:
        return (
            f"MLFLOW_TRACKING_URI got {shown(uri)!r}, of a kind that MLflow does not know: use sqlite:/// or http://."
        )
    if "malformed" in text:
        return f"The store {shown(uri)} {BROKEN}."
    for code, told in OF_DISKS.items():
        if os.strerror(code) in text:
            return f"A file of the store {shown(uri)} {told}."
    if found:
        return str(server_error(uri, network_reason(Exception(text))))
    return ""


def _told_of_database(error: BaseException | str) -> str:
    text = str(error)
    return next((told for words, told in OF_SQLITE.items() if words in text), f"cannot be used ({_line(text)})")


def _place(name: object, uri: str) -> str:
    return str(name) if name else f"A file of the store {shown(uri)}"


def _line(text: str) -> str:
    """The first line of a text, without what SQLAlchemy and web pages put around it."""
    return " ".join(text.partition("\n[SQL")[0].split())[:300]
