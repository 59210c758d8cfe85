"""Where a study lives: its storage checked, opened and read, and what goes wrong with it in one sentence."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from treeline import StoreError, UserError
from treeline.secrets import without_secrets

MAX_NAME_BYTES = 200  # of a study, whose name may be a file's
LOCK_SECONDS = 3  # after which the lock of a killed process is broken
CONNECT_SECONDS = 10  # after which a database that does not answer is out of reach
NETWORKED = ("postgresql", "mysql", "mariadb")  # whose drivers can be told how long to wait for an answer
UNREACHABLE = (OSError, SQLAlchemyError, optuna.exceptions.StorageInternalError)


def check_storage(url: str, name: str) -> None:
    """Refuse a storage and a name of a study that cannot be, without opening or making anything.

    Args:
        url: of the storage; empty keeps the study in a file of its name.
        name: of the study; empty is not looked at.

    Raises:
        UserError: the URL is none, its driver is missing, or the name cannot be a file's or a run's tag.
        StoreError: its database or its folder cannot be reached.
    """
    _check_name(name, of_file=not url)
    if not url:
        return
    with _opening(url):
        place = make_url(url)
        if place.get_backend_name() != "sqlite":
            engine = create_engine(place, connect_args=_patience(place))
            try:
                with engine.connect():
                    pass
            finally:
                engine.dispose()
            return
        create_engine(place)
    folder = Path(place.database or ".").absolute().parent
    if not folder.is_dir():  # its file would be made, not looked for
        raise StoreError(
            f"Cannot open storage {without_secrets(url)!r}: there is no folder {str(folder)!r}; make it first."
        )


def _check_name(name: str, of_file: bool) -> None:
    legal = r"[\w. -]*" if of_file else r"[^'\"`\\\x00-\x1f]*"
    if re.fullmatch(legal, name) and len(name.encode()) <= MAX_NAME_BYTES:
        return
    if of_file:
        what, signs = "cannot name a file", "use letters, digits, '.', '-' and '_'"
    else:
        what, signs = "cannot name a study", "use no quotes and no backslashes"
    raise UserError(f"study_name {name[:60]!r} {what}: {signs}, {MAX_NAME_BYTES} bytes at most.")


@contextmanager
def _opening(url: str) -> Iterator[None]:
    """Turn what the opening of a storage raises into one sentence.

    Raises:
        UserError: the URL is none, or its driver is missing.
        StoreError: what it leads to is out of reach, or holds something else.
    """
    try:
        yield
    except (ImportError, ValueError, ArgumentError) as error:
        raise UserError(f"Cannot open storage {without_secrets(url)!r}: {_reason(error)}") from None
    except (*UNREACHABLE, RuntimeError) as error:  # RuntimeError: another version of Optuna made it
        raise StoreError(
            f"Cannot open storage {without_secrets(url)!r}: {_reason(error)}. Start its database, or mend the URL."
        ) from None


@contextmanager
def storage_errors(name: str) -> Iterator[None]:
    """Turn what a storage raises that can be written no more into one sentence.

    Args:
        name: of the study.

    Raises:
        StoreError: the disk is full, the database is gone, or the like.
    """
    try:
        yield
    except UNREACHABLE as error:
        raise StoreError(
            f"The storage of the study {name!r} cannot be read or written: {_reason(error)}. What it has is kept: mend "
            f"that, and go on with study_name {name!r}."
        ) from error


def _reason(error: BaseException) -> str:
    """Give the first line of the innermost cause, which is the one that a person can mend."""
    if isinstance(error, optuna.exceptions.StorageInternalError) and error.__cause__:
        error = error.__cause__
    lines = without_secrets(str(error)).splitlines() or [type(error).__name__]
    return lines[0].rstrip(". ")


def _patience(place: URL) -> dict[str, int]:
    return {"connect_timeout": CONNECT_SECONDS} if place.get_backend_name() in NETWORKED else {}


def journal_path(folder: Path, name: str) -> Path:
    """Say in which file of a folder a study is kept that has no other storage; the file's folder is made.

    Raises:
        UserError: the name cannot be a file's.
        StoreError: the folder cannot be made.
    """
    _check_name(name, of_file=True)
    path = folder / "studies" / f"{name}.log"
    with storage_errors(name):
        path.parent.mkdir(exist_ok=True)
    return path


def open_storage(url: str, journal: Path) -> BaseStorage:
    """Open the storage of a study: any Optuna storage URL, or else a journal file.

    A journal that a kill left with half a line is cut back to its last whole one.

    Args:
        url: of the storage; empty takes the journal.
        journal: that `journal_path` gives; its writer must be alone with it.

    Raises:
        UserError: the URL is none, or its driver is missing.
        StoreError: what it leads to is out of reach, or cannot be read.
    """
    if url:
        with _opening(url):
            return optuna.storages.get_storage(url)
    with storage_errors(journal.stem):
        if journal.exists():
            whole = journal.read_bytes()
            if not whole.endswith(b"\n"):
                os.truncate(journal, whole.rfind(b"\n") + 1)
        return read_journal(journal)


def read_journal(path: Path) -> BaseStorage:
    """Read a journal as it is.

    Raises:
        StoreError: it holds what no study writes.
    """
    try:
        return JournalStorage(JournalFileBackend(str(path), JournalFileOpenLock(str(path), grace_period=LOCK_SECONDS)))
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        AssertionError,
        RecursionError,
    ) as error:  # whatever a line may lead to
        line = _first_garbled(path)
        where = f" at line {line}" if line else ""
        first = f"cut it before that line, with `head -n {line - 1}`" if line else "put back a copy of it"
        raise StoreError(
            f"The journal {str(path)!r} of the study cannot be read{where}: {first}, or choose another study_name to "
            "start anew."
        ) from error


def _first_garbled(path: Path) -> int:
    """Give the first line, from 1, that is no record of a journal; 0 where each looks like one."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                return number
            if not isinstance(record, dict) or not {"op_code", "worker_id"} <= record.keys():
                return number
    return 0
