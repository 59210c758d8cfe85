"""A store in a SQLite file: made whole or not at all, healed where a first start was killed, upgraded beside a copy.

MLflow's own migration takes seconds and many steps. Killed on its way, or begun by several processes at once, it leaves
a file that no later start opens. So it is done here, by one process at a time, on a file of another name.
"""

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from enum import Enum, auto
from pathlib import Path

import mlflow
from alembic.script import ScriptDirectory
from loguru import logger
from mlflow.store.db import utils as migrations
from mlflow.tracking._tracking_service.utils import _get_sqlalchemy_store
from sqlalchemy import create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from treeline import StoreError
from treeline.interruption import stop_if_wished

LOCKED_SECONDS = 15.0  # how long another process may write without a pause
QUIET_SECONDS = 10.0  # after which a store that is half made is held for abandoned; a step of a migration takes less
MAKING_SECONDS = 120.0  # how long another process may take to make or upgrade a store
BESIDE = ("", "-journal", "-wal", "-shm")  # the files of a SQLite database
HALF_TABLE = "_alembic_tmp_"  # a table that is being rebuilt


class State(Enum):
    """What a file is to MLflow."""

    MISSING = auto()  # or empty
    HALF = auto()  # a first start began it and did not end it: it holds no experiment, not even the default one
    OLD = auto()
    WHOLE = auto()


def sqlite_file(uri: str) -> Path | None:
    """Give the file of a SQLite store; None where a store is anything else."""
    if not uri.startswith("sqlite"):
        return None
    database = make_url(uri).database
    return Path(database).absolute() if database and database != ":memory:" else None


@contextmanager
def folder_lock(folder: Path, seconds: float = float("inf")) -> Iterator[None]:
    """Let one process at a time work on the store of a folder: they lock the folder itself, which leaves no file behind
    and is undone by the system when a process is killed.

    Args:
        folder: to lock.
        seconds: to wait for another process.

    Raises:
        StoreError: another process took longer.
        KeyboardInterrupt: this process was asked to stop meanwhile.
    """
    descriptor, deadline = os.open(folder, os.O_RDONLY), time.monotonic() + seconds
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"Another process has been at the store in {folder} for {seconds:.0f} s: let it end, or "
                        "end it, then start the command again."
                    ) from None
            stop_if_wished()
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def settle(uri: str, path: Path, make: bool) -> None:
    """Bring a store to the state that MLflow opens without a migration.

    Args:
        uri: as MLflow names it.
        path: its file.
        make: make it where there is none.

    Raises:
        StoreError: a newer MLflow wrote it, it is no store, it is locked, or there is no room to make it.
    """
    if _is_settled(path, make):
        return
    with folder_lock(path.parent, MAKING_SECONDS):
        _wait_for_others(path)
        state = state_of(path)
        if state is State.HALF:
            aside = _put_aside(path)
            logger.warning(f"{path} was left half made by a first start that was killed: made anew; it lies in {aside}")
        if state is State.HALF or (state is State.MISSING and make):
            _make(uri, path)
        elif state is State.OLD:
            _upgrade(uri, path)


def check_lock(path: Path, seconds: float) -> None:
    """Make sure that no other process keeps a store locked; one that is read-only may still be read.

    Raises:
        sqlite3.OperationalError: it is locked, or cannot be opened.
    """
    try:
        with _opened(path, max(LOCKED_SECONDS, seconds)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except sqlite3.OperationalError as error:
        if "readonly" not in str(error):
            raise


def state_of(path: Path) -> State:
    """Tell what a file is to MLflow.

    Raises:
        StoreError: a newer MLflow wrote it, or it is a database of something else.
        sqlite3.DatabaseError: it cannot be read as a database.
    """
    if not path.exists() or path.stat().st_size == 0:
        return State.MISSING
    with _opened(path) as database:
        tables = _tables(database)
        revisions = database.execute("SELECT version_num FROM alembic_version") if "alembic_version" in tables else []
        revision = next((row[0] for row in revisions), "")
        made = "experiments" in tables and database.execute("SELECT 1 FROM experiments LIMIT 1").fetchone() is not None
    known = {table for table in tables if table.startswith((HALF_TABLE, "alembic_"))}
    if not tables:
        return State.MISSING
    if not known | tables & set(migrations.InitialBase.metadata.tables):
        raise StoreError(
            f"{path} is a database of something else, with the tables {', '.join(sorted(tables))[:200]}: name another "
            "file with MLFLOW_TRACKING_URI."
        )
    scripts = ScriptDirectory.from_config(migrations._get_alembic_config(""))
    if revision == scripts.get_current_head():
        return State.WHOLE if made else State.HALF
    if revision and revision not in {each.revision for each in scripts.walk_revisions()}:
        raise StoreError(
            f"The store {path} was written by a newer MLflow (its schema is {revision}, which MLflow "
            f"{mlflow.__version__} does not know): install that one, or name another store with MLFLOW_TRACKING_URI."
        )
    return State.OLD if made else State.HALF


def _is_settled(path: Path, make: bool) -> bool:
    state = state_of(path)
    return state is State.WHOLE or (state is State.MISSING and not make)


@contextmanager
def _opened(path: Path, seconds: float = LOCKED_SECONDS) -> Iterator[sqlite3.Connection]:
    """Open a database that exists; it is not made, and it is closed again."""
    quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    with closing(sqlite3.connect(f"file:{quoted}?mode=rw", uri=True, timeout=seconds)) as database:
        yield database


def _tables(database: sqlite3.Connection) -> set[str]:
    found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return {row[0] for row in found}


def _wait_for_others(path: Path) -> None:
    """Wait while a process that knows no lock of ours, such as MLflow's UI, makes the store.

    Raises:
        StoreError: it takes too long.
    """
    deadline = time.monotonic() + MAKING_SECONDS
    while state_of(path) is State.HALF and _silent_seconds(path) < QUIET_SECONDS:
        stop_if_wished()
        if time.monotonic() > deadline:
            raise StoreError(f"Another process is making the store {path}: start the command again when it is done.")
        time.sleep(0.2)


def _silent_seconds(path: Path) -> float:
    """How long ago a database was last written."""
    written = [0.0]
    for suffix in BESIDE:
        with suppress(FileNotFoundError):  # a journal goes when a transaction ends
            written.append(path.with_name(path.name + suffix).stat().st_mtime)
    return time.time() - max(written)


def _put_aside(path: Path) -> Path:
    """Move a database out of the way; give its new place."""
    aside = _free_name(path, f"half-made-{datetime.now():%Y%m%d-%H%M%S}")
    for suffix in reversed(BESIDE):  # the database last: a journal without it is never taken for another one's
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _free_name(path: Path, word: str) -> Path:
    names = (path.with_name(f"{path.name}.{word}{f'-{number}' if number else ''}") for number in range(10_000))
    return next(name for name in names if not name.exists())


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Give the name of a file of this process beside a store; it is removed, and what killed processes left with it.

    Only to be used under the lock: no other process has one then.
    """
    prefix = f".{path.name}.new-"

    def clear() -> None:
        for left in [each for each in path.parent.iterdir() if each.name.startswith(prefix)]:
            left.unlink(missing_ok=True)

    clear()
    try:
        yield path.with_name(f"{prefix}{os.getpid()}")
    finally:
        clear()


def _make(uri: str, path: Path) -> None:
    """Make a store as MLflow would, under another name, and rename it when it is whole."""
    with _temporary(path) as fresh:
        _get_sqlalchemy_store(_beside(uri, fresh), None).engine.dispose()
        if state_of(path) is State.MISSING:  # or else a process that knows no lock of ours was quicker
            fresh.replace(path)


def _beside(uri: str, fresh: Path) -> str:
    """Name a file in the folder of a store as the store is named."""
    return f"{uri.partition('?')[0].rpartition('/')[0]}/{fresh.name}"


def _upgrade(uri: str, path: Path) -> None:
    """Upgrade a store of an older MLflow: a copy of it first, which is told, then the file itself in one transaction.

    Raises:
        StoreError: there is no room, or it cannot be upgraded; it is as it was then.
    """
    size, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < 4 * size:
        raise StoreError(
            f"The store {path} must be upgraded for MLflow {mlflow.__version__}, for which it "
            f"takes {_megabytes(4 * size)}, and {_megabytes(free)} are free: make room, then start the command again."
        )
    aside = _free_name(path, f"before-mlflow-{mlflow.__version__}")
    with _temporary(path) as fresh, _opened(path) as database:
        before = _data_version(database)
        _copy(database, fresh)
        fresh.rename(aside)
        logger.warning(
            f"{path} was written by an older MLflow: it is upgraded, and lies as it was in {aside} ({_megabytes(size)})"
        )
        _copy(database, fresh)
        _migrate(_beside(uri, fresh), fresh, aside)
        if _data_version(database) != before:
            raise StoreError(f"Another process wrote to {path} during its upgrade: let that end, then start again.")
        with closing(sqlite3.connect(fresh)) as upgraded:
            upgraded.backup(database)


def _migrate(uri: str, fresh: Path, aside: Path) -> None:
    """Bring a copy to the schema of this MLflow.

    Raises:
        StoreError: it cannot be.
    """
    with closing(sqlite3.connect(fresh)) as database:
        tables = _tables(database)
        for half in [each for each in tables if each.startswith(HALF_TABLE) and each[len(HALF_TABLE) :] in tables]:
            database.execute(f'DROP TABLE "{half}"')  # a step that was killed: it begins again
        database.commit()
    engine = create_engine(uri)
    try:
        migrations._upgrade_db(engine)
    except SQLAlchemyError as error:
        raise StoreError(
            f"The store cannot be upgraded for MLflow {mlflow.__version__} and is as it was "
            f"({str(error).splitlines()[0]}): use the MLflow that wrote it, or name another store with "
            f"MLFLOW_TRACKING_URI; a copy lies in {aside}."
        ) from error
    finally:
        engine.dispose()


def _copy(database: sqlite3.Connection, path: Path) -> None:
    with closing(sqlite3.connect(path)) as copy:
        database.backup(copy)


def _data_version(database: sqlite3.Connection) -> int:
    """A number that changes when another connection has written."""
    return int(database.execute("PRAGMA data_version").fetchone()[0])


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
